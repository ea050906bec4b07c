"""What a spec selects within the sources of a tileset."""

from __future__ import annotations

from msgspec import Struct


class FeatureRequest(Struct, frozen=True, kw_only=True):
    """A feature of records that makes one band or several."""

    name: str
    """Its key in the records."""
    dtype: str | None = None
    """Numpy name of the pixel type; None to follow the selection."""
    is_channels_last: bool | None = None
    """Whether the values of a pixel are adjacent; None for one value per pixel."""
    depth: int | None = None
    """Values per pixel; None to derive it from the length of the feature."""
    is_single: bool = False
    """Whether a band or a mask names it, so that it should have one value per pixel."""


class SourceSelection(Struct, frozen=True, kw_only=True):
    """The features that are read of each source of a tileset, and how."""

    features: tuple[FeatureRequest, ...] = ()
    """In the order of the bands, a mask last; empty for the only one that there is."""
    kernel_size: tuple[int, int] = (0, 0)
    """(columns, rows) that patches may be larger by than the mixer says."""
    dtype: str | None = None
    """Numpy name of the pixel type of features without their own; None for that of their values."""
    bands: int = 0
    """How many bands there must be at least, for the indexes that the spec names."""
    has_crs: bool = False
    """Whether the spec declares the CRS, so that the source's own is not read."""
