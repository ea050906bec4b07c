"""Processes that share a queue: each item is taken once; one that dies loses what it had taken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geobatch.processes import Crew, Feed, alone, can_start

DOUBLES = """
import os, sys
from geobatch.processes import serve

serve(lambda taken: b"".join(b"%d %s;" % (n, item * 2) for n, item in taken))
"""
DIES = """
import os, signal, sys
from geobatch.processes import serve

def work(taken):
    if any(item == b"deadly" for _, item in taken):
        os.kill(os.getpid(), signal.SIGKILL)
    return b",".join(item for _, item in taken)

serve(work)
"""
WAITS = """
import time
from geobatch.processes import serve

serve(lambda taken: time.sleep(60) or b"")
"""


def test_each_item_is_taken_once() -> None:
    items = [bytes([65 + n % 26]) * (n % 7) for n in range(500)]
    with Crew(DOUBLES, items, others=3, at_a_time=4) as crew:
        mine: list[tuple[int, bytes]] = []
        while (taken := crew.take()) and len(mine) < 100:
            assert len(taken) <= 4
            mine += taken
            time.sleep(0.01)
        mine += taken
        heard = b"".join([*crew.answers(), *crew.rest()])
    theirs = [part.split(b" ") for part in heard.split(b";")[:-1]]
    found = {n: item * 2 for n, item in mine} | {int(n): item for n, item in theirs}
    assert len(mine) + len(theirs) == len(items)
    assert found == {n: item * 2 for n, item in enumerate(items)}
    assert theirs, "the others came to nothing"


def test_large_items_and_answers_come_whole() -> None:
    items = [os.urandom(3_000_000) for _ in range(5)]
    with Crew(DOUBLES, items, others=2) as crew:
        heard = list(crew.rest())
    assert sorted(heard) == sorted(b"%d %s;" % (n, item * 2) for n, item in enumerate(items))


def test_what_a_process_had_taken_that_dies_is_not_answered() -> None:
    with Crew(DIES, [b"a", b"deadly", b"b", b"deadly", b"c"], others=1) as crew:
        assert list(crew.rest()) == [b"a"]
        assert [item for _, item in iter(lambda: (crew.take() or [(0, b"")])[0], (0, b""))] == [
            b"b", b"deadly", b"c",
        ]  # fmt: skip


def test_a_feed_waits_for_what_is_added_later() -> None:
    with Feed(DOUBLES, others=2, arguments=[], shared=[]) as feed:
        for number in range(3):
            for item in range(20):
                feed.put(b"%d" % item * 1000)
            found: list[bytes] = []
            while len(found) < 20:
                found += feed.answers()
                time.sleep(0.001)
            assert {int(answer.split()[0]) for answer in found} == {
                20 * number + item for item in range(20)
            }
        assert not feed.has_lost_one()
        feed.put(b"last")
        assert list(feed.rest()) == [b"60 lastlast;"]
        processes = [other._process for other in feed._others]
        assert [process.wait(30) for process in processes] == [0, 0], "they end by themselves"


def test_a_feed_that_loses_a_process_ends_with_what_was_answered() -> None:
    with Feed(DIES, others=1, arguments=[], shared=[]) as feed:
        for item in (b"a", b"deadly", b"b"):
            feed.put(item)
        while not feed.has_lost_one():
            time.sleep(0.001)
        feed.put(b"c")  # the queue is still there
        assert list(feed.rest()) == [b"a"]


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """Those that nobody waits for are killed; those whose parent was killed take no more."""
    with Crew(WAITS, [b""] * 9, others=2) as crew:
        pids = [other._process.pid for other in crew._others]
    assert not any(_lives(pid) for pid in pids)

    program = tmp_path / "parent.py"
    program.write_text(
        "import time\nfrom geobatch.processes import Crew\n"
        "slow = 'import time\\nfrom geobatch.processes import serve\\n'"
        "'serve(lambda taken: time.sleep(0.05) or b\"\")'\n"
        "crew = Crew(slow, [b''] * 10_000, others=2)\n"
        "print(*[other._process.pid for other in crew._others], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE) as parent:
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


def test_nobody_waits_for_a_process_that_has_nothing_to_do() -> None:
    with Crew("import time; time.sleep(600)", [b"x"] * 3, others=2) as crew:
        while crew.take():
            pass
        assert list(crew.rest()) == []
    assert all(other._process.returncode is not None for other in crew._others)


def test_an_interrupt_is_for_the_one_that_started_them() -> None:
    with Crew(DOUBLES, (b"x" for _ in range(2000)), others=1) as crew:
        (other,) = crew._others
        while not (first := list(crew.answers())):
            time.sleep(0.001)
        other._process.send_signal(signal.SIGINT)
        assert len([*first, *crew.rest()]) == 2000


def test_one_of_several_starts_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_start()
    with alone():
        assert not can_start()
    assert can_start()
    asks = "from geobatch.processes import *\nserve(lambda _: str(can_start()).encode())"
    with Crew(asks, [b""], others=1) as crew:
        assert list(crew.rest()) == [b"False"]
    monkeypatch.setattr(sys, "executable", "")
    assert not can_start()


def test_without_room_there_is_no_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    make = tempfile.TemporaryFile

    def third_is_full(**options: object) -> object:
        made.append(1)
        if len(made) == 4:
            raise OSError(28, "No space left on device")
        return make(**options)  # type: ignore[call-overload]

    monkeypatch.setattr(tempfile, "TemporaryFile", third_is_full)
    before = set(_children())
    with pytest.raises(OSError, match="No space"):
        Crew(WAITS, [b""], others=2)
    assert set(_children()) == before, "one was started, and ended"


def _children() -> Iterator[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    yield from map(int, text.split())
