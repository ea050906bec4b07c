"""Names that geobatch accepts and Earth Engine refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geobatch.declare.hints import listed
from geobatch.model.assets.asset import Asset, Raster

_BAND = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}", re.ASCII)
"""Error of Earth Engine, quoted in https://github.com/eMapR/LT-GEE/issues/25."""
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", re.ASCII)
"""Source: https://cloud.google.com/resource-manager/docs/creating-managing-projects"""
_OWN_FIELDS = {"system:time_start": "startTime", "system:time_end": "endTime"}
_SPECIAL = ("system:description", "system:provider_url", "system:tags", "system:title")
"""Keys with a colon that Earth Engine accepts."""
MAX_COLUMNS = 1000


def refused_names(asset: Asset, *, name: str) -> Iterator[str]:
    """Yield the names of an asset that Earth Engine refuses, each with the rule.

    Args:
        asset: The asset.
        name: Its name in Earth Engine.
    """
    project = name.removeprefix("projects/").partition("/")[0]
    if not _PROJECT.fullmatch(project):
        yield (
            f"Earth Engine refuses the project `{project}`: 6 to 30 lowercase letters, digits and"
            " hyphens; the first must be a letter"
        )
    bands = asset.bands if isinstance(asset, Raster) else ()
    if refused := [band.id for band in bands if not _BAND.fullmatch(band.id)]:
        yield (
            f"Earth Engine refuses the band ids {listed(refused)}: they start with a letter, and"
            " have at most 100 letters, digits, `_` and `-`"
        )
    keys = [key for key, _ in asset.properties if ":" in key and key not in _SPECIAL]
    if own := [key for key in keys if key in _OWN_FIELDS]:
        wanted = listed(_OWN_FIELDS[key] for key in own)
        yield f"Earth Engine refuses the properties {listed(own)}: they are {wanted} of a manifest"
    if strange := [key for key in keys if key not in _OWN_FIELDS]:
        yield (
            f"Earth Engine refuses the properties {listed(strange)}: letters, digits and `_`,"
            f" or one of {listed(_SPECIAL)}"
        )
