"""`gc`: what no kept commit needs is moved to quarantine, and deleted from there later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import ProtectedError
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.gc_plan import (
    CommitFact,
    Due,
    Garbage,
    GcOptions,
    GcPlan,
    check_clock,
)
from geobatch.store.maintenance.gc_survey import Roots
from geobatch.store.maintenance.guard import LEAST_GRACE, moving, only_gc
from geobatch.store.maintenance.quarantine import MOST_NAMES, Quarantine
from geobatch.store.maintenance.reachable import (
    Digests,
    Reachable,
    digests_of,
    hex_of,
    object_digests,
)
from geobatch.store.maintenance.sweeping.parts import Parts, Start, here
from geobatch.store.maintenance.sweeping.sweep import Scan, Sweep
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.objects import Objects
from geobatch.store.rehearsals.folders import remove_held
from geobatch.store.tilestore import Location, TileStore

_WHY = "gc"
"""Why a batch was made that `gc` made."""
_REGIONS = "cache/regions/"
_CHECKED = "cache/checked/"


class GcResult(Struct, frozen=True, kw_only=True):
    """What `gc --apply` did."""

    plan: GcPlan
    """What it found."""
    moved: int = 0
    """Objects that it moved to quarantine."""
    deleted: int = 0
    """Files that it deleted from quarantine."""
    freed: int = 0
    """Bytes that the disk got back."""
    restored: int = 0
    """Objects of quarantine that are needed, and were put back."""
    kept_batches: int = 0
    """Batches that `--now` could not delete, since a run is live."""


def plan_gc(
    location: Location,
    options: GcOptions,
    *,
    now: datetime | None = None,
    start: Start = here,
) -> GcPlan:
    """Return what `gc` would do; nothing is changed.

    Args:
        location: Where the store is.
        options: What to keep.
        now: The time; by default that of the clock.
        start: Begins to list objects; by default in this thread.

    Raises:
        CorruptObjectError: Something that is kept is unreadable.
        FormatError: A newer geobatch wrote it.
        ProtectedError: The clock is wrong; or the grace time is too short for a bucket.
    """
    with closing(TileStore.open(location)) as store:
        _check_grace(store, options)
        with start(store) as parts:
            return _Work(store, options, now or datetime.now(UTC), parts, own_run="").plan()


def collect(
    location: Location,
    options: GcOptions,
    *,
    now: datetime | None = None,
    start: Start = here,
) -> GcResult:
    """Move what is not needed to quarantine, and delete what has been there long enough.

    Args:
        location: Where the store is.
        options: What to keep.
        now: The time; by default that of the clock.
        start: Begins to list and delete objects; by default in this thread.

    Raises:
        CorruptObjectError: Something that is kept is unreadable; nothing was changed.
        FormatError: A newer geobatch wrote it; nothing was changed.
        ProtectedError: The clock is wrong; nothing was changed.
        LockedError: Another `gc` runs, or somebody publishes for too long.
        StoreError: The store cannot be written; the next `gc` continues.
    """
    TileStore.open(location).close()  # no store is made
    store = TileStore.create(location)
    try:
        _check_grace(store, options)
        with only_gc(store.backend):
            settle(store)
            local = store.backend.local
            own = "" if local is None else local.scratch("gc").parent.name
            with start(store) as parts:
                work = _Work(store, options, now or datetime.now(UTC), parts, own_run=own)
                return work.collect()
    finally:
        local = store.backend.local
        if local is not None:
            local.leave()  # what killed runs made ahead is for the next apply
        store.close()


def _check_grace(store: TileStore, options: GcOptions) -> None:
    """Refuse to delete at once where it is not known which runs are live.

    Raises:
        ProtectedError: The store is in a bucket, and the grace time is too short.
    """
    if store.backend.is_remote and (options.is_now or options.grace < LEAST_GRACE):
        raise ProtectedError(
            f"`{store.backend.location}` is in a bucket, where it is not known which runs are in "
            "progress: what they have put must be kept for at least a day",
            hint="use `--grace 1d` or more, without `--now`",
        )


class _Work:
    """One `gc`."""

    def __init__(
        self,
        store: TileStore,
        options: GcOptions,
        now: datetime,
        parts: Parts,
        *,
        own_run: str,
    ) -> None:
        self._store = store
        self._parts = parts
        self._options = options
        self._now = now
        self._roots = Roots(store, options, now, own_run=own_run)
        self._quarantine = Quarantine(store.backend)
        self._candidates: Digests = digests_of([])

    def plan(self) -> GcPlan:
        """Return the plan, and note what may be moved."""
        roots, options = self._roots, self._options
        roots.reach()
        roots.check_clock()
        batches = list(self._quarantine.batches())
        check_clock(
            self._now,
            ((f"batch `{b.id}` in quarantine", _time(b.time_ns)) for b in batches),
            trusts_clock=True,
        )
        swept = self._parts.sweep(roots.reachable.digests, until_ns=roots.oldest_kept_ns())
        self._check_objects(swept)
        self._candidates = swept.garbage.digests
        numbers = {kept.number for kept in roots.kept}
        return GcPlan(
            time=self._now,
            options=options,
            kept=roots.kept,
            dropped=tuple(
                fact.number
                for fact in reversed(roots.commits)
                if fact.number not in numbers and fact.number not in roots.dropped
            ),
            garbage=tuple(self._garbage(swept.garbage)),
            batches=tuple(self._due()),
            objects=swept.objects,
            bytes=swept.bytes,
            young=swept.young,
            young_bytes=swept.young_bytes,
            live_runs=roots.live_runs,
            rehearsals=len(roots.rehearsals),
            expired=tuple(one.id for one in roots.expired),
        )

    def collect(self) -> GcResult:
        """Do what the plan says, as far as it is still true."""
        plan = self.plan()
        backend, drops = self._store.backend, self._store.commits.drops
        due = [batch.id for batch in plan.batches if batch.is_due]
        with moving(backend):
            self._roots.reach()
            restored = sum(self._restore(batch.id) for batch in plan.batches)
            kept = {one.number for one in self._roots.kept}
            for one in self._roots.expired:
                self._store.rehearsals.delete(one.id)
            if backend.local is not None:
                remove_held(backend.local, spared={one.id for one in self._roots.rehearsals})
            drops.record([n for n in plan.dropped if n not in kept], time=self._now)
        moved = 0
        made: list[str] = []
        for first in range(0, len(self._candidates), MOST_NAMES):
            count, batch = self._move(self._candidates[first : first + MOST_NAMES])
            moved += count
            made += [batch] if batch else []
        result = GcResult(plan=plan, moved=moved, restored=restored)
        result = self._delete(result, due)
        if self._options.is_now:
            with moving(backend):
                self._roots.reach()
            if self._roots.live_runs:
                result = replace(result, kept_batches=len(made))
            else:
                result = self._delete(result, made)
        self._clean(plan)
        backend.sync()
        return result

    def _check_objects(self, swept: Sweep) -> None:
        """Refuse objects from the future."""
        if swept.newest:
            name, time = Objects.path(swept.newest), _time(swept.newest_ns)
            check_clock(self._now, [(f"`{name}`", time)], trusts_clock=True)

    def _due(self) -> Iterator[Due]:
        """Yield what is in quarantine."""
        backend, options, roots = self._store.backend, self._options, self._roots
        for batch in self._quarantine.batches():
            found = [state for _, state in backend.scan(Quarantine.path(batch.id, ""))]
            time = _time(batch.time_ns)
            is_old = self._now - time >= options.grace or (options.is_now and batch.why == _WHY)
            yield Due(
                id=batch.id,
                time=time,
                why=batch.why,
                objects=len(found),
                freed=sum(state.size for state in found if state.links == 1),
                is_due=is_old
                and (roots.live_since is None or (batch.is_complete and time < roots.live_since)),
            )

    def _garbage(self, scan: Scan) -> Iterator[Garbage]:
        """Yield what is moved, by the asset and commit that needed it last; largest first."""
        left = np.ones(len(scan.digests), dtype=np.bool_)
        reached = self._roots.reachable.copy(on_damage=lambda *_: None)
        kept = {one.number for one in self._roots.kept}
        found: list[Garbage] = []
        for fact in reversed(self._roots.commits):
            if fact.number in kept or fact.number in self._roots.dropped:
                continue
            parts: dict[str, list[npt.NDArray[np.intp]]] = {}
            for asset, digests in _parts(reached, fact):
                parts.setdefault(asset, []).append(_positions(scan.digests, digests))
            for asset, positions in parts.items():
                mine = np.concatenate(positions)
                mine = mine[left[mine]]
                left[mine] = False
                if len(mine):
                    found.append(_garbage_of(scan, mine, asset, fact.number))
        if left.any():
            found.append(_garbage_of(scan, np.flatnonzero(left), "", None))
        yield from sorted(found, key=lambda one: (-one.bytes, one.asset, one.commit or 0))

    def _move(self, digests: Digests) -> tuple[int, str]:
        """Move what is still not needed; return how many objects, and the batch."""
        backend, roots = self._store.backend, self._roots
        with moving(backend):
            roots.reach()
            digests = digests[~roots.reachable.digests.has(digests)]
            limit = roots.oldest_kept_ns()
            names = self._old([*map(Objects.path, hex_of(digests))], backend, limit)
            if not names:
                return 0, ""
            batch = self._quarantine.move(names, why=_WHY, time=self._now).id
        count = len(names)
        if backend.local is None:
            # Without locks, somebody may have published meanwhile.
            for part in roots.refresh():
                count -= self._put_back(part, batch)
        return count, batch

    def _old(self, names: list[str], backend: Backend, limit: int) -> list[str]:
        """Return those of some names that were not modified since a time."""
        states = zip(names, backend.states(names), strict=True)
        return [name for name, state in states if state is not None and state.modified_ns <= limit]

    def _put_back(self, digests: Digests, batch: str) -> int:
        names = [Objects.path(digest) for digest in hex_of(digests)]
        held = set(self._quarantine.held(batch))
        return self._quarantine.restore(batch, [name for name in names if name in held])

    def _delete(self, result: GcResult, batches: list[str]) -> GcResult:
        """Delete batches; what is needed of them is put back."""
        deleted = freed = restored = 0
        for batch in batches:
            with moving(self._store.backend):
                self._roots.reach()
                restored += self._restore(batch)
            # No live run began before the batch was complete, so none needs it.
            removed = self._parts.delete(batch, self._quarantine)
            deleted, freed = deleted + removed.names, freed + removed.freed
        return replace(
            result,
            deleted=result.deleted + deleted,
            freed=result.freed + freed,
            restored=result.restored + restored,
        )

    def _restore(self, batch: str) -> int:
        """Put back what is needed of a batch and missing; return how many objects."""
        held = digests_of(object_digests(self._quarantine.held(batch)))
        needed = held[self._roots.reachable.digests.has(held)]
        objects = self._store.objects
        return sum(not objects.has(digest) and objects.restore(digest) for digest in hex_of(needed))

    def _clean(self, plan: GcPlan) -> None:
        """Delete cached values of dropped commits and of old runs; and empty folders."""
        backend = self._store.backend
        if backend.local is not None:
            for folder in backend.local.path("objects").glob("*"):
                with suppress(OSError):  # which is not empty
                    folder.rmdir()
        dropped = {fact.digest for fact in self._roots.commits} - {one.digest for one in plan.kept}
        caches = self._store.caches
        caches.delete_all(f"{_CHECKED}{digest}" for digest in dropped)
        # Workers of a cluster keep them in the bucket.
        for kept in (caches,) if caches is backend else (caches, backend):
            regions = list(kept.list(_REGIONS))
            kept.delete_all(self._old(regions, kept, self._roots.oldest_kept_ns()))


def _parts(reached: Reachable, fact: CommitFact) -> Iterator[tuple[str, Digests]]:
    """Yield what only a dropped commit needs, by asset; what is unreadable is passed over."""
    if fact.origins is not None:
        for digests in reached.origins(fact.origins):
            yield "", digests
    for pages, assets in reached.new_pages(fact.tree):
        yield "", pages
        is_new = ~reached.digests.has(digests_of(stored for _, stored in assets))
        for at in np.flatnonzero(is_new).tolist():
            asset, stored = assets[at]
            for digests in reached.documents([stored]):
                yield asset, digests


def _garbage_of(scan: Scan, at: npt.NDArray[np.intp], asset: str, number: int | None) -> Garbage:
    return Garbage(
        asset=asset,
        commit=number,
        objects=len(at),
        bytes=int(scan.sizes[at].sum()),
        freed=int(scan.freed[at].sum()),
        newest=_time(int(scan.modified[at].max())),
    )


def _positions(known: Digests, digests: Digests) -> npt.NDArray[np.intp]:
    """Return the positions of those digests that are in a sorted array."""
    if not len(known):
        return np.empty(0, dtype=np.intp)
    at: npt.NDArray[np.intp] = np.searchsorted(known, digests)
    at[at == len(known)] = 0
    found: npt.NDArray[np.intp] = at[known[at] == digests]
    return found


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
