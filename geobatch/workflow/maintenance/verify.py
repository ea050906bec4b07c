"""Published assets computed again from their sources, in memory, and compared by content."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, overload

from msgspec import Struct

from geobatch.errors import CorruptObjectError, InterruptedRunError, SourceError
from geobatch.execute.executors.protocol import Executor, Outcome
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import RegionTask, TableTask
from geobatch.execute.verification.comparison import Rebuilt, findings
from geobatch.execute.verification.tasks import tile_count
from geobatch.logs import Logger
from geobatch.model.assets.asset import Table
from geobatch.model.digest import Digest
from geobatch.processors import processor_count
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.reader import Sources
from geobatch.store.caches.cache import SourceCache
from geobatch.store.entries import find_ids
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.maintenance.against import StoreComparison, compare_stores
from geobatch.store.tilestore import TileStore
from geobatch.workflow.executors import executor_of, project_here
from geobatch.workflow.maintenance.asset_work import AssetWork
from geobatch.workflow.maintenance.located import locate_assets
from geobatch.workflow.maintenance.report import Verification
from geobatch.workflow.request import DEFAULT_STORE

_LOG = Logger(__name__)

Progress = Callable[[int, int], object]
"""Receives how many regions are done, of how many."""


class VerifyRequest(Struct, frozen=True, kw_only=True):
    """What is verified."""

    store: StoreLocation
    """Where the store is."""
    names: tuple[str, ...] = ()
    """Assets, folders of assets and globs of ids; empty for all."""
    commit: str | None = None
    """The commit; None for the newest."""
    sample: float = 1.0
    """The share of all regions that is drawn, above 0 and at most 1."""
    seed: int = 0
    """The number by which they are drawn."""
    workers: int | None = None
    """Regions that are computed at a time; None for one per processor."""
    executor: Any = None
    """How regions are computed; see `Request.executor`."""
    rehash: bool = False
    """Whether every source is read to be identified, also those with an unchanged stat."""


@overload
def verify(
    assets: str | Iterable[str] = ...,
    *,
    store: StoreText = ...,
    at: str | int | None = ...,
    sample: float = ...,
    seed: int = ...,
    rehash: bool = ...,
    workers: int | None = ...,
    executor: Any = ...,
    against: None = ...,
    progress: Progress | None = ...,
) -> Verification: ...


@overload
def verify(
    assets: str | Iterable[str] = ...,
    *,
    store: StoreText = ...,
    at: str | int | None = ...,
    against: StoreText,
) -> StoreComparison: ...


def verify(
    assets: str | Iterable[str] = (),
    *,
    store: StoreText = DEFAULT_STORE,
    at: str | int | None = None,
    sample: float = 1.0,
    seed: int = 0,
    rehash: bool = False,
    workers: int | None = None,
    executor: Any = None,
    against: StoreText | None = None,
    progress: Progress | None = None,
) -> Verification | StoreComparison:
    """Compute published tiles and rows again from their sources, and compare; nothing is written.

    Args:
        assets: An asset, a folder of assets or a glob of ids, or several; by default all.
        store: Folder or url of the store.
        at: A commit (digest or unique prefix, number, `HEAD~n`); the newest by default.
        sample: The share of all regions to compute, above 0 and at most 1.
        seed: Another number draws other regions.
        rehash: Whether to read every source, also those whose stat did not change.
        workers: Regions that are computed at a time; by default one per processor.
        executor: How they are computed; see `apply`.
        against: Another store to compare with, in place of the sources.
        progress: Receives how many regions are done, and of how many.

    Returns:
        What was found: `is_different` says whether anything differs, `assets` where. With
        `against`, how the stores differ: `is_equal`, and `assets`.

    Raises:
        NoStoreError: There is no store.
        NotFoundError: There is no such commit, or a name matches no asset.
        CorruptObjectError: A document or an index page is damaged.
        InterruptedRunError: The user stopped the run.
        SettingError: The executor cannot be used.
        StoreError: The store cannot be read.
        ValueError: An argument is wrong.
    """
    if not 0 < sample <= 1:
        raise ValueError(f"`sample` must be above 0 and at most 1, got `{sample}`")
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got `{workers}`")
    names = (assets,) if isinstance(assets, str) else tuple(assets)
    location, commit = StoreLocation.of(store), None if at is None else str(at)
    if against is None:
        request = VerifyRequest(
            store=location, names=names, commit=commit, sample=sample, seed=seed,
            workers=workers, rehash=rehash, executor=executor,
        )  # fmt: skip
        return verify_request(request, progress=progress or (lambda *_: None))
    given = {"sample": sample != 1, "seed": seed, "rehash": rehash, "executor": executor}
    odd = next((name for name, value in given.items() if value), None)
    if odd is not None:
        raise ValueError(f"`{odd}` has no effect with `against`")
    return _compare(location, StoreLocation.of(against), names, commit)


def _compare(
    location: StoreLocation, other: StoreLocation, names: Sequence[str], commit: str | None
) -> StoreComparison:
    with closing(TileStore.open(location)) as here, closing(TileStore.open(other)) as there:
        head = here.head() if commit is None else here.at(commit)
        return compare_stores(here, there, head=head, names=names)


def verify_request(
    request: VerifyRequest, *, progress: Progress = lambda _done, _all: None
) -> Verification:
    """Compute published tiles and rows again, and compare; nothing is written to the store.

    Memory is bounded by the number of workers and the size of a region.

    Raises:
        NotFoundError: There is no such commit, or a name matches no asset.
        CorruptObjectError: A document or an index page is damaged.
        InterruptedRunError: The user stopped the run.
        SettingError: The executor cannot be used.
        StoreError: The store cannot be read.
    """
    started = time.perf_counter()
    workers = request.workers or processor_count()
    executor = executor_of(
        request.executor, [project_here()], workers=workers, is_confined=False
    ) or ThreadExecutor(workers)
    with (
        SourceCache.borrowed(request.store) as cache,
        closing(TileStore.open(request.store)) as store,
        tempfile.TemporaryDirectory(prefix="geobatch-verify-") as folder,
        Sources(folder=Path(folder), cache=cache) as reader,
    ):
        head = store.head() if request.commit is None else store.at(request.commit)
        entries = {entry.id: entry for entry in head.tree.entries}
        ids = find_ids(request.names, entries, where=f"commit {head.number}")
        records = [store.record(entries[name]) for name in sorted(ids)]
        located = locate_assets(
            store,
            head,
            records,
            folder=request.store.base,
            options=ProbeOptions(cache=cache, workers=workers, rehash=request.rehash),
            cache=cache,
        )
        work = [AssetWork(one, located[one.asset.id], seed=request.seed) for one in records]
        drawn = _draw(work, request.sample)
        run = _Run(store, reader, Path(folder), drawn, progress)
        try:
            run.compute(work, executor)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted; nothing was changed", hint="`--sample 1%` takes less time"
            ) from None
        found = Verification(
            store_id=store.id,
            head=head,
            sample=request.sample,
            seed=request.seed,
            assets=tuple(one.result() for one in work),
            seconds=time.perf_counter() - started,
        )
    _LOG.info("verified %d of %d regions", found.regions_checked, found.regions)
    return found


def _draw(work: Sequence[AssetWork], sample: float) -> frozenset[Digest]:
    """Return the keys of the regions that are drawn: the smallest ones, which are random."""
    keys = {one.id: one.keys() for one in work}
    every = sorted(key for some in keys.values() for key in some)
    drawn = frozenset(every[: math.ceil(sample * len(every))])
    for one in work:
        one.left = len(drawn.intersection(keys[one.id]))
    return drawn


class _Run:
    """Computes what was drawn."""

    def __init__(
        self,
        store: TileStore,
        reader: Sources,
        folder: Path,
        drawn: frozenset[Digest],
        progress: Progress,
    ) -> None:
        self._store = store
        self._reader = reader
        self._folder = folder
        self._drawn = drawn
        self._progress = progress
        self._done = 0

    def compute(self, work: Sequence[AssetWork], executor: Executor) -> None:
        """Compute the drawn regions of images, and tables, a bounded number at a time."""
        kept = Rebuilt(self._store.objects)
        context = TaskContext(
            objects=kept,
            index=self._store.index,
            reader=self._reader,
            is_compared=True,
            folder=self._folder,
        )
        waiting = (
            (one, task)
            for one in work
            for task in one.all_tasks(context.inputs)
            if task.key in self._drawn
        )
        in_flight: dict[int, tuple[AssetWork, RegionTask | TableTask]] = {}
        number = 0
        with executor.start(context) as running:
            while True:
                while len(in_flight) < running.capacity and (taken := next(waiting, None)):
                    in_flight[number] = taken
                    running.submit(number, taken[1])
                    number += 1
                if not in_flight:
                    return
                for outcome in running.completed():
                    one, task = in_flight.pop(outcome.number)
                    if isinstance(task, TableTask):
                        _take_table(one, outcome)
                    elif outcome.result is not None:
                        kept.add(outcome.result.kept)
                        found = findings(
                            task, outcome.result, record=one.record, store=self._store, kept=kept
                        )
                        one.add_region(outcome.result.tiles, tuple(found))
                    elif isinstance(outcome.error, SourceError | CorruptObjectError):
                        one.add_error(outcome.error, tiles=tile_count(task, one.record.image))
                    elif outcome.error is not None:
                        raise outcome.error
                    self._finish_region(one)

    def _finish_region(self, one: AssetWork) -> None:
        self._done += 1
        self._progress(self._done, len(self._drawn))
        one.left -= 1
        if not one.left:
            self._check_sources(one)

    def _check_sources(self, one: AssetWork) -> None:
        """Check that the sources of an asset did not change while they were read."""
        asset = one.located.asset
        for tileset in () if isinstance(asset, Table) else asset.tilesets:
            for number, source in enumerate(tileset.sources):
                if number in one.located.unavailable.get(tileset.id, ()):
                    continue
                try:
                    self._reader.finish(source)
                    self._reader.check(source)
                except SourceError as error:
                    error.uri = error.uri or source.uri
                    one.add_error(error, tiles=0)


def _take_table(one: AssetWork, outcome: Outcome) -> None:
    if isinstance(outcome.error, SourceError):
        one.add_error(outcome.error, tiles=0)
    elif outcome.error is not None:
        raise outcome.error
    elif outcome.result is not None and outcome.result.table is not None:
        one.add_table(outcome.result.table)
