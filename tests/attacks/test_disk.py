"""A disk that refuses: each refusal is told with an exit code, and nothing is lost by it."""

from __future__ import annotations

import errno
from random import Random

import pytest
from cases import APPLY, CHECKOUT, Case
from jobs import Action, Calls, Jobs

NUMBERS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EMFILE)
FOR_EVER = 1 << 40


def calls(case: Case, jobs: Jobs, kinds: Calls) -> int:
    ended = case.run(jobs, case.fault(calls=kinds, first=1 << 39))
    assert ended.code == 0, ended.err
    return ended.calls


def test_each_call_fails_once_or_from_then_on(case: Case, jobs: Jobs, is_long: bool) -> None:
    count = calls(case, jobs, Calls.CHANGING)
    every = [(at, number, is_over) for at in range(count) for number, is_over in _kinds(at)]
    told = 0
    for at, number, is_over in every if is_long else Random(case.argv[4]).sample(every, 4):
        case.put_back()
        fault = case.fault(number=number, first=at, last=at if is_over else FOR_EVER)
        ended = case.run(jobs, fault)
        case.assert_told(ended)
        told += ended.code != 0
        case.assert_completes(jobs)
    assert told > len(every) / 5 or not is_long


def _kinds(at: int) -> list[tuple[int, bool]]:
    """Return an error that happens once and one that stays: each of them at every sixth call."""
    return [(NUMBERS[at % 6], True), (NUMBERS[(at + 3) % 6], False)]


def test_each_read_fails_once_or_from_then_on(case: Case, jobs: Jobs, is_long: bool) -> None:
    count = calls(case, jobs, Calls.READ)
    for at in range(count) if is_long else Random(case.argv[4]).sample(range(count), 2):
        for is_over in (True, False) if is_long else (bool(at % 2),):
            case.put_back()
            last = at if is_over else FOR_EVER
            fault = case.fault(calls=Calls.READ, number=errno.EIO, first=at, last=last)
            case.assert_told(case.run(jobs, fault))
            case.assert_completes(jobs)


def test_every_write_is_short(case: Case, jobs: Jobs) -> None:
    ended = case.run(jobs, case.fault(calls=Calls.WROTE, action=Action.CUT))
    assert ended.calls > 10
    case.assert_told(ended)
    if ended.code == 0:
        case.assert_shows_after()
    case.assert_completes(jobs)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_without_hard_links(case: Case, jobs: Jobs, number: int) -> None:
    """Whoever writes to a store needs them, and says so; a checkout does not."""
    ended = case.run(jobs, case.fault(calls=Calls.LINKED, number=number))
    case.assert_told(ended)
    if CHECKOUT in case.argv:
        assert ended.code == 0, ended.err
    else:
        assert ended.code == 1
        assert "its file system has no hard links" in ended.err
    case.assert_completes(jobs)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_all(case: Case, jobs: Jobs, number: int) -> None:
    ended = case.run(jobs, case.fault(number=number))
    assert ended.code not in {0, 2}, (ended.code, ended.err)
    case.assert_told(ended)
    case.assert_completes(jobs)


@pytest.mark.parametrize(
    ("kind", "number", "said"),
    [(Calls.LOCKED, errno.ENOLCK, "has no locks"), (Calls.LOCKED, errno.EOPNOTSUPP, "no locks"),
     (Calls.LINKED, errno.EPERM, "no hard links")],
)  # fmt: skip
def test_a_disk_without_locks_or_links_is_refused(
    cases: dict[str, Case], jobs: Jobs, kind: Calls, number: int, said: str
) -> None:
    """As some network file systems are mounted."""
    case = cases[APPLY]
    case.put_back()
    ended = case.run(jobs, case.fault(calls=kind, number=number, last=FOR_EVER))
    case.assert_told(ended)
    assert ended.code == 1
    assert said in ended.err
    assert "s3://" in ended.err
    case.assert_whole()
    case.assert_completes(jobs)
