"""Real rasters, or their stand-ins: what was written comes out as rasterio reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from reference_pyramid import Values, level_shapes, reduce_plane
from stand_ins import NAMES
from workbench import Workbench, assert_same, image, is_fill


def asset_id(name: str) -> str:
    return name.removesuffix(".tif").replace(".", "_")


@pytest.fixture(scope="module")
def workbench(rasters: Path, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("real"))
    documents = [image(asset_id(name), rasters / name, tile=256) for name in NAMES]
    quarters = [rasters / f"rgb{number}.tif" for number in (1, 2, 3, 4)]
    summary = bench.apply(*documents, image("mosaic", *quarters, tile=256))
    assert summary.commit is not None
    return bench


def stored_masks(bench: Workbench, path: str) -> Values:
    """Return a band's masks as a reader has them: an array, or told by its fill."""
    if bench.has_mask(path):
        return bench.masks(path)
    fill = bench.fill_value(path)
    return np.where(is_fill(bench.array(path), fill), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_level_0_is_what_rasterio_reads(workbench: Workbench, rasters: Path, name: str) -> None:
    with rasterio.open(rasters / name) as file:
        has_alpha = file.colorinterp[-1].name == "alpha"
        has_mask_of_file = has_alpha or name == "cogeo.tif"
        bands = [f"b{index}" for index in range(1, file.count + (0 if has_alpha else 1))]
        assert workbench.names(f"{asset_id(name)}/0") == set(bands)
        masked = [workbench.has_mask(f"{asset_id(name)}/0/{band}") for band in bands]
        assert masked == [has_mask_of_file] * len(bands)
        for index, band in enumerate(bands, start=1):
            path = f"{asset_id(name)}/0/{band}"
            masks = file.dataset_mask() if has_mask_of_file else file.read_masks(index)
            values = file.read(index)
            if file.nodata is None and not has_mask_of_file:
                assert_same(workbench.array(path), values, path)
                continue
            fill = workbench.fill_value(path)
            assert_same(stored_masks(workbench, path), masks, f"masks of {path}")
            burned = np.where(masks == 0, np.array(fill, dtype=values.dtype), values)
            assert_same(workbench.array(path), burned, path)


def test_four_quarters_make_the_whole(workbench: Workbench, rasters: Path) -> None:
    with rasterio.open(rasters / "RGB.byte.tif") as file:
        shape = file.shape
        for index in (1, 2, 3):
            path = f"mosaic/0/b{index}"
            assert_same(workbench.array(path), file.read(index), path)
            assert_same(stored_masks(workbench, path), file.read_masks(index), f"masks of {path}")
    for level, _ in enumerate(level_shapes(*shape)):
        for name in workbench.names(f"RGB_byte/{level}"):
            mosaic, whole = f"mosaic/{level}/{name}", f"RGB_byte/{level}/{name}"
            assert_same(workbench.array(mosaic), workbench.array(whole), mosaic)
            assert_same(stored_masks(workbench, mosaic), stored_masks(workbench, whole), mosaic)


def corners(shape: Sequence[int], side: int) -> list[tuple[slice, slice]]:
    """Return windows that start at even pixels: the four corners, and the middle."""
    starts = [(0, 0), (0, shape[1]), (shape[0], 0), (shape[0], shape[1]),
              (shape[0] // 2, shape[1] // 2)]  # fmt: skip
    windows = []
    for row, col in starts:
        top = max(0, min(row, shape[0] - side)) // 2 * 2
        left = max(0, min(col, shape[1] - side)) // 2 * 2
        windows.append((slice(top, top + side + 1), slice(left, left + side + 1)))
    return [
        (slice(y.start, y.stop if y.stop >= shape[0] else y.stop - 1),
         slice(x.start, x.stop if x.stop >= shape[1] else x.stop - 1))
        for y, x in windows
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["RGB.byte.tif", "RGBA.byte.tif", "RGBA.uint16.tif", "cogeo.tif", "shade.tif"]
)
def test_levels_are_built_from_the_level_below(workbench: Workbench, name: str) -> None:
    asset = asset_id(name)
    depth = len(set(workbench.group(asset).group_keys()) - {"masks"})
    assert depth == len(level_shapes(*workbench.array(f"{asset}/0/b1").shape))
    for level in range(1, depth):
        below, above = f"{asset}/{level - 1}/b2", f"{asset}/{level}/b2"
        if name == "shade.tif":
            below, above = below.replace("b2", "b1"), above.replace("b2", "b1")
        values, masks = workbench.array(below), stored_masks(workbench, below)
        found, found_masks = workbench.array(above), stored_masks(workbench, above)
        assert found.shape == level_shapes(*values.shape)[1]
        for y, x in corners(values.shape, 60):
            expected, expected_masks = reduce_plane(
                values[y, x], masks[y, x], policy="MEAN", fill=workbench.fill_value(above)
            )
            part = (
                slice(y.start // 2, y.start // 2 + expected.shape[0]),
                slice(x.start // 2, x.start // 2 + expected.shape[1]),
            )
            assert_same(found[part], expected, f"{above} at {part}")
            assert_same(found_masks[part], expected_masks, f"masks of {above} at {part}")


def test_a_file_spelled_by_glob_is_a_mosaic_too(
    workbench: Workbench, rasters: Path, tmp_path: Path
) -> None:
    bench = Workbench(folder=tmp_path)
    bench.apply(image("mosaic", rasters / "rgb?.tif", tile=256))
    for band in ("b1", "b2", "b3"):
        assert_same(bench.array(f"mosaic/0/{band}"), workbench.array(f"mosaic/0/{band}"), band)
