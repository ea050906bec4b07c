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
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.errors import InterruptedRunError, ProtectedError, SourceError
from geobatch.model.asset import Asset
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plan import AssetChange, Failure, Op, Options, Plan
from geobatch.model.record import BandTiles, Head, TreeEntry
from geobatch.model.summary import ApplySummary, ByteTotals, TileTotals
from geobatch.preview import NO_COMMIT, Preview, Ready, look, plan_upon
from geobatch.resolve import resolve
from geobatch.spec import SpecSet
from geobatch.store.band_cache import remember_bands
from geobatch.store.cache import SourceCache
from geobatch.store.documents import content_root
from geobatch.store.listing import keep_rows
from geobatch.store.origins import origin_of
from geobatch.store.remembered import Remembered
from geobatch.store.tilestore import TileStore

if TYPE_CHECKING:
    # What decodes and encodes pixels is loaded by those runs alone that have some.
    from geobatch.raster import Reader

DEFAULT_STORE = Path("store")
__all__ = [
    "DEFAULT_STORE", "ApplySummary", "Approve", "ByteTotals", "Preview", "TileTotals", "apply",
    "default_workers", "is_store", "plan", "preview",
]  # fmt: skip
_DEFAULTS = Options()
_SILENT = SilentObserver()
_TOOLS = ("geobatch", "numcodecs", "numpy", "rasterio")
"""Distributions that shape pixels or their encoding; their versions go into the commit."""


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
        found, _ = look(paths, resolve_all, keep_going=False)
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
        is_protected = any(change.blocked for change in shown.plan.changes)
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
    from geobatch.execute import Counts, execute  # noqa: PLC0415
    from geobatch.raster import Reader  # noqa: PLC0415
    from geobatch.raster.bounds import transform_bounds  # noqa: PLC0415

    made = ready.preview.plan
    memory = Remembered(store.backend)
    counts = Counts()
    changes: dict[str, TreeEntry | None] = {}
    bands: dict[Digest, BandTiles] = {}
    with Reader() as reader:
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
        for record in finished:
            changes[record.asset.id] = store.put_record(record)
            for band_id, fingerprint in record.fingerprints:
                bands[fingerprint.pyramid] = record.tiles_of(band_id)
        changes |= _deleted(made)
        for change in made.changes:
            if change.id in changes and change.asset is not None:
                _check_stood_still(change.asset, reader, changes, failures)
    head = store.publish(
        base=base,
        changes=changes,
        message=_message(change for change in made.changes if change.id in changes),
        tools={name: version(name) for name in _TOOLS},
        origins=_origins(ready.preview.specs, place),
    )
    remember_bands(cache, bands)
    assets = {change.id: change.asset for change in made.changes if change.asset is not None}
    keep_rows(store, head, assets, locate=transform_bounds)
    if not failures:
        memory.forget()
    return _Done(
        head=head,
        written=counts.written,
        empty=counts.empty,
        bytes_read=reader.bytes_read,
        bytes_written=counts.bytes_written,
    )


def _deleted(made: Plan) -> dict[str, TreeEntry | None]:
    return {change.id: None for change in made.changes if change.op is Op.DELETE}


def _check_stood_still(
    asset: Asset,
    reader: Reader,
    changes: dict[str, TreeEntry | None],
    failures: dict[str, SourceError] | None,
) -> None:
    """Look at an asset's sources a last time: what is published was read from still files."""
    try:
        for tileset in asset.tilesets:
            for source in tileset.sources:
                reader.check(source)
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
    words = {Op.CREATE: "create", Op.UPDATE: "update", Op.DELETE: "delete"}
    ops = Counter(change.op for change in changes)
    return ", ".join(f"{word} {ops[op]}" for op, word in words.items() if ops[op])
