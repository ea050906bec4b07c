"""The spine on one screen: load, resolve, plan, execute, commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.declare.loading.garbage import without_collecting
from geobatch.errors import InterruptedRunError, ProtectedError, StoreError
from geobatch.format.documents import content_root
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plans.plan import Op, Options, Plan
from geobatch.model.plans.summary import ApplySummary, ByteTotals, TileTotals
from geobatch.model.published import Head
from geobatch.processors import processor_count
from geobatch.resolve import resolve
from geobatch.store.backends.protocol import RUNS
from geobatch.store.backends.run_folder import remove_dead_runs
from geobatch.store.caches.cache import SourceCache
from geobatch.store.identity import is_store
from geobatch.store.maintenance.unsynced import settle
from geobatch.store.tilestore import TileStore
from geobatch.workflow.carry_out import Done, carry_out
from geobatch.workflow.planning import NO_COMMIT, Preview, look, plan_upon

if TYPE_CHECKING:
    from geobatch.execute import Executor
    from geobatch.views.zarr.staging import Ahead

DEFAULT_STORE = Path("store")
__all__ = [
    "DEFAULT_STORE", "ApplySummary", "Approve", "ByteTotals", "Preview", "TileTotals", "apply",
    "is_store", "plan", "preview",
]  # fmt: skip
_DEFAULTS = Options()
_SILENT = SilentObserver()

Approve = Callable[[Preview], object]
"""Is shown what is about to be done, and raises to prevent it."""


def plan(
    paths: Sequence[Path],
    *,
    store: Path = DEFAULT_STORE,
    workers: int | None = None,
    rehash: bool = False,
    options: Options = _DEFAULTS,
) -> Plan:
    """Return what `apply` would do with some spec files; nothing but the cache is written.

    For the arguments and errors see `preview`.
    """
    return preview(paths, store=store, workers=workers, rehash=rehash, options=options).plan


@without_collecting()
def preview(
    paths: Sequence[Path],
    *,
    store: Path = DEFAULT_STORE,
    workers: int | None = None,
    rehash: bool = False,
    options: Options = _DEFAULTS,
    keep_going: bool = False,
) -> Preview:
    """Return a plan with its inputs; nothing but the cache is written.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; need not exist.
        workers: Threads that probe sources; the number of processors by default.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover.
        keep_going: Whether to plan the other assets where the sources of some fail.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read.
        PlanError: The sources do not fit together, or a pattern matches no asset.
        StoreError: The store cannot be read.
    """
    with SourceCache(Path(store)) as cache:
        count = workers or processor_count()
        resolve_all = partial(resolve, workers=count, cache=cache, rehash=rehash)
        found = _planning()(look)(
            paths,
            resolve_all,
            keep_going=keep_going,
            keep_project_prefix=options.keeps_project_prefix,
            select=options.select,
            cache=cache,
        )
        plan_it = partial(
            _planning()(plan_upon), found, cache=cache, place=store, paths=paths, options=options
        )
        if not is_store(store):
            return plan_it(None, base=NO_COMMIT).preview
        with _opened(store) as opened:
            return plan_it(opened, base=opened.head()).preview


def apply(
    paths: Sequence[Path],
    *,
    store: Path = DEFAULT_STORE,
    workers: int | None = None,
    observer: Observer = _SILENT,
    rehash: bool = False,
    options: Options = _DEFAULTS,
    keep_going: bool = False,
    approve: Approve = lambda _: None,
    executor: Executor | None = None,
) -> ApplySummary:
    """Make the store hold what some spec files declare, in one atomic commit.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; made if there is none.
        workers: Tasks that are run at a time; the number of processors by default.
        observer: Told of the progress.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover.
        keep_going: Whether to publish the other assets where the sources of some fail.
        approve: Shown the plan before anything is done.
        executor: How tasks are run; by default, what suits the plan.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read, or changed while it was read; nothing is published.
        PlanError: The sources do not fit together, or a pattern matches no asset.
        ProtectedError: A protected asset, or too many assets, would be deleted.
        ConflictError: Another process published a change of the same asset; nothing is published.
        InterruptedRunError: The user stopped the run; says whether anything was published.
        StoreError: The store cannot be used.
    """
    started = time.perf_counter()
    count = workers or processor_count()
    with SourceCache(Path(store)) as cache:
        # Planned before the store is made: what cannot be done leaves no store behind.
        found = _planning()(look)(
            paths,
            partial(
                resolve, workers=count, cache=cache, rehash=rehash, meanwhile=_load_what_executes
            ),
            keep_going=keep_going,
            keep_project_prefix=options.keeps_project_prefix,
            select=options.select,
            cache=cache,
        )
        plan_it = partial(
            _planning()(plan_upon), found, cache=cache, place=store, paths=paths, options=options
        )
        shown = None
        if not is_store(store):
            shown = plan_it(None, base=NO_COMMIT)
            _check(shown.preview, approve)
        with _opened(store, create=True) as opened:
            settle(opened)
            cache.save()
            base = opened.head()
            # What a killed run left is completed first; planning names what is damaged.
            trouble: StoreError | None = None
            try:
                _show(opened, base, base, cache=cache, is_lenient=True)
            except StoreError as error:
                trouble = error  # raised below, when it is known whether anything was to be done
            if shown is None or base.number:
                shown = plan_it(opened, base=base, is_applied=True)
                _check(shown.preview, approve)
            ready = shown.preview
            if trouble is not None:
                raise _undone(trouble, ready.plan)
            done = Done(head=base)
            if not ready.plan.is_empty:
                done = carry_out(
                    shown,
                    opened,
                    cache=cache,
                    place=store,
                    base=base,
                    workers=count,
                    observer=observer,
                    keep_going=keep_going,
                    executor=executor,
                )
            failed = {failure.id for failure in done.failures}
            head = done.head
            if not ready.plan.is_empty:
                again = {one.id for one in ready.plan.changes if one.op is not Op.KEEP}
                again -= failed
                _show(opened, base, head, cache=cache, ahead=done.ahead, again=again)
            # Not before: this run has taken what they had made, and deleting their files is slow.
            with suppress(OSError):  # the next apply removes them
                remove_dead_runs(Path(store) / RUNS)
            planned = {change.id for change in ready.plan.changes} - failed
            stored = sum(entry.tiles for entry in head.tree.entries if entry.id in planned)
            return ApplySummary(
                plan=ready.plan,
                commit=head.digest if head.number != base.number else None,
                content_root=content_root(head.tree),
                tiles=TileTotals(
                    written=done.written,
                    reused=max(0, stored - done.written),
                    empty=done.empty,
                ),
                rows=done.rows,
                bytes=ByteTotals(read=done.bytes_read, written=done.bytes_written),
                seconds=time.perf_counter() - started,
                failures=(*found.failures, *done.failures),
                warnings=done.warnings,
            )


def _show(
    opened: TileStore,
    base: Head,
    head: Head,
    *,
    cache: SourceCache,
    ahead: Ahead | None = None,
    again: Collection[str] = (),
    is_lenient: bool = False,
) -> None:
    """Make `zarr/` and `parquet/` show a head: before the run its base, then what it published.

    What goes wrong says whether a commit is published.
    """
    from geobatch.views.zarr.tree import sync  # noqa: PLC0415 - loads codecs

    is_new = head.number != base.number
    hint = "run the same command again: it completes the tree"
    try:
        sync(
            opened,
            head=head,
            ahead=ahead,
            cache=cache,
            again=again,
            is_thorough=not is_new,
            is_lenient=is_lenient,
        )
    except KeyboardInterrupt:
        published = f"commit {head.number} is published" if is_new else "nothing was published"
        raise InterruptedRunError(
            f"interrupted while the Zarr tree was being updated; {published}", hint=hint
        ) from None
    except StoreError as error:
        if not is_new:
            raise
        raise StoreError(
            f"commit {head.number} (`{head.digest}`) is published, but the Zarr tree could not be "
            f"updated: {error.message}",
            hint=hint,
        ) from error


def _undone(error: StoreError, planned: Plan) -> StoreError:
    """Return the error of a tree that could not be completed before anything was done."""
    if planned.is_empty:
        said = "nothing was to be done, every asset is as declared"
    else:
        said = "nothing was done and nothing was published"
    error.message = f"{said}; {error.message}"
    error.args = (error.message,)
    return error


def _load_what_executes() -> None:
    """Load what new sources will need, while other threads probe them."""
    import_module("geobatch.execute")
    import_module("geobatch.views.zarr.tree")


@contextmanager
def _planning() -> Iterator[None]:
    """Say what an interrupt means while sources are looked at and a plan is made."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted while the plan was made; nothing was done",
            hint="run the same command again: what was found out of sources is kept",
        ) from None


@contextmanager
def _opened(place: Path, *, create: bool = False) -> Iterator[TileStore]:
    store = TileStore.create(place) if create else TileStore.open(place)
    try:
        yield store
    finally:
        store.close()


def _check(shown: Preview, approve: Approve) -> None:
    approve(shown)
    if shown.plan.refusals:
        is_protected = any(
            change.blocked and change.op is Op.DELETE for change in shown.plan.changes
        )
        two = (
            "; to delete a protected asset, apply twice: first with `lifecycle: {protect: false}`, "
            "then without its spec"
        )
        raise ProtectedError(
            "; ".join(shown.plan.refusals), hint=f"nothing was done{two if is_protected else ''}"
        )
