"""Histories of edits and applies on Dask: the store is as a clean rebuild by threads makes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dask_cluster import cluster, runs_of
from edits import EDITS, IDS, new_document
from history import Clean, World, in_memory
from mortal import Mortal

CLEAN: dict[str, Clean] = {}
"""Clean rebuilds that were made already, for all histories."""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with Mortal() as made:
        yield made


@pytest.fixture(scope="module", params=[1, 2, 4], ids="{} workers".format)
def client(
    request: pytest.FixtureRequest, mortal: Mortal, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    del mortal  # it forks, so it is there before any thread
    with cluster(tmp_path_factory.mktemp("dask"), workers=request.param) as made:
        yield made


def run_history(world: World, rng: Random, *, steps: int) -> int:
    """Edit and apply; `World` asserts after each apply what must hold. Return what was applied."""
    for asset_id in IDS[: rng.randint(1, 2)]:
        world.documents.append(new_document(world, rng, asset_id))
    applied = 0
    for _ in range(steps):
        done = world.apply(rng, workers=2, is_planned=rng.random() < 0.5)
        applied += done is not None
        if world.snapshots and rng.random() < 0.2:
            world.roll_back(rng.choice(world.snapshots), to_old_times=rng.random() < 0.5)
        for name in rng.sample(sorted(EDITS), rng.randint(1, 3)):
            EDITS[name](world, rng)
    return applied


def test_a_history_ends_as_a_clean_rebuild(mortal: Mortal, client: Any, is_long: bool) -> None:
    applied = 0
    for seed in range(15 if is_long else 2):
        with in_memory() as folder:
            world = World(folder=folder, mortal=mortal, clean=CLEAN, executor=client)
            applied += run_history(world, Random(seed), steps=12 if is_long else 5)
            assert runs_of(Path(world.store)) == []
    assert applied > (60 if is_long else 4)
