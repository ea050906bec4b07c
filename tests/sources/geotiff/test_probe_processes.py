"""Probes by several processes find what one finds, also if processes fail."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from workbench import write_tiff

from geobatch.errors import SourceError
from geobatch.model.sources.declared import DeclaredSource
from geobatch.processes.pool import Pool, _Other
from geobatch.sources.gdal.session import THREAD
from geobatch.sources.geotiff import probe_processes, probes
from geobatch.sources.geotiff.probes import RasterProbes, probe_rasters
from geobatch.sources.threads import on_threads
from geobatch.store.caches.cache import SourceCache


@pytest.fixture(scope="module")
def paths(rasters: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("größe")
    made = [
        write_tiff(folder / f"{n}.tif", [np.full((9, 9 + n), n, dtype=np.uint8)], nodata=n)
        for n in range(70)
    ]
    for path in rasters.glob("*.tif"):
        shutil.copy(path, folder / path.name)
        made.append(folder / path.name)
    (folder / "link.tif").symlink_to(made[0])
    made.append(folder / "link.tif")
    while any(time.time_ns() <= path.stat().st_ctime_ns + 25_000_000 for path in made):
        time.sleep(0.005)
    return made


def probe(
    paths: list[Path], *, workers: int, cache: SourceCache | None = None, most: int = 1
) -> RasterProbes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "_PROCESSES_FROM", most)
        patch.setattr(probe_processes, "_WORTH", 1)
        files = [DeclaredSource(uri=path.name, path=path, source=0) for path in paths]
        return probe_rasters(files, cache=cache, workers=workers)


def at_once(paths: list[Path]) -> RasterProbes:
    return probe(paths, workers=1, most=1 << 60)


@pytest.mark.parametrize("workers", [2, 4])
def test_several_processes_find_what_one_finds(
    paths: list[Path], workers: int, started: list[subprocess.Popen[bytes]]
) -> None:
    cache, other = SourceCache.memory(), SourceCache.memory()
    found = probe(paths, workers=workers, cache=cache)
    assert len(started) == workers - 1
    assert {process.returncode for process in started} <= {0, -signal.SIGKILL}
    assert found == at_once(paths)

    probe(paths, workers=1, cache=other)
    names = [str(path) for path in paths]
    for name, one in cache.get_probes(names).items():
        beside = other.get_probes([name])[name]
        assert one.digest == beside.digest
        assert (one.stat, one.header, one.crs, one.tags) == (
            beside.stat, beside.header, beside.crs, beside.tags,
        )  # fmt: skip
        assert cache.get_table(one.digest) == other.get_table(one.digest)
    assert probe(paths, workers=workers, cache=cache).by_stat == len(paths)
    assert len(started) == workers - 1


def test_other_processes_do_it_alone(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    """This process takes nothing, and what it asks for is there: by the others."""
    monkeypatch.setattr(Pool, "_take", lambda _: None)
    monkeypatch.setattr(probe_processes, "_WORTH", 1)
    results = list(probe_processes.probe_by_processes([str(path) for path in paths], workers=3))
    assert sorted(number for number, *_ in results) == list(range(len(paths)))
    assert len(started) == 2


def test_processes_load_nothing_from_where_the_user_stands(
    paths: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[subprocess.Popen[bytes]],
) -> None:
    for name in ("msgspec", "json", "geobatch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe_processes, "_WORTH", 1)
    monkeypatch.setattr(Pool, "_take", lambda _: None)
    names = [str(path) for path in paths]
    assert len(list(probe_processes.probe_by_processes(names, workers=2))) == len(paths)
    assert len(started) == 1


@pytest.mark.parametrize("python", ["/bin/true", "/bin/false", "/bin/echo", "/nowhere", ""])
def test_without_other_processes_it_is_done_all_the_same(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    expected = at_once(paths)
    monkeypatch.setattr(sys, "executable", python)
    assert probe(paths, workers=3) == expected


def test_what_a_process_does_not_answer_is_done_here(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = at_once(paths)
    monkeypatch.setattr(_Other, "answers", lambda _: iter(()))
    assert probe(paths, workers=3) == expected


def test_without_room_for_a_queue_it_is_done_here(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    expected = at_once(paths)
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert probe(paths, workers=3) == expected


def test_a_file_that_cannot_be_probed_is_named(paths: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0nothing")
    with pytest.raises(SourceError, match=r"broken\.tif"):
        probe([*paths[:40], broken, *paths[40:]], workers=3)
    with pytest.raises(SourceError, match=r"gone\.tif.*no such file"):
        probe([*paths, tmp_path / "gone.tif"], workers=3)


def test_an_interrupt_ends_the_processes(
    paths: list[Path], started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    names = [str(path) for path in paths]
    monkeypatch.setattr(probe_processes, "_WORTH", 1)
    with pytest.raises(KeyboardInterrupt):
        list(probe_processes.probe_by_processes(names, workers=3, meanwhile=interrupt))
    assert len(started) == 2
    assert all(process.returncode is not None for process in started)


def test_few_files_are_worth_few_processes(
    paths: list[Path], started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_processes, "_WORTH", len(paths) // 2)
    list(probe_processes.probe_by_processes([str(path) for path in paths], workers=64))
    assert len(started) == 2


def test_the_calling_thread_is_as_it_was(paths: list[Path]) -> None:
    """rasterio's options would be those of the whole process, were it the main thread."""
    probe(paths, workers=2)
    assert not rasterio.env.hasenv()
    assert not THREAD.is_inside
    assert not THREAD.stays


def test_crs_are_remembered(paths: list[Path]) -> None:
    known: dict[str, str] = {}

    class Cache(SourceCache):
        def put_crs(self, name: str, crs: str) -> None:
            known[name] = crs
            super().put_crs(name, crs)

    cache = Cache.memory()
    probe(paths, workers=2, cache=cache)
    assert known


def test_an_interrupt_meanwhile_drops_what_waits() -> None:
    done: list[int] = []
    release = threading.Event()
    # What was begun ends long after the others were dropped, however busy the machine is.
    timer = threading.Timer(1, release.set)
    timer.start()

    def work(number: int) -> None:
        done.append(number)
        release.wait()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(on_threads(work, range(50), workers=2, name="some", meanwhile=interrupt))
    timer.join()
    assert len(done) < 10
