"""Patches of pixels as float32 tensors, masked pixels filled with the default value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.exports.options import TFRecordOptions
from geobatch.exports.patches import PatchGrid
from geobatch.exports.pieces import pieces
from geobatch.exports.selection import Selection
from geobatch.exports.tiles import tile_readers
from geobatch.model.assets.asset import Band
from geobatch.model.window import Window
from geobatch.store.tilestore import TileStore

Floats: TypeAlias = npt.NDArray[np.float32]
Mask: TypeAlias = npt.NDArray[np.bool_]

FULL = 255
"""Weight of a pixel that no mask touches."""
_LARGEST = float(np.finfo(np.float32).max)


class Channel(Struct, frozen=True, kw_only=True):
    """One plane of a tensor."""

    band: Band | None
    """The band; None beyond the end of an array band."""
    default: float
    """Value of pixels that are masked, or outside the image."""


class Tensor(Struct, frozen=True, kw_only=True):
    """One feature of the records."""

    name: str
    """Its name."""
    channels: tuple[Channel, ...]
    """Its planes, in order."""
    is_array: bool
    """Whether it is an array band, or all bands collapsed; else it has one plane."""


def tensors_of(selection: Selection, options: TFRecordOptions) -> tuple[Tensor, ...]:
    """Return the features that a selection is exported as.

    Raises:
        ExportError: `tensorDepths` names a band that is not an array band, or a band cannot
            hold the default value.
    """
    depths = dict(options.tensor_depths)
    arrays = [feature.name for feature in selection.features if feature.is_array]
    for name in depths:
        if name not in arrays:
            listed = ", ".join(f"`{one}`" for one in arrays) or "none"
            raise ExportError(
                f"`tensorDepths` names `{name}`, which is not an array band of the export",
                hint=f"array bands, declared by `array_bands` of a spec: {listed}",
            )
    found = []
    for feature in selection.features:
        channels = [
            Channel(band=band, default=_default(options.default_value, band))
            for band in feature.bands
        ]
        depth = depths.get(feature.name, len(channels))
        padding = Channel(band=None, default=channels[0].default)
        channels = [*channels, *[padding] * (depth - len(channels))][:depth]
        found.append(Tensor(name=feature.name, channels=tuple(channels), is_array=feature.is_array))
    if not options.collapse_bands:
        return tuple(found)
    every = tuple(channel for tensor in found for channel in tensor.channels)
    return (Tensor(name=found[0].name, channels=every, is_array=True),)


def _default(value: float, band: Band) -> float:
    """Return the default value in a band: whole in integers, and within the band's range."""
    if band.is_float:
        return value if not math.isfinite(value) else min(max(value, -_LARGEST), _LARGEST)
    if math.isnan(value):
        raise ExportError(f"`defaultValue` is NaN, but band `{band.id}` is {band.dtype.upper()}")
    limits = np.iinfo(band.dtype)
    return float(min(max(value, limits.min), limits.max).__trunc__())


class Patches(NamedTuple):
    """Patches side by side."""

    values: Floats
    """(patches, channels, rows, columns), margins included."""
    masked: npt.NDArray[np.int64]
    """Pixels of each patch, without the margin, that a channel masks."""


class PatchReader:
    """Reads patches of a selection; threads may share it."""

    def __init__(
        self, store: TileStore, selection: Selection, grid: PatchGrid, tensors: Sequence[Tensor]
    ) -> None:
        self._selection = selection
        self._grid = grid
        self._channels = [channel for tensor in tensors for channel in tensor.channels]
        self._plane = selection.plane
        self._tiles = tile_readers(store, selection, level=selection.level)

    def read(self, row: int, first: int, count: int) -> Patches:
        """Return some patches of a row of patches.

        Args:
            row: Row of patches.
            first: The first of them in that row.
            count: How many.

        Raises:
            CorruptObjectError: A tile or an index page is damaged.
        """
        grid = self._grid
        top = row * grid.patch_height - grid.margin_top
        left = first * grid.patch_width - grid.margin_left
        shape = (grid.stored_height, (count - 1) * grid.patch_width + grid.stored_width)
        masked = np.zeros(shape, dtype=np.bool_)
        values = np.empty(
            (count, len(self._channels), grid.stored_height, grid.stored_width), dtype=np.float32
        )
        for number, channel in enumerate(self._channels):
            canvas = np.full(shape, channel.default, dtype=np.float32)
            if channel.band is not None:
                self._paint(canvas, masked, channel.band, top, left)
            values[:, number] = _windows(canvas, grid.stored_width, grid.patch_width)
        inner = masked[
            grid.margin_top : grid.margin_top + grid.patch_height,
            grid.margin_left : grid.margin_left + count * grid.patch_width,
        ]
        each = inner.reshape(grid.patch_height, count, grid.patch_width)
        return Patches(values, each.sum(axis=(0, 2), dtype=np.int64))

    def _paint(self, canvas: Floats, masked: Mask, band: Band, top: int, left: int) -> None:
        """Paint the valid pixels of a band on a canvas, and note which are not."""
        window, plane = self._selection.window, self._plane
        top, left = top + window.row, left + window.col
        whole = Window(row=top, col=left, height=canvas.shape[0], width=canvas.shape[1])
        there = whole.intersect(plane.window)
        if there is None:
            masked[:] = True
            return
        inside = whole.within(there)
        valid = np.zeros(canvas.shape, dtype=np.bool_)
        for piece in pieces(there, tile=self._selection.record.image.tile):
            values, weights = self._tiles[band.id](piece.row, piece.col)
            is_valid = weights[piece.source] == FULL
            valid[inside][piece.target] = is_valid
            with np.errstate(over="ignore"):
                np.copyto(
                    canvas[inside][piece.target],
                    values[piece.source],
                    casting="unsafe",
                    where=is_valid,
                )
        masked |= ~valid


def _windows(canvas: Floats, width: int, step: int) -> Floats:
    """Return the windows of a canvas, `step` columns apart: (windows, rows, width)."""
    every = np.lib.stride_tricks.sliding_window_view(canvas, width, axis=1)
    return every[:, ::step].transpose(1, 0, 2)
