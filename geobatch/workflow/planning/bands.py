"""Bands that an earlier run computed and that a plan takes over, checked for damage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from geobatch.declare import SpecSet
from geobatch.declare.checks.lint import warning
from geobatch.errors import Problem
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Plan
from geobatch.model.published import BandTiles
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves, modified_since
from geobatch.store.tilestore import TileStore

Bands: TypeAlias = Mapping[Digest, BandTiles]
"""Tiles of bands by pyramid fingerprint."""


def damaged_bands(
    plan: Plan, bands: Bands, store: TileStore, *, is_read: bool
) -> dict[Digest, str]:
    """Return what is wrong with bands that a plan takes over, by fingerprint.

    Args:
        plan: The plan.
        bands: Bands that it may take over.
        store: The store that has their tiles.
        is_read: Whether their tiles are read and verified.
    """
    used = {name for change in plan.changed for name in _taken_over(change).values()}
    found = {name: _damage_of(store, bands[name], is_read=is_read) for name in sorted(used)}
    return {name: damage for name, damage in found.items() if damage}


def damage_warnings(plan: Plan, damaged: Mapping[Digest, str], specs: SpecSet) -> Iterator[Problem]:
    """Yield a warning for each band of an earlier run that cannot be taken over."""
    for change in plan.changed:
        for band, name in _taken_over(change).items():
            if name in damaged:
                message = (
                    f"tiles of band `{band}` that an earlier run made are damaged: {damaged[name]}"
                )
                hint = "nothing needs to be done: the band is computed again from its sources"
                yield from warning(specs.spec(change.id), ("id",), "damaged-tiles", message, hint)


def _taken_over(change: AssetChange) -> dict[str, Digest]:
    """Return the fingerprints of the reused bands that an earlier run made, by band."""
    bases = [*change.carried, *((work.band, work.base) for work in change.work if work.base)]
    return {band: name for band, (asset_id, name) in bases if not asset_id}


def _damage_of(store: TileStore, tiles: BandTiles, *, is_read: bool) -> str:
    """Return what is wrong with the pages and tiles of a band; nothing if they are whole.

    Args:
        store: The store.
        tiles: The band.
        is_read: Whether to compare every tile with its digest; else existence and length, and the
            bytes of those alone that were modified since the newest commit.
    """
    since = READ_ALL if is_read else modified_since(store, store.head())
    checker = Checker(store.objects, StateLeaves(store.objects, read_from=since))
    found = (
        wrong.message
        for _, _, root in tiles.arrays
        if root is not None
        for wrong in checker.array(root.stored)
    )
    return next(found, "")
