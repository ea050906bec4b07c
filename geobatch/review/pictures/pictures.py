"""The pictures of one asset: before, after, and where both differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from geobatch.model.assets.band import Band
from geobatch.model.assets.class_names import is_class_like
from geobatch.model.assets.image import Raster
from geobatch.model.published import AssetRecord
from geobatch.model.window import Window
from geobatch.review.pictures.colours import (
    Rgba,
    Stretch,
    composite_of,
    difference_of,
    picture_of,
    stretch_of,
)
from geobatch.review.pictures.pixels import View, read_window, view_of
from geobatch.store.pixels import BandPixels, Values, Weights
from geobatch.store.tilestore import TileStore

COMPOSITES = (("red", "green", "blue"), ("r", "g", "b"), ("b4", "b3", "b2"))
"""Ids of bands that are shown as one picture in colour."""


class Picture(Struct, frozen=True, kw_only=True, eq=False):
    """One picture."""

    title: str
    """`before`, `after` or `difference`."""
    pixels: Rgba
    """Its colours."""


class BandPictures(Struct, frozen=True, kw_only=True, eq=False):
    """The pictures of a band, or of three bands as one in colour."""

    name: str
    """Ids of the bands."""
    view: View
    """What they show."""
    shape: tuple[int, int]
    """(rows, columns) of the whole level."""
    pictures: tuple[Picture, ...]
    """In order: before, after, difference; those that there are."""
    stretch: Stretch | None = None
    """Values that are black and white; None for palettes, composites and masked bands."""
    scale: float | None = None
    """Difference that has the full colour; None where there is none, or of classes."""
    is_class: bool = False
    """Whether values are classes."""


def asset_pictures(
    store: TileStore,
    states: Sequence[tuple[str, AssetRecord]],
    *,
    bands: Sequence[str],
    box: Window | None,
    lowest: int,
    most: int,
) -> Iterator[BandPictures]:
    """Yield the pictures of some bands of an asset.

    Args:
        store: Where the tiles are.
        states: Title and record of each state, the older first.
        bands: Ids of the bands.
        box: Pixels of level 0 that change; None for all.
        lowest: Finest level that changes.
        most: How many bands, or composites, are shown.

    Raises:
        CorruptObjectError: A tile is damaged.
    """
    for names in _shown_together(bands)[:most]:
        found = [
            (title, record)
            for title, record in states
            if {band.id for band in record.image.bands} >= set(names)
        ]
        if found:
            yield _band_pictures(store, found, names, box=box, lowest=lowest)


def _shown_together(bands: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the bands that are shown as one picture; those in colour first."""
    lower = {band.lower(): band for band in bands}
    for names in COMPOSITES:
        if all(name in lower for name in names):
            together = tuple(lower[name] for name in names)
            return [together, *((band,) for band in bands if band not in together)]
    return [(band,) for band in bands]


def _band_pictures(
    store: TileStore,
    states: Sequence[tuple[str, AssetRecord]],
    names: tuple[str, ...],
    *,
    box: Window | None,
    lowest: int,
) -> BandPictures:
    newest: Raster = states[-1][1].image
    band = newest.band(names[0])
    names = names if _is_composite(newest, names) else names[:1]
    grid = newest.grid(band.grid)
    whole = grid.geobox.window
    view = view_of(grid, whole if box is None else (whole.intersect(box) or whole), lowest=lowest)
    # A state on another grid is shown as a whole: there is no pixel to compare.
    alike = all(record.image.grid(record.image.band(names[0]).grid) == grid for _, record in states)
    read = []
    for _, record in states:
        own = record.image.grid(record.image.band(names[0]).grid)
        at = view if alike else view_of(own, own.geobox.window)
        read.append([_read(store, record, name, at) for name in names])
    stretches = [stretch_of([state[n] for state in read]) for n in range(len(names))]
    is_class = band.palette is not None or (not band.is_float and is_class_like(band.id))
    pictures = []
    for (title, record), state in zip(states, read, strict=True):
        pixels = _colours(record.image.band(names[0]), state, stretches)
        pictures.append(Picture(title=title, pixels=pixels))
    scale = None
    if len(read) == 2 and alike:
        pixels, scale = _difference(read[0], read[1], is_class=is_class)
        pictures.append(Picture(title="difference", pixels=pixels))
    is_grey = len(names) == 1 and band.palette is None
    return BandPictures(
        name=", ".join(names),
        view=view,
        shape=grid.level(view.level).shape,
        pictures=tuple(pictures),
        stretch=stretches[0] if is_grey else None,
        scale=scale,
        is_class=is_class,
    )


def _is_composite(image: Raster, names: Sequence[str]) -> bool:
    """Return whether bands are alike enough to be the channels of one picture."""
    bands = [image.band(name) for name in names]
    same = {(band.grid, band.dtype, band.palette) for band in bands}
    return len(same) == 1 and bands[0].palette is None


def _read(store: TileStore, record: AssetRecord, name: str, view: View) -> tuple[Values, Weights]:
    band = record.image.band(name)
    level = min(view.level, record.image.grid(band.grid).level_count - 1)
    return read_window(BandPixels(store, record, band, level), view.window)


def _colours(
    band: Band, state: Sequence[tuple[Values, Weights]], stretches: Sequence[Stretch | None]
) -> Rgba:
    if len(state) == 1:
        return picture_of(*state[0], band, stretches[0])
    return composite_of([(*one, how) for one, how in zip(state, stretches, strict=True)])


def _difference(
    before: Sequence[tuple[Values, Weights]],
    after: Sequence[tuple[Values, Weights]],
    *,
    is_class: bool,
) -> tuple[Rgba, float | None]:
    """Return the difference of the band that differs most, of a composite."""
    found = [
        difference_of(old, new, is_class=is_class) for old, new in zip(before, after, strict=True)
    ]
    return max(found, key=lambda one: int((one[0][..., 3] > 0).sum()))
