"""A store that was committed once opens, lists, reads the same pixels, and needs no work."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from golden import ARCHIVES, expected, unpack
from shell import geobatch

from geobatch import open_store, plan
from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.fsck import fsck

MOST_BYTES = 200_000


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(request.param, tmp_path_factory.mktemp("golden"))


def sha256(array: object) -> str:
    pixels = np.ascontiguousarray(np.asarray(array))
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def test_archives_are_small() -> None:
    assert ARCHIVES
    for archive in ARCHIVES:
        assert archive.stat().st_size < MOST_BYTES, archive


def test_it_lists_its_commits_and_assets(golden: Path) -> None:
    store = TileStore.open(golden / "store")
    roots = [head.commit.content_root for head in store.log() if head.commit is not None]
    assert roots[::-1] == expected(golden)["content_roots"]
    done = geobatch("--store", golden / "store", "ls", "--json")
    assert done.code == 0
    ids = {line["id"] for line in done.lines if line["type"] == "asset"}
    assert ids == {"land/classes", "land/height", "land/plots", "outside", "scene/b"}
    store.close()


def test_each_array_holds_what_it_held(golden: Path) -> None:
    """Through geobatch, and through zarr-python on the plain tree."""
    arrays = expected(golden)["arrays"]
    plain = zarr.open_group(golden / "store/zarr", mode="r")
    assert {
        path: sha256(node[...])
        for path, node in plain.members(max_depth=None)
        if isinstance(node, zarr.Array)
    } == arrays
    opened = open_store(golden / "store")
    found = {
        f"{asset_id}/{name}": sha256(node[...])
        for asset_id in ("land/classes", "land/height", "scene/b")
        for path, node in opened.open(asset_id).members(max_depth=None)
        if isinstance(node, zarr.Array)
        for name in former_names(asset_id, path)
    }
    assert found == arrays


def former_names(asset_id: str, path: str) -> list[str]:
    """Return what an array of today was called in the plain tree of view 2."""
    *above, level, name = path.split("/")
    is_mask = above == ["masks"] and name not in ("x", "y", "spatial_ref")
    name = f"{name}.mask" if is_mask else name
    if asset_id != "scene/b":
        return [f"{level}/{name}"]
    where = {"0": {"r20m/0": "b1 b2"}, "1": {"r20m/1": "b1 b2 b1.mask b2.mask", "r40m/0": "b3"}}
    return [
        f"{former}/{name}"
        for former, names in where[level].items()
        if name in (*names.split(), "x", "y", "spatial_ref")
    ]


def test_level_0_is_that_of_the_sources(golden: Path) -> None:
    opened = open_store(golden / "store")
    for asset_id, path, name in (
        ("land/classes", "0/b1", "classes"),
        ("land/height", "0/b1", "height"),
        ("outside", "0/b1", "outside"),
        ("scene/b", "0/b1", "fine"),
    ):
        with rasterio.open(golden / f"sources/{name}.tif") as file:
            group = opened.open(asset_id)
            node = group[path]
            assert isinstance(node, zarr.Array)
            assert np.array_equal(np.asarray(node[...]), file.read(1)), asset_id


def test_earlier_commits_open(golden: Path) -> None:
    opened = open_store(golden / "store")
    with rasterio.open(golden / "sources/picture.tif") as file:
        node = opened.open("picture", at="1")["0/b1"]
        assert isinstance(node, zarr.Array)
        alpha = file.read(3)
        found = np.asarray(node[...])
        assert np.array_equal(found[alpha > 0], file.read(1)[alpha > 0])


def test_its_table_opens(golden: Path) -> None:
    table = open_store(golden / "store").open_table("land/plots")
    assert table.num_rows == 240


def test_nothing_is_to_be_done(golden: Path) -> None:
    found = plan(golden / "specs.yaml", store=golden / "store")
    assert found.is_empty, found


def test_fsck_finds_it_whole(golden: Path) -> None:
    report = fsck(golden / "store", subset=EVERYTHING)
    assert report.findings == ()
    assert report.totals.commits == len(expected(golden)["content_roots"])
    assert report.totals.unused == 0
    assert report.totals.read == report.totals.objects
