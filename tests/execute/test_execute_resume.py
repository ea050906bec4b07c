"""Finished regions are recalled by a run that comes after a killed one, and only where they fit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from workbench import Workbench, image, write_tiff

from geobatch.errors import InterruptedRunError
from geobatch.execute import passes
from geobatch.store.backends.run_folder import run_names
from geobatch.workflow.apply import apply

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}
SPEC = "id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\ntiling: {tile: 64}\n"


class StopsAfter:
    """An observer that interrupts a run after some regions."""

    def __init__(self, regions: int) -> None:
        self.left = regions

    def run_started(self, *, assets: int, tiles: int) -> None:
        pass

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        pass

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def asset_finished(self, asset_id: str) -> None:
        pass


def write(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(1, 255, (700, 640), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", height=700, width=640, count=1, dtype="uint8", nodata=0,
        crs=CRS.from_epsg(32627), transform=Affine(10, 0, 0, 0, -10, 0), tiled=True,
        blockxsize=64, blockysize=64,
    ) as target:  # fmt: skip
        target.write(pixels, 1)


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(passes, "REGION_PIXELS", 128)
    write(tmp_path / "a.tif", 1)
    (tmp_path / "a.yaml").write_text(SPEC)
    return tmp_path / "a.yaml"


def test_finished_regions_are_not_read_again(specs: Path, tmp_path: Path) -> None:
    clean = apply([specs], store=tmp_path / "clean", workers=1)
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([specs], store=store, workers=1, observer=StopsAfter(20))
    resumed = apply([specs], store=store, workers=1)
    assert resumed.content_root == clean.content_root
    assert 0 < resumed.bytes.read < 0.5 * clean.bytes.read
    assert resumed.tiles.written < 0.5 * clean.tiles.written
    assert resumed.tiles.written + resumed.tiles.reused == clean.tiles.written + clean.tiles.reused
    assert not list(store.glob("cache/regions/*")), "remembered beyond the commit"


def test_a_source_that_changed_meanwhile_is_read_anew(specs: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([specs], store=store, workers=1, observer=StopsAfter(20))
    write(tmp_path / "a.tif", 2)
    clean = apply([specs], store=tmp_path / "clean", workers=1)
    resumed = apply([specs], store=store, workers=1)
    assert resumed.content_root == clean.content_root
    assert resumed.bytes.read == clean.bytes.read


@pytest.mark.parametrize("harm", ["cut", "flip", "objects"])
def test_what_is_remembered_is_not_trusted(specs: Path, tmp_path: Path, harm: str) -> None:
    clean = apply([specs], store=tmp_path / "clean", workers=1)
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([specs], store=store, workers=1, observer=StopsAfter(20))
    remembered = sorted(path for path in store.glob("cache/regions/*") if path.is_file())
    assert len(remembered) >= 19
    for path in remembered:
        data = bytearray(path.read_bytes())
        if harm == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif harm == "flip":
            data[len(data) // 3] ^= 1
            path.write_bytes(data)
    if harm == "objects":
        for path in (path for path in store.glob("objects/*/*") if path.is_file()):
            path.unlink()
    resumed = apply([specs], store=store, workers=1)
    assert resumed.content_root == clean.content_root
    assert resumed.bytes.read == clean.bytes.read


def files(tree: Path) -> dict[Path, bytes]:
    """Return every file of a plain tree but its own document, which names the commit."""
    found = {path.relative_to(tree): path for path in tree.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != Path("zarr.json")}


def many(tmp_path: Path, count: int) -> Path:
    for number in range(count):
        write(tmp_path / f"m{number:02}.tif", number)
    spec = tmp_path / "many.yaml"
    spec.write_text(
        "kind: image_collection\nid: c\nfor_each: {files: m*.tif}\nimage: {id: '{stem}'}\n"
    )
    return spec


KILLED = """
import os, signal, sys
# Ctrl-C may be switched off where tests run in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from geobatch.execute.executors import choice
from geobatch.model.observer import SilentObserver
from geobatch.store.caches import band_cache, cache_file
from geobatch.workflow.apply import apply

choice._MANY, choice._WORTH = int(sys.argv[3]), 1
band_cache._SAVE_SECONDS, cache_file._SAVE_SHARE = 1e-9, 0

class Kill(SilentObserver):
    count = 0
    def asset_finished(self, asset_id):
        self.count += 1
        if self.count == 13:
            os.kill(os.getpid(), int(sys.argv[4]))

apply([Path(sys.argv[1])], store=Path(sys.argv[2]), workers=2, observer=Kill())
"""


@pytest.mark.parametrize(
    ("threshold", "number"),
    [
        pytest.param(1, signal.SIGKILL, id="processes-killed"),
        pytest.param(10**6, signal.SIGINT, id="threads-interrupted"),
        pytest.param(1, signal.SIGINT, id="processes-interrupted", marks=pytest.mark.attack),
        pytest.param(10**6, signal.SIGKILL, id="threads-killed", marks=pytest.mark.attack),
    ],
)
def test_finished_assets_are_taken_over(
    tmp_path: Path, threshold: int, number: signal.Signals
) -> None:
    """Each is a single region: killed at half, the rest alone is read and written."""
    spec = many(tmp_path, 24)
    clean = apply([spec], store=tmp_path / "clean", workers=1)
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, spec, store, str(threshold), str(int(number))],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == (-number if number == signal.SIGKILL else 1), done.stderr
    while run_names(store / "runs")[0]:  # a process that works for it lives as long as its batch
        time.sleep(0.01)
    left = {path.stat().st_ino for path in store.glob("runs/*/ahead/*/zarr.json")}
    resumed = apply([spec], store=store, workers=1)
    assert resumed.content_root == clean.content_root
    # What it had made for the Zarr tree is there as well.
    shown = {path.stat().st_ino for path in store.glob("zarr/c/*/zarr.json")}
    assert len(shown) == 24
    assert len(left & shown) >= 12
    assert files(store / "zarr") == files(tmp_path / "clean" / "zarr")
    assert [path.name for path in (store / "runs").iterdir()] == ["zarr.lock"]
    in_flight = 5
    assert resumed.bytes.read <= clean.bytes.read * (24 - 12 + in_flight) / 24
    assert resumed.tiles.written <= clean.tiles.written * (24 - 12) / 24
    assert resumed.tiles.written + resumed.tiles.reused == clean.tiles.written + clean.tiles.reused


def with_mask(folder: Path, *ids: str) -> Path:
    """Write images of whose mask no pixel is wholly valid, and none valid below the first rows."""
    mask = np.zeros((700, 640), dtype=np.uint8)
    mask[:64, :64] = 100
    write_tiff(folder / "m.tif", [mask], layout=TILED)
    for number, asset_id in enumerate(ids):
        write_tiff(folder / f"{asset_id}.tif", [mask + np.uint8(number)], layout=TILED)
    tileset = {"id": "m", "sources": [{"uris": ["m.tif"]}]}
    bench = Workbench(folder=folder)
    return bench.write_spec(
        [
            image(one, f"{one}.tif", tile=64, more_tilesets=[tileset],
                  mask_bands=[{"tileset_id": "m"}])
            for one in ids
        ]
    )  # fmt: skip


@pytest.mark.parametrize("finished", ["asset", "region"])
def test_what_the_pixels_of_a_killed_run_told_is_said_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: str
) -> None:
    monkeypatch.setattr(passes, "REGION_PIXELS", 128 if finished == "region" else 2048)
    spec = with_mask(tmp_path, *(["x"] if finished == "region" else ["x", "y"]))
    clean = apply([spec], store=tmp_path / "clean", workers=1)
    assert clean.warnings
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([spec], store=store, workers=1, observer=StopsAfter(2))
    resumed = apply([spec], store=store, workers=1)
    assert resumed.content_root == clean.content_root
    assert resumed.bytes.read < clean.bytes.read
    assert resumed.warnings == clean.warnings
