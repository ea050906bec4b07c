"""The spine on one screen: load, resolve, plan, execute, commit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from geobatch.errors import InterruptedRunError
from geobatch.execute import Counts, Observer, SilentObserver, execute
from geobatch.model.asset import Resolution
from geobatch.model.digest import Digest
from geobatch.model.plan import Op, Plan
from geobatch.model.record import AssetRecord, Head
from geobatch.plan import needed_records
from geobatch.plan import plan as plan_changes
from geobatch.raster import Reader
from geobatch.resolve import resolve
from geobatch.spec import validate
from geobatch.store.documents import content_root
from geobatch.store.remembered import Remembered
from geobatch.store.tilestore import TileStore
from geobatch.store.zarr_tree import sync

DEFAULT_STORE = Path("store")
_TOOLS = ("geobatch", "numcodecs", "numpy", "rasterio")
"""Distributions that shape pixels or their encoding; their versions go into the commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTotals:
    """What became of the tiles of a run."""

    written: int
    """Tiles whose object the run put."""
    reused: int
    """Tiles of the planned assets that were carried over, or found to be there already."""
    empty: int
    """Fully masked tiles, which are not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteTotals:
    """What a run read and wrote."""

    read: int
    """Source bytes read for pixels."""
    written: int
    """Bytes of tile objects put."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplySummary:
    """What an apply did."""

    plan: Plan
    """The plan that was executed."""
    commit: Digest | None
    """Digest of the new commit; None when nothing had to change."""
    content_root: Digest
    """Content root of the published state after the run."""
    tiles: TileTotals
    """Tile counts, values and masks together."""
    bytes: ByteTotals
    """Byte counts."""
    seconds: float
    """Wall-clock time."""


def plan(paths: Sequence[Path], *, store: Path = DEFAULT_STORE, workers: int | None = None) -> Plan:
    """Return what `apply` would do with some spec files; nothing is written.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; need not exist.
        workers: Threads that look at sources; the number of processors by default.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read.
        PlanError: The sources do not fit together.
        StoreError: The store cannot be read.
    """
    resolution = resolve(validate(paths), workers=workers or default_workers())
    if not is_store(store):
        return plan_changes(resolution, base=_NO_COMMIT, records={}, store_id="")
    with _opened(store) as opened:
        return _plan(resolution, opened, base=opened.head())[0]


def apply(
    paths: Sequence[Path],
    *,
    store: Path = DEFAULT_STORE,
    workers: int | None = None,
    observer: Observer | None = None,
) -> ApplySummary:
    """Make the store hold what some spec files declare, in one atomic commit.

    Args:
        paths: Spec files, or folders of them.
        store: Folder of the store; made if there is none.
        workers: Threads that compute regions; the number of processors by default.
        observer: Told of the progress.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read, or changed while it was read; nothing is published.
        PlanError: The sources do not fit together.
        ConflictError: Another process published a change of the same asset; nothing is published.
        InterruptedRunError: The user stopped the run; says whether anything was published.
        StoreError: The store cannot be used.
    """
    started = time.perf_counter()
    count = workers or default_workers()
    # Resolved before the store is made: specs that cannot be resolved leave no store behind.
    resolution = resolve(validate(paths), workers=count)
    with _opened(store, create=True) as opened:
        base = opened.head()
        made, records = _plan(resolution, opened, base=base)
        counts = Counts()
        with Reader() as reader:
            head = _execute_and_commit(
                made,
                opened,
                base=base,
                records=records,
                reader=reader,
                workers=count,
                observer=observer or SilentObserver(),
                counts=counts,
            )
            bytes_read = reader.bytes_read
        try:
            sync(opened, head=head)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted while the Zarr tree was brought up to date; "
                f"commit {head.number} is published",
                hint="run the same command again: it completes the tree",
            ) from None
        planned = {change.id for change in made.changes}
        stored = sum(entry.tiles for entry in head.tree.entries if entry.id in planned)
        return ApplySummary(
            plan=made,
            commit=head.digest if head.number != base.number else None,
            content_root=content_root(head.tree),
            tiles=TileTotals(
                written=counts.written, reused=stored - counts.written, empty=counts.empty
            ),
            bytes=ByteTotals(read=bytes_read, written=counts.bytes_written),
            seconds=time.perf_counter() - started,
        )


def is_store(place: Path) -> bool:
    """Return whether there is a store at a place."""
    return (place / "geobatch.json").exists()


def default_workers() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_NO_COMMIT = Head(number=0, digest=None)


@contextmanager
def _opened(place: Path, *, create: bool = False) -> Iterator[TileStore]:
    store = TileStore.create(place) if create else TileStore.open(place)
    try:
        yield store
    finally:
        store.close()


def _plan(
    resolution: Resolution, store: TileStore, *, base: Head
) -> tuple[Plan, Mapping[str, AssetRecord]]:
    records = {entry.id: store.record(entry) for entry in needed_records(resolution, base=base)}
    return plan_changes(resolution, base=base, records=records, store_id=store.id), records


def _execute_and_commit(
    made: Plan,
    store: TileStore,
    *,
    base: Head,
    records: Mapping[str, AssetRecord],
    reader: Reader,
    workers: int,
    observer: Observer,
    counts: Counts,
) -> Head:
    if made.is_empty:
        return base
    memory = Remembered(store.backend)
    finished = execute(
        made,
        records=records,
        objects=store.objects,
        index=store.index,
        reader=reader,
        workers=workers,
        observer=observer,
        counts=counts,
        memory=memory,
    )
    changes = {record.asset.id: store.put_record(record) for record in finished}
    # The last look at the sources: what is published was read from files that stood still.
    for change in made.changes:
        for tileset in change.asset.tilesets if change.asset is not None else ():
            for source in tileset.sources:
                reader.check(source)
    head = store.publish(
        base=base,
        changes=changes,
        message=_message(made),
        tools={name: version(name) for name in _TOOLS},
    )
    memory.forget()
    return head


def _message(made: Plan) -> str:
    words = {Op.CREATE: "create", Op.UPDATE: "update", Op.DELETE: "delete"}
    counts = [f"{word} {made.count(op)}" for op, word in words.items() if made.count(op)]
    return ", ".join(counts)
