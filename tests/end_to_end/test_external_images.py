"""Assets over COGs that stay where they are: a reader cannot tell them from ingested ones."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import zarr
from cogs import external, mask, mask_of, overview, record, values, write_cog
from reference_pyramid import Values
from workbench import Workbench, assert_same, image

import geobatch


def arrays(group: zarr.Group) -> dict[str, Values]:
    """Return every pixel array of an asset, by path."""
    found = {}
    for path, member in group.members(max_depth=None):
        if isinstance(member, zarr.Array) and member.ndim == 2:
            found[path] = np.asarray(member[...])
    return found


RNG = np.random.default_rng(7)

CASES: dict[str, dict[str, Any]] = {
    "plain": {"bands": [values()]},
    "three bands": {"bands": [values(), values(), values()]},
    "three planes": {"bands": [values(), values(), values()], "is_planar": True},
    "nodata": {"bands": [np.where(mask() > 0, values(), 0)], "nodata": 0},
    "nan": {"bands": [np.where(mask() > 0, values().astype("float32"), np.nan)]},
    "internal": {"bands": [values(dtype="uint8")], "internal": mask()},
    "alpha": {
        "bands": [values(dtype="uint8"), RNG.integers(0, 256, (700, 1000)).astype("uint8")],
        "has_alpha": True,
    },
    "all masked": {"bands": [np.zeros((300, 300), dtype="int16")], "nodata": 0},
}


@pytest.mark.parametrize("case", CASES)
def test_it_reads_as_an_ingested_asset(tmp_path: Path, case: str) -> None:
    """SAMPLE and GDAL's NEAREST are one policy: with even sizes, each level must be equal."""
    path = write_cog(tmp_path / "cog.tif", **CASES[case])
    bench = Workbench(folder=tmp_path)
    policy: dict[str, Any] = {"pyramiding_policy": "SAMPLE"}
    bench.apply(external("out", path.name, **policy), image("in", path.name, tile=256, **policy))
    store = geobatch.open_store(bench.store)
    outside, inside = store.open("out"), store.open("in")
    found, expected = arrays(outside), arrays(inside)
    assert found.keys() == expected.keys()
    for name, pixels in found.items():
        assert_same(pixels, expected[name], name)
        one, other = outside[name], inside[name]
        assert isinstance(one, zarr.Array)
        assert isinstance(other, zarr.Array)
        assert (one.chunks, repr(one.fill_value)) == (other.chunks, repr(other.fill_value))
        assert dict(one.attrs) == dict(other.attrs), name
    for name in {path.rpartition("/")[0] for path in found}:
        attributes, others = dict(outside[name].attrs), dict(inside[name].attrs)
        assert (attributes.pop("title"), others.pop("title")) == ("out", "in")
        assert attributes == others
        for axis in "xy":
            line = f"{name}/{axis}"
            assert_same(outside[line][...], inside[line][...], line)  # type: ignore[arg-type,index]
    shown, wanted = dict(outside.attrs), dict(inside.attrs)
    assert shown.pop("geobatch") == {**wanted.pop("geobatch"), "id": "out"}  # type: ignore[dict-item]
    assert (shown.pop("title"), wanted.pop("title")) == ("out", "in")
    assert shown == wanted


@pytest.mark.parametrize("is_planar", [False, True])
def test_overviews_are_shown_as_they_are(tmp_path: Path, is_planar: bool) -> None:
    """Odd sizes: GDAL's COG driver rounds down, its other one up; each is a level as it is."""
    path = write_cog(
        tmp_path / "cog.tif",
        [values((701, 1003))],
        nodata=0,
        resampling="AVERAGE",
        is_planar=is_planar,
    )
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", path.name))
    group = geobatch.open_store(bench.store).open("a")
    for level in range(3):
        expected = overview(path, level)
        assert_same(group[f"{level}/b1"][...], expected, f"level {level}")  # type: ignore[arg-type,index]
        with rasterio.open(path, **({"OVERVIEW_LEVEL": level - 1} if level else {})) as file:
            left, bottom, right, top = file.bounds
        box = group[f"{level}"].attrs["spatial:bbox"]
        size = 10 * 2**level
        np.testing.assert_allclose(box, (left, bottom, right, top), atol=size)  # type: ignore[arg-type]
        if level:
            expected_mask = mask_of(path, level)
            assert_same(group[f"masks/{level}/b1"][...], expected_mask, f"mask {level}")  # type: ignore[arg-type,index]
    assert sorted(group.group_keys()) == ["0", "1", "2", "masks"]


def test_a_real_file(tmp_path: Path, rasters: Path) -> None:
    bench = Workbench(folder=tmp_path)
    source = rasters / "cogeo.tif"
    bench.apply(external("real", source))
    group = geobatch.open_store(bench.store).open("real")
    with rasterio.open(source) as file:
        factors = file.overviews(1)
    levels = [str(level) for level in range(len(factors) + 1)]
    assert sorted(group.group_keys()) == [*levels, "masks"]
    for level in range(len(factors) + 1):
        for band in (1, 2, 3):
            expected = overview(source, level, band)
            valid = mask_of(source, level)
            expected = np.where(valid == 0, 0, expected)
            assert_same(group[f"{level}/b{band}"][...], expected, f"{level}/b{band}")  # type: ignore[arg-type,index]
            assert_same(group[f"masks/{level}/b{band}"][...], valid, f"masks/{level}/b{band}")  # type: ignore[arg-type,index]


def test_bands_of_several_cogs(tmp_path: Path) -> None:
    """Bands in any order from any tileset, of two resolutions, one masked by another file."""
    fine, more, coarse = values((600, 600)), values((600, 600), "uint8"), values((300, 300))
    clear = np.where(mask((600, 600)) > 0, 255, 0).astype("uint8")
    write_cog(tmp_path / "a.tif", [fine], names=("red",))
    write_cog(tmp_path / "b.tif", [more], names=("green",))
    write_cog(tmp_path / "clear.tif", [clear])
    write_cog(tmp_path / "c.tif", [coarse], pixel=20)
    bench = Workbench(folder=tmp_path)
    document = external("a", "a.tif", "b.tif", "c.tif", "clear.tif")
    document["bands"] = [
        {"id": "G", "tileset_id": "t1", "missing_data": {"values": [7]}},
        {"id": "C", "tileset_id": "t2"},
        {"id": "R", "tileset_id": "t0"},
    ]
    document["mask_bands"] = {"tileset_id": "t3", "band_ids": ["R"]}
    bench.apply(document)
    group = geobatch.open_store(bench.store).open("a")
    assert sorted(group.group_keys()) == ["0", "1", "2", "masks"]
    assert_same(group["1/C"][...], coarse, "C")  # type: ignore[arg-type,index]
    assert_same(group["0/R"][...], np.where(clear > 0, fine, 0), "R")  # type: ignore[arg-type,index]
    assert_same(group["masks/0/R"][...], clear, "mask of R")  # type: ignore[arg-type,index]
    green = group["1/G"][...]  # type: ignore[index]
    assert_same(green, overview(tmp_path / "b.tif", 1), "G")  # type: ignore[arg-type]
    is_missing = np.asarray(group["masks/1/G"][...]) == 0  # type: ignore[index]
    assert_same(is_missing, np.asarray(green) == 7, "mask of G")


def test_names_come_from_the_file(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "cog.tif", [values(), values()], names=("red", ""))
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", path.name))
    assert [band.id for band in record(bench, "a").image.bands] == ["red", "b2"]


def test_the_group_pickles(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", path.name))
    array = geobatch.open_store(bench.store).open("a")["0/b1"]
    again = pickle.loads(pickle.dumps(array))
    assert_same(again[...], overview(path, 0), "unpickled")


def test_the_plain_tree_holds_no_external_image(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", path.name))
    assert not (bench.tree / "a").exists()
    bench.apply(image("a", path.name))
    assert (bench.tree / "a/0/b1/c/0/0").exists()
    bench.apply(external("a", path.name))
    assert not (bench.tree / "a").exists()
