"""COG exports: full resolution and overviews are the asset's levels, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from depth import examples
from export_workbench import Pixels, export
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.env import GDALVersion
from shell import geobatch
from workbench import PIXEL, X0, Y0, Workbench, assert_same, image, write_tiff

HAS_BAND_INTERLEAVE = GDALVersion.runtime().at_least("3.11")


def cog(bench: Workbench, *argv: str | Path) -> dict[str, Any]:
    """Export to `out/x.tif` and return what is said of it."""
    return export(
        bench.store, *argv[:1], bench.folder / "out" / "x", "--format", "cog", *argv[1:]
    ).record("export")


def opened(path: Path | str, level: int) -> Any:
    """Open the full resolution, or an overview from 1, with rasterio."""
    return rasterio.open(path, **({"overview_level": level - 1} if level else {}))


def levels_of(path: Path | str) -> int:
    with rasterio.open(path) as file:
        return 1 + len(file.overviews(1))


def assert_levels(
    bench: Workbench, path: str, asset: str, bands: list[str], *, level: int = 0, mask: str
) -> None:
    """Assert that a COG of a whole level has the pixels and masks of the Zarr tree."""
    for number in range(levels_of(path)):
        with opened(path, number) as file:
            for place, band in enumerate(bands, start=1):
                where = f"{asset}/{level + number}"
                values = bench.array(f"{where}/{band}")
                assert_same(file.read(place), values, f"{where}/{band}")
                if not bench.has_mask(f"{where}/{band}"):
                    continue
                weights = bench.masks(f"{where}/{band}")
                if mask == "nodata" and values.dtype.name in ("int64", "uint64"):
                    # GDAL forgets the nodata of 64-bit integers when it opens an overview alone.
                    with rasterio.open(path) as whole:
                        assert_same(values != whole.nodata, weights > 0, f"mask of {where}")
                elif mask == "alpha":
                    assert_same(file.read(len(bands) + 1), weights, f"alpha of {where}")
                else:
                    assert_same(file.read_masks(place) > 0, weights > 0, f"mask of {where}")


def noise(shape: tuple[int, int], dtype: str, seed: int = 0) -> Pixels:
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


@settings(max_examples=examples(10, 25), deadline=None)
@given(
    dtype=st.sampled_from(
        ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32",
         "float64"]
    ),
    shape=st.tuples(st.integers(1, 700), st.integers(1, 1100)),
    policy=st.sampled_from(["MEAN", "SAMPLE", "MIN", "MAX", "MODE", "MEDIAN"]),
    masking=st.sampled_from(["none", "nodata", "internal", "alpha"]),
    tile=st.sampled_from([64, 256, 512]),
    count=st.integers(1, 3),
)  # fmt: skip
def test_every_level_is_there_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, *, dtype: str, shape: tuple[int, int], policy: str,
    masking: str, tile: int, count: int,
) -> None:  # fmt: skip
    bench = Workbench(folder=tmp_path_factory.mktemp("cog"))
    planes = [noise(shape, dtype, seed) for seed in range(count)]
    masks = np.full(shape, 255, dtype=np.uint8)
    masks[np.random.default_rng(7).random(shape) < 0.3] = 0
    masks[0, 0] = 255
    options: dict[str, Any] = {}
    if masking == "nodata":
        low: float = -9999.0 if dtype.startswith("float") else float(np.iinfo(dtype).min)
        options["nodata"] = low
        for plane in planes:
            plane[masks == 0] = low
    elif masking == "internal":
        options["internal"] = masks
    elif masking == "alpha" and dtype == "uint8":
        options["has_alpha"] = True
        masks[masks == 255] = np.random.default_rng(8).choice([1, 128, 255], (masks == 255).sum())
        planes.append(masks)
    write_tiff(bench.folder / "a.tif", planes, **options)
    bench.apply(image("a", "a.tif", tile=tile, pyramiding_policy=policy))
    said = cog(bench, "a")
    bands = [f"b{number + 1}" for number in range(count)]
    assert said["overviews"] == [said["levels"]] == [levels_of(said["files"][0]) - 1]
    assert_levels(bench, said["files"][0], "a", bands, mask=said["masks"][0])
    is_alpha = masking == "alpha" and dtype == "uint8"
    with rasterio.open(said["files"][0]) as file:
        assert file.count == count + is_alpha
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.profile["compress"] == "zstd"
        assert set(file.block_shapes) == {(512, 512)}
        assert file.descriptions[:count] == tuple(bands)
        if count > 1:
            assert file.profile["interleave"] == ("band" if HAS_BAND_INTERLEAVE else "pixel")
            assert said["interleave"] == file.profile["interleave"]


def test_a_mean_that_equals_nodata_is_still_valid(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    values = np.full((300, 300), 5, dtype=np.int16)
    values[:2, :2] = [[-2, 2], [2, -2]]
    values[100:150, 100:150] = 0
    write_tiff(tmp_path / "a.tif", [values], nodata=0)
    bench.apply(image("a", "a.tif"))
    said = cog(bench, "a")
    assert said["masks"] == ["internal"]
    with opened(said["files"][0], 1) as file:
        assert file.read(1)[0, 0] == 0
        assert file.read_masks(1)[0, 0] == 255
        assert file.read_masks(1)[60, 60] == 0
    assert_levels(bench, said["files"][0], "a", ["b1"], mask="internal")
    said = cog(bench, "a", "--level", "1", "--overwrite")
    assert (said["overviews"], said["levels"]) == ([0], 0)


def test_what_is_said_of_bands_and_asset_arrives(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [noise((40, 50), "uint8")])
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.write_colormap(1, {number: (number, 1, 2, 255) for number in range(256)})
        file.scales, file.offsets, file.units = (0.1,), (-3.0,), ("K",)
        file.set_band_description(1, "heat & light")
    bench.apply(
        image(
            "a", "a.tif", bands=[{"id": "heat", "pyramiding_policy": "MODE"}],
            start_time="2025-01-01", end_time="2025-02-01",
            properties={"title": "a < b", "n": 3, "system:index": "q", "start_time": "mine"},
        )
    )  # fmt: skip
    with rasterio.open(cog(bench, "a")["files"][0]) as file:
        assert {key: text for key, text in file.tags().items() if key != "AREA_OR_POINT"} == {
            "title": "a < b", "n": "3", "system_index": "q", "property_start_time": "mine",
            "start_time": "2025-01-01T00:00:00Z", "end_time": "2025-02-01T00:00:00Z",
        }  # fmt: skip
        assert file.tags(1) == {"pyramiding_policy": "MODE", "description": "heat & light"}
        assert (file.descriptions, file.units) == (("heat",), ("K",))
        assert (file.scales, file.offsets) == ((0.1,), (-3.0,))
        assert file.colormap(1)[200] == (200, 1, 2, 255)
        assert (file.crs.to_epsg(), file.transform[:6]) == (32633, (PIXEL, 0, X0, 0, -PIXEL, Y0))


def test_a_crs_without_a_code_and_a_rotation_arrive(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    crs = "+proj=laea +lat_0=52 +lon_0=10 +x_0=1000 +ellps=GRS80 +units=m"
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=20, width=30, count=1, dtype="uint8",
        crs=crs, transform=rasterio.Affine(3, 4, 1 / 3, 4, -3, 0.1),
    ) as file:  # fmt: skip
        file.write(noise((20, 30), "uint8"), 1)
    bench.apply(image("a", "a.tif"))
    with (
        rasterio.open(tmp_path / "a.tif") as source,
        rasterio.open(cog(bench, "a")["files"][0]) as file,
    ):
        assert file.crs == source.crs
        assert file.transform == source.transform


@pytest.mark.parametrize(
    ("pixel", "overviews"), [((0, 0), 2), ((3, 4), 0), ((2, 8), 1), ((6, 2), 1), ((4, 8), 2)]
)
def test_overviews_of_a_region_reach_as_far_as_their_pixels_fit(
    tmp_path: Path, pixel: tuple[int, int], overviews: int
) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [noise((1100, 1300), "uint16")])
    bench.apply(image("a", "a.tif", tile=256, pyramiding_policy="MODE"))
    row, col = pixel
    box = (X0 + col * PIXEL, Y0 - (row + 701) * PIXEL, X0 + (col + 600) * PIXEL, Y0 - row * PIXEL)
    said = cog(bench, "a", "--region", ",".join(map(repr, box)))
    assert (said["overviews"], said["levels"]) == ([overviews], 3)
    for level in range(overviews + 1):
        size = 1 << level
        with opened(said["files"][0], level) as file:
            rows, cols = -(-701 // size), -(-600 // size)
            part = bench.array(f"a/{level}/b1")[row // size :, col // size :][:rows, :cols]
            assert_same(file.read(1), part, f"level {level}")
    with rasterio.open(said["files"][0]) as file:
        assert file.bounds == box


def test_equal_exports_have_equal_bytes_whatever_the_workers(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    planes = [noise((900, 1200), "float32", seed) for seed in range(2)]
    write_tiff(tmp_path / "a.tif", planes)
    bench.apply(image("a", "a.tif"))
    files = []
    for workers in ("1", "3"):
        (file,) = cog(bench, "a", "-j", workers, "--overwrite")["files"]
        files.append(Path(file).read_bytes())
    assert files[0] == files[1]


def test_what_one_geotiff_cannot_hold_is_refused(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [noise((40, 50), "uint8")] * 2)
    write_tiff(tmp_path / "b.tif", [noise((40, 50), "int16")])
    bench.apply(
        image(
            "a", "a.tif", more_tilesets=[{"id": "o", "sources": [{"uris": ["b.tif"]}]}],
            bands=[
                {"id": "p", "tileset_id": "t", "missing_data": {"values": [7]}},
                {"id": "q", "tileset_id": "t", "missing_data": {"values": [8]},
                 "tileset_band_index": 1},
                {"id": "r", "tileset_id": "o"},
            ],
        )
    )  # fmt: skip
    out = tmp_path / "out" / "x"
    for names, word in (("p,r", "pixel types"), ("p,q", "masked differently")):
        done = geobatch(
            "--store", bench.store, "export", "a", out, "--format", "cog", "--bands", names
        )
        assert done.code == 1
        assert word in done.err
        assert "--bands p" in done.err
        assert not out.parent.exists() or not list(out.parent.iterdir())
    assert cog(bench, "a", "--bands", "p")["masks"] == ["nodata"]


@pytest.mark.parametrize(
    ("name", "mask"),
    [("RGB.byte.tif", "nodata"), ("RGBA.byte.tif", "alpha"), ("RGBA.uint16.tif", "internal"),
     ("float_raster_with_nodata.tif", "nodata"), ("shade.tif", "nodata"), ("cogeo.tif", "internal"),
     ("world.byte.tif", "none")],
)  # fmt: skip
def test_real_files_come_out_as_they_went_in(
    tmp_path: Path, rasters: Path, name: str, mask: str
) -> None:
    bench = Workbench(folder=tmp_path)
    bench.apply(image("a", rasters / name, tile=256))
    said = cog(bench, "a")
    assert said["masks"] == [mask]
    with rasterio.open(rasters / name) as source, rasterio.open(said["files"][0]) as file:
        assert (file.crs, file.transform, file.shape) == (
            source.crs,
            source.transform,
            source.shape,
        )
        for band in range(1, min(source.count, file.count) + 1):
            is_valid = source.read_masks(band) > 0
            np.testing.assert_array_equal(file.read_masks(band) > 0, is_valid)
            np.testing.assert_array_equal(file.read(band)[is_valid], source.read(band)[is_valid])


def test_file_dimensions_cut_an_image_into_files_whose_levels_meet(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [noise((1100, 1300), "uint16")])
    bench.apply(image("a", "a.tif", tile=256, pyramiding_policy="MODE"))
    said = cog(bench, "a", "--file-dimensions", "1024,512")
    names = [f"x-{row:010}-{col:010}.tif" for row in (0, 512, 1024) for col in (0, 1024)]
    assert [Path(file).name for file in said["files"]] == names
    assert said["overviews"] == [2, 1, 2, 1, 2, 1]
    for file, overviews in zip(said["files"], said["overviews"], strict=True):
        row, col = (int(part) for part in Path(file).stem.split("-")[1:])
        for level in range(overviews + 1):
            with opened(file, level) as found:
                values = found.read(1)
                top, left = row >> level, col >> level
                part = bench.array(f"a/{level}/b1")[top:, left:]
                assert_same(values, part[: values.shape[0], : values.shape[1]], f"{file} {level}")
        with rasterio.open(file) as found:
            assert found.shape == (min(512, 1100 - row), min(1024, 1300 - col))
            assert found.transform[:6] == (
                PIXEL, 0, X0 + col * PIXEL, 0, -PIXEL, Y0 - row * PIXEL
            )  # fmt: skip
    (file,) = cog(bench, "a", "--file-dimensions", "2048", "--overwrite")["files"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.tif"]
    argv = ("export", "a", tmp_path / "y", "--format", "cog", "--file-dimensions", "500")
    done = geobatch("--store", bench.store, *argv)
    assert (done.code, "multiples of 512" in done.err) == (1, True)
