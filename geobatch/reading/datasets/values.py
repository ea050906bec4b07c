"""Values of a band at one level: decoded, masked and scaled when they are read."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import zarr
from msgspec import Struct

from geobatch.model.assets.asset import Band

Slices: TypeAlias = tuple[slice, ...]
"""Rows and columns."""


class BandValues(Struct, frozen=True, kw_only=True, eq=False):
    """One band at one level. It pickles where the store's backend does."""

    band: Band
    """The band."""
    values: zarr.Array[Any]
    """(row, col) as stored; masked pixels have the fill value."""
    mask: zarr.Array[Any] | None
    """(row, col) from 0 masked to 255 valid; None if the fill value alone masks."""
    is_masked: bool
    """Whether masks, scale and offset are applied."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, cols = self.values.shape
        return (rows, cols)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what is read: that of the store, or the float that can hold NaN and scales."""
        stored = np.dtype(self.band.dtype)
        is_changed = self.band.can_be_masked or self._scale != (1, 0)
        if not self.is_masked or not is_changed or stored.kind == "f":
            return stored
        # Floats of 32 bits hold all integers of 16 bits.
        is_small = stored.itemsize <= 2 and self._scale == (1, 0)
        return np.dtype(np.float32 if is_small else np.float64)

    def read(self, where: Slices) -> npt.NDArray[Any]:
        """Return the values of a window.

        Raises:
            CorruptObjectError: Stored bytes do not match their digest.
            SourceError: A COG is not in the state that was applied.
        """
        stored = np.asarray(self.values[where])
        if not self.is_masked:
            return stored
        found = stored.astype(self.dtype)
        if self.band.can_be_masked:
            found[~self._valid(stored, where)] = np.nan
        scale, offset = self._scale
        if scale != 1:
            found *= scale
        if offset:
            found += offset
        return found

    def weights(self, where: Slices) -> npt.NDArray[np.float32]:
        """Return the mask of a window, from 0 (masked) to 1 (valid)."""
        if self.mask is not None:
            return np.asarray(self.mask[where]).astype(np.float32) / np.float32(255)
        stored = np.asarray(self.values[where])
        return self._valid(stored, where).astype(np.float32)

    def _valid(self, stored: npt.NDArray[Any], where: Slices) -> npt.NDArray[np.bool_]:
        if self.mask is not None:
            return np.asarray(self.mask[where]) > 0
        if not self.band.can_be_masked:
            return np.ones(stored.shape, dtype=np.bool_)
        fill = np.asarray(self.band.fill).astype(stored.dtype)
        is_nan = stored.dtype.kind == "f" and bool(np.isnan(fill))
        found: npt.NDArray[np.bool_] = ~np.isnan(stored) if is_nan else stored != fill
        return found

    @property
    def _scale(self) -> tuple[float, float]:
        band = self.band
        return (
            1 if band.scale is None else band.scale,
            0 if band.offset is None else band.offset,
        )
