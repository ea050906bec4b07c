"""Writers that publish at the same instant: all hold or one is told, and no one waits in vain."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from gc_workbench import apply, options, put_asset, read, read_head
from racer import DONE, ORACLE, Racers

from geobatch.errors import ConflictError, LockedError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.commits.backoff import MOST_SECONDS, Backoff
from geobatch.store.maintenance import guard
from geobatch.store.maintenance.gc import collect
from geobatch.store.tilestore import TileStore


@pytest.fixture(params=[2, pytest.param(10, marks=pytest.mark.attack)])
def count(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def racers(tmp_path: Path, count: int) -> Iterator[Racers]:
    with closing(TileStore.create(tmp_path / "store")):
        pass
    with Racers(tmp_path / "store", count) as made:
        yield made


def rounds(*, is_long: bool) -> range:
    return range(1, 201 if is_long else 6)


def commits(root: Path) -> list[dict[str, str]]:
    """Return what each commit holds, the oldest first, every byte read and verified."""
    with closing(TileStore.open(root)) as store:
        return [read(store, head) for head in store.log()][::-1]


def newest(root: Path) -> tuple[int, dict[str, str]]:
    with closing(TileStore.open(root)) as store:
        head = store.head()
        return head.number, read(store, head)


def test_all_who_publish_different_assets_succeed(
    tmp_path: Path, racers: Racers, count: int, is_long: bool
) -> None:
    names = [f"a{number}" for number in range(count)]
    for version in rounds(is_long=is_long):
        assert racers.race([(name, version) for name in names]) == [DONE] * count
        expected = dict.fromkeys(names, str(version))
        assert newest(tmp_path / "store") == (version * count, expected)
    done = [{}, *commits(tmp_path / "store")]
    for before, after in pairwise(done):
        changed = [name for name in after if after[name] != before.get(name)]
        assert len(changed) == 1, "each commit is the one before it and one change"


def test_of_those_who_publish_one_asset_one_succeeds_and_the_others_are_told(
    tmp_path: Path, racers: Racers, count: int, is_long: bool
) -> None:
    winners = set()
    for number in rounds(is_long=is_long):
        versions = range(number * count, (number + 1) * count)
        done = racers.race([("a", version) for version in versions])
        assert done.count(DONE) == 1
        told = [text for text in done if text != DONE]
        assert all(f"asset `a` was changed by commit {number}" in text for text in told), done
        winner = done.index(DONE)
        winners.add(winner)
        assert newest(tmp_path / "store") == (number, {"a": str(versions[winner])})
    assert len(winners) > 1 or not is_long, "it was no race"


def test_those_who_publish_the_same_agree(
    tmp_path: Path, racers: Racers, count: int, is_long: bool
) -> None:
    for version in rounds(is_long=is_long):
        assert racers.race([("a", version)] * count) == [DONE] * count
        assert newest(tmp_path / "store") == (version, {"a": str(version)})


_WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from gc_workbench import apply, options, read_head
from geobatch.errors import LockedError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.maintenance.gc import collect
who, root, commits = sys.argv[2], sys.argv[3], int(sys.argv[4])
sys.stdin.readline()
for version in range(1, commits + 1):
    backend = LocalBackend(root)
    try:
        apply(backend, version, (who,))
    finally:
        backend.close()
"""
_BESIDE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from gc_workbench import options, read_head
from geobatch.store.backends.local import LocalBackend
from geobatch.store.maintenance.gc import collect
who, root, parent = sys.argv[2], sys.argv[3], os.getppid()
sys.stdin.readline()
done = 0
while not os.path.exists(f"{root}.end") and os.getppid() == parent:
    backend = LocalBackend(root)
    try:
        read_head(backend) if who == "read" else collect(backend, options())
        done += 1
    finally:
        backend.close()
print(done)
"""


def start(program: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, ORACLE, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_many_writers_of_different_assets_all_succeed(tmp_path: Path, is_long: bool) -> None:
    """A reader and a `gc` run beside them, and they succeed, too."""
    root = tmp_path / "store"
    writers, each = (30, 10) if is_long else (8, 5)
    with closing(LocalBackend(root)) as backend:
        apply(backend, 1, ("first",))
    running = [start(_WRITER, f"w{number}", root, str(each)) for number in range(writers)]
    beside = [start(_BESIDE, who, root) for who in ("read", "gc")]
    for one in (*beside, *running):
        assert one.stdin is not None
        one.stdin.write("\n")
        one.stdin.flush()
    errors = [one.communicate(timeout=300)[1] for one in running]
    (tmp_path / "store.end").touch()
    counts = []
    for one in beside:
        out, err = one.communicate(timeout=60)
        errors.append(err)
        counts.append(int(out or 0))
    assert [text for text in errors if text] == []
    assert min(counts) > 0
    expected = {"first": "1"} | {f"w{number}": str(each) for number in range(writers)}
    assert newest(root) == (writers * each + 1, expected)
    assert not [path for path in (root / "runs").iterdir() if path.is_dir()]


def test_pauses_grow_and_are_drawn_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = 0.0, []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    for _ in range(40):
        waiting = Backoff()
        for _ in range(20):
            now += 0.01
            waiting.pause()
    by_attempt = [slept[at::20] for at in range(20)]
    for at, pauses in enumerate(by_attempt):
        most = min(0.01 * 2 ** (at + 1), MOST_SECONDS)
        assert 0 <= min(pauses) < most / 4
        assert most * 3 / 4 < max(pauses) <= most * 1.0001
        assert len(set(pauses)) == 40


def test_who_loses_always_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lost attempt is another commit; an end after a hundred is no hang."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    backend = MemoryBackend()
    apply(backend, 1, ("other",))
    store = TileStore.create(backend)
    create, versions = backend.create, iter(range(2, 1000))

    def beaten(name: str, data: bytes) -> bool:
        monkeypatch.setattr(backend, "create", create)
        apply(backend, next(versions), ("other",))
        monkeypatch.setattr(backend, "create", beaten)
        return create(name, data)

    monkeypatch.setattr(backend, "create", beaten)
    with pytest.raises(ConflictError, match="100 other commits were published meanwhile"):
        store.publish(
            base=store.head(), changes={"a": put_asset(store, "a", 1)}, message="", tools={}
        )
    assert read_head(backend) == {"other": "101"}


def test_a_writer_that_is_stopped_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    """Others publish, read and collect meanwhile, or are told that it holds the lock."""
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.2)
    root, chosen = tmp_path / "store", random.Random(5)
    with closing(LocalBackend(root)) as backend:
        apply(backend, 1)
    writer = start(_WRITER, "a", root, "100000")
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.flush()
    before = newest(root)[0]
    while newest(root)[0] == before:
        assert writer.poll() is None, writer.communicate()
        time.sleep(0.01)
    try:
        for version in range(2, 202 if is_long else 10):
            time.sleep(chosen.random() * 0.05)
            os.kill(writer.pid, signal.SIGSTOP)
            with closing(LocalBackend(root)) as backend:
                apply(backend, version, ("b",))
                with suppress(LockedError):  # it was stopped while it published
                    collect(backend, options(is_now=bool(version % 2)))
                assert read_head(backend)["b"] == str(version)
            os.kill(writer.pid, signal.SIGCONT)
        last = newest(root)[0]
        until = time.monotonic() + 30
        while newest(root)[0] == last:
            assert writer.poll() is None, writer.communicate()
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        writer.kill()
        writer.communicate(timeout=60)
    with closing(LocalBackend(root)) as backend:
        collect(backend, options(is_now=True))
        assert read_head(backend).keys() == {"a", "b"}
