"""Many new images of few tiles, by processes: threads would take turns at Python's lock.

Each process computes whole images, puts their tiles and index pages, and says where they are. What
a killed run had finished is only shown.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from geobatch.errors import GeobatchError, SourceError
from geobatch.execute.allocator import keep_freed_memory
from geobatch.execute.counts import Counts
from geobatch.execute.levels import AssetRun, Shared
from geobatch.model.assets.asset import Kind
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Start
from geobatch.model.published import ArrayKey, AssetRecord, BandFingerprint, BandTiles, PageRef
from geobatch.processes import Crew, Item, alone, can_start, serve
from geobatch.sources.driver import Reader
from geobatch.sources.geotiff import gdal_environment, stay_in_environment
from geobatch.sources.reader import Sources
from geobatch.sources.registry import driver_named
from geobatch.store.backends.protocol import RUNS, LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.index import Index
from geobatch.store.objects import Objects

_WORTH = 300
"""Images that another process should have to compute."""
_MOST_TILES = 64
"""Tiles of an image that is small: threads share larger ones well."""
_AT_A_TIME = 8
_PROGRAM = "from geobatch.execute.by_processes import main; main()"
_FIRST_ARGUMENT = 5


class Done(Struct, frozen=True, kw_only=True, array_like=True):
    """What was made of one image."""

    id: str
    arrays: tuple[tuple[ArrayKey, PageRef | None], ...] = ()
    fingerprints: tuple[tuple[str, BandFingerprint], ...] = ()
    counts: Counts = field(default_factory=Counts)
    """How much was done, with the source bytes read for pixels."""
    sunk: bytes = b""
    """What the sink made of it."""
    is_failed: bool = False
    """Whether it came to nothing, for whatever reason."""


class Finished(Struct, frozen=True, kw_only=True):
    """An image whose tiles are all put."""

    record: AssetRecord
    """Where they are."""
    counts: Counts
    """How much was done; source bytes are those read by another process."""


def execute_apart(
    changes: Iterable[AssetChange], *, shared: Shared, workers: int, keep_going: bool
) -> Iterator[Finished]:
    """Compute those images that are new and small by this process and others, in any order.

    Left out are those that a process had taken that died, and all where none can be started.

    Args:
        changes: What is to be done, among it other things.
        shared: What the work of this process is done with.
        workers: Most processes at work, this one among them.
        keep_going: Whether to leave out those whose sources fail.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved; unless it may fail.
    """
    changes = [change for change in changes if _is_small(change)]
    others = min(workers - 1, len(changes) // _WORTH)
    local = shared.objects.backend.local
    if others < 1 or local is None or not can_start():
        return
    batches = [changes[at : at + _AT_A_TIME] for at in range(0, len(changes), _AT_A_TIME)]
    disk, lock = local.share()
    sink = None if shared.sink is None else shared.sink.for_processes(others, disk)
    try:
        crew = Crew(
            _PROGRAM,
            (pickle.dumps((batch, _known(batch, shared)), protocol=5) for batch in batches),
            others=others,
            arguments=[pickle.dumps((disk, sink)).hex()],
            shared=[lock],
        )
    except OSError:
        return
    by_id = {change.id: change for change in changes}
    with crew:
        decode = msgspec.msgpack.Decoder(list[Done]).decode
        while taken := crew.take():
            for number, _ in taken:
                yield from _compute_here(batches[number], shared, keep_going=keep_going)
            for answer in crew.answers():
                yield from _hear(decode(answer), by_id, shared, keep_going=keep_going)
        for answer in crew.rest():
            yield from _hear(decode(answer), by_id, shared, keep_going=keep_going)


def _is_small(change: AssetChange) -> bool:
    """Return whether a change is a new image of few tiles, from sources that a worker can read."""
    asset = change.asset
    return (
        asset is not None
        and asset.kind is Kind.IMAGE
        and change.tiles.total <= _MOST_TILES
        and (change.is_taken_over or not change.carried)
        and all(work.base is None and work.start is Start.SOURCES for work in change.work)
        and all(
            driver_named(source.driver).is_portable
            for tileset in asset.tilesets
            for source in tileset.sources
        )
    )


def _known(batch: Sequence[AssetChange], shared: Shared) -> dict[Digest, BandTiles]:
    """Return the finished bands that are taken over."""
    return {name: shared.known[name] for change in batch for _, (_, name) in change.carried}


def _compute_here(
    batch: Sequence[AssetChange], shared: Shared, *, keep_going: bool
) -> Iterator[Finished]:
    found = []
    with alone(), gdal_environment():  # not across a yield
        for change in batch:
            try:
                record, counts = _compute(change, shared)
            except SourceError:
                if not keep_going:
                    raise
                continue
            found.append(Finished(record=record, counts=counts))
    yield from found


def _hear(
    answer: Sequence[Done], changes: dict[str, AssetChange], shared: Shared, *, keep_going: bool
) -> Iterator[Finished]:
    for done in answer:
        change = changes[done.id]
        if done.is_failed or change.asset is None:
            # To say what is wrong with it, at once.
            yield from _compute_here([change], shared, keep_going=keep_going)
            continue
        if shared.sink is not None:
            shared.sink.unpack(done.id, done.sunk)
        yield Finished(
            record=AssetRecord(
                asset=change.asset, arrays=done.arrays, fingerprints=done.fingerprints
            ),
            counts=done.counts,
        )


def _compute(change: AssetChange, shared: Shared) -> tuple[AssetRecord, Counts]:
    """Compute an image in the calling thread."""
    run = AssetRun.of(change, shared)
    counts = Counts()
    while (tasks := run.stage()) is not None:
        for task in tasks:
            result = task()
            run.absorb(result)
            counts.add(result)
        run.finish_stage()
    return run.record(), counts


def _answer(taken: Sequence[Item], shared: Shared, reader: Reader, disk: LocalDisk) -> bytes:
    done = []
    for _, item in taken:
        batch, known = pickle.loads(item)  # noqa: S301 - the parent's own
        with_known = replace(shared, known=known)
        done += [_done(change, with_known, reader) for change in batch]
    # What is answered is committed.
    disk.sync_share()
    return msgspec.msgpack.encode(done)


def _done(change: AssetChange, shared: Shared, reader: Reader) -> Done:
    before = reader.bytes_read
    try:
        record, counts = _compute(change, shared)
    except (GeobatchError, OSError):
        return Done(id=change.id, is_failed=True)
    counts.bytes_read = reader.bytes_read - before
    return Done(
        id=change.id,
        arrays=record.arrays,
        fingerprints=record.fingerprints,
        counts=counts,
        sunk=b"" if shared.sink is None else shared.sink.pack(change.id),
    )


def main() -> None:
    """Be one of the processes."""
    disk: LocalDisk
    disk, sink = pickle.loads(bytes.fromhex(sys.argv[_FIRST_ARGUMENT]))  # noqa: S301 - the parent's own
    stay_in_environment()
    keep_freed_memory()
    with (
        closing(disk),
        Sources(folder=disk.root / RUNS, cache=SourceCache.memory()) as reader,
    ):
        objects = Objects(disk)
        shared = Shared(
            records={},
            known={},
            objects=objects,
            index=Index(objects),
            reader=reader,
            memory=ValueCache(disk),
            sink=sink,
            base_commit=None,
        )
        serve(partial(_answer, shared=shared, reader=reader, disk=disk))
