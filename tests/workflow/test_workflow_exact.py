"""Tile-exact increments on real files: the plan names the very tiles, and apply does no more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from geobatch.model.plans.plan import Start
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

TILE = 64
SPEC = """
id: a
tilesets: [{{sources: [{{uris: [{uri}]}}]}}]
tiling: {{tile: 64}}
pyramiding_policy: {policy}
properties: {{version: "{version}"}}
"""


def spec(folder: Path, uri: str = "a.tif", policy: str = "MEAN", version: str = "1") -> Path:
    path = folder / "a.yaml"
    path.write_text(SPEC.format(uri=uri, policy=policy, version=version))
    return path


def write(path: Path, *, seed: int = 1, count: int = 2, compress: str = "deflate") -> None:
    pixels = np.random.default_rng(seed).integers(1, 255, (count, 700, 640), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", height=700, width=640, count=count, dtype="uint8", nodata=0,
        crs=CRS.from_epsg(32627), transform=Affine(10, 0, 0, 0, -10, 0), tiled=True,
        blockxsize=128, blockysize=128, compress=compress, interleave="pixel",
    ) as target:  # fmt: skip
        target.write(pixels)


def rewrite_block(path: Path, row: int, col: int, value: int) -> None:
    with rasterio.open(path, "r+") as target:
        window = Window(col * 128, row * 128, 128, 128)
        target.write(np.full((target.count, 128, 128), value, np.uint8), window=window)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "a.tif")
    return tmp_path


def test_one_rewritten_block_redoes_its_tiles_and_their_ancestors(folder: Path) -> None:
    store = folder / "store"
    apply([spec(folder)], store=store)
    rewrite_block(folder / "a.tif", 2, 3, 7)
    change = plan([spec(folder)], store=store).changes[0]
    assert {work.start for work in change.work} == {Start.SOURCES}
    assert sorted(change.work[0].tiles) == [(4, 6), (4, 7), (5, 6), (5, 7)]
    # Two bands: 4 + 1 + 1 tiles of values each, and masks above level 0.
    assert change.tiles.by_level == (8, 4, 4)
    assert "1 of 30 blocks" in change.because[0].detail
    summary = apply([spec(folder)], store=store)
    assert summary.tiles.written <= change.tiles.compute
    assert 0 < summary.bytes.read < 0.1 * (folder / "a.tif").stat().st_size
    clean = apply([spec(folder)], store=folder / "clean")
    assert summary.content_root == clean.content_root
    assert plan([spec(folder)], store=store).is_empty


def test_lossless_recompression_is_planned_and_found_equal(folder: Path) -> None:
    store = folder / "store"
    before = apply([spec(folder)], store=store)
    write(folder / "a.tif", compress="lzw")
    change = plan([spec(folder)], store=store).changes[0]
    assert change.tiles.compute == change.tiles.total
    after = apply([spec(folder)], store=store)
    assert after.tiles.written == 0
    assert after.content_root == before.content_root
    assert plan([spec(folder)], store=store).is_empty


def test_back_to_what_was_before_recomputes_nothing(folder: Path) -> None:
    store = folder / "store"
    first = apply([spec(folder)], store=store)
    original = (folder / "a.tif").read_bytes()
    rewrite_block(folder / "a.tif", 0, 0, 9)
    apply([spec(folder, policy="MAX")], store=store)
    (folder / "a.tif").write_bytes(original)
    made = plan([spec(folder)], store=store)
    assert [change.tiles.compute for change in made.changes] == [0]
    back = apply([spec(folder)], store=store)
    assert back.bytes.read == back.tiles.written == 0
    assert back.content_root == first.content_root


def test_a_second_asset_of_the_same_sources_recomputes_nothing(folder: Path) -> None:
    store = folder / "store"
    apply([spec(folder)], store=store)
    twin = folder / "twin.yaml"
    twin.write_text((folder / "a.yaml").read_text().replace("id: a", "id: twin"))
    summary = apply([twin], store=store)
    assert summary.bytes.read == summary.tiles.written == 0
    assert summary.commit is not None
    clean = apply([folder / "a.yaml", twin], store=folder / "clean")
    assert summary.content_root == clean.content_root


def test_touch_and_metadata_redo_no_tile(folder: Path) -> None:
    store = folder / "store"
    apply([spec(folder)], store=store)
    os.utime(folder / "a.tif", (1, 1))
    assert plan([spec(folder)], store=store).is_empty
    with rasterio.open(folder / "a.tif", "r+") as target:
        target.set_band_description(1, "said anew")
    change = plan([spec(folder)], store=store).changes[0]
    assert change.tiles.compute == 0
    summary = apply([spec(folder)], store=store)
    assert summary.tiles.written == summary.bytes.read == 0


def test_without_the_cache_the_result_is_the_same(folder: Path) -> None:
    store = folder / "store"
    apply([spec(folder)], store=store)
    rewrite_block(folder / "a.tif", 1, 1, 3)
    for path in (store / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    change = plan([spec(folder)], store=store).changes[0]
    assert change.tiles.compute == change.tiles.total
    summary = apply([spec(folder)], store=store)
    clean = apply([spec(folder)], store=folder / "clean")
    assert summary.content_root == clean.content_root
    assert summary.tiles.written <= 16
