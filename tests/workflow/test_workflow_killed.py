"""P1, P2, P5: stopped at any instant, an apply loses nothing, locks nothing, and ends the same."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from shell import command, environment
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import InterruptedRunError
from geobatch.model.observer import SilentObserver
from geobatch.model.plans.summary import ApplySummary
from geobatch.sources.geotiff.reader import Reader
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

SIDE = 3072
TREE_DOCUMENT = Path("zarr.json")
"""The tree's own document names the commit, whose time differs from run to run."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What an apply that nobody stopped makes of the specs."""

    folder: Path
    """Holds the sources and `old.yaml`, `new.yaml`."""
    old: Path
    """A store where `old.yaml` is applied."""
    summary: ApplySummary
    """Of `new.yaml`, applied upon that."""
    tree: dict[Path, bytes]
    """The plain tree after it."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    bench = Workbench(folder=tmp_path_factory.mktemp("killed"))
    row, col = np.indices((SIDE, SIDE), dtype=np.uint32)
    texture = ((row * 2654435761 ^ col * 40503 ^ row * col) >> 7).astype(np.uint16) & 0x3FF
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
              "zlevel": 1}  # fmt: skip
    write_tiff(bench.folder / "big.tif", [texture], layout=layout)
    write_tiff(bench.folder / "small.tif", [texture[:300, :300].copy()])
    bench.write_spec([image("old", "small.tif")], "old.yaml")
    bench.write_spec([image("big", "big.tif", tile=128)], "new.yaml")
    old = bench.folder / "reference"
    bench.apply_spec("old.yaml")
    shutil.copytree(bench.store, old, copy_function=copy)
    summary = bench.apply_spec("new.yaml")
    return Reference(folder=bench.folder, old=old, summary=summary, tree=files(bench.store))


def copy(source: str, target: str) -> None:
    """Copy a file of a store as a link: nothing there is ever written over."""
    os.link(source, target)


def files(store: Path) -> dict[Path, bytes]:
    """Return every file of a store's plain tree but its own document."""
    tree = store / "zarr"
    found = {path.relative_to(tree): path for path in tree.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name != TREE_DOCUMENT}


def start(reference: Reference, store: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("--store", store, "apply", reference.folder / "new.yaml", *more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        # A shell starts its background jobs with SIGINT ignored, and so would ours be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


def wait_for_objects(running: subprocess.Popen[str], store: Path, *, count: int) -> None:
    until = time.monotonic() + 60
    while sum(len(names) for _, _, names in os.walk(store / "objects")) < count:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)


def assert_only_old(reference: Reference, store: Path) -> None:
    """Assert that readers see the old state, whole."""
    opened = open_store(store)
    assert opened.assets() == ("old",)
    for level in ("0", "1"):
        now = np.asarray(opened.open("old")[f"{level}/b1"])
        then = np.asarray(open_store(reference.old).open("old")[f"{level}/b1"])
        assert np.array_equal(now, then)


def assert_completes(reference: Reference, store: Path) -> ApplySummary:
    """Assert that running again ends as if nobody had stopped the run."""
    summary = apply([reference.folder / "new.yaml"], store=store, workers=2)
    assert summary.content_root == reference.summary.content_root
    assert files(store) == reference.tree
    for path in (store / "runs").rglob("*lock"):
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if anybody holds it
    if summary.commit is not None:
        assert [path.name for path in (store / "runs").iterdir()] == ["zarr.lock"]
    return summary


@pytest.mark.parametrize(
    ("number", "code", "more"),
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, ""), (signal.SIGINT, 130, "--json")],
)
def test_an_interrupted_apply_says_so_and_can_be_resumed(
    reference: Reference, tmp_path: Path, number: signal.Signals, code: int, more: str
) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference.old, store, copy_function=copy)
    before = sum(len(names) for _, _, names in os.walk(store / "objects"))
    running = start(reference, store, *more.split())
    wait_for_objects(running, store, count=before + 10)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == code, err
    said = out if more else err
    assert "interrupted; tiles in progress were finished, and nothing was published" in said
    assert "run the same command again" in said
    # The plan was printed before the work, whose progress nobody sees.
    assert "geobatch plan" in out or '"type": "plan"' in out
    assert not more or err == ""
    assert len(list((store / "refs" / "main").iterdir())) == 1
    assert list((store / "runs").iterdir()) == [store / "runs" / "zarr.lock"], "it tidied up"
    assert_only_old(reference, store)
    summary = assert_completes(reference, store)
    assert summary.tiles.written < reference.summary.tiles.written, "finished tiles were kept"


@pytest.mark.parametrize(
    ("number", "code", "pause"),
    [
        (signal.SIGINT, 130, 0.0),
        (signal.SIGTERM, 143, 0.01),
        (signal.SIGINT, 130, 0.03),
        (signal.SIGTERM, 143, 0.1),
        pytest.param(signal.SIGTERM, 143, 0.0, marks=pytest.mark.attack),
        pytest.param(signal.SIGINT, 130, 0.01, marks=pytest.mark.attack),
        pytest.param(signal.SIGTERM, 143, 0.03, marks=pytest.mark.attack),
        pytest.param(signal.SIGINT, 130, 0.1, marks=pytest.mark.attack),
    ],
)
def test_a_second_interrupt_ends_the_process_and_nothing_is_lost(
    reference: Reference, tmp_path: Path, number: signal.Signals, code: int, pause: float
) -> None:
    """It may still read pixels then: nothing is taken from under it."""
    store = tmp_path / "store"
    shutil.copytree(reference.old, store, copy_function=copy)
    before = sum(len(names) for _, _, names in os.walk(store / "objects"))
    running = start(reference, store)
    wait_for_objects(running, store, count=before + 3)
    running.send_signal(number)
    time.sleep(pause)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code, err
    assert "interrupted" in err
    assert_only_old(reference, store)
    assert_completes(reference, store)


def test_an_interrupt_between_assets_closes_nothing_that_is_read(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever keeps the error keeps its frames, and with them what was at work."""
    closed: list[list[str]] = []
    close = Reader.close

    def _close(reader: Reader) -> None:
        closed.append([thread.name for thread in threading.enumerate() if "region" in thread.name])
        close(reader)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reader, "close", _close)
    monkeypatch.setattr(TileStore, "put_record", interrupted)
    write_tiff(tmp_path / "a.tif", [np.zeros((20, 20), dtype=np.uint8)])
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n---\nid: b\ntilesets: [{sources: [{uris:"
        f" [{reference.folder / 'big.tif'}]}}]}}]\n"
    )
    with pytest.raises(KeyboardInterrupt) as kept:
        apply([spec], store=tmp_path / "store", workers=3)
    assert kept.value is not None
    assert closed
    assert not any(closed)


def test_an_impatient_caller_waits_for_tiles_in_flight(
    reference: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a program of one's own, too, no source is closed while a thread reads it."""
    shut_down, asked = ThreadPoolExecutor.shutdown, []

    def shutdown(pool: ThreadPoolExecutor, **options: bool) -> None:
        asked.append(pool)
        if len(asked) < 3:
            raise KeyboardInterrupt
        shut_down(pool, **options)

    class Impatient(SilentObserver):
        def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
            monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        apply([reference.folder / "new.yaml"], store=tmp_path / "store", observer=Impatient())
    assert len(asked) == 3
    assert not [thread.name for thread in threading.enumerate() if "region" in thread.name]


@pytest.mark.parametrize("fraction", [0.15, 0.4, 0.65, 0.9])
def test_a_killed_apply_leaves_the_old_state_and_can_be_repeated(
    reference: Reference, tmp_path: Path, fraction: float
) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference.old, store, copy_function=copy)
    total = reference.summary.tiles.written
    moment = random.Random(fraction).uniform(fraction - 0.15, fraction)
    before = sum(len(names) for _, _, names in os.walk(store / "objects"))
    running = start(reference, store)
    wait_for_objects(running, store, count=before + max(1, int(moment * total)))
    running.kill()
    running.communicate(timeout=60)
    if fraction > 0.5 and len(list((store / "refs" / "main").iterdir())) == 2:
        assert open_store(store).assets() == ("big", "old")  # it was quicker than the kill
    else:
        assert running.returncode == -signal.SIGKILL
        assert_only_old(reference, store)
    assert_completes(reference, store)


def test_killed_while_the_tree_is_brought_up_to_date(reference: Reference, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference.old, store, copy_function=copy)
    running = start(reference, store)
    until = time.monotonic() + 60
    while not (store / "zarr" / "big").exists():
        assert time.monotonic() < until
        assert running.poll() is None
        time.sleep(0.001)
    running.kill()
    running.communicate(timeout=60)
    # Published it is: readers of commits see it, whatever the tree shows.
    assert open_store(store).assets() == ("big", "old")
    summary = assert_completes(reference, store)
    assert summary.commit is None


def test_a_run_that_is_alive_keeps_its_folder(reference: Reference, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference.old, store, copy_function=copy)
    running = start(reference, store)
    wait_for_objects(running, store, count=40)
    other = apply([reference.folder / "old.yaml"], store=store)
    assert other.commit is None
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert reference.summary.content_root in out


@pytest.mark.parametrize("moment", ["resolve_specs", "plan_resolved"])
@pytest.mark.parametrize("run", [apply, plan])
def test_an_interrupt_while_it_is_planned_says_that_nothing_was_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., object],
    moment: str,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_tiff(tmp_path / "a.tif", [np.zeros((20, 20), dtype=np.uint8)])
    spec = tmp_path / "spec.yaml"
    spec.write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    module = "stages" if run is apply else "plan"
    monkeypatch.setattr(f"geobatch.workflow.{module}.{moment}", interrupted)
    with pytest.raises(InterruptedRunError, match="nothing was done"):
        run([spec], store=tmp_path / "store")
    assert not (tmp_path / "store" / "refs").exists()
