"""Small images by several processes: what one makes, and whatever befalls them is made up for."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from listener import Listener
from msgspec.structs import astuple
from shell import command, environment
from workbench import Document, Workbench, image, write_tiff

from geobatch.errors import InterruptedRunError, SourceError
from geobatch.execute.executors import choice, processes
from geobatch.model.plans.summary import ApplySummary
from geobatch.processes import pool as pools
from geobatch.processes.pool import Pool
from geobatch.store.backends.run_folder import AHEAD, run_names
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.staging import Staging
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

COUNT = 45
ATTEMPTS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write rasters of some sizes, types and masks, and one that is not small."""
    made = tmp_path_factory.mktemp("größe")
    rng = np.random.default_rng(2)
    for number in range(COUNT):
        shape = (int(rng.integers(1, 300)), int(rng.integers(1, 300)))
        dtype = ("uint8", "int16", "float32")[number % 3]
        bands = [rng.integers(0, 9, shape).astype(dtype) for _ in range(1 + number % 2)]
        write_tiff(
            made / f"i{number:02}.tif", bands, nodata=0 if number % 4 else None,
            has_alpha=number % 8 == 4 and len(bands) == 2 and dtype == "uint8",
        )  # fmt: skip
    write_tiff(made / "large.tif", [rng.integers(0, 9, (900, 900)).astype("uint8")])
    write_tiff(made / "empty.tif", [np.zeros((40, 40), dtype="uint8")], nodata=0)
    return made


def documents() -> list[Document]:
    found = [image(f"many/i{number:02}", f"i{number:02}.tif") for number in range(COUNT)]
    more = [image("large", "large.tif", tile=64), image("many/empty", "empty.tif")]
    other = {**image("sharded", "i07.tif"), "tiling": {"tile": 16, "shard": 64}}
    return [*found, *more, other]


@pytest.fixture
def bench(folder: Path, tmp_path: Path) -> Workbench:
    shutil.copytree(folder, tmp_path / "here")
    bench = Workbench(folder=tmp_path / "here")
    bench.write_spec(documents())
    return bench


@pytest.fixture
def is_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few images are many."""
    monkeypatch.setattr(choice, "_MANY", 1)
    monkeypatch.setattr(choice, "_WORTH", 1)
    monkeypatch.setattr(processes, "_PER_PROCESS", 2)


@pytest.fixture
def others_do_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "_take", take_kept)


def take_kept(pool: Pool[Any, Any]) -> Any:
    """Return only a task that no other process can run."""
    return pool._kept.popleft() if pool._kept else None


def applied(
    bench: Workbench, name: str = "store", *, workers: int = 3, **more: Any
) -> ApplySummary:
    return apply([bench.folder / "spec.yaml"], store=bench.folder / name, workers=workers, **more)


def tree(bench: Workbench, name: str) -> dict[Path, bytes]:
    root = bench.folder / name / "zarr"
    return {
        path.relative_to(root): path.read_bytes()
        for path in root.rglob("*") if path.is_file() and path != root / "zarr.json"
    }  # fmt: skip


def objects(bench: Workbench, name: str) -> set[str]:
    return {path.parent.name + path.name for path in (bench.folder / name).glob("objects/*/*")}


def assert_same(bench: Workbench, found: ApplySummary, *, is_first: bool = True) -> None:
    """What several processes made is what one makes, and nothing is left of them."""
    expected = applied(bench, "expected", workers=1)
    assert found.content_root == expected.content_root
    if is_first:
        # Of two processes that put equal tiles at the same moment, both may say that it is new.
        assert sum(astuple(found.tiles)) == sum(astuple(expected.tiles))
        assert found.tiles.empty == expected.tiles.empty
        assert found.bytes.read == expected.bytes.read
        commits = {found.commit, expected.commit}
        assert objects(bench, "store") ^ objects(bench, "expected") <= commits
    assert tree(bench, "store") == tree(bench, "expected")
    assert not [path for path in (bench.store / "runs").iterdir() if path.is_dir()]
    assert not list((bench.store / "cache").rglob("regions/*"))
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty


@pytest.mark.usefixtures("is_apart")
@pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.attack), 4])
def test_several_processes_make_what_one_makes(
    bench: Workbench, workers: int, started: list[subprocess.Popen[bytes]]
) -> None:
    found = applied(bench, workers=workers)
    assert len(started) == workers - 1
    assert {process.returncode for process in started} <= {0, -signal.SIGKILL}
    assert_same(bench, found)


@pytest.mark.usefixtures("is_apart", "others_do_all")
def test_others_do_it_alone(
    bench: Workbench, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process takes nothing, and their folders of the Zarr tree are moved into place."""
    moved: list[str] = []
    move = Staging.move

    def _move(self: Staging, entry: Any, files: Any) -> bool:
        is_moved = move(self, entry, files)
        moved.extend([entry.id] if is_moved else [])
        return is_moved

    monkeypatch.setattr(Staging, "move", _move)
    listener = Listener(-1, lambda: None)
    found = applied(bench, observer=listener)
    assert len(started) == 2
    assert len(moved) == COUNT + 3
    assert_same(bench, found)
    finished = [event for event in listener.events if event.endswith(" finished")]
    assert len(finished) == len(set(finished)) == COUNT + 3


@pytest.mark.usefixtures("is_apart")
def test_only_new_images_of_few_tiles_are_given_away(bench: Workbench) -> None:
    bench.apply(*documents()[:20])
    with rasterio.open(bench.folder / "i03.tif", "r+") as file:
        file.write(file.read() + 1)
    changed = plan([bench.write_spec(documents())], store=bench.store).changes
    given = {change.id for change in changed if choice._is_small(change)}
    assert given == {one["id"] for one in documents()[20:]} - {"large"}
    assert_same(bench, applied(bench), is_first=False)


@pytest.mark.usefixtures("is_apart")
@pytest.mark.parametrize("python", ["/bin/false", "/nowhere"])
def test_without_other_processes_it_is_done_all_the_same(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert_same(bench, applied(bench))


@pytest.mark.usefixtures("is_apart")
def test_what_processes_had_taken_that_die_is_done_here(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    take = Pool._take

    def _take(pool: Pool[Any, Any]) -> Any:
        while started and not any([*other.answers()] for other in pool._others):
            time.sleep(0.001)  # what was answered is lost: as if it was never sent
        while started:
            started.pop().send_signal(signal.SIGKILL)
        return take(pool)

    monkeypatch.setattr(Pool, "_take", _take)
    assert_same(bench, applied(bench), is_first=False)


@pytest.fixture
def broken(bench: Workbench) -> Path:
    """A raster whose header is whole and whose pixels are not, once it was looked at."""
    path = bench.folder / "i20.tif"
    write_tiff(path, [np.arange(90_000, dtype="uint16").reshape(300, 300)],
               layout={"compress": "deflate"})  # fmt: skip
    data = bytearray(path.read_bytes())
    data[400:500] = bytes(100)
    path.write_bytes(data)
    return path


@pytest.mark.attack
@pytest.mark.usefixtures("is_apart")
@pytest.mark.parametrize("is_mine", [False, True])
def test_a_source_that_fails_is_named(
    bench: Workbench, broken: Path, monkeypatch: pytest.MonkeyPatch, is_mine: bool
) -> None:
    if is_mine:
        monkeypatch.setattr(pools, "_command", lambda *_: ["/bin/false"])
    else:
        monkeypatch.setattr(Pool, "_take", take_kept)
    with pytest.raises(SourceError, match=broken.name):
        applied(bench)
    assert not (bench.store / "refs").exists()
    found = applied(bench, keep_going=True)
    assert [failure.id for failure in found.failures] == ["many/i20"]
    bench.write_spec([one for one in documents() if one["id"] != "many/i20"])
    assert_same(bench, found, is_first=False)


@pytest.mark.usefixtures("is_apart")
def test_an_interrupt_ends_the_processes(
    bench: Workbench, started: list[subprocess.Popen[bytes]]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        applied(bench, observer=Listener(9, interrupt))
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    assert not (bench.store / "refs").exists()
    # What they made for the Zarr tree is left to the next run, and nothing else.
    live, (dead,) = run_names(bench.store / "runs")
    assert not live
    assert sorted(path.name for path in (bench.store / "runs" / dead).iterdir()) == [AHEAD, "lock"]
    assert_same(bench, applied(bench), is_first=False)


@pytest.mark.attack
@pytest.mark.usefixtures("is_apart")
def test_an_error_between_images_ends_the_processes_before_their_folder_goes(
    bench: Workbench, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they would make it again, without a lock, and nobody could remove it."""
    applied(bench)
    for name in ("refs", "zarr", "cache"):
        shutil.rmtree(bench.store / name)
    started.clear()
    put, count = TileStore.put_record, iter(range(100))

    def interrupted(store: TileStore, record: Any, **options: Any) -> Any:
        if next(count) == 5:
            raise KeyboardInterrupt
        return put(store, record, **options)

    with monkeypatch.context() as patch:
        patch.setattr(TileStore, "put_record", interrupted)
        with pytest.raises(KeyboardInterrupt) as kept:
            applied(bench)
    assert kept.value is not None
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)
    assert not run_names(bench.store / "runs")[0]
    assert_same(bench, applied(bench), is_first=False)


KILLED = """
import os, signal, sys
from pathlib import Path
from geobatch.execute.executors import choice, processes
from geobatch.workflow.apply import apply

choice._MANY = choice._WORTH = processes._PER_PROCESS = 1

class Kill:
    count = 0
    def run_started(self, *, assets, tiles): pass
    def asset_started(self, asset_id, *, tiles): pass
    def tiles_done(self, asset_id, *, tiles, bytes_read): pass
    def asset_finished(self, asset_id):
        self.count += 1
        if self.count == 12:
            os.kill(os.getpid(), signal.SIGKILL)

apply([Path(sys.argv[1])], store=Path(sys.argv[2]), workers=3, observer=Kill())
"""


@pytest.mark.attack
def test_processes_of_a_killed_run_end_and_leave_what_is_removed(
    bench: Workbench, is_apart: None
) -> None:
    del is_apart
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, bench.folder / "spec.yaml", bench.store],
            check=False, env=environment(),
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL
    # The folder of a run lives on as long as a process works for it.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = applied(bench)
        if not [path for path in (bench.store / "runs").iterdir() if path.is_dir()]:
            break
        shutil.rmtree(bench.store / "refs")
        (bench.store / "zarr" / "zarr.json").unlink()  # which would tell of the lost commit
    assert found.commit is not None
    assert_same(bench, found, is_first=False)


@pytest.mark.attack
def test_the_command_line_shares_its_work(bench: Workbench, tmp_path: Path) -> None:
    """From 600 images on, with no hook: a process of its own."""
    folder = tmp_path / "real"
    (folder / "scenes").mkdir(parents=True)
    for number in range(610):
        shutil.copy(bench.folder / "i00.tif", folder / "scenes" / f"s{number}.tif")
    (folder / "spec.yaml").write_text(
        "kind: image_collection\nid: c\nfor_each: {files: scenes/*.tif}\n"
        "image: {id: '{stem}', bands: [{id: b}]}\n"
    )
    argv = ("-q", "--store", folder / "store", "-j", "3", "apply", folder / "spec.yaml")
    with subprocess.Popen(command(*argv), env=environment(), stdout=subprocess.DEVNULL) as process:
        seen: set[str] = set()
        while process.poll() is None:
            seen |= _children_of(process.pid)
            time.sleep(0.005)
    assert process.returncode == 0
    assert any("geobatch.execute.executors.processes" in words for words in seen)


def _children_of(pid: int) -> set[str]:
    found = set()
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes()
            found.add(words.replace(b"\0", b" ").decode(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return found
    return found
