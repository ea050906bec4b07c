"""What an export refuses, and that it then leaves nothing behind."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shell import command, environment, geobatch, process
from workbench import X0, Workbench, image, write_tiff

from geobatch.errors import InterruptedRunError
from geobatch.exports.destination import Destination
from geobatch.exports.options import TFRecordOptions
from geobatch.exports.records import export_tfrecord
from geobatch.exports.selection import select
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore

TFRECORD = ("--format", "tfrecord")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `a/two`, bands on two grids, and `a/one`."""
    bench = Workbench(folder=tmp_path_factory.mktemp("refusals"))
    pixels = np.arange(300 * 400, dtype=np.int16).reshape(300, 400)
    write_tiff(bench.folder / "fine.tif", [pixels, pixels + 1], nodata=-1)
    write_tiff(bench.folder / "coarse.tif", [pixels[:99, :99]])
    coarse = {"id": "o", "sources": [{"uris": ["coarse.tif"]}]}
    bands = [
        {"id": "red", "tileset_id": "t"},
        {"id": "nir", "tileset_id": "t", "tileset_band_index": 1},
        {"id": "swir", "tileset_id": "o"},
    ]
    bench.apply(
        image("a/two", "fine.tif", more_tilesets=[coarse], bands=bands),
        image("a/one", "fine.tif", array_bands={"both": ["b1", "b2"]}),
    )
    return bench.store


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["a/on", *TFRECORD], 1, ["`a/on`", "`a/one`"]),
        (["a/one@9", *TFRECORD], 1, ["no commit `9`"]),
        (["a/one", *TFRECORD, "--bands", "b3"], 1, ["`b3`", "`both`, `b1`, `b2`"]),
        (["a/one", *TFRECORD, "--bands", "b1,b1"], 1, ["twice"]),
        (["a/one", *TFRECORD, "--level", "7"], 1, ["no level 7", "to 1"]),
        (["a/one", *TFRECORD, "--region", "0,0,9,9"], 1, ["no pixel", f"spans {X0:.0f}"]),
        (["a/one", *TFRECORD, "--region", "5,5,1,9"], 64, ["XMIN,YMIN,XMAX,YMAX"]),
        (["a/one", *TFRECORD, "--region", "nan,0,1,1"], 64, ["XMIN,YMIN,XMAX,YMAX"]),
        (["a/two", *TFRECORD], 1, ["2 grids", "red, nir", "`--bands red,nir`"]),
        (["a/two", "--format", "cog"], 1, ["2 grids", "`--bands red,nir`"]),
        (["a/one", *TFRECORD, "--patch-dimensions", "301"], 1, ["301 x 301", "--pad-border"]),
        (["a/one", *TFRECORD, "--patch-dimensions", "0"], 1, ["`patchDimensions`", "from 1"]),
        (["a/one", *TFRECORD, "--patch-dimensions", "8x8"], 64, ["`256,256`"]),
        (["a/one", *TFRECORD, "--max-file-size", "10"], 1, ["`maxFileSize`", "1024"]),
        (["a/one", *TFRECORD, "--patch-dimensions", "1", "--kernel-size", "60", "--max-file-size",
          "1024"], 1, ["120,000 shards"]),
        (["a/one", *TFRECORD, "--masked-threshold", "1.5"], 1, ["`maskedThreshold`", "0 to 1"]),
        (["a/one", *TFRECORD, "--default-value", "nan"], 1, ["NaN", "INT16"]),
        (["a/one", *TFRECORD, "--tensor-depths", "b1=3"], 1, ["`b1`", "not an array", "`both`"]),
        (["a/one", *TFRECORD, "--tensor-depths", "both"], 64, ["NAME=N"]),
        (["a/one", *TFRECORD, "--format-options", "{"], 64, ["not JSON"]),
        (["a/one", *TFRECORD, "--format-options", "[]"], 64, ["in braces"]),
        (["a/one", *TFRECORD, "--format-options", '{"patchDimension": 8}'], 1,
         ["`patchDimensions`"]),
        (["a/one", *TFRECORD, "--format-options", '{"compressed": 1}'], 1, ["true or false"]),
        (["a/one", *TFRECORD, "--format-options", '{"tensorDepths": [4]}'], 1, ['{"series": 12}']),
        (["a/one", *TFRECORD, "--format-options", '{"kernelSize": 8, "kernel_size": 8}'], 1,
         ["twice"]),
        (["a/one", *TFRECORD, "--kernel-size", "8", "--format-options", '{"kernelSize": 8}'], 64,
         ["`--kernel-size`"]),
        (["a/one", "--format", "cog", "--kernel-size", "8"], 64, ["`--kernel-size`", "tfrecord"]),
        (["a/one", *TFRECORD, "--file-dimensions", "512"], 64, ["`--file-dimensions`", "cog"]),
        (["a/one", "--format", "zip"], 64, ["zip"]),
        (["a/one"], 64, ["--format"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(
    store: Path, tmp_path: Path, argv: list[str], code: int, words: list[str]
) -> None:
    name, *options = argv
    done = geobatch("--store", store, "export", name, tmp_path / "out" / "x", *options)
    assert done.code == code, done.err
    for word in words:
        assert word in done.err
    assert not (tmp_path / "out").exists()


def test_files_are_replaced_only_when_told_to_and_none_is_left_over(
    store: Path, tmp_path: Path
) -> None:
    argv: list[str | Path] = ["--store", store, "export", "a/one", tmp_path / "x", *TFRECORD]
    assert geobatch(*argv, "--patch-dimensions", "64", "--max-file-size", "99999").code == 0
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(before) > 5
    (tmp_path / "x-2-00000.tfrecord.gz").write_text("another export's")
    (tmp_path / "x-notes.json").write_text("the user's")
    done = geobatch(*argv, "--uncompressed")
    assert done.code == 1
    assert "x-00000.tfrecord.gz` and" in done.err
    assert "--overwrite" in done.err
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}.items()
    assert geobatch(*argv, "--uncompressed", "--overwrite").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "x-00000.tfrecord", "x-mixer.json", "x-2-00000.tfrecord.gz", "x-notes.json",
    }  # fmt: skip


def test_a_folder_takes_the_name_of_the_asset(store: Path, tmp_path: Path) -> None:
    for destination in (f"{tmp_path}/new/", str(tmp_path)):
        assert geobatch("--store", store, "export", "a/one@HEAD", destination, *TFRECORD).code == 0
    for folder in (tmp_path / "new", tmp_path):
        assert (folder / "one-00000.tfrecord.gz").is_file()
    assert (
        geobatch("--store", store, "export", "a/one", tmp_path / "n.TIF", "--format", "cog").code
        == 0
    )
    assert (tmp_path / "n.TIF").is_file()


def test_two_exports_to_one_place_do_not_meet(store: Path, tmp_path: Path) -> None:
    hidden = tmp_path / ".x.export"
    hidden.mkdir()
    (hidden / "x-00000.tfrecord.gz").write_text("left by a killed run")
    argv: list[str | Path] = ["--store", store, "export", "a/one", tmp_path / "x", *TFRECORD]
    lock = os.open(hidden, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    done = geobatch(*argv)
    assert (done.code, "another export" in done.err) == (11, True)
    os.close(lock)
    assert geobatch(*argv).code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"x-00000.tfrecord.gz", "x-mixer.json"}


@pytest.mark.parametrize("kind", ["tfrecord", "cog"])
def test_a_damaged_tile_is_found_and_nothing_is_written(tmp_path: Path, kind: str) -> None:
    bench = Workbench(folder=tmp_path)
    noise = np.random.default_rng(0).integers(0, 1 << 30, (300, 300), dtype=np.int32)
    write_tiff(tmp_path / "a.tif", [noise])
    bench.apply(image("a", "a.tif", tile=128))
    largest = max((bench.store / "objects").rglob("??*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(data)
    done = geobatch("--store", bench.store, "export", "a", tmp_path / "o" / "x", "--format", kind)
    assert done.code == 6
    assert "is damaged" in done.err
    assert list((tmp_path / "o").iterdir()) == []


@pytest.mark.attack
@pytest.mark.parametrize("kind", ["tfrecord", "cog"])
def test_a_full_disk_is_an_error_and_nothing_is_left(
    store: Path, tmp_path: Path, kind: str
) -> None:
    done = subprocess.run(
        command("--store", store, "export", "a/one", tmp_path / "x", "--format", kind),
        capture_output=True, text=True, check=False, timeout=60, env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_export_of_an_image_needs_tensorflow(store: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise ImportError('No module named tensorflow')")
    argv: list[str | Path] = ["--store", store, "export", "a/one", tmp_path / "out" / "x"]
    assert process(*argv, *TFRECORD, PYTHONPATH=str(tmp_path)).code == 0
    assert process(*argv, "--format", "cog", PYTHONPATH=str(tmp_path)).code == 0


def test_an_interrupted_export_leaves_nothing(store: Path, tmp_path: Path) -> None:
    opened = TileStore.open(store)
    entry = opened.head().tree.entry("a/one")
    assert entry is not None

    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError, match="nothing was written"):
        export_tfrecord(
            opened,
            select(opened.record(entry), location=StoreLocation.of(store)),
            Destination(folder=tmp_path, prefix="x"),
            TFRecordOptions(patch_dimensions=(64, 64)),
            progress=interrupt,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack
def test_a_killed_export_shows_nothing_and_the_next_one_is_whole(
    store: Path, tmp_path: Path
) -> None:
    options = [*TFRECORD, "--patch-dimensions", "2", "--kernel-size", "60", "--pad-border"]
    argv: list[str | Path] = [
        "--store",
        store,
        "export",
        "a/one",
        tmp_path / "killed" / "x",
        *options,
    ]
    running = subprocess.Popen(
        command(*argv), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    shard = tmp_path / "killed" / ".x.export" / "x-00000.tfrecord.gz"
    wait_until(lambda: shard.exists() and shard.stat().st_size > 0)
    running.send_signal(signal.SIGKILL)
    running.wait(timeout=60)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [".x.export"]
    short = ["--patch-dimensions", "64", "--json"]
    done = geobatch(
        "--store", store, "export", "a/one", tmp_path / "killed" / "x", *TFRECORD, *short
    )
    clean = geobatch(
        "--store", store, "export", "a/one", tmp_path / "clean" / "x", *TFRECORD, *short
    )
    assert (done.code, clean.code) == (0, 0)
    files = json.loads(clean.out.splitlines()[0])["files"]
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        path.name for path in (tmp_path / "clean").iterdir()
    }
    for file in files:
        again = tmp_path / "killed" / Path(file).name
        assert again.read_bytes() == Path(file).read_bytes()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
