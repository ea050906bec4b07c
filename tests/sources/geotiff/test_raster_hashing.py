"""Stretches of a large file are hashed by other processes, and here where those cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from geobatch.processes import pool as room
from geobatch.processes.pool import Pool, Work, _Other, alone
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
    buffer = hash_worker.new_buffer()
    assert hash_worker.digests_of(descriptor, pairs, buffer) == _expected(content, ranges)


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
    monkeypatch.setattr(Pool, "_take", lambda _: None)
    ranges = _ranges(*found)
    assert digests_of(descriptor, ranges) == _expected(content, ranges)


@pytest.mark.parametrize("lost", [range(1), range(100, 200), range(10_000)])
def test_what_was_taken_and_lost_is_done_again(
    content: bytes, descriptor: int, lost: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a process that was killed with work in its hands."""
    answers = _Other.answers

    def _answers(other: _Other) -> Iterator[tuple[int, bytes | None]]:
        return (found for found in answers(other) if found[0] not in lost)

    monkeypatch.setattr(_Other, "answers", _answers)
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


def test_a_file_that_ends_early_is_said_to(descriptor: int) -> None:
    with pytest.raises(EOFError):
        digests_of(descriptor, _ranges((0, 5), (_SIZE - 10, 11)))


def test_what_fails_meanwhile_ends_the_processes(
    descriptor: int, started: list[subprocess.Popen[bytes]]
) -> None:
    def fail() -> None:
        raise KeyboardInterrupt

    ranges = _ranges((0, 4_000_000), (4_000_000, 5_000_000))
    with pytest.raises(KeyboardInterrupt):
        digests_of(descriptor, ranges, meanwhile=fail)
    assert started
    assert all(process.returncode is not None for process in started)


def test_the_program_needs_nothing_but_blake3(
    content: bytes, descriptor: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It starts in a hundredth of a second because of what it does not load."""
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:];"
        " runpy.run_path(sys.argv[0], run_name='__main__');"
        f" open({str(tmp_path / 'loaded')!r}, 'w').write(' '.join(sys.modules))"
    )
    command = room._command

    def _command(work: Work[Any, Any], arguments: Sequence[str]) -> list[str]:
        python, safe, bare, file, *rest = command(work, arguments)
        assert (safe, bare, file) == ("-P", "-S", hash_worker.__file__)
        return [python, safe, bare, "-c", code, file, *rest]

    monkeypatch.setattr(room, "_command", _command)
    monkeypatch.setattr(hashing, "processor_count", lambda: 2)
    monkeypatch.setattr(Pool, "_take", lambda _: None)
    monkeypatch.setattr(Pool, "_end_others", lambda pool: pool._others[0].process.wait())
    assert digests_of(descriptor, _ranges((7, 1000))) == _expected(content, _ranges((7, 1000)))
    loaded = set((tmp_path / "loaded").read_text().split())
    assert {"blake3", "geobatch.processes.worker"} <= loaded
    assert not {"numpy", "msgspec", "site", "geobatch.model", "subprocess", "tempfile"} & loaded
