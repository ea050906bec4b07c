"""What may name an asset, a band and a property."""

from __future__ import annotations

import re

ASSET_ID = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,9}$"
BAND_ID = r"^[A-Za-z0-9_-]+$"
PROPERTY_KEY = r"^([A-Za-z0-9_]{1,110}|system:[a-z_]{1,103})$"
RESERVED_BANDS = ("x", "y", "spatial_ref")
"""Names that the coordinate arrays beside the bands bear."""


def is_band_id(value: str) -> bool:
    """Return whether a text may name a band."""
    is_name = re.fullmatch(BAND_ID, value) and not value.endswith("\n")
    return bool(is_name) and value not in RESERVED_BANDS
