"""The spine on one screen: load, resolve, plan, execute, commit."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.errors import InterruptedRunError, ProtectedError, SourceError
from geobatch.files import check_unchanged
from geobatch.model.asset import Asset
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plan import AssetChange, BandWork, Failure, Op, Options, Plan, Start
from geobatch.model.plan_json import VERBS
from geobatch.model.record import BandTiles, Head, TreeEntry
from geobatch.model.summary import ApplySummary, ByteTotals, TileTotals
from geobatch.preview import NO_COMMIT, Preview, Ready, look, plan_upon
from geobatch.resolve import resolve
from geobatch.spec import SpecSet
from geobatch.spec.garbage import without_collecting
from geobatch.store.backend import RUNS
from geobatch.store.band_cache import remember_bands
from geobatch.store.cache import SourceCache
from geobatch.store.documents import content_root
from geobatch.store.origins import origin_of
from geobatch.store.remembered import Remembered
from geobatch.store.tilestore import TileStore

if TYPE_CHECKING:
    # What decodes and encodes pixels is loaded by those runs alone that have some.
    from geobatch.execute import Sources

DEFAULT_STORE = Path("store")
__all__ = [
    "DEFAULT_STORE", "ApplySummary", "Approve", "ByteTotals", "Preview", "TileTotals", "apply",
    "default_workers", "is_store", "plan", "preview",
]  # fmt: skip
_DEFAULTS = Options()
_SILENT = SilentObserver()
_TOOLS = ("geobatch", "numcodecs", "numpy", "rasterio")
"""Distributions that shape pixels or their encoding; their versions go into the commit."""
_TABLE_TOOLS = ("pyarrow", "tensorflow")
"""Those that shape tables."""

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
) -> Preview:
    """Return a plan with its inputs; nothing but the cache is written.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; need not exist.
        workers: Threads that look at sources; the number of processors by default.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read.
        PlanError: The sources do not fit together, or a pattern matches no asset.
        StoreError: The store cannot be read.
    """
    with SourceCache(Path(store)) as cache:
        count = workers or default_workers()
        resolve_all = partial(resolve, workers=count, cache=cache, rehash=rehash)
        found, _ = look(
            paths,
            resolve_all,
            keep_going=False,
            keep_project_prefix=options.keeps_project_prefix,
        )
        plan_it = partial(plan_upon, found, cache=cache, place=store, paths=paths, options=options)
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
) -> ApplySummary:
    """Make the store hold what some spec files declare, in one atomic commit.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; made if there is none.
        workers: Threads that compute regions; the number of processors by default.
        observer: Told of the progress.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover.
        keep_going: Whether to publish the other assets where the sources of some fail.
        approve: Shown the plan before anything is done.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read, or changed while it was read; nothing is published.
        PlanError: The sources do not fit together, or a pattern matches no asset.
        ProtectedError: A protected asset, or too many assets, would be deleted.
        ConflictError: Another process published a change of the same asset; nothing is published.
        InterruptedRunError: The user stopped the run; says whether anything was published.
        StoreError: The store cannot be used.
    """
    from geobatch.store.zarr_tree import sync  # noqa: PLC0415

    started = time.perf_counter()
    count = workers or default_workers()
    with SourceCache(Path(store)) as cache:
        # Planned before the store is made: what cannot be done leaves no store behind.
        found, unresolved = look(
            paths,
            partial(resolve, workers=count, cache=cache, rehash=rehash),
            keep_going=keep_going,
            keep_project_prefix=options.keeps_project_prefix,
        )
        plan_it = partial(plan_upon, found, cache=cache, place=store, paths=paths, options=options)
        shown = None
        if not is_store(store):
            shown = plan_it(None, base=NO_COMMIT)
            _check(shown.preview, approve)
        with _opened(store, create=True) as opened:
            cache.save()
            base = opened.head()
            if shown is None or base.number:
                shown = plan_it(opened, base=base)
                _check(shown.preview, approve)
            ready = shown.preview
            failures: dict[str, SourceError] | None = {} if keep_going else None
            done = _Done(head=base)
            if not ready.plan.is_empty:
                done = _execute_and_commit(
                    shown,
                    opened,
                    cache=cache,
                    place=store,
                    base=base,
                    workers=count,
                    observer=observer,
                    failures=failures,
                )
            head = done.head
            try:
                sync(opened, head=head)
            except KeyboardInterrupt:
                raise InterruptedRunError(
                    "interrupted while the Zarr tree was brought up to date; "
                    f"commit {head.number} is published",
                    hint="run the same command again: it completes the tree",
                ) from None
            planned = {change.id for change in ready.plan.changes} - set(failures or ())
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
                failures=(*unresolved, *_failures(failures or {})),
            )


def is_store(place: Path) -> bool:
    """Return whether there is a store at a place."""
    return (place / "geobatch.json").exists()


def default_workers() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
            "; a protected asset goes in two applies: first with `lifecycle: {protect: false}`, "
            "then without its spec"
        )
        raise ProtectedError(
            "; ".join(shown.plan.refusals), hint=f"nothing was done{two if is_protected else ''}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """What carrying out a plan did."""

    head: Head
    written: int = 0
    empty: int = 0
    rows: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


def _execute_and_commit(
    ready: Ready,
    store: TileStore,
    *,
    cache: SourceCache,
    place: Path,
    base: Head,
    workers: int,
    observer: Observer,
    failures: dict[str, SourceError] | None,
) -> _Done:
    from geobatch.execute import Counts, Sources, execute, execute_tables  # noqa: PLC0415

    made = ready.preview.plan
    memory = Remembered(store.backend)
    counts = Counts()
    changes: dict[str, TreeEntry | None] = {}
    bands: dict[Digest, BandTiles] = {}
    work = {change.id: change.work for change in made.changes}
    with Sources(folder=place / RUNS, cache=cache) as reader:
        finished = execute(
            made,
            records=ready.records,
            known=ready.known,
            objects=store.objects,
            index=store.index,
            reader=reader,
            workers=workers,
            observer=observer,
            counts=counts,
            memory=memory,
            failures=failures,
        )
        tables = execute_tables(
            made,
            records=ready.records,
            objects=store.objects,
            folder=place / RUNS,
            observer=observer,
            counts=counts,
            failures=failures,
        )
        for record in chain(finished, tables):
            try:
                _finish_reading(record.asset, work[record.asset.id], reader)
            except SourceError as error:
                if failures is None:
                    raise
                failures[record.asset.id] = error
                continue
            changes[record.asset.id] = store.put_record(record)
            for band_id, fingerprint in record.fingerprints:
                bands[fingerprint.pyramid] = record.tiles_of(band_id)
        changes |= _deleted(made)
        for change in made.changes:
            if change.id in changes and change.asset is not None:
                _check_stood_still(change.asset, reader, changes, failures)
    renamed = {
        change.id: change.previous_id
        for change in made.changes
        if change.op is Op.RENAME and change.id in changes
    }
    changes |= dict.fromkeys(renamed.values())
    head = store.publish(
        base=base,
        changes=changes,
        renamed=renamed,
        message=_message(change for change in made.changes if change.id in changes),
        tools={name: version(name) for name in _tools(made)},
        origins=_origins(ready.preview.specs, place),
    )
    remember_bands(cache, bands)
    if not failures:
        memory.forget()
    return _Done(
        head=head,
        written=counts.written,
        empty=counts.empty,
        rows=counts.rows,
        bytes_read=reader.bytes_read + counts.bytes_read,
        bytes_written=counts.bytes_written,
    )


def _deleted(made: Plan) -> dict[str, TreeEntry | None]:
    return {change.id: None for change in made.changes if change.op is Op.DELETE}


def _tools(made: Plan) -> Iterator[str]:
    yield from _TOOLS
    assets = (change.asset for change in made.changes if change.asset is not None)
    if any(change.table is not None and change.table.is_read for change in made.changes):
        yield from _TABLE_TOOLS
    elif any(tileset.features for asset in assets for tileset in asset.tilesets):
        yield "tensorflow"


def _finish_reading(asset: Asset, work: Sequence[BandWork], reader: Sources) -> None:
    """Have sources that were read checked to their end: a record too many masks no pixel."""
    bands = [asset.band(one.band) for one in work if one.start is Start.SOURCES]
    names = {name for band in bands for name in (band.tileset, band.masking.tileset)}
    for tileset in asset.tilesets:
        if tileset.id in names:
            for source in tileset.sources:
                reader.finish(source)


def _check_stood_still(
    asset: Asset,
    reader: Sources,
    changes: dict[str, TreeEntry | None],
    failures: dict[str, SourceError] | None,
) -> None:
    """Look at an asset's sources a last time: what is published was read from still files."""
    try:
        for tileset in asset.tilesets:
            for source in tileset.sources:
                reader.check(source)
        for row_source in asset.table.sources if asset.table is not None else ():
            if row_source.stat is not None:
                check_unchanged(row_source.path, row_source.uri, row_source.stat)
    except SourceError as error:
        if failures is None:
            raise
        failures[asset.id] = error
        del changes[asset.id]


def _origins(specs: SpecSet, place: Path) -> dict[str, str]:
    """Return where each asset is declared, by id, relative to the store."""
    files = {path: origin_of(path, store=place) for path in {spec.path for spec in specs.specs}}
    return {spec.id: files[spec.path] for spec in specs.specs}


def _failures(errors: Mapping[str, SourceError]) -> Iterator[Failure]:
    for asset_id, error in sorted(errors.items()):
        yield Failure(id=asset_id, code=error.code.value, message=error.message)


def _message(changes: Iterable[AssetChange]) -> str:
    ops = Counter(change.op for change in changes)
    return ", ".join(f"{word} {ops[op]}" for op, word in VERBS.items() if ops[op])
