"""Carries out a plan: computes everything that it names, then publishes it in one commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from geobatch.declare import SpecSet
from geobatch.declare.checks.lint import peak_warnings
from geobatch.declare.failures import failures_of, refusal_of
from geobatch.errors import Problem, SourceError, SourceErrors, StoreError
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.table import StoredTable
from geobatch.model.geobox import Bounds
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, BandWork, Failure, Op, Plan, Start
from geobatch.model.plans.plan_json import VERBS
from geobatch.model.published import Head, TreeEntry
from geobatch.sources.files import check_unchanged
from geobatch.store.backends.protocol import RUNS
from geobatch.store.caches.asset_list import keep_rows
from geobatch.store.caches.band_cache import bands_of, peaks_of, remember_bands
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.kept_values import Remembered
from geobatch.store.origins import origin_of
from geobatch.store.tilestore import TileStore
from geobatch.versions import VERSION, version_of
from geobatch.workflow.planning import Ready

if TYPE_CHECKING:
    # What decodes and encodes pixels is loaded by those runs alone that have some.
    from geobatch.execute import Executor, Sources
    from geobatch.views.zarr.staging import Ahead

_TOOLS = ("numcodecs", "numpy", "rasterio")
"""Libraries that shape pixels or their encoding; their versions go into the commit."""
_TABLE_TOOLS = ("pyarrow", "tensorflow")
"""Those that shape tables."""


class Done(Struct, frozen=True, kw_only=True):
    """What carrying out a plan did."""

    head: Head
    """The head after the run."""
    written: int = 0
    """Tiles whose object was put."""
    empty: int = 0
    """Fully masked tiles."""
    rows: int = 0
    """Rows of tables that were read."""
    bytes_read: int = 0
    """Source bytes that were read for pixels and rows."""
    bytes_written: int = 0
    """Bytes of tile and table objects that were put."""
    ahead: Ahead | None = None
    """Folders of new assets that wait to be moved into the Zarr tree."""
    failures: tuple[Failure, ...] = ()
    """Assets whose sources failed, where the others are published."""
    warnings: tuple[Problem, ...] = ()
    """What only the pixels tell, of those that were read."""


def carry_out(
    ready: Ready,
    store: TileStore,
    *,
    cache: SourceCache,
    place: Path,
    base: Head,
    workers: int,
    observer: Observer,
    keep_going: bool,
    executor: Executor | None = None,
) -> Done:
    """Carry out a plan that is not empty, and publish what it made.

    Args:
        ready: The plan with all that it needs.
        store: The open store.
        cache: Receives the bands of each asset as soon as it is finished.
        place: Folder of the store.
        base: Head that the plan was made against.
        workers: Tasks that are run at a time.
        observer: Receives the progress.
        keep_going: Whether to publish the other assets where the sources of some fail. All are
            computed in any case: so all errors are found, and the next run takes over what is well.
        executor: How tasks are run; by default, what suits the plan.

    Raises:
        SourceError: A source cannot be read, or changed while it was read; nothing is published.
        ConflictError: Another process published a change of the same asset; nothing is published.
        InterruptedRunError: The user stopped the run; nothing is published.
        StoreError: The store cannot be used.
    """
    from geobatch.execute import (  # noqa: PLC0415
        Counts,
        Sources,
        TaskContext,
        execute,
        execute_tables,
        shares_of,
    )
    from geobatch.views.zarr.staging import Ahead  # noqa: PLC0415

    made = ready.preview.plan
    regions = Remembered(store.backend)
    ahead = Ahead(store.backend)
    counts = Counts()
    failures: dict[str, SourceError] = {}
    changes: dict[str, TreeEntry | None] = {}
    tables: dict[str, StoredTable] = {}
    work = {change.id: change.work for change in made.changes}
    taken_over = {
        change.id: [name for _, (_, name) in change.carried]
        for change in made.changes
        if change.is_taken_over
    }
    due = [change for change in made.changes if change.asset is not None]
    observer.run_started(assets=len(due), tiles=sum(change.tiles.compute for change in due))
    with ahead, Sources(folder=place / RUNS, cache=cache) as reader, ExitStack() as stack:
        context = TaskContext(
            objects=store.objects, index=store.index, reader=reader, regions=regions, staging=ahead
        )
        finished = execute(
            shares_of(made.changes, workers=workers, executor=executor),
            base_commit=made.base_commit,
            records=ready.records,
            known=ready.known,
            context=context,
            observer=observer,
            counts=counts,
            failures=failures,
        )
        made_tables = execute_tables(
            made,
            records=ready.records,
            objects=store.objects,
            folder=place / RUNS,
            observer=observer,
            counts=counts,
            failures=failures,
        )
        # Whatever happens here, no thread reads or puts any more when the sources are closed.
        stack.callback(finished.close)
        stack.callback(made_tables.close)
        for record in chain(finished, made_tables):
            try:
                _finish_reading(record.asset, work[record.asset.id], reader)
            except SourceError as error:
                failures[record.asset.id] = error
                continue
            for peaks in peaks_of(cache, taken_over.get(record.asset.id, ())):
                counts.add(Counts(peaks={record.asset.id: dict(peaks)}))
            entry = store.put_record(record)
            changes[record.asset.id] = entry
            ahead.finish(entry)
            if record.table is not None:
                tables[record.asset.id] = record.table
            if _is_still(record.asset, reader):
                # Whatever becomes of this run, the next one takes them over.
                peaks = counts.peaks.get(entry.id, {})
                remember_bands(cache, bands_of(entry, record, peaks))
        changes |= _deleted(made)
        for change in made.changes:
            if change.id in changes and change.asset is not None:
                _check_stood_still(change.asset, reader, changes, failures)
    failed = failures_of(ready.preview.specs, failures)
    if failed and not keep_going:
        raise refusal_of(failed)
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
        tools={"geobatch": VERSION} | {name: version_of(name) for name in _tools(made)},
        origins=_origins(ready.preview.specs, place),
    )
    assets = {c.id: c.asset for c in made.changes if c.asset is not None and c.id in changes}
    with suppress(StoreError):  # of a listing, which is made again when it is asked for
        keep_rows(store, head, assets, tables, locate=_locate)
    if not failed:
        regions.forget()
    return Done(
        head=head,
        written=counts.written,
        empty=counts.empty,
        rows=counts.rows,
        bytes_read=reader.bytes_read + counts.bytes_read,
        bytes_written=counts.bytes_written,
        ahead=ahead,
        failures=failed,
        warnings=tuple(_warnings(ready.preview.specs, counts.peaks)),
    )


def _warnings(specs: SpecSet, peaks: Mapping[str, Mapping[str, int]]) -> Iterator[Problem]:
    for spec in specs.specs:
        if spec.id in peaks:
            yield from peak_warnings(spec, peaks[spec.id])


def _locate(bounds: Bounds, crs: str, other: str) -> Bounds | None:
    from geobatch.sources.bounds import transform_bounds  # noqa: PLC0415 - PROJ is slow to load

    return transform_bounds(bounds, crs, other)


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
    errors = SourceErrors()
    for tileset in asset.tilesets:
        if tileset.id in names:
            for source in tileset.sources:
                with errors.collecting(source.uri):
                    reader.finish(source)
    errors.raise_all()


def _check_sources(asset: Asset, reader: Sources) -> None:
    errors = SourceErrors()
    for tileset in asset.tilesets:
        for source in tileset.sources:
            with errors.collecting(source.uri):
                reader.check(source)
    for row_source in asset.table.sources if asset.table is not None else ():
        if row_source.stat is not None:
            with errors.collecting(row_source.uri):
                check_unchanged(row_source.path, row_source.uri, row_source.stat)
    errors.raise_all()


def _is_still(asset: Asset, reader: Sources) -> bool:
    """Return whether the sources of an asset are what they were before they were read."""
    try:
        _check_sources(asset, reader)
    except SourceError:
        return False  # which is said before anything is published
    return True


def _check_stood_still(
    asset: Asset,
    reader: Sources,
    changes: dict[str, TreeEntry | None],
    failures: dict[str, SourceError],
) -> None:
    """Look at an asset's sources a last time: what is published was read from still files."""
    try:
        _check_sources(asset, reader)
    except SourceError as error:
        failures[asset.id] = error
        del changes[asset.id]


def _origins(specs: SpecSet, place: Path) -> dict[str, str]:
    """Return where each asset is declared, by id, relative to the store."""
    files = {path: origin_of(path, store=place) for path in {spec.path for spec in specs.specs}}
    return {spec.id: files[spec.path] for spec in specs.specs}


def _message(changes: Iterable[AssetChange]) -> str:
    ops = Counter(change.op for change in changes)
    return ", ".join(f"{word} {ops[op]}" for op, word in VERBS.items() if ops[op])
