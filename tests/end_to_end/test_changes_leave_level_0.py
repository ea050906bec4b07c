"""What is only about the levels above, or about no pixel at all, leaves level 0 alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_ingest import Plane, expect
from reference_pyramid import Values
from workbench import Document, Workbench, image, write_tiff


def content(shape: tuple[int, int]) -> Values:
    values = np.random.default_rng(2).integers(1, 9, shape).astype(np.uint8)
    values[:100, :64] = 0
    return values


@pytest.fixture
def values() -> Values:
    return content((600, 90))


@pytest.fixture
def bench(tmp_path: Path, values: Values) -> Workbench:
    write_tiff(tmp_path / "a.tif", [values, values[::-1].copy()], nodata=0)
    return Workbench(folder=tmp_path)


def spec(policy: str = "MEAN", **more: Any) -> Document:
    bands = [
        {"id": "one", "tileset_id": "t", "tileset_band_index": 0, "pyramiding_policy": policy},
        {"id": "two", "tileset_id": "t", "tileset_band_index": 1},
    ]
    return image("a", "a.tif", bands=bands, **more)


def inodes(bench: Workbench, *, below: str) -> dict[str, tuple[int, int]]:
    """Return (inode, mtime) of the tiles below a folder of the asset.

    Coordinates are no tiles: a folder that is exchanged as a whole has its own.
    """
    files = [path for path in (bench.tree / "a" / below).rglob("*") if path.is_file()]
    chunks = [
        path
        for path in files
        if path.name != "zarr.json" and path.parent.parent.name not in ("x", "y")
    ]
    assert chunks
    return {
        str(path.relative_to(bench.tree)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in chunks
    }


def test_properties_touch_no_tile(bench: Workbench) -> None:
    first = bench.apply(spec(properties={"version": 1}))
    before = inodes(bench, below="")
    second = bench.apply(spec(properties={"version": 2}))
    assert second.commit not in (None, first.commit)
    assert second.content_root != first.content_root
    assert second.tiles.written == 0
    assert inodes(bench, below="") == before


def test_times_touch_no_tile(bench: Workbench) -> None:
    bench.apply(spec(start_time="2025-01-01"))
    before = inodes_of_pixels(bench)
    summary = bench.apply(spec(start_time="2025-01-02"))
    assert summary.commit is not None
    assert summary.tiles.written == 0
    assert inodes_of_pixels(bench) == before


def inodes_of_pixels(bench: Workbench) -> dict[str, tuple[int, int]]:
    """Return the files of all arrays but those of the time."""
    found = inodes(bench, below="").items()
    return {name: one for name, one in found if "/time/" not in name}


def test_a_memo_changes_nothing_that_readers_see(bench: Workbench) -> None:
    first = bench.apply(spec())
    second = bench.apply(spec(memo="looked at on a Tuesday"))
    assert second.content_root == first.content_root
    assert second.tiles.written == 0


def test_a_policy_rebuilds_its_band_above_level_0_only(bench: Workbench, values: Values) -> None:
    bench.apply(spec("MEAN"))
    level_0, other = inodes(bench, below="0"), inodes(bench, below="1/two")
    summary = bench.apply(spec("MAX"))
    # Of 600 x 90 pixels in tiles of 64: 5 x 1 tiles at level 1, 3 x 1 at level 2, and none of a
    # mask, whose policies agree; the tile whose values agree, or that is masked, needs none.
    assert 1 <= summary.tiles.written <= 8
    assert inodes(bench, below="0") == level_0
    assert inodes(bench, below="1/two") == other
    for index, (band, policy) in enumerate((("one", "MAX"), ("two", "MEAN"))):
        plane = Plane(values=values[::-1] if index else values, nodata=0)
        expected = expect([plane], shape=values.shape, policy=policy)
        for level in range(3):
            bench.assert_level(f"a/{level}/{band}", level, expected)


def test_policies_there_and_back_are_the_same_content(bench: Workbench) -> None:
    first = bench.apply(spec("MEAN"))
    other = bench.apply(spec("MODE"))
    back = bench.apply(spec("MEAN"))
    assert other.content_root != first.content_root
    assert back.content_root == first.content_root
    assert back.tiles.written == 0, "its objects are all there"


def test_a_changed_source_equals_a_clean_build(bench: Workbench, values: Values) -> None:
    bench.apply(spec())
    values[300:310, 20:40] = 200
    write_tiff(bench.folder / "a.tif", [values, values[::-1].copy()], nodata=0)
    changed = bench.apply(spec())
    clean = Workbench(folder=bench.folder / "clean")
    clean.folder.mkdir()
    write_tiff(clean.folder / "a.tif", [values, values[::-1].copy()], nodata=0)
    assert clean.apply(spec()).content_root == changed.content_root
    expected = expect([Plane(values=values, nodata=0)], shape=values.shape, policy="MEAN")
    for level in range(3):
        bench.assert_level(f"a/{level}/one", level, expected)
