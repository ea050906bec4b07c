"""Properties of an asset among those that STAC defines: none of them gets another meaning."""

from __future__ import annotations

import re
from typing import Any

from geobatch.model.assets.asset import Asset
from geobatch.stac.bands import number_json

PREFIX = "geobatch:"
"""Of what STAC has no word for, and of a property whose name STAC uses for something else."""

_TEXTS = frozenset({"title", "description", "platform", "constellation", "mission"})
_NUMBERS = frozenset({"gsd"})
_LICENSE = re.compile(r"[\w.+-]+", re.ASCII)
_OTHERS = frozenset({
    "datetime", "start_datetime", "end_datetime", "created", "updated", "published", "expires",
    "unpublished", "keywords", "roles", "providers", "instruments", "bands", "statistics", "unit",
    "data_type", "nodata", "version", "deprecated", "experimental", "id", "type", "bbox",
    "geometry", "links", "assets", "collection", "stac_version", "stac_extensions", "properties",
})  # fmt: skip
"""Names whose value is no text or number of a user, and names of an item's own members."""


def properties_json(asset: Asset) -> dict[str, Any]:
    """Return the properties of an asset, each under its own name if STAC allows its value there."""
    return {
        key if _is_free(key, value) else PREFIX + key: (
            value if isinstance(value, str) else number_json(value)
        )
        for key, value in asset.properties
    }


def is_license(value: object) -> bool:
    """Return whether a value may be a license: an SPDX identifier has no spaces."""
    return isinstance(value, str) and _LICENSE.fullmatch(value) is not None


def _is_free(key: str, value: str | float) -> bool:
    name = key.lower()
    if name in _TEXTS:
        return isinstance(value, str) and bool(value)
    if name == "license":
        return is_license(value)
    if name in _NUMBERS:
        return not isinstance(value, str) and 0 < value < float("inf")
    return name not in _OTHERS
