"""A canvas of very many tiles that holds next to nothing is refused, with a limit to raise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.windows import Window
from record_workbench import Export, numbered
from workbench import CRS, Document, Workbench, image, write_tiff

from geobatch.declare import ImageSpec, load, validate
from geobatch.declare.text.written import write_spec
from geobatch.errors import PlanError
from geobatch.model.assets.asset import AnyImage
from geobatch.resolve import resolve
from geobatch.resolve.canvas.fullness import MOST_EMPTY_TILES
from geobatch.sources.geotiff.headers.stored import stored_pixels

SIDE = 16_400
"""1,025 tiles of 16 pixels: more than 2^20 in all."""
BLOCK = 512


def sparse(path: Path, blocks: int, *, count: int = 1, **options: Any) -> str:
    """Write a sparse TIFF of which some blocks are stored."""
    with rasterio.open(
        path, "w", driver="GTiff", height=SIDE, width=SIDE, count=count, dtype="uint8", crs=CRS,
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), tiled=True, blockxsize=BLOCK,
        blockysize=BLOCK, sparse_ok=True, compress="deflate", **options,
    ) as file:  # fmt: skip
        for number in range(blocks):
            row, col = divmod(number, SIDE // BLOCK)
            window = Window(col * BLOCK, row * BLOCK, BLOCK, BLOCK)
            file.write(np.full((BLOCK, BLOCK), 7, np.uint8), number % count + 1, window=window)
    return path.name


def resolved(folder: Path, document: Document) -> AnyImage:
    (asset,) = resolve(validate([Workbench(folder=folder).write_spec([document])])).images
    return asset


def refusal(folder: Path, document: Document) -> PlanError:
    with pytest.raises(PlanError, match="must be at least 1 % full") as caught:
        resolved(folder, document)
    return caught.value


def pasted(error: PlanError) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((error.hint or "").split("`")[-2])
    return found


@pytest.mark.parametrize("blocks", [0, 1, 10])
def test_a_sparse_file_is_refused_until_the_limit_is_raised(tmp_path: Path, blocks: int) -> None:
    document = image("x", sparse(tmp_path / "a.tif", blocks), tile=16)
    error = refusal(tmp_path, document)
    assert "16,400 x 16,400 pixels are 1,050,625 tiles" in error.message
    assert f"store {blocks * BLOCK**2:,} of the 268,960,000 pixels" in error.message
    assert f"{MOST_EMPTY_TILES:,}" in error.message
    found = pasted(error)
    assert found == {"grid": {"max_tiles": 1_050_625}}
    assert resolved(tmp_path, {**document, **found}).grids[0].geobox.shape == (SIDE, SIDE)
    refusal(tmp_path, {**document, "grid": {"max_tiles": 1_050_624}})


def test_what_is_one_hundredth_full_or_has_fewer_tiles_is_taken(tmp_path: Path) -> None:
    for name, blocks, tile in (("a.tif", 11, 16), ("b.tif", 0, 32)):
        document = image("x", sparse(tmp_path / name, blocks), tile=tile)
        assert resolved(tmp_path, document).grids[0].geobox.shape == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("blocks", "count", "options"),
    [(5, 1, {}), (6, 3, {"interleave": "band"}), (6, 3, {"interleave": "pixel"}), (0, 2, {}),
     (3, 1, {"bigtiff": "yes"})],
)  # fmt: skip
def test_stored_pixels_are_those_of_blocks_that_were_written(
    tmp_path: Path, blocks: int, count: int, options: dict[str, Any]
) -> None:
    sparse(tmp_path / "a.tif", blocks, count=count, **options)
    assert stored_pixels(tmp_path / "a.tif") == blocks * BLOCK**2


@pytest.mark.parametrize("bounds", [[3e5, 4.8e6, 5e5 + 8e6, 5e6]])
def test_bounds_around_the_world_are_refused(tmp_path: Path, bounds: Sequence[float]) -> None:
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    document = image("x", "a.tif", tile=32, grid={"bounds": list(bounds)})
    error = refusal(tmp_path, document)
    assert "store 4,096 of" in error.message
    found = pasted(error)
    assert found["grid"]["bounds"] == list(bounds)
    assert resolved(tmp_path, {**document, **found}).grids[0].geobox.bounds == tuple(bounds)


def test_a_spec_alone_cannot_allow_any_number_of_tiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    grid = {"bounds": [3e5, 4.8e6, 8.5e6, 5e6], "max_tiles": 1 << 26}
    document = image("x", "a.tif", tile=16, grid=grid)
    with pytest.raises(PlanError, match="64,062,500 tiles, expected at most 16,777,216") as one:
        resolved(tmp_path, document)
    assert "`GEOBATCH_MAX_TILES=64062500`" in str(one.value.hint)
    monkeypatch.setenv("GEOBATCH_MAX_TILES", "64062500")
    assert resolved(tmp_path, document).grids[0].geobox.width == 820_000


def test_a_mixer_that_promises_more_than_its_shards_can_hold(tmp_path: Path) -> None:
    export = Export(bands={"p": numbered(8, 8)}, patch=(8, 8))
    (shard,) = export.write(tmp_path)
    path = tmp_path / "pred-mixer.json"
    mixer = json.loads(path.read_text())
    path.write_text(json.dumps(mixer | {"patchesPerRow": 3000, "totalPatches": 3000 * 3000}))
    sources = [{"uris": ["pred-*.tfrecord.gz", "pred-mixer.json"]}]
    error = refusal(tmp_path, image("x", tileset={"sources": sources}, tile=16))
    assert f"store {64 * shard.stat().st_size * 64:,} of" in error.message


def test_the_limit_is_written_as_it_was_read(tmp_path: Path) -> None:
    for grid in ({"max_tiles": 5}, {"bounds": [0, 0, 1, 1], "max_tiles": 5}):
        path = Workbench(folder=tmp_path).write_spec([image("x", "a.tif", grid=grid)])
        (spec,) = load([path]).specs
        assert isinstance(spec, ImageSpec)
        assert spec.max_tiles == 5
        (tmp_path / "again.yaml").write_text(write_spec(spec))
        assert load([tmp_path / "again.yaml"]).specs == (spec,)
