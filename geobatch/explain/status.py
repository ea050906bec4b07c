"""Compares the store, the specs and the sources; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from geobatch.declare.projects.confine import Confine
from geobatch.errors import StoreError
from geobatch.explain.declared import (
    Declared,
    find_declared,
    plan_declared,
)
from geobatch.model.plans.cube_change import CubeChange
from geobatch.model.plans.plan import Because, Op, Plan, Reason
from geobatch.model.published import Head
from geobatch.planner import moves, renamed_head
from geobatch.processors import processor_count
from geobatch.store.backends.protocol import RUNS
from geobatch.store.backends.run_folder import run_names
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.maintenance.check import check
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewState
from geobatch.views.store_views import StoreViews


class State(StrEnum):
    """The state of an asset."""

    AS_DECLARED = "up to date"
    """The next apply would not change it."""
    CREATE = "to create"
    """Declared, and not published yet."""
    UPDATE = "to update"
    """Published differently from its spec, or from sources that have changed since."""
    RENAME = "to rename"
    """Published under its former id."""
    MISSING = "with sources missing"
    """Declared, but files are missing."""
    BROKEN = "cannot be resolved"
    """Declared, but its sources cannot be read, do not fit together, or do not pass a check."""
    UNDECLARED = "not in these specs"
    """Published, but not declared by any of the given specs."""


class AssetStatus(Struct, frozen=True, kw_only=True):
    """The state of one asset."""

    id: str
    """Asset id."""
    state: State
    """Its state."""
    previous_id: str = ""
    """Id under which it is published, where that is not its own."""
    because: tuple[Because, ...] = ()
    """Why it is to be updated or renamed."""
    problems: tuple[str, ...] = ()
    """Why it cannot be resolved, or what is missing."""
    is_published: bool = False
    """Whether the head has it."""
    is_protected: bool = False
    """Whether the published asset is protected."""


class StoreStatus(Struct, frozen=True, kw_only=True):
    """The state of a store alone."""

    id: str
    """Uuid."""
    head: Head
    """The newest commit."""
    tree: ViewState | None
    """Whether `zarr/` and `parquet/` show it; None where a store has no such tree."""
    live_runs: tuple[str, ...] = ()
    """Names of runs whose process lives."""
    dead_runs: tuple[str, ...] = ()
    """Names of runs whose process ended before it could clear up; the next apply does."""


class Status(Struct, frozen=True, kw_only=True):
    """How the store, the specs and the sources differ."""

    store: StoreStatus | None
    """None where there is no store yet."""
    assets: tuple[AssetStatus, ...] | None = None
    """Declared and published assets, sorted by id; None where no specs were given."""
    cubes: tuple[CubeChange, ...] = ()
    """Cubes that the next apply would make, change or remove."""

    def of(self, state: State) -> tuple[AssetStatus, ...]:
        """Return the assets in a state."""
        return tuple(asset for asset in self.assets or () if asset.state is state)

    @property
    def has_bad_sources(self) -> bool:
        """Whether sources of an asset are missing, or cannot be read or do not fit together."""
        return bool(self.of(State.MISSING) or self.of(State.BROKEN))

    @property
    def has_differences(self) -> bool:
        """Whether the next apply would change anything, be it only files of the Zarr tree."""
        states = (State.CREATE, State.UPDATE, State.RENAME, State.MISSING, State.BROKEN)
        tree = None if self.store is None else self.store.tree
        is_old = tree is not None and not tree.is_current
        return any(map(self.of, states)) or bool(self.cubes) or is_old

    @property
    def changed_sources(self) -> tuple[str, ...]:
        """Uris of the sources whose bytes are not those that were applied, sorted."""
        return tuple(
            sorted(
                {
                    because.path
                    for asset in self.assets or ()
                    for because in asset.because
                    if because.reason is Reason.SOURCE_CHANGED
                }
            )
        )


def status(
    location: StoreText,
    paths: Sequence[Path] = (),
    *,
    workers: int | None = None,
    keep_project_prefix: bool = False,
    confine: Confine | None = None,
) -> Status:
    """Return the state of a store: alone, or compared with some specs and their sources.

    Args:
        location: Folder or url of the store; with specs, it need not exist.
        paths: Spec files, or folders of them; none for the store alone.
        workers: Threads that probe sources; by default one per processor.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        confine: Whether to read only the project's folder and what is allowed.

    Raises:
        NoStoreError: There is no store, and no specs were given.
        SpecError: The specs are wrong in other things than missing files.
        CorruptObjectError: Something is damaged that the head needs, or that `zarr/` shows of it.
        StoreError: The store cannot be read.
    """
    place = StoreLocation.of(location)
    if not paths:
        with SourceCache.borrowed(place) as cache, closing(TileStore.open(place)) as store:
            head = store.head()
            check(store, head, location=place)
            return Status(store=_store_status(store, head, cache))
    with SourceCache.borrowed(place) as cache:
        declared = find_declared(
            paths,
            place=place,
            cache=cache,
            workers=workers or processor_count(),
            keep_project_prefix=keep_project_prefix,
            confine=confine,
        )
        if not place.has_store():
            declared, made = plan_declared(declared, None, cache=cache)
            assets = tuple(_assets(declared, made, Head()))
            return Status(store=None, assets=assets, cubes=made.cubes)
        with closing(TileStore.open(place)) as store:
            head = store.head()
            declared, made = plan_declared(declared, store, cache=cache, head=head)
            assets = tuple(_assets(declared, made, head))
            shown = _store_status(store, head, cache)
            return Status(store=shown, assets=assets, cubes=made.cubes)


def _store_status(store: TileStore, head: Head, cache: SourceCache) -> StoreStatus:
    live: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    if (local := store.backend.local) is not None:
        runs = local.root / RUNS
        try:
            live, dead = run_names(runs)
        except OSError as error:
            raise StoreError(f"cannot list `{runs}`: {error.strerror or error}") from error
    tree = StoreViews(store, cache=cache).compare(head)
    return StoreStatus(id=store.id, head=head, tree=tree, live_runs=live, dead_runs=dead)


_STATES = {
    Op.KEEP: State.AS_DECLARED, Op.CREATE: State.CREATE, Op.UPDATE: State.UPDATE,
    Op.RENAME: State.RENAME, Op.DELETE: State.UNDECLARED,
}  # fmt: skip
_EXPLAINED = (State.UPDATE, State.RENAME)


def _assets(declared: Declared, made: Plan, head: Head) -> Iterator[AssetStatus]:
    changes = {change.id: change for change in made.changes}
    moved = moves(declared.resolved.specs.claims, base=head)
    published = {entry.id: entry for entry in renamed_head(head, moved).tree.entries}
    every = {*changes, *declared.missing, *declared.broken, *published}
    for asset_id in sorted(every):
        entry = published.get(asset_id)
        change = changes.get(asset_id)
        problems = declared.missing.get(asset_id) or declared.broken.get(asset_id) or ()
        if change is not None:
            state = _STATES[change.op]
        elif problems:
            state = State.MISSING if asset_id in declared.missing else State.BROKEN
        else:
            state = State.UNDECLARED
        yield AssetStatus(
            id=asset_id,
            state=state,
            previous_id=moved.get(asset_id, ""),
            because=change.because if change is not None and state in _EXPLAINED else (),
            problems=problems,
            is_published=entry is not None,
            is_protected=entry is not None and entry.is_protected,
        )
