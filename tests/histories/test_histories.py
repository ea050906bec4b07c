"""P2, P3, P4: after any history of edits, kills and applies, all is as in a clean rebuild."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
from edits import EDITS, IDS, new_document
from history import Clean, World, in_memory
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from mortal import Mortal

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
CLEAN: dict[str, Clean] = {}
"""Clean rebuilds that were made already, for all histories."""

EDIT_NAMES = st.sampled_from(sorted(EDITS))
RANDOMS = st.integers(0, 2**20).map(Random)
WORKERS = st.integers(1, 3)


class History(RuleBasedStateMachine):
    """Edits, applies and kills in any order; `World` asserts the laws after each apply."""

    mortal: Mortal

    def __init__(self) -> None:
        super().__init__()
        self._folder = in_memory()
        self.world = World(folder=self._folder.__enter__(), mortal=self.mortal, clean=CLEAN)

    def teardown(self) -> None:
        self._folder.__exit__(None, None, None)

    @initialize(rng=RANDOMS, count=st.integers(1, 2))
    def begin(self, rng: Random, count: int) -> None:
        for asset_id in IDS[:count]:
            self.world.documents.append(new_document(self.world, rng, asset_id))

    @rule(name=EDIT_NAMES, rng=RANDOMS)
    def edit(self, name: str, rng: Random) -> None:
        EDITS[name](self.world, rng)

    @rule(names=st.lists(EDIT_NAMES, min_size=1, max_size=4), rng=RANDOMS, workers=WORKERS)
    def edit_and_apply(self, names: list[str], rng: Random, workers: int) -> None:
        for name in names:
            EDITS[name](self.world, rng)
        self.apply(rng, workers, is_planned=False)

    @rule(rng=RANDOMS, workers=WORKERS, is_planned=st.booleans())
    def apply(self, rng: Random, workers: int, is_planned: bool) -> None:
        done = self.world.apply(rng, workers=workers, is_planned=is_planned)
        event("refused" if done is None else "applied")

    @rule(rng=RANDOMS, workers=WORKERS, die_at=st.integers(0, 40) | st.integers(0, 300))
    def apply_killed(self, rng: Random, workers: int, die_at: int) -> None:
        is_killed = self.world.apply_killed(rng, workers=workers, die_at=die_at)
        event("killed" if is_killed else "not killed")

    @rule()
    def plan(self) -> None:
        self.world.plan()

    @precondition(lambda self: self.world.snapshots)
    @rule(number=st.integers(0, 100), to_old_times=st.booleans())
    def roll_back(self, number: int, to_old_times: bool) -> None:
        snapshot = self.world.snapshots[number % len(self.world.snapshots)]
        self.world.roll_back(snapshot, to_old_times=to_old_times)


QUICK = settings(
    max_examples=2, stateful_step_count=14, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.generate,),
)  # fmt: skip
LONG = settings(QUICK, max_examples=10)
SOAK = settings(
    max_examples=400, stateful_step_count=40, deadline=None, print_blob=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with Mortal() as made:
        yield made


def test_any_history_ends_as_a_clean_rebuild(mortal: Mortal, is_long: bool) -> None:
    History.mortal = mortal
    run_state_machine_as_test(History, settings=SOAK if IS_SOAK else LONG if is_long else QUICK)


@pytest.mark.parametrize(
    "name",
    [
        # The histories above make all of them; here, the default run tries every other one.
        pytest.param(name, marks=[pytest.mark.attack] if number % 2 else [])
        for number, name in enumerate(sorted(EDITS))
    ],
)
def test_each_edit_costs_no_more_than_it_may(mortal: Mortal, name: str) -> None:
    for seed in range(20 if IS_SOAK else 1):
        rng = Random(f"{name} {seed}")
        with in_memory() as place:
            world = World(folder=place, mortal=mortal, clean=CLEAN)
            for asset_id in IDS[: 1 + seed % 2]:
                world.documents.append(new_document(world, rng, asset_id))
            assert world.apply(rng, workers=2, is_planned=False) is not None
            EDITS[name](world, rng)
            world.apply(rng, workers=2, is_planned=True)
            world.roll_back(world.snapshots[0], to_old_times=True)
            assert world.apply(rng, workers=1, is_planned=False) is not None
