"""Pixels become colours: stretch, palettes, differences; masks are transparent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.assets.band import Band
from geobatch.store.pixels import Values, Weights

Rgba: TypeAlias = npt.NDArray[np.uint8]
"""(rows, columns, 4) red, green, blue and alpha."""

LOW, HIGH = 2.0, 98.0
"""Percentiles of the valid pixels that become black and white."""
HIGHER, LOWER = (178, 24, 43), (33, 102, 172)
"""Colours of values that grow and shrink."""
OTHER = (197, 27, 125)
"""Colour of a pixel whose class differs."""
MASKED, UNMASKED = (230, 159, 0), (0, 158, 115)
"""Colours of pixels that are masked now, and of those that no longer are."""
_FAINT = 0.35
"""Strength of the colour of the smallest difference."""


class Stretch(Struct, frozen=True, kw_only=True):
    """Values that become black and white; those between become grey in proportion."""

    low: float
    """Black, with all below it."""
    high: float
    """White, with all above it."""


def stretch_of(states: Sequence[tuple[Values, Weights]]) -> Stretch | None:
    """Return the stretch of the valid pixels of one or more states of a band; None without any."""
    parts = [values[weights > 0].astype(np.float64) for values, weights in states]
    valid = np.concatenate(parts) if parts else np.empty(0)
    valid = valid[np.isfinite(valid)]
    if not valid.size:
        return None
    low, high = np.percentile(valid, (LOW, HIGH))
    return Stretch(low=float(low), high=float(high))


def grey_of(values: Values, stretch: Stretch) -> npt.NDArray[np.uint8]:
    """Return values as grey from 0 to 255; all are 128 if the stretch has no extent."""
    numbers = np.nan_to_num(
        values.astype(np.float64), nan=stretch.low, posinf=stretch.high, neginf=stretch.low
    )
    extent = stretch.high - stretch.low
    if not np.isfinite(extent) or extent <= 0:
        return np.full(values.shape, 128, np.uint8)
    return np.rint(
        (np.clip(numbers, stretch.low, stretch.high) - stretch.low) / extent * 255
    ).astype(np.uint8)


def picture_of(values: Values, weights: Weights, band: Band, stretch: Stretch | None) -> Rgba:
    """Return one band in the colours of its palette, or in grey."""
    if band.palette is not None:
        colours = _palette_colours(values, band.palette)
    else:
        grey = grey_of(values, stretch or Stretch(low=0, high=0))
        colours = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    return _masked(colours, weights)


def composite_of(states: Sequence[tuple[Values, Weights, Stretch | None]]) -> Rgba:
    """Return three bands as red, green and blue; a pixel is as valid as the least valid of them."""
    channels = [grey_of(values, one or Stretch(low=0, high=0)) for values, _, one in states]
    weights = np.minimum.reduce([weights for _, weights, _ in states])
    return _masked(np.dstack([*channels, np.full_like(channels[0], 255)]), weights)


def difference_of(
    before: tuple[Values, Weights], after: tuple[Values, Weights], *, is_class: bool
) -> tuple[Rgba, float | None]:
    """Return where and how two states differ, and the difference that has the full colour.

    Equal pixels are transparent. Of classes, any difference has one colour.
    """
    (old, old_weights), (new, new_weights) = before, after
    picture = np.zeros((*old.shape, 4), np.uint8)
    was, is_ = old_weights > 0, new_weights > 0
    both = was & is_
    differs = both & ~_equal(old, new)
    scale: float | None = None
    if is_class:
        picture[differs] = (*OTHER, 255)
    elif differs.any():
        change = new[differs].astype(np.float64) - old[differs].astype(np.float64)
        change = np.nan_to_num(change)
        scale = float(np.percentile(np.abs(change), HIGH))
        strength = np.clip(np.abs(change) / (scale or 1.0), 0, 1) * (1 - _FAINT) + _FAINT
        colours = np.where((change >= 0)[:, None], HIGHER, LOWER)
        mixed = 255 - (255 - colours) * strength[:, None]
        picture[differs] = np.column_stack([mixed.astype(np.uint8), np.full(len(mixed), 255)])
    picture[was & ~is_] = (*MASKED, 255)
    picture[~was & is_] = (*UNMASKED, 255)
    return picture, scale


def _equal(old: Values, new: Values) -> npt.NDArray[np.bool_]:
    equal: npt.NDArray[np.bool_] = old == new
    if old.dtype.kind == "f" and new.dtype.kind == "f":
        equal |= np.isnan(old) & np.isnan(new)
    return equal


def _palette_colours(values: Values, palette: Sequence[tuple[int, int, int, int]]) -> Rgba:
    """Return the colours of values; one that the palette does not have is transparent."""
    table = np.zeros((len(palette) + 1, 4), np.uint8)
    table[:-1] = palette
    numbers = np.nan_to_num(values.astype(np.float64), nan=-1, posinf=-1, neginf=-1)
    has_colour = (numbers >= 0) & (numbers < len(palette)) & (numbers == np.floor(numbers))
    indexes = np.where(has_colour, numbers, len(palette)).astype(np.int64)
    return table[indexes]


def _masked(colours: Rgba, weights: Weights) -> Rgba:
    """Return colours with the weights as transparency; nothing is left of a masked pixel."""
    alpha = colours[..., 3].astype(np.uint16) * weights
    shown = colours.copy()
    shown[..., 3] = (alpha + 127) // 255
    shown[weights == 0] = 0
    return shown
