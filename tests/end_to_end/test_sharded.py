"""Shards hold what their tiles would: the same pixels, the same content root, fewer files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from shell import geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import CorruptObjectError
from geobatch.model.plans.plan import Op
from geobatch.workflow.plan import plan

SIZE = (419, 530)
SHARDED = {"tile": 32, "shard": 128}
READ = """
import sys
import numpy, xarray

data = xarray.open_zarr(sys.argv[1], consolidated=True)
assert data.b1.encoding["chunks"] == (32, 32)
assert data.b1.encoding["shards"] == (128, 128)
numpy.save(sys.argv[2], data.b1.values)
assert not [name for name in sys.modules if name.split(".")[0] == "geobatch"]
"""


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """Write a raster with a masked corner of whole chunks, and one with an alpha band."""
    rng = np.random.default_rng(5)
    values = rng.integers(1, 9, SIZE).astype(np.uint16)
    values[:200, :210] = 0
    write_tiff(
        tmp_path / "holes.tif",
        [values],
        nodata=0,
        layout={"tiled": True, "blockxsize": 128, "blockysize": 128},
    )
    alpha = rng.integers(0, 256, SIZE).astype(np.uint8)
    alpha[200:] = 255
    write_tiff(tmp_path / "alpha.tif", [alpha, alpha], has_alpha=True)
    real = rng.normal(0, 1, SIZE).astype(np.float32)
    real[rng.random(SIZE) < 0.2] = np.nan
    write_tiff(tmp_path / "real.tif", [real])
    return Workbench(folder=tmp_path)


def documents(tiling: Document) -> list[Document]:
    return [{**image(name, f"{name}.tif"), "tiling": tiling}
            for name in ("holes", "alpha", "real")]  # fmt: skip


def files(bench: Workbench) -> int:
    return sum(1 for path in bench.tree.rglob("c/*/*"))


def test_shards_hold_what_tiles_hold(bench: Workbench) -> None:
    """The content root is that of tiles as large as the shards; pixels are those of any tiles."""
    root = bench.apply(*documents(SHARDED)).content_root
    pixels = {name: bench.array(name) for name in ("holes/0/b1", "alpha/masks/1/b1", "real/1/b1")}
    few = files(bench)
    bench.apply(*documents({"tile": 32}))
    assert files(bench) > 5 * few
    for name, found in pixels.items():
        assert bench.array(name).tobytes() == found.tobytes()
    assert bench.apply(*documents({"tile": 128})).content_root == root


def test_other_chunks_are_encoded_anew(bench: Workbench) -> None:
    """No source is read, and no pixel changes."""
    root = bench.apply(*documents({"tile": 128})).content_root
    before = {name: bench.array(f"{name}/0/b1") for name in ("holes", "alpha", "real")}
    for tiling in (SHARDED, {"tile": 64, "shard": 128}, {"tile": 128}):
        planned = plan([bench.write_spec(documents(tiling))], store=bench.store)
        assert {change.op for change in planned.changes} == {Op.UPDATE}
        done = bench.apply(*documents(tiling))
        assert done.bytes.read == 0
        assert (done.tiles.written > 0) == (tiling != {"tile": 128}), "those were there before"
        assert done.content_root == root
        for name, values in before.items():
            found = bench.group(f"{name}/0")["b1"]
            assert isinstance(found, zarr.Array)
            assert found.chunks == (tiling["tile"],) * 2
            assert np.asarray(found[...]).tobytes() == values.tobytes()
        assert plan([bench.write_spec(documents(tiling))], store=bench.store).is_empty


@pytest.mark.attack
def test_xarray_reads_chunks_alone(bench: Workbench, tmp_path: Path) -> None:
    bench.apply(*documents(SHARDED))
    for name in ("holes", "real"):
        out = tmp_path / "out.npy"
        subprocess.run(
            [sys.executable, "-W", "error", "-c", READ, bench.tree / name / "0", out], check=True
        )
        with rasterio.open(bench.folder / f"{name}.tif") as file:
            expected = file.read(1).astype(np.load(out).dtype)
        masked = expected == 0
        if name == "holes":
            expected[masked] = np.nan
        assert np.array_equal(np.load(out), expected, equal_nan=True)


def test_reads_of_a_window_are_verified(bench: Workbench) -> None:
    bench.apply(*documents(SHARDED))
    group = open_store(bench.store).open("real")
    values = group["0/b1"]
    assert isinstance(values, zarr.Array)
    with rasterio.open(bench.folder / "real.tif") as file:
        assert np.array_equal(np.asarray(values[130:170, 40:50]), file.read(1)[130:170, 40:50],
                              equal_nan=True)  # fmt: skip
    shard = (bench.tree / "real/0/b1/c/1/0").stat()
    (stored,) = (
        p for p in (bench.store / "objects").glob("*/*") if p.stat().st_ino == shard.st_ino
    )
    data = bytearray(stored.read_bytes())
    data[0] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(data)
    with pytest.raises(CorruptObjectError):
        np.asarray(group["0/b1"][130:170, 40:50])  # type: ignore[index]


def test_a_changed_block_makes_its_shard_anew(bench: Workbench) -> None:
    bench.apply(*documents(SHARDED))
    with rasterio.open(bench.folder / "holes.tif", "r+") as file:
        block = file.read(1, window=((256, 300), (256, 300)))
        file.write(block + 1, 1, window=((256, 300), (256, 300)))
    planned = plan([bench.write_spec(documents(SHARDED))], store=bench.store)
    (change,) = (change for change in planned.changes if change.op is not Op.KEEP)
    assert change.id == "holes"
    level_0 = next(work.tiles for work in change.work)
    assert list(level_0) == [(2, 2)]
    done = bench.apply(*documents(SHARDED))
    assert done.tiles.written == 3, "one per level"


def test_a_sharded_asset_is_exported_and_shown(bench: Workbench, tmp_path: Path) -> None:
    bench.apply(*documents(SHARDED))
    out = tmp_path / "out.tif"
    store = ("--store", bench.store)
    assert geobatch(*store, "export", "holes", out, "--format", "cog").code == 0
    with rasterio.open(out) as found, rasterio.open(bench.folder / "holes.tif") as source:
        assert np.array_equal(found.read(1), source.read(1))
    assert "128 x 128, each a shard of 32 x 32" in geobatch(*store, "info", "holes").out


def test_equal_pixels_stay_equal_under_another_fill(tmp_path: Path) -> None:
    """What is stored already is shared by an array that is filled with something else."""
    bench = Workbench(folder=tmp_path)
    values = np.arange(256 * 256, dtype=np.uint16).reshape(256, 256) % 7 + 1
    values[:64, :96] = 0
    write_tiff(tmp_path / "holes.tif", [values], nodata=0)
    document = {**image("holes", "holes.tif"), "tiling": SHARDED}
    bench.apply(document)
    done = bench.apply({**document, "missing_data": {"values": [9]}})
    assert (done.tiles.written, done.tiles.reused) == (0, 4)
    assert (bench.fill_value("holes/0/b1"), bench.array("holes/0/b1")[0, 0]) == (9, 0)
    assert np.array_equal(bench.array("holes/0/b1"), values)
