"""A plan to what it names: tiles and tables that are stored, and not published yet.

It is loaded by those runs alone that compute something: it loads what decodes and encodes pixels.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.declare.checks.lint import peak_warnings
from geobatch.declare.checks.points import point_warnings
from geobatch.declare.failures import failures_of
from geobatch.declare.spec_list import samples
from geobatch.errors import Problem, SourceError, SourceErrors
from geobatch.execute import Counts, TaskContext, execute, execute_tables, inside_of, shares_of
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.image import Raster
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.checks.result import CheckResult
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, BandWork, Op, Plan, Start
from geobatch.model.plans.summary import BlockTotals
from geobatch.model.published import AssetRecord, TreeEntry
from geobatch.planner import grid_results, pixel_results
from geobatch.sources.reader import Sources
from geobatch.sources.registry import row_driver_of
from geobatch.store.caches.band_cache import bands_of, peaks_of, save_bands
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.tilestore import TileStore
from geobatch.workflow.changed_objects import without_equal_blocks
from geobatch.workflow.checks import failures_of_checks, warnings_of_checks
from geobatch.workflow.executed import Executed
from geobatch.workflow.executors import connected, executor_of
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request

if TYPE_CHECKING:
    from geobatch.execute import Executor
    from geobatch.views.zarr.staging import Staging


def execute_plan(
    planned: PlannedSpecs,
    store: TileStore,
    *,
    staging: Staging,
    request: Request,
    cache: SourceCache,
    observer: Observer,
) -> Executed:
    """Compute and store everything that a plan names.

    All assets are computed, also if some fail: so all errors are found, and the next run takes
    over what succeeded.

    Args:
        planned: The plan.
        store: The open store.
        staging: Receives the tiles of new assets, for the views.
        request: How many tasks are run at a time, and how.
        cache: Receives the bands of each asset as soon as it is finished.
        observer: Receives the progress.

    Raises:
        InterruptedRunError: The user stopped the run.
        StoreError: The store cannot be used.
    """
    with staging, Sources(folder=store.scratch(), cache=cache) as reader:
        planned, blocks = without_equal_blocks(planned, reader, cache)
        due = [change for change in planned.plan.changed if change.asset is not None]
        observer.run_started(assets=len(due), tiles=sum(change.tiles.compute for change in due))
        collected = _Collector(
            plan=planned.plan,
            store=store,
            cache=cache,
            reader=reader,
            counts=Counts(),
            staging=staging,
            failures={},
            specs=planned.resolved.specs,
            blocks=blocks,
        )
        # Whatever happens here, no thread reads or puts any more when the sources are closed.
        computed = _compute(planned, collected, request=request, observer=observer)
        with closing(computed) as records:
            collected.collect(records)
        collected.check_sources()
    return collected.result(planned.resolved.specs)


def _compute(
    planned: PlannedSpecs,
    into: _Collector,
    *,
    request: Request,
    observer: Observer,
) -> Generator[AssetRecord]:
    """Yield the record of each asset as soon as all its tiles or rows are stored."""
    context = TaskContext(
        objects=into.store.objects,
        index=into.store.index,
        reader=into.reader,
        regions=ValueCache(into.store.caches),
        caches=into.store.caches,
        sink=into.staging,
        folder=into.store.scratch(),
    )
    with connected(executor_for(planned.resolved.specs, request)) as chosen:
        finished = execute(
            shares_of(
                planned.plan.changed,
                workers=request.workers,
                executor=chosen,
            ),
            base_commit=planned.plan.base_commit,
            records=planned.records,
            known=planned.bands,
            context=context,
            observer=observer,
            counts=into.counts,
            failures=into.failures,
        )
        tables = execute_tables(
            planned.plan,
            records=planned.records,
            objects=into.store.objects,
            folder=into.store.scratch(),
            observer=observer,
            counts=into.counts,
            failures=into.failures,
            executor=chosen,
            context=context,
        )
        with closing(finished), closing(tables):
            yield from finished
            yield from tables


def executor_for(specs: SpecSet, request: Request) -> Executor | None:
    """Return the executor that was asked for, or that the project of the specs names.

    Raises:
        SettingError: It cannot be used.
        PlanError: The specs are of projects that name several.
    """
    return executor_of(
        request.executor,
        (spec.project for spec in samples(specs.specs)),
        workers=request.workers,
        is_confined=request.confine is not None,
    )


class _Collector(Struct, kw_only=True, eq=False):
    """Collects finished assets, and checks that their sources did not change meanwhile."""

    plan: Plan
    store: TileStore
    cache: SourceCache
    reader: Sources
    counts: Counts
    staging: Staging
    failures: dict[str, SourceError]
    specs: SpecSet
    blocks: BlockTotals
    changes: dict[str, TreeEntry | None] = field(default_factory=dict)
    checks: dict[str, tuple[CheckResult, ...]] = field(default_factory=dict)
    tables: dict[str, StoredTable] = field(default_factory=dict)

    def collect(self, records: Iterable[AssetRecord]) -> None:
        """Store the record of each asset as it is finished."""
        by_id = {change.id: change for change in self.plan.changed}
        for record in records:
            change = by_id[record.asset.id]
            try:
                if isinstance(record.asset, Raster):
                    _finish_reading(record.asset, change.work, self.reader)
            except SourceError as error:
                self.failures[change.id] = error
                continue
            reused = [name for _, (_, name) in change.carried] if change.is_taken_over else []
            self._add_peaks(change.id, reused)
            self._store_record(record, change)
            self._check(change, record)
        self.changes |= {one.id: None for one in self.plan.changed if one.op is Op.DELETE}

    def _check(self, change: AssetChange, record: AssetRecord) -> None:
        """Check what was counted; an asset that does not pass is kept for the next run only."""
        asset = record.asset
        if not isinstance(asset, Raster) or not asset.checks:
            return
        measures = {band: dict(found) for band, found in record.measures}
        differing = self.counts.differing.pop(change.id, {})
        found = pixel_results(record.image, measures, differing, inside_of(asset))
        results = sorted([*grid_results(asset), *found], key=lambda one: one.index)
        self.checks[change.id] = tuple(results)
        if any(result.is_refusing for result in results):
            del self.changes[change.id]

    def check_sources(self) -> None:
        """Compare all sources a last time: what is published was read from unchanged files."""
        for change in self.plan.changed:
            if change.id in self.changes and change.asset is not None:
                try:
                    _check_sources(change.asset, self.reader)
                except SourceError as error:
                    self.failures[change.id] = error
                    del self.changes[change.id]

    def result(self, specs: SpecSet) -> Executed:
        """Return everything that was collected."""
        counts = self.counts
        failed = (
            failure
            for name, results in sorted(self.checks.items())
            if name not in self.failures
            for failure in failures_of_checks(self.specs.spec(name), results)
        )
        return Executed(
            changes=self.changes,
            tables=self.tables,
            written=counts.written,
            empty=counts.empty,
            rows=counts.rows,
            blocks=replace(self.blocks, decoded=self.reader.blocks_decoded),
            bytes_read=self.reader.bytes_read + counts.bytes_read,
            bytes_written=counts.bytes_written,
            failures=(*failures_of(specs, self.failures), *failed),
            checks=self.checks,
            warnings=(*_warnings(specs, counts.peaks, self.tables), *self._check_warnings()),
        )

    def _check_warnings(self) -> Iterator[Problem]:
        for name, results in sorted(self.checks.items()):
            of_pixels = (result for result in results if result.kind.is_of_pixels)
            yield from warnings_of_checks(self.specs.spec(name), of_pixels)

    def _add_peaks(self, asset_id: str, reused: Sequence[str]) -> None:
        for peaks in peaks_of(self.cache, reused):
            self.counts.add(Counts(peaks={asset_id: dict(peaks)}))

    def _store_record(self, record: AssetRecord, change: AssetChange) -> None:
        entry = self.store.put_record(record, fingerprint=change.fingerprint)
        self.changes[record.asset.id] = entry
        self.staging.asset_finished(entry)
        if record.table is not None:
            self.tables[record.asset.id] = record.table
        if _is_unchanged(record.asset, self.reader):
            # Whatever becomes of this run, the next one takes them over.
            peaks = self.counts.peaks.get(entry.id, {})
            save_bands(self.cache, bands_of(entry, record, peaks))


def _warnings(
    specs: SpecSet,
    peaks: Mapping[str, Mapping[str, int]],
    tables: Mapping[str, StoredTable],
) -> Iterator[Problem]:
    found = specs.named(sorted({*peaks, *tables}))
    for spec in found.images:
        if spec.id in peaks:
            yield from peak_warnings(spec, peaks[spec.id])
    for table in found.tables:
        if table.id in tables:
            yield from point_warnings(table, tables[table.id])


def _finish_reading(asset: Raster, work: Sequence[BandWork], reader: Sources) -> None:
    """Have sources that were read checked to their end: a record too many masks no pixel."""
    bands = [asset.band(one.band) for one in work if one.start is Start.SOURCES]
    names = {name for band in bands for name in (band.tileset, band.masking.tileset)}
    errors = SourceErrors()
    for tileset in asset.tilesets:
        if tileset.id in names:
            for source in tileset.sources:
                with errors.collecting(source.uri):
                    reader.finish(source)
    errors.raise_all()


def _check_sources(asset: Asset, reader: Sources) -> None:
    errors = SourceErrors()
    if isinstance(asset, Table):
        for row_source in asset.sources:
            with errors.collecting(row_source.uri):
                row_driver_of(row_source.uri).check(row_source)
    else:
        for tileset in asset.tilesets:
            for source in tileset.sources:
                with errors.collecting(source.uri):
                    reader.check(source)
    errors.raise_all()


def _is_unchanged(asset: Asset, reader: Sources) -> bool:
    """Return whether the sources of an asset are what they were before they were read."""
    try:
        _check_sources(asset, reader)
    except SourceError:
        return False  # which is reported before anything is published
    return True
