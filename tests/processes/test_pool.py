"""The pool: each item has one value, whatever becomes of the other processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubling import Doubling, LightDoubling, Sharing
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import environment

from geobatch.processes import pool as room
from geobatch.processes.pool import MOST_SENT, Pool, alone, can_start, start

ITEMS = [bytes([65 + n % 26]) * (n % 7) for n in range(500)]
DOUBLES = [(number, item * 2) for number, item in enumerate(ITEMS)]


def pool_of(
    what: str = "double", work: Doubling | None = None, *, others: int = 2, **more: Any
) -> Pool[bytes, bytes]:
    return Pool(work or Doubling(), others=others, arguments=[what], **more)


def nothing_here(pool: Pool[bytes, bytes]) -> tuple[int, bytes] | None:
    """Return only what others cannot do."""
    return pool._kept.popleft() if pool._kept else None


@pytest.fixture
def others_do_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "_take", nothing_here)


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize("work", [Doubling, LightDoubling])
def test_each_item_has_one_value(others: int, work: type[Doubling]) -> None:
    assert sorted(pool_of(work=work(), others=others).map(ITEMS)) == DOUBLES


@pytest.mark.usefixtures("others_do_all")
@pytest.mark.parametrize("work", [Doubling, LightDoubling])
def test_others_do_it_alone(work: type[Doubling]) -> None:
    mine = work()
    assert sorted(pool_of(work=mine).map(ITEMS)) == DOUBLES
    assert not mine.done


def test_meanwhile_is_called_once_before_this_process_does_anything() -> None:
    work, calls = Doubling(), list[int]()
    found = pool_of(work=work).map(ITEMS, meanwhile=lambda: calls.append(len(work.done)))
    assert sorted(found) == DOUBLES
    assert calls == [0]


@pytest.mark.usefixtures("others_do_all")
def test_more_items_than_a_pipe_holds_are_sent_one_after_the_other() -> None:
    count = 3 * MOST_SENT + 1
    work = Doubling()
    found = dict(pool_of(work=work).map(b"%d" % number for number in range(count)))
    assert found == {number: b"%d" % number * 2 for number in range(count)}
    assert not work.done


@pytest.mark.usefixtures("others_do_all")
def test_large_items_and_answers_arrive_whole() -> None:
    items = [os.urandom(3_000_000) for _ in range(5)]
    assert dict(pool_of().map(items)) == {n: item * 2 for n, item in enumerate(items)}


@pytest.mark.usefixtures("others_do_all")
def test_what_items_share_is_kept_beside_them() -> None:
    items = [b"abc%d" % number for number in range(50)]
    found = dict(pool_of("join", Sharing()).map(items))
    assert found == {number: item * 2 for number, item in enumerate(items)}


def test_items_are_added_while_others_are_done() -> None:
    with pool_of() as pool:
        numbers = iter(range(10_000))
        for _ in range(3):
            due = {number: b"%d" % number * 1000 for number in (next(numbers) for _ in range(20))}
            for number, item in due.items():
                pool.submit(number, item)
            found: dict[int, bytes] = {}
            while pool.is_busy:
                found.update(pool.completed())
            assert found == {number: item * 2 for number, item in due.items()}
        assert pool.completed() == [], "there is nothing to wait for"
        pool.end()
        processes = [other.process for other in pool._others]
        assert [process.wait(30) for process in processes] == [0, 0], "they end by themselves"


def test_an_item_that_only_this_process_can_do_is_done_here() -> None:
    work = Doubling()
    with pool_of("fail", work, others=1, most_sent=1) as pool:
        pool.submit(7, b"mine", is_portable=False)
        assert pool.completed() == [(7, b"minemine")]
        assert work.done == [b"mine"]


# --- failures -------------------------------------------------------------------------------------


@given(
    items=st.lists(st.sampled_from([b"a", b"bc", b"deadly", b""]), min_size=1, max_size=9),
    others=st.integers(1, 3),
)
@settings(max_examples=8)
def test_what_a_process_had_that_died_is_done_here(items: list[bytes], others: int) -> None:
    found = dict(pool_of("die", others=others).map(items))
    assert found == {number: item * 2 for number, item in enumerate(items)}


@pytest.mark.usefixtures("others_do_all")
def test_only_what_failed_elsewhere_is_done_here() -> None:
    work = Doubling()
    found = dict(pool_of("die", work).map([b"a", b"deadly", b"b", b"deadly", b"c"]))
    assert found == {0: b"aa", 1: b"deadlydeadly", 2: b"bb", 3: b"deadlydeadly", 4: b"cc"}
    assert {b"deadly"} <= set(work.done)
    work = Doubling()
    assert sorted(pool_of("fail", work).map(ITEMS)) == DOUBLES
    assert sorted(work.done) == sorted(ITEMS)


@pytest.mark.usefixtures("others_do_all")
def test_an_error_is_raised_here_and_ends_the_others() -> None:
    pool = pool_of()
    with pytest.raises(ValueError, match="a bad item"):
        list(pool.map([b"a", b"bad", b"b"]))
    assert all(other.process.returncode is not None for other in pool._others)


@pytest.mark.parametrize("python", ["/bin/true", "/bin/false", "/bin/echo", "/nowhere", ""])
@pytest.mark.parametrize("work", [Doubling, LightDoubling])
def test_another_program_is_no_worker(
    monkeypatch: pytest.MonkeyPatch, python: str, work: type[Doubling]
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    pool = start(work(), others=2, arguments=["double"])
    if python in ("/nowhere", ""):
        assert pool is None
    else:
        assert pool is not None
        assert sorted(pool.map(ITEMS)) == DOUBLES


@pytest.mark.parametrize("count", [1, 31, 32, 40, 64, 4096])
@pytest.mark.parametrize("what", [r"\000", r"\001", "x"])
def test_what_another_program_writes_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, what: str
) -> None:
    """To its output, and to each file that it was given: answers have the token of their pool."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\nfor fd in 1 $4 $5 $6 $7; do\n"
        f"  for n in $(seq {count}); do printf '{what}'; done 2>/dev/null >&$fd\ndone\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    # The items themselves may be overwritten: here they are not read from the file.
    assert sorted(pool_of().map(ITEMS[:20])) == DOUBLES[:20]


def test_an_answer_of_another_pool_is_none() -> None:
    with pool_of() as one, pool_of() as other:
        for number, item in enumerate(ITEMS[:9]):
            one.submit(number, item)
        other._others[0]._token = one._others[0]._token
        for number, item in enumerate(ITEMS[:9]):
            other.submit(number, item)
        found = list[tuple[int, bytes]]()
        other.end()
        while other.is_busy:
            found += other.completed()
        assert sorted(found) == DOUBLES[:9]


def test_without_room_there_is_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = tempfile.TemporaryFile

    def third_is_full(**options: object) -> object:
        made.append(1)
        if len(made) == 3:
            raise OSError(28, "No space left on device")
        return make(**options)  # type: ignore[call-overload]

    monkeypatch.setattr(tempfile, "TemporaryFile", third_is_full)
    before = set(_children())
    assert start(Doubling(), others=2, arguments=["wait"]) is None
    assert set(_children()) == before, "one was started, and ended"


def test_an_item_for_which_there_is_no_room_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite

    def full(file: int, data: memoryview, offset: int) -> int:
        if offset > 100:
            raise OSError(28, "No space left on device")
        return pwrite(file, data[:10], offset)

    monkeypatch.setattr(os, "pwrite", full)
    work = Doubling()
    assert sorted(pool_of(work=work).map(ITEMS)) == DOUBLES
    assert len(work.done) > len(ITEMS) - 100


def test_a_file_with_the_descriptor_of_standard_streams_is_not_handed_on() -> None:
    """In the other processes, these three are something else: 0 is the queue."""
    assert start(Doubling(), others=1, arguments=["double"], shared=[2]) is None
    code = (
        "import os, sys\nfrom doubling import Doubling\n"
        "from geobatch.processes.pool import start\n"
        "pool = start(Doubling(), others=1, arguments=['double'])\n"
        "found = [] if pool is None else [*pool.map([b'a', b'b'])]\n"
        "sys.exit(bool(found) and sorted(found) != [(0, b'aa'), (1, b'bb')])\n"
    )
    here = {**environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    closed = f'exec "$0" -c "$1" {" ".join(f"{number}>&-" for number in (0, 1, 2))}'
    done = subprocess.run(["/bin/sh", "-c", closed, sys.executable, code], check=False, env=here)
    assert done.returncode == 0


def test_one_of_several_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_start()
    with alone():
        assert not can_start()
        assert start(Doubling(), others=1) is None
    assert can_start()
    monkeypatch.setattr(Pool, "_take", nothing_here)
    assert list(pool_of("ask").map([b"!"])) == [(0, b"False!")]
    monkeypatch.setattr(sys, "executable", "")
    assert not can_start()


# --- life -----------------------------------------------------------------------------------------


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Those that nobody waits for are killed; those whose parent was killed take no more."""
    with pool_of("wait") as pool:
        for number in range(9):
            pool.submit(number, b"")
        pids = [other.process.pid for other in pool._others]
    assert not any(_lives(pid) for pid in pids)

    program = tmp_path / "parent.py"
    program.write_text(
        "import time\nfrom doubling import Doubling\n"
        "from geobatch.processes.pool import Pool\n"
        "pool = Pool(Doubling(), others=2, arguments=['slow'])\n"
        "for number in range(1000):\n    pool.submit(number, b'')\n"
        "print(*[other.process.pid for other in pool._others], flush=True)\n"
        "time.sleep(60)\n"
    )
    here = {**environment(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=here) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(_lives, pids))
        parent.kill()
    deadline = time.monotonic() + 30
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_lives, pids))


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_nobody_waits_for_a_process_that_has_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(room, "_command", lambda *_: program)
    pool = pool_of()
    assert sorted(pool.map(ITEMS)) == DOUBLES
    assert all(other.process.returncode is not None for other in pool._others)


@pytest.mark.usefixtures("others_do_all")
def test_an_interrupt_is_for_the_one_that_started_them() -> None:
    with pool_of(others=1) as pool:
        pool.submit(0, b"x")
        while not pool.completed():  # it is at work
            pass
        (other,) = pool._others
        other.process.send_signal(signal.SIGINT)
        for number in range(500):
            pool.submit(number, b"x")
        count = 0
        while pool.is_busy:
            count += len(pool.completed())
        assert count == 500
        assert other.is_working()


def test_an_interrupt_meanwhile_ends_the_others() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pool = pool_of("wait")
    with pytest.raises(KeyboardInterrupt):
        list(pool.map(ITEMS, meanwhile=interrupt))
    assert all(other.process.returncode is not None for other in pool._others)


def test_a_reader_that_stops_ends_the_others() -> None:
    pool = pool_of("wait")
    values = pool.map(ITEMS)
    next(values)
    values.close()  # type: ignore[attr-defined]
    assert all(other.process.returncode is not None for other in pool._others)


def _children() -> Iterator[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    yield from map(int, text.split())
