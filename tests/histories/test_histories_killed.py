"""P1, P2: an apply that dies at any operation on a file loses nothing; the next completes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import zarr
from edits import EDITS
from history import Effect, World, in_memory
from mortal import KILLED, Mortal
from rasters import MASKS
from workbench import image

from geobatch import open_store

IS_SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
ONE_BAND = MASKS
MOST = 2000
"""Operations by which an apply as small as these has long ended."""


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with Mortal() as made:
        yield made


@pytest.fixture
def world(mortal: Mortal) -> Iterator[World]:
    """Make a store with one small asset: a band of two levels, with masks."""
    with in_memory() as folder:
        made = World(folder=folder, mortal=mortal, clean={})
        rng = Random(7)
        name = made.add_raster(rng, ONE_BAND, sizes=(257,))
        made.documents.append(
            image("a", name, tile=256, missing_data={"values": [0]}, properties={"version": 1})
        )
        made.apply(rng, workers=1, is_planned=False)
        yield made


def change_everything(world: World) -> None:
    """Change the asset's pixels and properties, and add another asset in a folder."""
    rng = Random(11)
    world.note(Effect.ANY)
    EDITS["rewrite_block_in_secret"](world, rng)
    world.documents[0]["properties"] = {"version": 2}
    name = world.add_raster(rng, ONE_BAND, sizes=(60,))
    world.documents.append(image("x/b", name, tile=64))


def arrays(group: zarr.Group) -> dict[str, zarr.Array]:  # type: ignore[type-arg]
    return {path: found for path, found in group.members(max_depth=None)
            if isinstance(found, zarr.Array)}  # fmt: skip


@pytest.mark.parametrize("goes_back", [pytest.param(False, marks=pytest.mark.attack), True])
def test_killed_at_every_operation(world: World, goes_back: bool, is_long: bool) -> None:
    """The next apply goes on with the new state, or back to the old one."""
    before, published = world.snapshots[0], world.published
    change_everything(world)
    after = world.snapshot()
    pristine = world.store.rename(world.folder / "pristine")
    step = 1 if IS_SOAK else 7 if is_long else 59
    for die_at in range(0, MOST, step):
        world.put_store_back(pristine, published)
        world.roll_back(after, to_old_times=False)
        world.pending = Effect.ANY
        is_killed = world.apply_killed(Random(die_at), workers=1 + die_at % 2, die_at=die_at)
        assert set(open_store(world.store).assets()) in ({"a"}, {"a", "x/b"})
        if goes_back:
            world.roll_back(before, to_old_times=die_at % 3 == 0)
        world.apply(Random(die_at), workers=1, is_planned=False)
        if not is_killed:
            assert die_at > 50
            return
    pytest.fail(f"an apply takes more than {MOST} operations")


@pytest.mark.attack
def test_killed_again_and_again(world: World, is_long: bool) -> None:
    change_everything(world)
    for die_at in range(5, MOST, 17 if is_long else 59):
        # Each life gets a little further than the last, whether or not that one's work is kept.
        if not world.apply_killed(Random(die_at), workers=2, die_at=die_at):
            break
    EDITS["set_memo"](world, Random(1))
    done = world.apply(Random(0), workers=2, is_planned=True)
    assert done is not None
    assert done.commit is not None


def test_a_first_apply_that_is_killed_leaves_a_store_that_works(
    mortal: Mortal, is_long: bool
) -> None:
    for die_at in (*range(0, 12, 2), 20, 40) if is_long else (1, 4, 20):
        with in_memory() as folder:
            world = World(folder=folder, mortal=mortal, clean={})
            name = world.add_raster(Random(7), ONE_BAND, sizes=(60,))
            world.documents.append(image("a", name, tile=64))
            world.apply_killed(Random(0), workers=1, die_at=die_at)
            assert world.apply(Random(0), workers=1, is_planned=False) is not None


def test_a_reader_keeps_its_commit(world: World) -> None:
    early = open_store(world.store).open("a")
    twin = arrays(open_store(world.store).open("a"))
    before = {path: np.asarray(found[...]) for path, found in twin.items()}
    assert len(before) >= 4
    change_everything(world)
    assert world.apply_killed(Random(0), workers=2, die_at=60)
    for path, found in arrays(early).items():
        assert np.array_equal(np.asarray(found[...]), before[path]), path
    world.apply(Random(0), workers=2, is_planned=False)
    for document in world.documents:
        document["tiling"] = {"tile": 96}
    world.note(Effect.ANY)
    world.apply(Random(0), workers=2, is_planned=False)
    found_now = arrays(early)
    assert found_now.keys() == before.keys()
    for path, found in found_now.items():
        assert np.array_equal(np.asarray(found[...]), before[path]), path
    after = arrays(open_store(world.store).open("a"))
    assert any(not np.array_equal(np.asarray(after[path][...]), before[path]) for path in before)


def test_a_child_does_die(world: World) -> None:
    change_everything(world)
    place = world.folder / "elsewhere"
    ending = world.mortal.apply(world.spec, store=place, workers=2, die_at=30)
    assert ending.status == KILLED
    assert not (place / "refs").exists()
    assert [path for path in (place / "runs").iterdir() if path.is_dir()], "its run is left over"
    assert world.mortal.apply(Path("nothing"), store=place, workers=1, die_at=None).said
