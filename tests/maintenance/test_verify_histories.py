"""After any edits of specs and sources, `verify` finds what was applied equal, to the last tile."""

from __future__ import annotations

from random import Random

from edits import EDITS, new_document
from history import World, in_memory
from mortal import Mortal

from geobatch.errors import GeobatchError
from geobatch.store.location import StoreLocation
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request


def test_what_was_applied_is_equal(is_long: bool) -> None:
    tiles = 0
    with Mortal() as mortal:
        for seed in range(60 if is_long else 3):
            rng = Random(seed)
            with in_memory() as folder:
                world = World(folder=folder, mortal=mortal, clean={})
                world.documents.append(new_document(world, rng, "a"))
                for _ in range(3):
                    tiles += applied_and_verified(world)
                    for name in rng.sample(sorted(EDITS), 2):
                        EDITS[name](world, rng)
    assert tiles > 500


def applied_and_verified(world: World) -> int:
    """Apply, verify, and return how many tiles were compared; 0 if the specs are refused."""
    try:
        apply([world.spec], store=world.store, workers=1)
    except GeobatchError:
        return 0
    found = verify_request(VerifyRequest(store=StoreLocation.of(world.store), workers=1))
    assert not found.is_different
    declared = {document["id"] for document in world.documents}
    for one in found.assets:
        assert one.checked + one.unreadable == one.tiles
        assert one.notes == ()
        if one.id in declared:  # of others, sources may have changed since
            assert (one.lost, one.unreadable) == ((), 0)
    return sum(one.checked for one in found.assets)
