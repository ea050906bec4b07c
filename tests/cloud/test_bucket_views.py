"""Stores in buckets as other programs read them: xarray and zarr-python, without geobatch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import obstore.fsspec
import pytest
import xarray as xr
import zarr
from servers import Bucket
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff
from zarr.storage import ObjectStore

VALUES = np.random.default_rng(0).integers(1, 60_000, (600, 500)).astype(np.uint16)
SHARDS = {"tile": 64, "shard": 256}


@pytest.fixture
def bench(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workbench:
    """Return a folder with a raster; this process finds the bucket."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    write_tiff(tmp_path / "a.tif", [VALUES])
    return Workbench(folder=tmp_path)


def ok(*argv: str | Path) -> Done:
    done = geobatch(*argv)
    assert done.code == 0, done.err
    return done


def publish(bench: Workbench, bucket: Bucket, **more: Any) -> None:
    sharded = image("x/sharded", "a.tif", **more)
    sharded["tiling"] = SHARDS
    spec = bench.write_spec([image("x/a", "a.tif", **more), sharded])
    ok("--store", bucket.url, "apply", spec)


@pytest.mark.parametrize("asset", ["x/a", "x/sharded"])
def test_a_plain_tree_opens_unaided(bench: Workbench, bucket: Bucket, asset: str) -> None:
    ok("--store", bucket.url, "init", "--views", "zarr=copy")
    assert geobatch("--store", bucket.url, "init", "--views", "zarr=none").code == 1
    assert geobatch("--store", bucket.url, "init", "--views", "zarr=all").code == 64
    assert geobatch("--store", bench.folder / "s", "init", "--views", "zarr=copy").code == 64
    ok("--store", bucket.url, "init")
    publish(bench, bucket)
    ok("--store", bucket.url, "status")
    inside = replace(bucket, prefix=f"{bucket.prefix}/zarr/{asset}")
    store = ObjectStore(inside.store(), read_only=True)
    with xr.open_dataset(store, engine="zarr", group="0") as found:  # type: ignore[arg-type]
        np.testing.assert_array_equal(found["b1"].values, VALUES)
    group = zarr.open_group(store, mode="r")
    np.testing.assert_array_equal(np.asarray(group["0/b1"]), VALUES)
    assert sorted(group) == ["0", "1", "2", "3", "4"][: len(sorted(group))]
    # A change is shown after the apply, and what is wrong is named.
    write_tiff(bench.folder / "a.tif", [VALUES + 1])
    publish(bench, bucket)
    np.testing.assert_array_equal(np.asarray(zarr.open_group(store, mode="r")["0/b1"]), VALUES + 1)
    ok("--store", bucket.url, "fsck", "--read-data")
    bucket.store().delete(f"zarr/{asset}/0/b1/c/0/0")
    damaged = geobatch("--store", bucket.url, "fsck")
    assert damaged.code == 6
    assert f"zarr/{asset}/0/b1/c/0/0" in damaged.out
    ok("--store", bucket.url, "fsck", "--repair")
    np.testing.assert_array_equal(np.asarray(zarr.open_group(store, mode="r")["0/b1"]), VALUES + 1)


@pytest.mark.parametrize("asset", ["x/a", "x/sharded"])
def test_references_open_unaided(bench: Workbench, bucket: Bucket, asset: str) -> None:
    ok("--store", bucket.url, "init")
    publish(bench, bucket)
    obstore.fsspec.register(bucket.kind)
    fsspec.config.conf.clear()
    client: dict[str, Any] = {"client_options": {"allow_http": True}} if bucket.kind == "s3" else {}
    options = {
        "fo": f"{bucket.url}/references/{asset}.json",
        "target_options": client,
        "remote_options": {"asynchronous": True, **client},
    }
    with xr.open_dataset(
        "reference://", engine="zarr", group="0", storage_options=options
    ) as found:
        np.testing.assert_array_equal(found["b1"].values, VALUES)
        group = zarr.open_group("reference://", storage_options=options, mode="r")
        np.testing.assert_array_equal(np.asarray(group["0/b1"]), VALUES)
        # Who has opened it goes on reading one state.
        write_tiff(bench.folder / "a.tif", [VALUES + 1])
        publish(bench, bucket)
        np.testing.assert_array_equal(np.asarray(group["0/b1"]), VALUES)
    fresh = zarr.open_group("reference://", storage_options=options | {"skip_instance_cache": True})
    np.testing.assert_array_equal(np.asarray(fresh["0/b1"]), VALUES + 1)
    ok("--store", bucket.url, "fsck", "--read-data")
    assert not [*bucket.store().list("zarr/")]
