"""The levels of a COG as plain TIFFs, and how the masks of its bands become the one it can have."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.exports.pieces import pieces
from geobatch.exports.selection import Selection
from geobatch.exports.tiles import tile_readers
from geobatch.model.assets.asset import Band
from geobatch.model.geobox import TOP_LEVEL_PIXELS, ceil_div
from geobatch.model.window import Window
from geobatch.sources.cog.writer import BLOCK, level_file
from geobatch.store.pixels import Values, Weights
from geobatch.store.tilestore import TileStore

Progress: TypeAlias = Callable[[int, int], object]
"""Receives (done, total)."""

_CHUNK_BYTES = 32 << 20
"""Pixels with their masks that are held at a time, unless a block of all bands is larger."""


class MaskKind(StrEnum):
    """How a COG says which pixels are masked."""

    NONE = "none"
    """No pixel can be masked."""
    NODATA = "nodata"
    """By a value that no valid pixel has, at any level."""
    ALPHA = "alpha"
    """By a last band, 0 for masked to 255, fractions included."""
    INTERNAL = "internal"
    """By an internal mask: a pixel is either fully masked or not."""


class LevelWindow(NamedTuple):
    """The part of a level that is exported."""

    level: int
    """The level."""
    window: Window
    """Its pixels."""


class _Chunk(Struct, frozen=True, kw_only=True):
    """Some pixels of a level."""

    level: int
    window: Window
    values: Values
    """(bands, rows, columns)."""
    weights: Weights
    """(bands, rows, columns)."""


def level_windows(selection: Selection) -> tuple[LevelWindow, ...]:
    """Return what is exported of a level, and of those above it that can be its overviews.

    A level can be an overview if its pixels start where the exported ones do, and are halves; its
    last row and column may reach beyond them, as at the edge of an image. The last is the first
    that fits 256 x 256 pixels, or the asset's own last.
    """
    grid, window, level = selection.grid, selection.window, selection.level
    found = [LevelWindow(level, window)]
    while max(window.height, window.width) > TOP_LEVEL_PIXELS:
        if window.row % 2 or window.col % 2:
            break
        level += 1
        if level == grid.level_count or grid.level(level) != grid.geobox.level(level):
            break
        window = Window(
            row=window.row // 2,
            col=window.col // 2,
            height=ceil_div(window.height, 2),
            width=ceil_div(window.width, 2),
        )
        found.append(LevelWindow(level, window))
    return tuple(found)


def mask_kind(bands: Sequence[Band]) -> MaskKind:
    """Return the best way to mark the masks of some bands, as far as specs and headers tell."""
    if not any(band.can_be_masked for band in bands):
        return MaskKind.NONE
    if all(band.mask_from_level == 1 and _equal(band.fill, bands[0].fill) for band in bands):
        return MaskKind.NODATA
    if bands[0].dtype == "uint8" and any(band.masking.is_partial for band in bands):
        return MaskKind.ALPHA
    return MaskKind.INTERNAL


def write_levels(
    store: TileStore,
    selection: Selection,
    levels: Sequence[LevelWindow],
    folder: Path,
    *,
    kind: MaskKind,
    workers: int,
    progress: Progress,
) -> list[Path] | None:
    """Write each level as a TIFF and return them; None if a valid pixel equals the nodata value.

    Args:
        store: The store.
        selection: What is exported.
        levels: The levels, and what is written of each.
        folder: Where.
        kind: How masked pixels are marked.
        workers: Threads that decode tiles.
        progress: Told of pixels that are written.

    Raises:
        ExportError: The bands are masked differently and there is one mask for all, or the disk
            refused.
        CorruptObjectError: A tile is damaged.
    """
    bands = selection.bands
    done, total = 0, sum(part.window.height * part.window.width for part in levels)
    paths = []
    for level, window in levels:
        path = folder / f"level-{level}.tif"
        with level_file(
            path,
            selection.placed(level, window),
            bands=len(bands) + (kind is MaskKind.ALPHA),
            dtype=bands[0].dtype,
        ) as file:
            for chunk in _chunks(store, selection, level, window, workers=workers):
                values, mask = chunk.values, None
                if kind is MaskKind.NODATA and _has_valid_fill(chunk, bands):
                    return None
                if kind is MaskKind.ALPHA:
                    shared = _shared(chunk, chunk.weights, selection)
                    values = np.concatenate([values, shared[np.newaxis]])
                if kind is MaskKind.INTERNAL:
                    is_valid = np.where(chunk.weights > 0, np.uint8(255), np.uint8(0))
                    mask = _shared(chunk, is_valid, selection)
                row, col = chunk.window.row - window.row, chunk.window.col - window.col
                file.write(values, mask, row=row, col=col)
                done += chunk.window.height * chunk.window.width
                progress(done, total)
        paths.append(path)
    return paths


def _chunks(
    store: TileStore, selection: Selection, level: int, window: Window, *, workers: int
) -> Iterator[_Chunk]:
    """Yield the pixels of a level, a few blocks of a row of blocks at a time.

    Threads decode what comes next while the caller writes.
    """
    bands = selection.bands
    tiles = tile_readers(store, selection, level=level)
    block_bytes = BLOCK * BLOCK * len(bands) * (np.dtype(bands[0].dtype).itemsize + 1)
    ahead = max(0, min(workers, _CHUNK_BYTES // block_bytes - 1))
    step = BLOCK * max(1, _CHUNK_BYTES // (1 + ahead) // block_bytes)
    side = selection.record.image.tile
    step -= step % side if step > side else 0  # two threads decode no tile both
    parts = window.parts((BLOCK, step))

    def read(part: Window) -> _Chunk:
        shape = (len(bands), *part.shape)
        values: Values = np.empty(shape, dtype=bands[0].dtype)
        weights = np.empty(shape, dtype=np.uint8)
        for number, band in enumerate(bands):
            for piece in pieces(part, tile=side):
                pixels, masks = tiles[band.id](piece.row, piece.col)
                values[number][piece.target] = pixels[piece.source]
                weights[number][piece.target] = masks[piece.source]
        return _Chunk(level=level, window=part, values=values, weights=weights)

    if not ahead:
        yield from map(read, parts)
        return
    waiting: deque[Future[_Chunk]] = deque()
    with ThreadPoolExecutor(max_workers=ahead, thread_name_prefix="export") as pool:
        waiting += [pool.submit(read, part) for part in islice(parts, ahead)]
        while waiting:
            chunk = waiting.popleft().result()
            waiting += [pool.submit(read, part) for part in islice(parts, 1)]
            yield chunk


def _has_valid_fill(chunk: _Chunk, bands: Sequence[Band]) -> bool:
    """Tell whether a valid pixel equals the fill, as a mean above level 0 may come to do."""
    fill = bands[0].fill
    return not math.isnan(fill) and bool(np.any((chunk.values == fill) & (chunk.weights > 0)))


def _shared(chunk: _Chunk, masks: Weights, selection: Selection) -> Weights:
    """Return the mask that all bands have in common."""
    differs: npt.NDArray[np.bool_] = masks != masks[0]
    if differs.any():
        number, row, col = np.argwhere(differs)[0]
        ids = [band.id for band in selection.bands]
        raise ExportError(
            f"bands `{ids[0]}` and `{ids[number]}` of `{selection.record.asset.id}` are masked "
            f"differently, first at row {chunk.window.row + row}, column {chunk.window.col + col} "
            f"of level {chunk.level}; a GeoTIFF has one mask for all bands",
            hint=f"export them separately: `--bands {ids[0]}`, `--bands {ids[number]}`",
        )
    shared: Weights = masks[0]
    return shared


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
