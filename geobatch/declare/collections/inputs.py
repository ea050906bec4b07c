"""What the images of a rule are made from, as bytes: equal ones make equal images."""

from __future__ import annotations

import locale
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from geobatch.declare.collections.template import Placeholder, Template
from geobatch.declare.loading.spec_cache import encoded, limits
from geobatch.declare.specs import Loc, RasterSpec
from geobatch.model.digest import digest_bytes


def rule_digest(
    collection_id: str, base: RasterSpec, templates: Mapping[Loc, Template], columns: Iterable[str]
) -> bytes:
    """Return a digest of what all images of a rule are made from; empty if it cannot be encoded.

    Args:
        collection_id: Id of the collection.
        base: The image, with stand-ins where templates are.
        templates: By loc in the image.
        columns: Names of fields that come from a table.
    """
    declared = [
        (name, getattr(base, name)) for name in base.__struct_fields__ if name not in base.beside
    ]
    filled = list(templates.items())
    around = [sys.version, *_names_in_times(templates.values()), limits()]
    data = encoded(collection_id, type(base).__name__, declared, filled, sorted(columns), around)
    return bytes.fromhex(digest_bytes(data)) if data else b""


def _names_in_times(templates: Iterable[Template]) -> list[Any]:
    """Return the names of zones and the language of months, if templates read times."""
    parts = (part for template in templates for part in template.parts)
    if not any(isinstance(part, Placeholder) and "%" in part.form for part in parts):
        return []
    return [time.tzname, locale.setlocale(locale.LC_TIME)]
