"""Level 0 from the sources: mosaics with their masks, window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from geobatch.errors import SourceError, SourceErrors
from geobatch.execute.tasks.task import Peaks
from geobatch.model.assets.asset import Band, Masking, MaskSource, Number, Source, Tileset
from geobatch.model.assets.image import Raster
from geobatch.model.window import Window
from geobatch.pyramid.pixels import Mask, Plane, Values
from geobatch.sources import masks
from geobatch.sources.driver import Pixels, Reader
from geobatch.sources.masks.weights import is_near, weights


class _Reading(NamedTuple):
    """What all reads of a call have in common."""

    reader: Reader
    level: int
    peaks: Peaks
    errors: SourceErrors

    def read(
        self, source: Source, part: Window, bands: Sequence[int], *, with_mask: bool = False
    ) -> Pixels:
        """Read a part of the canvas from a source."""
        window = part.shift(rows=-source.row, cols=-source.col)
        return self.reader.read(source, window, bands, level=self.level, with_mask=with_mask)

    def note(self, tileset: Tileset, mask: Mask) -> None:
        """Raise the peak of a tileset to a mask's."""
        self.peaks[tileset.id] = max(self.peaks.get(tileset.id, 0), int(mask.max()))


def ingest(
    asset: Raster,
    bands: Sequence[Band],
    window: Window,
    *,
    reader: Reader,
    level: int = 0,
    peaks: Peaks | None = None,
) -> dict[str, Plane]:
    """Read a window of the sources for some bands of one grid.

    Args:
        asset: The asset that the bands belong to.
        bands: Bands on the same grid.
        window: Window in that grid's pixels, inside its plane.
        reader: Where source pixels come from.
        level: Level of the sources that is read: the grid is that of its pixels.
        peaks: Raised to the masks that are read.

    Returns:
        Per band id, (height, width) pixels in the band's dtype, masked ones burned to its fill.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved.
    """
    planes: dict[str, Plane] = {}
    errors = SourceErrors()
    reading = _Reading(reader, level, {} if peaks is None else peaks, errors)
    by_tileset: dict[str, list[Band]] = {}
    for band in bands:
        by_tileset.setdefault(band.tileset, []).append(band)
    for tileset_id, members in by_tileset.items():
        tileset = asset.tileset(tileset_id)
        planes.update(_mosaic(tileset, members, window, reading))
    mask_planes: dict[tuple[str, int], Mask] = {}
    outside = _outside_footprint(asset, bands[0].grid, window)
    for band in bands:
        values, mask = planes[band.id]
        mask_tileset = band.masking.tileset
        if mask_tileset is not None and mask_tileset != band.tileset:
            key = (mask_tileset, band.masking.valid_value)
            if key not in mask_planes:
                mask_planes[key] = _mask_band(asset.tileset(mask_tileset), key[1], window, reading)
            mask = _combine(mask, mask_planes[key])
        if outside is not None:
            mask = _combine(mask, outside)
        if mask is not None:
            if mask.min() == 255:
                mask = None
            else:
                np.copyto(values, values.dtype.type(band.fill), where=mask == 0)
        planes[band.id] = Plane(values, mask)
    errors.raise_all()
    return planes


def _mosaic(
    tileset: Tileset,
    bands: Sequence[Band],
    window: Window,
    reading: _Reading,
) -> dict[str, Plane]:
    """Paste the sources that touch the window, in order: a later one wins where it is valid."""
    planes: dict[str, Plane] = {}
    wanted = [band.index for band in bands]
    last = len(tileset.dtypes) - 1
    has_mask_band = any(band.masking.tileset == tileset.id for band in bands)
    has_file_mask = any(band.masking.source is MaskSource.FILE for band in bands)
    indexes = sorted({*wanted, last} if has_mask_band else set(wanted))
    for source in tileset.sources:
        part = window.intersect(source)
        if part is None:
            continue
        with reading.errors.collecting(source.uri):
            pixels, file_mask = reading.read(source, part, indexes, with_mask=has_file_mask)
            if file_mask is not None:
                reading.note(tileset, file_mask)
            for band in bands:
                values = _cast(pixels[indexes.index(band.index)], band, source)
                if wanted.count(band.index) > 1 or (has_mask_band and band.index == last):
                    # Masked pixels are burned in place: bands that share pixels need their own.
                    values = values.copy()
                own_mask = file_mask if band.masking.source is MaskSource.FILE else None
                if band.masking.tileset == tileset.id:
                    own_mask = _weights(pixels[-1], band.masking.valid_value, source)
                    reading.note(tileset, own_mask)
                mask = _own_mask(pixels[indexes.index(band.index)], values, band, own_mask)
                if part == window and (mask is None or band.id not in planes):
                    planes[band.id] = Plane(values, mask)
                else:
                    canvas = planes.get(band.id) or _gap(band, window)
                    planes[band.id] = _paste(canvas, Plane(values, mask), window.within(part))
    for band in bands:
        if band.id not in planes:
            planes[band.id] = _gap(band, window)
    return planes


def _gap(band: Band, window: Window) -> Plane:
    shape = window.shape
    return Plane(np.full(shape, band.fill, dtype=band.dtype), np.zeros(shape, dtype=np.uint8))


def _paste(canvas: Plane, piece: Plane, area: tuple[slice, slice]) -> Plane:
    """Paint a piece over its area of a canvas, where the piece is valid."""
    values, mask = canvas
    if piece.mask is None:
        values[area] = piece.values
        if mask is not None:
            mask[area] = 255
        return canvas
    is_valid = piece.mask > 0
    values[area][is_valid] = piece.values[is_valid]
    if mask is None:
        mask = np.full(values.shape, 255, dtype=np.uint8)
    mask[area][is_valid] = piece.mask[is_valid]
    return Plane(values, mask)


def _cast(pixels: Values, band: Band, source: Source) -> Values:
    """Return file pixels in the band's dtype: Byte and Int8 by reinterpretation, else by value."""
    target: np.dtype[Any] = np.dtype(band.dtype)
    if pixels.dtype == target:
        return pixels
    if {pixels.dtype.name, band.dtype} == {"uint8", "int8"}:
        return np.ascontiguousarray(pixels).view(target)
    if not np.can_cast(pixels.dtype, target, casting="safe"):
        raise SourceError(
            f"`{source.uri}`: band {band.index + 1} is now `{pixels.dtype.name}`, "
            f"expected a type that fits `{band.dtype}`"
        )
    return pixels.astype(target)


def _own_mask(pixels: Values, values: Values, band: Band, own_mask: Mask | None) -> Mask | None:
    """Return the mask of a piece of one source, or None where all of it is valid.

    Args:
        pixels: The piece as it is in the file, (row, col).
        values: The piece, (row, col) in the band's dtype.
        band: The band.
        own_mask: What else masks the piece: the file's own mask, or its last band.
    """
    masking = band.masking
    is_named = masking.source is MaskSource.VALUES
    wanted = list(masking.values) if is_named else []
    if values.dtype.kind == "f" and not any(map(math.isnan, wanted)):
        wanted.append(math.nan)  # it is always masked
    hits = [_equal(pixels, values, value, masking) for value in wanted]
    mask: Mask | None = None
    if hits:
        invalid = hits[0]
        for hit in hits[1:]:
            invalid |= hit
        if invalid.any():
            mask = _from_invalid(invalid)
    if is_named or own_mask is None or own_mask.min() == 255:
        return mask
    # A copy: the canvas of each band is painted over by later sources.
    return own_mask.copy() if mask is None else _combine(mask, own_mask)


def _equal(pixels: Values, values: Values, value: Number, masking: Masking) -> Any:
    if math.isnan(value):
        return np.isnan(values)
    if masking.is_near and pixels.dtype.kind == "f":
        # In the type of the file, whatever it becomes: GDAL's tolerance depends on it.
        return is_near(pixels, value)
    return values == value


def _weights(values: Values, valid_value: int, source: Source) -> Mask:
    return weights(values, valid_value=valid_value, where=f"`{source.uri}`, the mask band")


def _from_invalid(invalid: Any) -> Mask:
    # True is 1 and False 0 as bytes: 1 - 1 = 0 is masked, 0 - 1 wraps to 255, valid.
    mask: Mask = invalid.view(np.uint8) - np.uint8(1)
    return mask


def _combine(mask: Mask | None, other: Mask) -> Mask:
    """Return a mask where one of the two only says valid (255) or masked (0)."""
    lower: Mask = other if mask is None else np.minimum(mask, other)
    return lower


def _mask_band(
    tileset: Tileset,
    valid_value: int,
    window: Window,
    reading: _Reading,
) -> Mask:
    """Return the mosaic of a mask tileset's last band; what no source covers is masked."""
    canvas = np.zeros(window.shape, dtype=np.uint8)
    index = len(tileset.dtypes) - 1
    for source in tileset.sources:
        part = window.intersect(source)
        if part is None:
            continue
        with reading.errors.collecting(source.uri):
            (values,), _ = reading.read(source, part, [index])
            mask = _weights(values, valid_value, source)
            reading.note(tileset, mask)
            canvas[window.within(part)] = mask
    return canvas


def _outside_footprint(asset: Raster, grid: str, window: Window) -> Mask | None:
    footprint = asset.footprint
    if footprint is None or footprint.grid != grid:
        return None
    return masks.footprint_mask(
        footprint.points, row=window.row, col=window.col, height=window.height, width=window.width
    )
