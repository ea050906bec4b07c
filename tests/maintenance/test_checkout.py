"""`checkout`: a folder that other tools read as they read the asset, whole or not there."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - adds `.rio`
import xarray as xr
import zarr
from cogs import external, write_cog
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.errors import CorruptObjectError, LockedError, NotFoundError, StoreError
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.checkout import Checkout, Link, check_out
from geobatch.views.store_views import StoreViews


def pixels(seed: int) -> Any:
    found = np.random.default_rng(seed).integers(1, 250, (300, 340)).astype(np.uint8)
    found[20:90, 30:200] = 0
    return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    bench = Workbench(folder=tmp_path_factory.mktemp("template"))
    for seed in (1, 2):
        write_tiff(bench.folder / "a.tif", [pixels(seed)], nodata=0)
        write_tiff(bench.folder / "b.tif", [pixels(seed + 2)])
        bench.apply(image("x/a", "a.tif", tile=64), image("x/b", "b.tif", tile=64))
    return bench.folder


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Workbench:
    bench = Workbench(folder=tmp_path / "bench")
    shutil.copytree(template, bench.folder)
    shutil.rmtree(bench.tree)
    with closing(TileStore.open(bench.store)) as store:
        StoreViews(store).update()  # hard links again
    return bench


def check(bench: Workbench, asset: str, target: Path, *, at: str = "HEAD", **more: Any) -> Checkout:
    with closing(TileStore.open(bench.store)) as store:
        return check_out(store, store.at(at), asset, target, **more)


@pytest.mark.parametrize("link", [Link.COPY, Link.HARDLINK])
def test_zarr_xarray_and_rasterio_read_the_pixels(bench: Workbench, link: Link) -> None:
    for number, seed in ((1, 1), (2, 2)):
        target = bench.folder / f"out-{number}"
        made = check(bench, "x/a", target, at=str(number), link=link)
        assert made.is_new
        found = zarr.open_group(target, mode="r")["0/b1"]
        assert isinstance(found, zarr.Array)
        with rasterio.open(bench.folder / "a.tif") as file:
            expected = file.read(1) if seed == 2 else pixels(seed)
            transform, crs = file.transform, file.crs
        assert np.array_equal(np.asarray(found[...]), expected)
        data = xr.open_zarr(target / "0")
        assert np.array_equal(np.isnan(data["b1"].values), expected == 0)
        corner = (float(data.x[0]), float(data.y[0]))
        assert corner == (transform.c + transform.a / 2, transform.f + transform.e / 2)
        assert data.rio.crs == crs
        files = [path for path in target.rglob("*") if path.is_file()]
        assert (len(files), sum(path.stat().st_size for path in files)) == (made.files, made.bytes)


def test_it_equals_the_plain_tree(bench: Workbench) -> None:
    check(bench, "x/b", bench.folder / "out")
    tree = bench.tree / "x/b"
    for root in (tree, bench.folder / "out"):
        assert (root / "zarr.json").exists()
    assert {
        path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()
    } == {
        path.relative_to(bench.folder / "out"): path.read_bytes()
        for path in (bench.folder / "out").rglob("*")
        if path.is_file()
    }


def test_copies_are_the_users_own_and_links_are_the_objects(bench: Workbench) -> None:
    check(bench, "x/a", bench.folder / "copy")
    check(bench, "x/a", bench.folder / "link", link=Link.HARDLINK)
    chunk = "0/b1/c/0/0"
    origin = bench.tree / "x/a" / chunk
    assert (bench.folder / "link" / chunk).samefile(origin)
    assert not (bench.folder / "copy" / chunk).samefile(origin)
    before = origin.read_bytes()
    (bench.folder / "copy" / chunk).write_bytes(b"mine")
    assert origin.read_bytes() == before


def test_the_same_checkout_again_does_nothing_and_another_is_refused(bench: Workbench) -> None:
    target = bench.folder / "out"
    target.mkdir()
    assert check(bench, "x/a", target).is_new
    before = target.stat().st_ino
    assert not check(bench, "x/a", target).is_new
    assert target.stat().st_ino == before
    for change in ("foreign", "missing", "other"):
        shutil.copytree(target, bench.folder / "kept")
        chunk = target / "0/b1/c/0/1"
        if change == "foreign":
            (target / "notes.txt").write_text("mine")
        elif change == "missing":
            chunk.unlink()
        else:
            chunk.write_bytes(bytes(chunk.stat().st_size))
        with pytest.raises(StoreError, match="exists and is not this checkout"):
            check(bench, "x/a", target)
        shutil.rmtree(target)
        (bench.folder / "kept").rename(target)
    with pytest.raises(StoreError, match="exists and is not this checkout"):
        check(bench, "x/a", target, at="1")
    assert not check(bench, "x/a", target).is_new
    (bench.folder / "file").write_text("mine")
    with pytest.raises(StoreError, match="is not a folder"):
        check(bench, "x/a", bench.folder / "file")


@pytest.mark.parametrize("path", ["store", "store/zarr/new", "link/new", "store/../store/x"])
def test_nothing_is_made_in_the_store(bench: Workbench, path: str) -> None:
    (bench.folder / "link").symlink_to(bench.store)
    before = sorted(bench.store.rglob("*"))
    with pytest.raises(StoreError, match="inside the store"):
        check(bench, "x/a", bench.folder / path)
    assert sorted(bench.store.rglob("*")) == before


def test_nothing_is_made_in_another_store(bench: Workbench) -> None:
    TileStore.create(bench.folder / "other").close()
    with pytest.raises(StoreError, match=r"other/zarr/x` is inside the store `.*other`"):
        check(bench, "x/a", bench.folder / "other/zarr/x")


def chunk_object(bench: Workbench) -> Path:
    inode = (bench.tree / "x/a/1/b1/c/1/1").stat().st_ino
    (path,) = [one for one in (bench.store / "objects").rglob("*") if one.stat().st_ino == inode]
    return path


@pytest.mark.parametrize("link", [Link.COPY, Link.HARDLINK])
def test_damage_is_named_and_leaves_nothing(bench: Workbench, link: Link) -> None:
    path = chunk_object(bench)
    name = Objects.path("")[:8] + path.parent.name
    path.chmod(0o644)
    data = path.read_bytes()
    path.write_bytes(data[:-2])
    with pytest.raises(CorruptObjectError, match=rf"`1/b1/c/1/1`.*{name}"):
        check(bench, "x/a", bench.folder / "out", link=link)
    path.unlink()
    with pytest.raises(CorruptObjectError, match="missing"):
        check(bench, "x/a", bench.folder / "out", link=link)
    assert not [path for path in bench.folder.iterdir() if "out" in path.name]


def test_a_flipped_bit_is_never_copied(bench: Workbench) -> None:
    path = chunk_object(bench)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptObjectError, match="have the digest"):
        check(bench, "x/a", bench.folder / "out")
    assert not (bench.folder / "out").exists()


def test_links_between_file_systems_are_refused(bench: Workbench, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system")
    target = memory / f"geobatch-checkout-{os.getpid()}"
    with pytest.raises(StoreError, match="on two file systems") as caught:
        check(bench, "x/a", target, link=Link.HARDLINK)
    assert caught.value.hint == "use `--link copy`"
    assert not target.exists()
    assert not (memory / f".{target.name}.checkout").exists()
    assert check(bench, "x/a", target).is_new
    shutil.rmtree(target)


def test_reflinks_are_made_or_refused(bench: Workbench) -> None:
    target = bench.folder / "out"
    try:
        check(bench, "x/a", target, link=Link.REFLINK)
    except StoreError as error:
        assert "reflink" in error.message  # noqa: PT017 - either is right
        assert not target.exists()
    else:
        assert zarr.open_group(target, mode="r")["0/b1"].shape == (300, 340)  # type: ignore[union-attr]


def test_an_external_image_and_an_unknown_asset_are_refused(bench: Workbench) -> None:
    write_cog(bench.folder / "c.tif", [pixels(1)])
    bench.apply(external("e", "c.tif"))
    with pytest.raises(StoreError, match=r"external image: .* `c.tif`"):
        check(bench, "e", bench.folder / "out")
    with pytest.raises(NotFoundError):
        check(bench, "nope", bench.folder / "out")


def test_two_at_a_time_are_refused(bench: Workbench) -> None:
    hidden = bench.folder / ".out.checkout"
    hidden.mkdir()
    (hidden / "left").write_text("by a killed process")
    descriptor = os.open(hidden, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(LockedError):
        check(bench, "x/a", bench.folder / "out")
    os.close(descriptor)
    assert check(bench, "x/a", bench.folder / "out").is_new
    assert not hidden.exists()
    assert not (bench.folder / "out" / "left").exists()


def test_the_command(bench: Workbench) -> None:
    out = bench.folder / "deep" / "er" / "out"
    done = geobatch("--store", bench.store, "--json", "checkout", "x/a@1", out)
    assert (done.code, done.record("checkout")["is_new"]) == (0, True)
    assert geobatch("--store", bench.store, "checkout", "x/a@9", out).code == 1
    assert geobatch("--store", bench.store, "checkout", "x/a", out).code == 1
    assert geobatch("--store", bench.store, "checkout", "x/a", out, "--link", "x").code == 64
