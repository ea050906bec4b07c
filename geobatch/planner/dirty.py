"""Which level-0 tiles of a band the difference of two lists of sources can change."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Band, MaskSource, Source
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockChanges
from geobatch.model.tiles import TileSet
from geobatch.model.window import Window

Blocks: TypeAlias = Mapping[tuple[Digest, Digest], BlockChanges]
"""Changed blocks by (old, new) digest of a source; a missing pair may differ anywhere."""
Pair: TypeAlias = tuple[Source | None, Source | None]
"""A source (before, after); None for a missing one."""


def dirty_tiles(asset: Raster, band: Band, before: Raster, old: Band, blocks: Blocks) -> TileSet:
    """Return the level-0 tiles of a band whose pixels may differ from those of a stored band.

    The two bands have one frame (`band_frame`): they differ in nothing but their sources.

    Args:
        asset: The resolved asset.
        band: Its band.
        before: The asset as published.
        old: The published band.
        blocks: What is known of sources whose bytes changed.
    """
    plane = asset.grid(band.grid).geobox
    mask = np.zeros(plane.tile_shape(tile=asset.tile), dtype=np.bool_)
    for name, old_name, index, has_mask in _channels(band, old):
        pairs = changed_sources(before.tileset(old_name).sources, asset.tileset(name).sources)
        for was, now in pairs:
            known = None if was is None or now is None else blocks.get((was.digest, now.digest))
            if known is not None and now is not None:
                found = known.tiles(
                    row=now.row,
                    col=now.col,
                    canvas=plane.shape,
                    tile=asset.tile,
                    index=index,
                    with_mask=has_mask,
                )
                mask |= found.mask
                continue
            for source in (was, now):
                if source is not None:
                    _cover(mask, source, canvas=plane.shape, tile=asset.tile)
    return TileSet.from_mask(mask)


def _channels(band: Band, old: Band) -> Iterator[tuple[str, str, int, bool]]:
    """Yield (tileset, published tileset, band index, whether the file's own mask matters)."""
    is_file_mask = band.masking.source is MaskSource.FILE
    yield band.tileset, old.tileset, band.index, is_file_mask
    if is_file_mask:
        # The last band, in case that it is the file's alpha band.
        yield band.tileset, old.tileset, -1, False
    if band.masking.tileset is not None and old.masking.tileset is not None:
        yield band.masking.tileset, old.masking.tileset, -1, False


def _cover(
    mask: npt.NDArray[np.bool_], source: Source, *, canvas: tuple[int, int], tile: int
) -> None:
    part = Window(row=0, col=0, height=canvas[0], width=canvas[1]).intersect(source)
    if part is not None:
        mask[part.in_tiles((tile, tile)).slices] = True


def changed_sources(old: Sequence[Source], new: Sequence[Source]) -> Iterator[Pair]:
    """Yield the sources that differ between two mosaics, in which a later one wins.

    Sources that kept their pixels, place and mutual order are left out. One whose pixels changed in
    its place comes as a pair; any other comes alone: once for where it was, once for where it is.
    """
    kept = _longest_common(_keys(old), _keys(new))
    ends = [*kept, (len(old), len(new))]
    at_old = at_new = 0
    for end_old, end_new in ends:
        yield from _pair_up(old[at_old:end_old], new[at_new:end_new])
        at_old, at_new = end_old + 1, end_new + 1


def _pair_up(old: Sequence[Source], new: Sequence[Source]) -> Iterator[Pair]:
    """Pair the sources of one gap that have the same position, as long as their order stays."""
    start = 0
    for was in old:
        place = _place(was)
        match = next((i for i in range(start, len(new)) if _place(new[i]) == place), None)
        if match is None:
            yield was, None
            continue
        for source in new[start:match]:
            yield None, source
        if was.digest != new[match].digest:
            yield was, new[match]
        start = match + 1
    for source in new[start:]:
        yield None, source


def _place(source: Source) -> tuple[object, ...]:
    return (source.row, source.col, source.height, source.width, source.mask)


def _keys(sources: Sequence[Source]) -> list[tuple[object, ...]]:
    """Return what must be equal for a source to count as kept; equal ones are numbered."""
    seen: dict[tuple[object, ...], int] = {}
    keys = []
    for source in sources:
        key = (source.digest, *_place(source))
        seen[key] = number = seen.get(key, 0) + 1
        keys.append((*key, number))
    return keys


def _longest_common(
    old: Sequence[tuple[object, ...]], new: Sequence[tuple[object, ...]]
) -> list[tuple[int, int]]:
    """Return the longest common subsequence of two lists without doubles, as pairs of positions.

    By patience sorting: the longest increasing run of old positions in new order, n log n.
    """
    positions = {key: number for number, key in enumerate(old)}
    shared = [(positions[key], number) for number, key in enumerate(new) if key in positions]
    tails: list[int] = []
    last: list[int] = []
    before: list[int] = [-1] * len(shared)
    for number, (position, _) in enumerate(shared):
        length = bisect_left(tails, position)
        before[number] = last[length - 1] if length else -1
        if length == len(tails):
            tails.append(position)
            last.append(number)
        else:
            tails[length] = position
            last[length] = number
    run = []
    number = last[-1] if last else -1
    while number >= 0:
        run.append(shared[number])
        number = before[number]
    return run[::-1]
