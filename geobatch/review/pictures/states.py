"""The two states that a review compares: what is published, and what a plan would publish."""

from __future__ import annotations

from msgspec import Struct

from geobatch.errors import GeobatchError
from geobatch.model.assets.asset import Image
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.model.published import AssetRecord, Tree
from geobatch.store.tilestore import TileStore


class States(Struct, frozen=True, kw_only=True):
    """Published trees before and after a plan."""

    store: TileStore
    """The open store."""
    before: Tree
    """What the plan starts from."""
    after: Tree | None
    """What the plan would publish; None if it was not rehearsed, or the rehearsal is gone."""
    note: str = ""
    """Why a state is not shown; empty if all is."""

    def old(self, asset_id: str, previous_id: str) -> AssetRecord | None:
        """Return the published state of an asset of pixels; None without one."""
        return self._image(self.before, previous_id or asset_id)

    def new(self, asset_id: str) -> AssetRecord | None:
        """Return the state of an asset of pixels after the plan; None if it is unknown."""
        return None if self.after is None else self._image(self.after, asset_id)

    def _image(self, tree: Tree, asset_id: str) -> AssetRecord | None:
        entry = tree.entry(asset_id)
        record = None if entry is None else self.store.record(entry)
        return record if record is not None and isinstance(record.asset, Image) else None


def states_of(store: TileStore, plan: PlanDocument) -> States:
    """Return the states that a plan compares, and why one of them is missing."""
    if plan.store_id != store.id:
        note = "The plan was made for another store: there are no pictures."
        return States(store=store, before=Tree(), after=None, note=note)
    try:
        before = store.at(plan.base_commit).tree if plan.base_commit else Tree()
    except GeobatchError as error:
        return States(store=store, before=Tree(), after=None, note=f"{error.message}.")
    after = _rehearsed(store, plan)
    if after is not None:
        return States(store=store, before=before, after=after)
    note = "The plan was not rehearsed: pictures show only what is published."
    if plan.rehearsal is not None and plan.rehearsal.sample is not None:
        note = "Only a sample was rehearsed: pictures show only what is published."
    elif plan.rehearsal is not None:
        note = "The rehearsal is no longer in the store: pictures show only what is published."
    return States(store=store, before=before, after=None, note=note)


def _rehearsed(store: TileStore, plan: PlanDocument) -> Tree | None:
    """Return the tree that the rehearsal of a plan left in the store; None if it is gone."""
    found = store.rehearsals.find(plan.plan_id)
    if found is None:
        return None
    return store.commits.trees.read(found.tree, "the rehearsed tree")
