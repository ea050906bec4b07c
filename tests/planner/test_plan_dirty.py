"""Dirty tiles of edited mosaics, against a painted picture of who owns each pixel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.model.assets.asset import (
    AnyImage,
    Band,
    Grid,
    Image,
    Masking,
    MaskSource,
    Policy,
    Source,
    Tileset,
)
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.sources.blocks import BlockChanges
from geobatch.model.tiles import TileSet
from geobatch.planner.dirty import changed_sources, dirty_tiles

HEIGHT, WIDTH, TILE = 90, 70, 16
CANVAS = GeoBox(
    crs=Crs(code="EPSG:32627", wkt=""), transform=(1, 0, 0, 0, -1, 0), height=HEIGHT, width=WIDTH
)
BAND = Band(
    id="b", grid="g", tileset="t", index=0, dtype="uint8", policy=Policy.MEAN, fill=0,
    masking=Masking(source=MaskSource.VALUES, values=(0,), has_gaps=True, is_fill_free=True),
)  # fmt: skip


def mosaic(sources: tuple[Source, ...]) -> AnyImage:
    return Image(
        id="a",
        grids=(Grid(name="g", geobox=CANVAS),),
        bands=(BAND,),
        tilesets=(Tileset(id="t", grid="g", dtypes=("uint8",), sources=sources),),
        tile=TILE,
    )


SOURCES = st.builds(
    Source,
    uri=st.just("u"),
    digest=st.sampled_from(["1" * 64, "2" * 64, "3" * 64]),
    row=st.integers(-20, HEIGHT),
    col=st.integers(-20, WIDTH),
    height=st.sampled_from([17, 40]),
    width=st.sampled_from([9, 33]),
)
MOSAICS = st.lists(SOURCES, max_size=5).map(tuple)


def stacks(sources: tuple[Source, ...]) -> dict[tuple[int, int], list[tuple[object, ...]]]:
    """Return, per pixel, the source pixels that lie there, in order: all that decides its value."""
    found: dict[tuple[int, int], list[tuple[object, ...]]] = {}
    for source in sources:
        for row in range(max(source.row, 0), min(source.row + source.height, HEIGHT)):
            for col in range(max(source.col, 0), min(source.col + source.width, WIDTH)):
                pixel = (source.digest, row - source.row, col - source.col)
                found.setdefault((row, col), []).append(pixel)
    return found


@given(MOSAICS, MOSAICS)
def test_every_pixel_that_may_differ_lies_in_a_dirty_tile(
    old: tuple[Source, ...], new: tuple[Source, ...]
) -> None:
    dirty = dirty_tiles(mosaic(new), BAND, mosaic(old), BAND, {}).mask
    before, after = stacks(old), stacks(new)
    for row, col in before.keys() | after.keys():
        if before.get((row, col)) != after.get((row, col)):
            assert dirty[row // TILE, col // TILE]


@given(MOSAICS)
def test_equal_mosaics_have_no_dirty_tile(sources: tuple[Source, ...]) -> None:
    assert not dirty_tiles(mosaic(sources), BAND, mosaic(sources), BAND, {})
    renamed = tuple(replace(source, uri="other") for source in sources)
    assert not dirty_tiles(mosaic(renamed), BAND, mosaic(sources), BAND, {})


@given(MOSAICS, SOURCES, st.data())
def test_a_source_added_or_removed_dirties_its_footprint_alone(
    sources: tuple[Source, ...], other: Source, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(sources)))
    other = replace(other, digest="9" * 64)
    more = (*sources[:place], other, *sources[place:])
    expected = np.zeros((6, 5), dtype=np.bool_)
    for row, col in stacks((other,)):
        expected[row // TILE, col // TILE] = True
    for old, new in ((sources, more), (more, sources)):
        found = dirty_tiles(mosaic(new), BAND, mosaic(old), BAND, {})
        assert found == TileSet.from_mask(expected)


@given(MOSAICS.filter(bool), st.data())
def test_known_blocks_dirty_the_tiles_that_they_overlap(
    sources: tuple[Source, ...], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(sources) - 1))
    was = replace(sources[number], digest="8" * 64)
    now = replace(was, digest="9" * 64)
    old = (*sources[:number], was, *sources[number + 1 :])
    new = (*sources[:number], now, *sources[number + 1 :])
    rows, cols = -(-now.height // 8), -(-now.width // 8)
    bits = data.draw(st.lists(st.booleans(), min_size=rows * cols, max_size=rows * cols))
    changed = np.array(bits).reshape(rows, cols)
    blocks = BlockChanges(
        height=now.height, width=now.width, block=(8, 8), planes=(TileSet.from_mask(changed),)
    )
    expected = np.zeros((6, 5), dtype=np.bool_)
    for row, col in stacks((now,)):
        if changed[(row - now.row) // 8, (col - now.col) // 8]:
            expected[row // TILE, col // TILE] = True
    key = (was.digest, now.digest)
    found = dirty_tiles(mosaic(new), BAND, mosaic(old), BAND, {key: blocks})
    assert found == TileSet.from_mask(expected)


@given(MOSAICS, MOSAICS)
def test_what_is_left_out_is_kept_in_order(
    old: tuple[Source, ...], new: tuple[Source, ...]
) -> None:
    pairs = list(changed_sources(old, new))
    gone = [was for was, _ in pairs if was is not None]
    come = [now for _, now in pairs if now is not None]
    assert len(old) - len(gone) == len(new) - len(come)
    assert all(was != now for was, now in pairs)
