"""Bands: output channels, their pixel types, and what masks them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from geobatch.model.assets.policy import Policy
from geobatch.model.number import Number

DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
)  # fmt: skip
"""The pixel types that an asset may hold, by numpy name; stored little-endian."""


class MaskSource(StrEnum):
    """Where a band's mask comes from; the highest declared one wins."""

    NONE = "none"
    """Nothing masks the band but NaN, gaps and the footprint."""
    VALUES = "values"
    """Pixels equal to a missing value are masked (`missing_data`, or the file's nodata)."""
    FILE = "file"
    """The source file's own alpha band or internal mask."""
    BAND = "band"
    """The last band of a mask tileset (`mask_bands`)."""


def _identity(value: Any) -> Any:
    """Return the key that compares values that may hold NaN: floats by their text."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return tuple(_identity(item) for item in value)
    return value


def _identities(value: Any) -> tuple[Any, ...]:
    return tuple(_identity(getattr(value, name)) for name in value.__struct_fields__)


class Masking(Struct, frozen=True, kw_only=True):
    """What may mask a band's pixels, according to specs and headers."""

    source: MaskSource
    """Which kind of masking applies."""
    values: tuple[Number, ...] = ()
    """Missing values, in the band's dtype; only with VALUES."""
    is_near: bool = False
    """Whether floats close to a missing value equal it, as GDAL treats a file's nodata."""
    tileset: str | None = None
    """Tileset whose last band is the mask; only with BAND."""
    valid_value: int = 255
    """Value of that band that means valid; only with BAND."""
    is_partial: bool = False
    """Whether masks between 0 and 255 may occur (alpha and mask bands)."""
    has_gaps: bool = False
    """Whether the sources leave a part of the canvas uncovered, or a footprint cuts it."""
    is_fill_free: bool = False
    """Whether no valid pixel of level 0 can equal the band's fill value."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masking) and _identities(self) == _identities(other)

    def __hash__(self) -> int:
        return hash(_identities(self))


class Band(Struct, frozen=True, kw_only=True):
    """One output channel, mapped from (tileset, band index)."""

    id: str
    """Name of the band and of its arrays."""
    grid: str
    """Name of the grid that the band lies on."""
    tileset: str
    """Id of the tileset that feeds the band."""
    index: int
    """Zero-based band index within the sources of the tileset."""
    dtype: str
    """Numpy name of the pixel type, one of `DTYPES`."""
    policy: Policy
    """Pyramiding policy."""
    fill: Number
    """Value that is burned into masked pixels."""
    masking: Masking
    """What may mask its pixels."""
    description: str | None = None
    """Band description of the file."""
    unit: str | None = None
    """Unit of the scaled values."""
    scale: float | None = None
    """Factor from stored to physical values; None for 1."""
    offset: float | None = None
    """Addend from stored to physical values; None for 0."""
    palette: tuple[tuple[int, int, int, int], ...] | None = None
    """Colour table, RGBA per value from 0."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Band) and _identities(self) == _identities(other)

    def __hash__(self) -> int:
        return hash(_identities(self))

    @property
    def is_float(self) -> bool:
        """Whether the dtype is a floating-point type."""
        return self.dtype.startswith("float")

    @property
    def can_be_masked(self) -> bool:
        """Whether any pixel of the band can be masked, according to specs and headers."""
        masking = self.masking
        return self.is_float or masking.source is not MaskSource.NONE or masking.has_gaps

    @property
    def mask_from_level(self) -> int | None:
        """First level with a mask array beside the band: 0, 1, or None for no mask array at all."""
        if not self.can_be_masked:
            return None
        return 1 if self.masking.is_fill_free and not self.masking.is_partial else 0

    def has_mask(self, level: int) -> bool:
        """Return whether a level of the band has a mask array."""
        first = self.mask_from_level
        return first is not None and level >= first
