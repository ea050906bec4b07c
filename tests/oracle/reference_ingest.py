"""Reference for level 0: masks, mosaics and fill values, from arrays as they stand in the files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from reference_pyramid import Masks, Values, pyramid


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One band of one source."""

    values: Values
    """As in the file, in the file's dtype."""
    row: int = 0
    """Canvas row of its first row."""
    col: int = 0
    """Canvas column of its first column."""
    nodata: float | None = None
    """The file's nodata."""
    own_mask: Masks | None = None
    """The file's alpha band as 0 to 255, or its internal mask as 0 and 255."""
    is_alpha: bool = False
    """Whether the own mask is an alpha band, which may be fractional."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What a band must look like in the store."""

    levels: list[tuple[Values, Masks]]
    """(values, masks) per level."""
    fill: float
    """Value of masked pixels."""
    mask_from_level: int | None
    """First level that has a mask array; None for none at all."""


def equals(values: Values, value: float) -> Values:
    """Tell which pixels equal a missing value, compared in the pixels' own dtype."""
    if math.isnan(value):
        return np.isnan(values)
    return np.asarray(values == np.array(value).astype(values.dtype))


def masks_of_plane(plane: Plane, *, missing: Sequence[float] | None, has_mask_band: bool) -> Masks:
    """Return a source's masks from what ranks highest among missing data and the file itself."""
    masks = np.full(plane.values.shape, 255, dtype=np.uint8)
    if has_mask_band:
        pass
    elif missing:
        for value in missing:
            masks[equals(plane.values, value)] = 0
    else:
        if missing is None and plane.nodata is not None:
            masks[equals(plane.values, plane.nodata)] = 0
        if plane.own_mask is not None:
            masks = np.minimum(masks, plane.own_mask)
    if plane.values.dtype.kind == "f":
        masks[np.isnan(plane.values)] = 0
    return masks


def choose_fill(
    *, file_dtype: np.dtype, dtype: np.dtype, nodata: float | None, missing: Sequence[float] | None
) -> tuple[float, bool]:
    """Return the fill value, and whether no pixel of the files can hold it by its dtype alone."""
    if missing:
        return missing[0], False
    if missing is None and nodata is not None:
        return nodata, False
    if dtype.kind == "f":
        return math.nan, True
    ours, files = np.iinfo(dtype), np.iinfo(file_dtype)
    if int(ours.min) < int(files.min):
        return int(ours.min), True
    if int(ours.max) > int(files.max):
        return int(ours.max), True
    return 0, False


def expect(
    planes: Sequence[Plane],
    *,
    shape: tuple[int, int],
    policy: str,
    dtype: str | None = None,
    missing: Sequence[float] | None = None,
    mask_band: Masks | None = None,
) -> Expectation:
    """Return what the store must hold of a band.

    `missing` is the band's missing data, or else the manifest's: None where neither says anything,
    empty where the file's nodata is to be ignored. `mask_band` covers the canvas.
    """
    file_dtype = planes[0].values.dtype
    out = np.dtype(dtype or file_dtype)
    nodata = planes[0].nodata
    fill, is_out_of_range = choose_fill(
        file_dtype=file_dtype, dtype=out, nodata=nodata, missing=missing
    )

    values = np.zeros(shape, dtype=out)
    masks = np.zeros(shape, dtype=np.uint8)
    covered = np.zeros(shape, dtype=bool)
    for plane in planes:
        plane_masks = masks_of_plane(plane, missing=missing, has_mask_band=mask_band is not None)
        for row in range(plane.values.shape[0]):
            for col in range(plane.values.shape[1]):
                y, x = plane.row + row, plane.col + col
                covered[y, x] = True
                if plane_masks[row, col] > 0:
                    values[y, x] = plane.values[row, col]
                    masks[y, x] = plane_masks[row, col]
    if mask_band is not None:
        masks = np.where(masks > 0, mask_band, 0).astype(np.uint8)
    values[masks == 0] = fill

    is_masked_by_values = mask_band is None and (
        bool(missing) or (missing is None and nodata is not None)
    )
    has_own_mask = not missing and any(plane.own_mask is not None for plane in planes)
    is_fractional = mask_band is not None or (
        has_own_mask and any(plane.is_alpha for plane in planes)
    )
    can_be_masked = (
        out.kind == "f"
        or mask_band is not None
        or is_masked_by_values
        or has_own_mask
        or not covered.all()
    )
    is_fill_free = is_masked_by_values or is_out_of_range
    mask_from_level = None
    if can_be_masked:
        mask_from_level = 1 if is_fill_free and not is_fractional else 0
    return Expectation(
        levels=pyramid(values, masks, policy=policy, fill=fill),
        fill=fill,
        mask_from_level=mask_from_level,
    )
