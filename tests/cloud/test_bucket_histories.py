"""P1, P2, P3 in a bucket: an apply that dies at any request loses nothing; the next goes on."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from bucket_world import BucketWorld, assets_of
from buckets import Before, Enter
from edits import EDITS, IDS, new_document
from history import Effect, in_memory
from mortal import Mortal
from rasters import MASKS
from servers import Bucket
from workbench import image

from geobatch.store.identity import ZarrView
from geobatch.store.tilestore import TileStore

MOST = 1000
"""Requests by which an apply as small as these has long ended."""


@pytest.fixture
def world(s3: Bucket, enter: Enter, before: Before) -> Iterator[BucketWorld]:
    proxy, _ = before(s3)
    with in_memory() as folder, Mortal() as mortal:
        made = BucketWorld(folder=folder, mortal=mortal, clean={}, bucket=enter(s3), proxy=proxy)
        yield made


def keep_copies(world: BucketWorld) -> None:
    """Make a store whose views are plain Zarr trees, by copies; by default they are references."""
    TileStore.create(world.store, views=ZarrView.COPY).close()


def begin(world: BucketWorld) -> None:
    """Publish one small asset: a band of two levels, with masks."""
    keep_copies(world)
    rng = Random(7)
    name = world.add_raster(rng, MASKS, sizes=(257,))
    world.documents.append(
        image("a", name, tile=256, missing_data={"values": [0]}, properties={"version": 1})
    )
    world.apply(rng, workers=1, is_planned=False)


def change_everything(world: BucketWorld) -> None:
    """Change the asset's pixels and properties, and add another asset in a folder."""
    rng = Random(11)
    world.note(Effect.ANY)
    EDITS["rewrite_block_in_secret"](world, rng)
    world.documents[0]["properties"] = {"version": 2}
    name = world.add_raster(rng, MASKS, sizes=(60,))
    world.documents.append(image("x/b", name, tile=64))


def test_a_first_apply_is_killed(world: BucketWorld, is_long: bool) -> None:
    name = world.add_raster(Random(7), MASKS, sizes=(60,))
    world.documents.append(image("a", name, tile=64))
    for die_at in range(0, MOST, 1 if is_long else 5):
        # Each life gets a little further than the last.
        if not world.apply_killed(Random(die_at), workers=1, die_at=die_at):
            assert die_at > 4
            break
    assert world.apply(Random(0), workers=1, is_planned=False) is not None
    assert assets_of(world) == {"a"}


def test_an_apply_is_killed_at_every_request(world: BucketWorld, is_long: bool) -> None:
    begin(world)
    old = world.snapshots[0]
    change_everything(world)
    new = world.snapshot()
    for die_at in range(0, MOST, 1 if is_long else 11):
        world.roll_back(new, to_old_times=False)
        world.pending = Effect.ANY
        is_killed = world.apply_killed(Random(die_at), workers=1 + die_at % 2, die_at=die_at)
        assert assets_of(world) in ({"a"}, {"a", "x/b"})
        if not is_killed:
            assert die_at > 20
            break
        # Nothing is deleted by an apply: `x/b` stays while its spec is away.
        world.roll_back(old, to_old_times=die_at % 3 == 0)
        world.apply(Random(die_at), workers=1, is_planned=False)
    world.apply(Random(0), workers=2, is_planned=True)


@pytest.mark.parametrize("seed", range(2))
def test_any_history(world: BucketWorld, seed: int, is_long: bool) -> None:
    rng = Random(seed)
    if seed % 2:
        keep_copies(world)
    for asset_id in IDS[:2]:
        world.documents.append(new_document(world, rng, asset_id))
    world.apply(rng, workers=1, is_planned=False)
    for _ in range(40 if is_long else 2):
        for name in rng.sample(sorted(EDITS), rng.randint(1, 3)):
            EDITS[name](world, rng)
        if rng.random() < 0.5:
            world.apply_killed(rng, workers=rng.randint(1, 3), die_at=rng.randint(0, 60))
        world.apply(rng, workers=rng.randint(1, 3), is_planned=rng.random() < 0.5)
        if world.snapshots and rng.random() < 0.3:
            world.roll_back(rng.choice(world.snapshots), to_old_times=rng.random() < 0.5)
