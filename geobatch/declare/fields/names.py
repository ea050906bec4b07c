"""Valid names of assets, bands and properties."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters of a folder's name: file systems have room for 255, some of it for endings."""
ASSET_ID = rf"^[A-Za-z0-9_-]{{1,{LONGEST}}}(/[A-Za-z0-9_-]{{1,{LONGEST}}}){{0,9}}$"
BAND_ID = rf"^[A-Za-z0-9_-]{{1,{LONGEST}}}$"
PROPERTY_KEY = r"^([A-Za-z0-9_]{1,110}|system:[a-z_]{1,103})$"
RESERVED_BANDS = ("x", "y", "spatial_ref")
"""Names of the coordinate arrays next to the bands, in lower or upper case."""


def is_band_id(value: str) -> bool:
    """Return whether a text may name a band."""
    is_name = re.fullmatch(BAND_ID, value) and not value.endswith("\n")
    return bool(is_name) and value.casefold() not in RESERVED_BANDS


def without_project(name: str) -> str:
    """Return an Earth Engine asset name without its `projects/P/assets/`."""
    match = re.fullmatch(r"projects/[A-Za-z0-9.:_-]+/assets/(.+)", name, re.DOTALL)
    return match[1] if match else name
