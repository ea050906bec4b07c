"""Stretches of a large file are hashed by other processes, and here where those cannot."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from geobatch.processes import alone
from geobatch.sources.geotiff.identity import hash_worker, hashing
from geobatch.sources.geotiff.identity.hashing import digests_of

_SIZE = 9_000_001


@pytest.fixture(scope="module", autouse=True)
def _always_apart() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashing, "_APART_FROM", 1)
        patch.setattr(hashing, "processor_count", lambda: 4)
        yield


@pytest.fixture(scope="module")
def content() -> bytes:
    return np.random.default_rng(5).bytes(_SIZE)


@pytest.fixture(scope="module")
def descriptor(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    path = tmp_path_factory.mktemp("hashing") / "some file"
    path.write_bytes(content)
    found = os.open(path, os.O_RDONLY)
    yield found
    os.close(found)


def _ranges(*found: tuple[int, int]) -> hashing.Ranges:
    return np.array(found, dtype=np.uint64).reshape(-1, 2)


def _expected(content: bytes, ranges: hashing.Ranges) -> bytes:
    return b"".join(blake3(content[a : a + n]).digest() for a, n in ranges.tolist())


_STRETCH = st.tuples(
    st.integers(0, _SIZE - 1), st.sampled_from([1, 1000, 70_000, 2 << 20, (2 << 20) + 1, 5 << 20])
).map(lambda pair: (pair[0], min(pair[1], _SIZE - pair[0])))


@given(found=st.lists(_STRETCH, min_size=1, max_size=12))
def test_every_stretch_has_the_digest_of_its_bytes(
    content: bytes, descriptor: int, found: list[tuple[int, int]]
) -> None:
    ranges = _ranges(*sorted(found))
    pairs = [(a, n) for a, n in ranges.tolist()]
    assert hash_worker.digests_of(descriptor, pairs) == _expected(content, ranges)


_LAYOUTS = pytest.mark.parametrize(
    "found",
    [
        [(0, _SIZE)],
        [(start, 1000) for start in range(0, _SIZE - 1000, 5000)],
        [(0, 8_000_000), (8_000_000, 5), (8_000_005, 7)],
        [(0, 1), (1, 8_000_000), (5, 3), (_SIZE - 1, 1)],
    ],
)


@_LAYOUTS
def test_processes_find_the_same_together(
    content: bytes, descriptor: int, found: list[tuple[int, int]]
) -> None:
    ranges, calls = _ranges(*found), []
    assert digests_of(descriptor, ranges, meanwhile=lambda: calls.append(1)) == _expected(
        content, ranges
    )
    assert calls == [1]


@_LAYOUTS
def test_other_processes_do_it_alone(
    content: bytes, descriptor: int, found: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(*_: int) -> bytes:
        return b""

    def here(_: int, ranges: hashing.Ranges) -> bytes:
        assert not len(ranges)
        return b""

    monkeypatch.setattr(hash_worker, "work_off", idle)
    monkeypatch.setattr(hashing, "_here", here)
    ranges = _ranges(*found)
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


@pytest.mark.parametrize("lost", [slice(0, 1), slice(100, 900), slice(None)])
def test_what_was_taken_and_lost_is_done_again(
    content: bytes, descriptor: int, lost: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a process that was killed with work in its hands."""
    together = hashing._together

    def _together(*arguments: object) -> np.ndarray:
        found = together(*arguments)  # type: ignore[arg-type]
        return np.delete(np.sort(found, order="number"), lost)

    monkeypatch.setattr(hashing, "_together", _together)
    ranges = _ranges(*((start, 5000) for start in range(0, _SIZE - 5000, 5000)))
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


def test_without_room_for_the_queue_it_is_done_here(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    ranges = _ranges((3, 5), (9, 100))
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


def test_small_files_start_no_process(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_APART_FROM", 1 << 30)
    monkeypatch.setattr(subprocess, "Popen", None)
    ranges, calls = _ranges((3, 5), (9, 100)), []
    assert digests_of(descriptor, ranges, meanwhile=lambda: calls.append(1)) == _expected(
        content, ranges
    )
    assert not calls


@pytest.mark.parametrize("python", ["/bin/true", "/bin/false", "/bin/echo", "/nowhere/python", ""])
def test_where_no_other_process_can_it_is_done_here(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch, python: str
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 40, 72, 80, 112])
def test_what_another_program_prints_is_not_taken_for_digests(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    """Whatever its length: that of a whole number of records among them."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexec printf '%{size}s' ''\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


@pytest.mark.parametrize("room", [0, 100, 4096])
def test_a_queue_that_is_cut_short_is_not_worked_off(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: int
) -> None:
    """What a full disk may do to a write: take a part of it, and say so."""

    class Cut(io.FileIO):
        def write(self, data: object) -> int:
            return super().write(bytes(data)[:room])  # type: ignore[call-overload]

    def file(**_: object) -> io.FileIO:
        return Cut(tmp_path / "queue", "w+")

    monkeypatch.setattr(tempfile, "TemporaryFile", file)
    ranges = _ranges(*((start, 500) for start in range(0, _SIZE - 500, 5000)))
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


def test_a_process_that_is_one_of_several_starts_no_others(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    with alone():
        assert digests_of(descriptor, ranges) == _expected(content, ranges)
    with pytest.raises(TypeError):
        digests_of(descriptor, ranges)


def test_a_descriptor_that_another_process_uses_otherwise_is_not_handed_on(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    kept = os.dup(0)
    try:
        os.dup2(descriptor, 0)
        assert digests_of(0, ranges) == _expected(content, ranges)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_process_whose_parent_is_gone_takes_no_more(descriptor: int, tmp_path: Path) -> None:
    arguments = [hash_worker.__file__, hashing._BLAKE3, str(descriptor), "1", str(os.getpid() + 1)]
    queue = tmp_path / "queue"
    queue.write_bytes(np.array([[0, 0, 1000]], dtype=np.uint64).tobytes())
    with queue.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-S", *arguments],
            stdin=file, stdout=subprocess.PIPE, pass_fds=[descriptor], check=True,
        )  # fmt: skip
    assert done.stdout == hash_worker.seal(b"")


def test_a_file_that_ends_early_is_said_to(descriptor: int) -> None:
    with pytest.raises(EOFError):
        digests_of(descriptor, _ranges((0, 5), (_SIZE - 10, 11)))


def test_what_fails_meanwhile_ends_the_processes(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = hashing._start

    def _start(*arguments: object) -> subprocess.Popen[bytes]:
        started.append(start(*arguments))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(hashing, "_start", _start)

    def fail() -> None:
        raise KeyboardInterrupt

    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    with pytest.raises(KeyboardInterrupt):
        digests_of(descriptor, ranges, meanwhile=fail)
    assert started
    assert all(process.returncode is not None for process in started)


def test_the_program_needs_nothing_but_blake3(
    content: bytes, descriptor: int, tmp_path: Path
) -> None:
    """It starts in a hundredth of a second because of what it does not load."""
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:];"
        " runpy.run_path(sys.argv[0], run_name='__main__');"
        " heavy = {'numpy', 'msgspec', 'site', 'geobatch', 'subprocess'} & sys.modules.keys();"
        " sys.exit(bool(heavy))"
    )
    ranges = _ranges((7, 1000))
    arguments = [hash_worker.__file__, hashing._BLAKE3, str(descriptor), "1", str(os.getpid())]
    queue = tmp_path / "queue"
    queue.write_bytes(np.array([[9, *ranges[0].tolist()]], dtype=np.uint64).tobytes())
    with queue.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *arguments],
            stdin=file, stdout=subprocess.PIPE, pass_fds=[descriptor], check=True,
        )  # fmt: skip
    found = (9).to_bytes(8, sys.byteorder) + _expected(content, ranges)
    assert done.stdout == found + blake3(found).digest()
    assert Path(hashing._BLAKE3, "blake3").exists()
