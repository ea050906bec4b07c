"""The repair of a store: what is wrong is moved to quarantine, restored, or computed again.

Nothing is deleted, and nothing is done that the plan did not name. What is restored is compared
with the digest that names it; a second check says what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import load
from geobatch.errors import CorruptObjectError, GeobatchError, StoreError
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.observer import Observer, SilentObserver
from geobatch.processors import processor_count
from geobatch.store.backends.protocol import RUNS, Backend, parse_name
from geobatch.store.backends.run_folder import remove_dead_runs
from geobatch.store.caches.cache import SourceCache
from geobatch.store.commits.drops import GC_RUNS, Drops
from geobatch.store.commits.refs import REFS, SHOWN_BY, Refs
from geobatch.store.identity import IDENTITY, new_identity
from geobatch.store.location import StoreLocation
from geobatch.store.maintenance.fsck.contents import NOTHING, Progress, Subset, no_progress
from geobatch.store.maintenance.fsck.findings import Finding, Kind, Report
from geobatch.store.maintenance.fsck.restore import Restored, Restorer, write
from geobatch.store.maintenance.quarantine import (
    MOST_NAMES,
    Quarantine,
    find_object,
    whole_objects,
)
from geobatch.store.objects import Objects
from geobatch.store.origins import path_of
from geobatch.store.tilestore import Location, TileStore, open_backend
from geobatch.views.store_views import StoreViews, views_there
from geobatch.workflow.executors import connected
from geobatch.workflow.maintenance.fsck import VIEWS, Audited, audit, is_shown, made_again
from geobatch.workflow.maintenance.recompute import Recomputing, plan_recomputing, recompute
from geobatch.workflow.maintenance.upkeep import executor_here
from geobatch.workflow.publication import declared_in
from geobatch.workflow.request import DEFAULT_STORE, Request

_ROUNDS = 4
"""Repairs in a row: what one restores may show more that is damaged."""
_WHY = "fsck --repair: damaged or foreign"


class RepairPlan(Struct, frozen=True, kw_only=True, eq=False):
    """What a repair does, in this order."""

    moved: tuple[str, ...] = ()
    """Names that are moved to quarantine, except those of views."""
    is_new_identity: bool = False
    """Whether the store gets a new id."""
    dropped: tuple[int, ...] = ()
    """Numbers of commits that are recorded as dropped again: the record of `gc` is damaged."""
    restored: Restored = Restored()
    """Refs and documents that are told from others."""
    returned: tuple[Digest, ...] = ()
    """Objects that are put back from quarantine; then there is nothing else in the plan."""
    copied: Mapping[Digest, str] = {}
    """Objects that are copied from intact files of the views, by digest."""
    recomputing: Recomputing = Recomputing()
    """What is computed from sources."""
    shown: tuple[str, ...] = ()
    """Names of views that are moved to quarantine."""
    is_shown_again: bool = False
    """Whether the views are compared and completed."""
    left: tuple[str, ...] = ()
    """What is not repaired, and why."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be done."""
        restored = self.restored
        return not (
            self.moved
            or self.is_new_identity
            or restored.refs
            or restored.documents
            or restored.commit
            or self.returned
            or self.copied
            or self.recomputing.planned is not None
            or self.shown
            or self.is_shown_again
        )


class Repaired(Struct, frozen=True, kw_only=True):
    """What a repair did."""

    before: Report
    """What was found at first."""
    after: Report
    """What is left."""
    batches: tuple[str, ...] = ()
    """Names of the batches in quarantine."""
    left: tuple[str, ...] = ()
    """What was not repaired, and why."""


def repair(
    store: Location,
    paths: Sequence[Path | str] = (),
    *,
    subset: Subset = NOTHING,
    workers: int | None = None,
    progress: Progress = no_progress,
    observer: Observer | None = None,
    approve: Callable[[RepairPlan, Report], bool] = lambda *_: True,
    executor: Any = None,
) -> Repaired:
    """Check a store and repair what is damaged, missing or foreign.

    Args:
        store: A folder, a url, or a backend that is open; in one that is on no disk, no assets are
            computed again.
        paths: Spec files or folders to compute from; by default those that published the assets.
        subset: Objects of which every byte is read; of the others, existence and length.
        workers: Threads that read, and tasks that are run at a time; by default one per processor.
        progress: Notified while objects are read.
        observer: Receives the progress of what is computed.
        approve: Receives each plan, and what was found, before anything is done; False ends it.
        executor: What reads objects, and computes tiles; see `Request.executor`.

    Returns:
        What was found, and what is left.

    Raises:
        NoStoreError: There is no store.
        FormatError: A newer geobatch wrote it.
        InterruptedRunError: The user stopped the repair; it can be repeated.
        StoreError: The store cannot be read or written.
    """
    location, backend = _located(store)
    where, count = location or DEFAULT_STORE, workers or processor_count()
    left, batches, tried = list[str](), list[str](), set[Digest]()
    is_agreed, rounds = True, 0
    with connected(executor_here(executor, workers=count)) as chosen:
        check = partial(
            audit, backend, subset=subset, workers=count, progress=progress, executor=chosen
        )
        first = found = check()
        while rounds < _ROUNDS:
            if found.report.is_whole and not found.is_unfinished:
                break
            request = Request.of(paths, store=where, workers=count, executor=chosen)
            with closing(_Repair(backend, found, request, bool(location), tried=tried)) as run:
                plan = run.plan()
                left += plan.left
                is_agreed = approve(plan, found.report)
                if not is_agreed or plan.is_empty:
                    break
                left += run.execute(plan, observer or SilentObserver())
                batches += run.batches
            rounds += not plan.returned  # of these there are only so many
            found = check()
    if is_agreed:
        _remove_dead_runs(backend)
    named = () if found.report.is_whole else tuple(dict.fromkeys(left))
    return Repaired(before=first.report, after=found.report, batches=tuple(batches), left=named)


class _Repair:
    """One round: a plan, and its execution."""

    def __init__(
        self,
        backend: Backend,
        found: Audited,
        request: Request,
        is_located: bool,
        *,
        tried: set[Digest],
    ) -> None:
        self._backend = backend
        self._objects = Objects(backend)
        self._found = found
        self._checked = found.checked
        self._request = request
        self._is_located = is_located
        self._cache = SourceCache(request.store if is_located else None)
        self._store: TileStore | None = None
        self._tried = tried
        self.batches: list[str] = []

    def close(self) -> None:
        """Let go of the store and its cache."""
        self._cache.close()
        if self._store is not None:
            self._store.close()

    def plan(self) -> RepairPlan:
        """Return what can be done; nothing is changed."""
        if returned := whole_objects(self._backend, self._checked.damaged):
            return RepairPlan(returned=returned)  # then everything is checked again
        findings = self._found.report.findings
        restored = Restorer(self._objects, self._checked, self._origins).find()
        copied = {
            digest: path
            for digest, path in self._found.intact.items()
            if digest not in restored.documents
        }
        recomputing = self._recomputing({*restored.documents, *copied})
        moved, shown, left = self._moved(findings, restored)
        plan = RepairPlan(
            moved=moved,
            dropped=tuple(self._dropped(findings, restored)),
            is_new_identity=any(one.name == IDENTITY for one in findings),
            restored=restored,
            copied=copied,
            recomputing=recomputing,
            left=(*recomputing.left, *left),
        )
        if restored.commit is not None:
            # It must not name the commit that is lost.
            return replace(plan, shown=tuple(self._documents()))
        if not plan.is_empty:  # the views are compared with what is whole by then
            return plan
        is_shown_again = self._found.is_unfinished or any(map(is_shown, findings))
        if self._backend.local is None:
            shown = (*shown, *made_again(findings))
        return replace(plan, shown=tuple(dict.fromkeys(shown)), is_shown_again=is_shown_again)

    def _documents(self) -> Iterator[str]:
        """Yield the documents of views that say which commit is shown."""
        for name in SHOWN_BY:
            if self._backend.size(name) is not None:
                yield name

    def _dropped(self, findings: Sequence[Finding], restored: Restored) -> Iterator[int]:
        """Yield the commits without a tree, if the record of those that `gc` dropped is damaged."""
        if not any(one.name.startswith(GC_RUNS) for one in findings if one.kind is Kind.DAMAGED):
            return
        for step in self._checked.steps:
            tree = None if step.commit is None else step.commit.tree
            is_gone = tree in self._checked.damaged and not self._objects.has(tree or "")
            if is_gone and tree not in restored.documents and step != self._checked.head:
                yield step.number

    def _moved(
        self, findings: Sequence[Finding], restored: Restored
    ) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Return what is moved to quarantine: of the store, of its views; and what is left."""
        left: list[str] = []
        names: list[str] = []
        for one in findings:
            if one.name.startswith(REFS) and one.number and one.number not in restored.refs:
                left.append(f"`{one.name}`: it is not known which commit it named")
            elif one.kind is Kind.MISSING:
                continue
            elif not _is_valid(one.name):
                left.append(f"`{one.name}`: it is not a valid name; move it by hand")
            else:
                names.append(one.name)
        if restored.commit is not None:
            names.append(Refs.path(restored.commit[0]))
        names = list(dict.fromkeys(names))
        return (
            tuple(name for name in names if not name.startswith(VIEWS)),
            tuple(name for name in names if name.startswith(VIEWS)),
            tuple(left),
        )

    def _open(self) -> TileStore | None:
        """Return the open store, if it can be opened and its newest commit can be read."""
        if self._store is None:
            try:
                self._store = TileStore(self._backend)
                _ = self._store.head().tree.entries  # all pages are whole
            except CorruptObjectError:
                self._store = None
        return self._store

    def _origins(self) -> dict[str, str]:
        """Return which spec files declare assets now, where specs were given."""
        if not self._request.paths:
            return {}
        try:
            return declared_in(load(self._request.paths), self._request.store.base, is_git=False)[0]
        except GeobatchError:
            return {}

    def _recomputing(self, restored: set[Digest]) -> Recomputing:
        store = self._open()
        hurt = [one for one in self._checked.hurt if one.entry.stored not in self._tried]
        if store is None or not hurt:
            return Recomputing()
        if not self._is_located:
            return Recomputing(left=("assets are computed again only in a store on a disk",))
        paths = self._request.paths or tuple(self._published(store))
        return plan_recomputing(
            store,
            hurt,
            damaged={one.entry.id for one in self._checked.hurt},
            paths=paths,
            restored=restored,
            request=self._request,
            cache=self._cache,
        )

    def _published(self, store: TileStore) -> Iterator[Path]:
        """Yield the spec files that published the damaged assets, as far as they exist."""
        try:
            origins = store.origins(store.head())
        except CorruptObjectError:
            return
        found = {origins[one.entry.id] for one in self._checked.hurt if one.entry.id in origins}
        for origin in sorted(found):
            path = Path(path_of(origin, store=self._request.store.base))
            if path.exists():
                yield path

    def execute(self, plan: RepairPlan, observer: Observer) -> tuple[str, ...]:
        """Do what a plan says; return what is left.

        Raises:
            InterruptedRunError: The user stopped the run.
            StoreError: The store cannot be written.
        """
        copies = {digest: self._intact(path, digest) for digest, path in plan.copied.items()}
        self._move((*plan.moved, *plan.shown))
        if plan.is_new_identity:
            self._backend.create(IDENTITY, new_identity(views_there(self._backend)))
        if plan.dropped:
            Drops(self._backend).record(plan.dropped, time=datetime.now(UTC))
        write(self._objects, plan.restored)
        for digest in plan.returned:
            find_object(self._backend, digest, is_restored=True)
        for data in copies.values():
            if data is not None:
                self._objects.put(data)
        self._backend.sync()
        store = self._open()
        left: tuple[str, ...] = ()
        if store is not None:
            left = recompute(
                store,
                plan.recomputing,
                request=self._request,
                cache=self._cache,
                observer=observer,
            )
            self._tried |= {one.entry.stored for one in plan.recomputing.states.values()}
            if plan.is_shown_again:
                findings = self._found.report.findings
                hurt = {hurt.asset for one in findings if is_shown(one) for hurt in one.hurts}
                StoreViews(store).update(is_lenient=True, again=hurt)
        return left

    def _intact(self, path: str, digest: Digest) -> bytes | None:
        """Return the bytes of a file of a view, if they are still those of an object."""
        local = self._backend.local
        try:
            data = self._backend.get(path) if local is None else Path(path).read_bytes()
        except (OSError, StoreError):
            return None
        return data if digest_bytes(data) == digest else None

    def _move(self, names: Sequence[str]) -> None:
        if not names:
            return
        quarantine = Quarantine(self._backend)
        for start in range(0, len(names), MOST_NAMES):
            batch = quarantine.move(names[start : start + MOST_NAMES], why=_WHY)
            self.batches.append(batch.id)


def _located(store: Location) -> tuple[StoreLocation | None, Backend]:
    """Return where a store is, and its backend; None if it is in the memory of this process."""
    backend = open_backend(store)
    if isinstance(store, StoreLocation | Path | str):
        return StoreLocation.of(store), backend
    return None if backend.local is None else StoreLocation(folder=backend.local.root), backend


def _remove_dead_runs(backend: Backend) -> None:
    if backend.local is not None:
        with suppress(OSError):  # the next apply removes them
            remove_dead_runs(backend.local.root / RUNS)


def _is_valid(name: str) -> bool:
    try:
        parse_name(name).encode()
    except (StoreError, UnicodeEncodeError):
        return False
    return True
