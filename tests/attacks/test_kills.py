"""Killed at any call or instant, or without power: nothing is lost, and the same command ends it.

After each: readers see the state before or after, whole; the command, repeated, makes what it would
have made undisturbed; finished work is not done again; nothing is left over.
"""

from __future__ import annotations

import os
from random import Random

from cases import CHECKOUT, COMMANDS, Case, power_loss
from jobs import Action, Jobs, Surroundings

LOSSES = ("dropped", "cut", "zeroed")
FATES = ("undone", "done", *LOSSES)
"""What became of the call, and of bytes that were not synced."""
IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
KILLS = int(os.environ.get("GEOBATCH_KILLS", "500"))
"""Kills at random instants in the long form."""


def two_fates(at: int) -> tuple[str, str]:
    """Return what becomes of a call in `just attack`; `just soak` tries everything."""
    return FATES[at % 2], LOSSES[at % 3]


def calls(case: Case, jobs: Jobs) -> int:
    """Return how many calls of libc change a file while the command runs."""
    ended = case.run(jobs, case.fault(first=1 << 39))
    assert ended.code == 0, ended.err
    return ended.calls


def test_killed_at_every_call(case: Case, jobs: Jobs, is_long: bool) -> None:
    """Before a call and after it; a write that is killed has written a half."""
    count = calls(case, jobs)
    assert count > 40
    every = [(at, fate) for at in range(count) for fate in (FATES if IS_SOAK else two_fates(at))]
    chosen = Random(case.argv[4])
    killed = lost = 0
    for at, fate in every if is_long else chosen.sample(every, 3):
        case.put_back()
        action = Action.KILL_BEFORE if fate == "undone" else Action.KILL_AFTER
        ended = case.run(jobs, case.fault(action=action, first=at))
        assert ended.is_killed or ended.code == 0, ended.err
        killed += ended.is_killed
        if ended.is_killed and fate in LOSSES:
            for written in (case.store, *case.folder.glob("*out*")):
                lost += power_loss(ended, written, fate)
        case.assert_completes(jobs)
    # A run need not make as many calls as the one that was counted.
    assert killed > len(every) / 2 if is_long else killed
    assert lost or not is_long


def test_killed_at_random_instants(cases: dict[str, Case], jobs: Jobs, is_long: bool) -> None:
    """By SIGKILL from outside; twice in a row, every third time."""
    chosen = Random(20)
    seconds = {}
    for name, case in cases.items():
        case.put_back()
        seconds[name] = case.run(jobs).seconds
    killed, kills = 0, KILLS if is_long else 5
    names = list(COMMANDS)
    for number in range(kills * 4):
        case = cases[names[number % len(names)]]
        case.put_back()
        for _ in range(1 + (number % 3 == 0)):
            moment = chosen.uniform(0.0005, seconds[names[number % len(names)]])
            ended = case.run(jobs, surroundings=Surroundings(kill_after=moment))
            assert ended.is_killed or ended.code == 0, ended.err
            killed += ended.is_killed
        case.assert_completes(jobs)
        if killed >= kills:
            break
    assert killed >= kills


def test_a_checkout_appears_whole_or_not_at_all(
    cases: dict[str, Case], jobs: Jobs, is_long: bool
) -> None:
    case = cases[CHECKOUT]
    case.put_back()
    count = calls(case, jobs)
    out = case.folder / "out"
    wanted = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for at in range(0, count, 1 if is_long else 11):
        case.put_back()
        case.run(jobs, case.fault(action=Action.KILL_AFTER, first=at))
        if out.exists():
            found = {path.relative_to(out): path.read_bytes() for path in out.rglob("*")
                     if path.is_file()}  # fmt: skip
            assert found == wanted
