"""Which arrays and chunks an asset has: default bands, two resolutions, masked tiles, strips."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from rasterio.transform import Affine
from reference_ingest import Plane, expect
from reference_pyramid import Values
from workbench import CRS, PIXEL, X0, Y0, Workbench, assert_same, image, write_tiff

from geobatch.model.plans.summary import ApplySummary

RNG = np.random.default_rng(4)


def random(shape: tuple[int, int], dtype: str = "uint8") -> Values:
    return RNG.integers(0, 200, shape).astype(dtype)


def tile_total(bench: Workbench, multiscale: str, tile: int) -> tuple[int, int]:
    """Return how many tiles the arrays of a multiscale group have, and how many chunk files."""
    total = files = 0
    for path, array in bench.group(multiscale).members(max_depth=None):
        if isinstance(array, zarr.Array) and array.ndim == 2:
            height, width = array.shape
            total += math.ceil(height / tile) * math.ceil(width / tile)
            files += sum(
                file.is_file() and file.name != "zarr.json"
                for file in (bench.tree / multiscale / path).rglob("*")
            )
    return total, files


def sum_of(summary: ApplySummary) -> int:
    return summary.tiles.written + summary.tiles.reused + summary.tiles.empty


def test_default_bands_leave_out_the_masks(tmp_path: Path) -> None:
    shape = (3, 300)
    data, more = [random(shape), random(shape)], [random(shape), random(shape)]
    mask = RNG.integers(0, 256, shape).astype(np.uint8)
    write_tiff(tmp_path / "data.tif", data)
    write_tiff(tmp_path / "more.tif", [*more, mask])
    bench = Workbench(folder=tmp_path)
    bench.apply(
        image(
            "a", "data.tif", pyramiding_policy="MAX", mask_bands=[{"tileset_id": "m"}],
            more_tilesets=[{"id": "m", "sources": [{"uris": ["more.tif"]}]}],
        )
    )  # fmt: skip
    bench.assert_bands(
        "a",
        {
            f"b{number}": expect([Plane(values=values)], shape=shape, policy="MAX", mask_band=mask)
            for number, values in enumerate([*data, *more], start=1)
        },
    )


def test_two_resolutions_share_their_levels(tmp_path: Path) -> None:
    fine, coarse = random((600, 90), "uint16"), random((300, 45), "float32")
    write_tiff(tmp_path / "fine.tif", [fine], nodata=3)
    with rasterio.open(
        tmp_path / "coarse.tif", "w", driver="GTiff", height=300, width=45, count=1,
        dtype="float32", crs=CRS, transform=Affine(2 * PIXEL, 0, X0, 0, -2 * PIXEL, Y0),
    ) as file:  # fmt: skip
        file.write(coarse, 1)
    bench = Workbench(folder=tmp_path)
    bench.apply(
        image(
            "a", "fine.tif",
            more_tilesets=[{"id": "c", "sources": [{"uris": ["coarse.tif"]}]}],
            bands=[
                {"id": "B02", "tileset_id": "t", "pyramiding_policy": "MODE"},
                {"id": "B05", "tileset_id": "c", "pyramiding_policy": "MEDIAN"},
            ],
        )
    )  # fmt: skip
    assert [sorted(bench.names(f"a/{level}")) for level in "012"] == [
        ["B02"], ["B02", "B05"], ["B02", "B05"],
    ]  # fmt: skip
    of_fine = expect([Plane(values=fine, nodata=3)], shape=fine.shape, policy="MODE")
    of_coarse = expect([Plane(values=coarse)], shape=coarse.shape, policy="MEDIAN")
    for level in range(len(of_fine.levels)):
        bench.assert_level(f"a/{level}/B02", level, of_fine)
    for level in range(len(of_coarse.levels)):
        bench.assert_level(f"a/{level + 1}/B05", level, of_coarse)


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 7), ("float32", math.nan)])
def test_fully_masked_tiles_are_not_stored(tmp_path: Path, dtype: str, nodata: float) -> None:
    values = np.full((300, 70), nodata, dtype=dtype)
    write_tiff(tmp_path / "a.tif", [values], nodata=nodata)
    bench = Workbench(folder=tmp_path)
    summary = bench.apply(image("a", "a.tif", tile=64))
    expected = expect([Plane(values=values, nodata=nodata)], shape=values.shape, policy="MEAN")
    bench.assert_bands("a", {"b1": expected})
    total, files = tile_total(bench, "a", 64)
    assert files == 0
    assert (summary.tiles.written, summary.tiles.reused, summary.tiles.empty) == (0, 0, total)


@pytest.mark.parametrize("tile", [16, 64, 512])
def test_tile_size_is_not_seen_in_the_pixels(tmp_path: Path, tile: int) -> None:
    values = np.add.outer(np.arange(530), np.arange(270)).astype(np.int16)
    values[100:240, 40:200] = -1
    write_tiff(tmp_path / "a.tif", [values], nodata=-1, layout={"compress": "deflate"})
    bench = Workbench(folder=tmp_path)
    summary = bench.apply(image("a", "a.tif", tile=tile))
    expected = expect([Plane(values=values, nodata=-1)], shape=values.shape, policy="MEAN")
    bench.assert_bands("a", {"b1": expected})
    total, files = tile_total(bench, "a", tile)
    assert sum_of(summary) == total
    assert files == total - summary.tiles.empty
    assert (summary.tiles.empty > 0) == (tile < 512)


def test_equal_tiles_share_an_object(tmp_path: Path) -> None:
    values = np.tile(random((64, 64), "uint16"), (6, 3))
    write_tiff(tmp_path / "a.tif", [values])
    bench = Workbench(folder=tmp_path)
    summary = bench.apply(image("a", "a.tif", tile=64), workers=3)
    # Level 0 repeats one tile 18 times, level 1 one of its own: 3 x 2, of which half are cut.
    assert sum_of(summary) == tile_total(bench, "a", 64)[0] == 24
    assert (summary.tiles.written, summary.tiles.empty) == (3, 0)
    assert_same(bench.array("a/0/b1"), values, "level 0")


def test_a_strip_of_one_row_or_column(tmp_path: Path) -> None:
    row = random((1, 1030), "int16")
    column = row.T.copy()
    write_tiff(tmp_path / "row.tif", [row])
    write_tiff(tmp_path / "column.tif", [column])
    bench = Workbench(folder=tmp_path)
    bench.apply(image("row", "row.tif", tile=128), image("column", "column.tif", tile=128))
    for name, values in (("row", row), ("column", column)):
        expected = expect([Plane(values=values)], shape=values.shape, policy="MEAN")
        assert len(expected.levels) == 4
        bench.assert_bands(name, {"b1": expected})
