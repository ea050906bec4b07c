"""What a run computed, published as the next commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from geobatch.declare import SpecSet
from geobatch.declare.failures import refusal_of
from geobatch.declare.spec_list import by_file, ids_of
from geobatch.errors import StoreError
from geobatch.logs import Logger
from geobatch.model.assets.asset import Asset, Raster
from geobatch.model.assets.table import Table
from geobatch.model.digest import Digest
from geobatch.model.geobox import Bounds
from geobatch.model.plans.cube_change import CubeChange
from geobatch.model.plans.plan import AssetChange, Op, Plan
from geobatch.model.plans.plan_json import VERBS
from geobatch.model.provenance import CheckoutPath
from geobatch.model.published import Head
from geobatch.sources.projections.bounds import transform_bounds
from geobatch.sources.registry import driver_named, row_driver_of
from geobatch.store.caches.asset_list import keep_rows
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.origins import origin_of
from geobatch.store.tilestore import TileStore
from geobatch.versions import VERSION, version_of
from geobatch.workflow.checkouts import Checkouts
from geobatch.workflow.executed import Executed
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.provenance import find_provenance
from geobatch.workflow.request import Request

_LOG = Logger(__name__)
_TOOLS = ("imagecodecs", "numpy", "rasterio")
"""Libraries that shape pixels or their encoding; their versions go into the commit."""
_TABLE_TOOLS = ("pyarrow",)
"""Those that shape tables."""


def publish(
    planned: PlannedSpecs,
    executed: Executed,
    store: TileStore,
    *,
    base: Head,
    request: Request,
) -> Head:
    """Publish what was computed in one commit, and return the new head.

    Args:
        planned: The plan that was executed.
        executed: What that gave.
        store: The open store.
        base: Head that the plan was made against.
        request: Whether assets may be published if others failed.

    Raises:
        SourceError: A source failed, and the request does not keep going; nothing is published.
        ConflictError: Another process published a change of the same asset; nothing is published.
        StoreError: The store cannot be written.
    """
    if executed.failures and not request.keep_going:
        raise refusal_of(executed.failures)
    made = [change for change in planned.plan.changed if change.id in executed.changes]
    message = _message(made, planned.plan.cubes)
    renamed = {change.id: change.previous_id for change in made if change.op is Op.RENAME}
    specs = planned.resolved.specs
    origins, checkouts = declared_in(specs, request.store.base, is_git=request.is_git)
    head = store.publish(
        base=base,
        changes={**executed.changes, **dict.fromkeys(renamed.values())},
        renamed=renamed,
        message=message,
        tools=tools_of(planned.plan),
        origins=origins,
        checkouts=checkouts,
        cubes=planned.cubes,
        provenance=find_provenance(
            request.paths,
            message=request.message,
            is_git=request.is_git,
            pull_request=request.pull_request,
        ),
    )
    if head.number != base.number:
        _LOG.info("published commit %d (%s): %s", head.number, head.digest, message)
    assets = assets_of(planned, executed)
    with suppress(StoreError):  # of a listing, which is made again when it is asked for
        keep_rows(store, [head.tree], assets, executed.tables, locate=locate)
    if not executed.failures:
        ValueCache(store.caches).clear()
    return head


def assets_of(planned: PlannedSpecs, executed: Executed) -> dict[Digest, Asset]:
    """Return the assets that were computed, by the digest of their document."""
    found = ((one.asset, executed.changes.get(one.id)) for one in planned.plan.changed)
    return {entry.stored: asset for asset, entry in found if asset is not None and entry}


def locate(bounds: Bounds, crs: str, other: str) -> Bounds | None:
    """Return a box in another CRS; None if it cannot be transformed."""
    return transform_bounds(bounds, crs, other)


def tools_of(plan: Plan) -> dict[str, str]:
    """Return the versions of the programs that shape what a plan computes."""
    return {"geobatch": VERSION} | {name: version_of(name) for name in _tools(plan)}


def _tools(plan: Plan) -> Iterator[str]:
    yield from _TOOLS
    assets = (change.asset for change in plan.changed if isinstance(change.asset, Raster))
    read = [change.asset for change in plan.changed if change.table and change.table.is_read]
    rows = [source for table in read if isinstance(table, Table) for source in table.sources]
    if rows:
        yield from _TABLE_TOOLS
        yield from {name for source in rows for name in row_driver_of(source.uri).libraries}
    tilesets = (tileset for asset in assets for tileset in asset.tilesets)
    for name in sorted({source.driver for tileset in tilesets for source in tileset.sources}):
        yield from driver_named(name).libraries


def declared_in(
    specs: SpecSet, store: Path, *, is_git: bool = True
) -> tuple[dict[str, str], dict[str, CheckoutPath]]:
    """Return where each asset is declared, relative to the store, and where that is for Git.

    Args:
        specs: The specs.
        store: Folder that recorded paths are relative to; see `StoreLocation.base`.
        is_git: Whether to ask Git.

    Returns:
        Spec files by asset id; and where these are in their repositories, by spec file.
    """
    by_path = by_file(specs.specs)
    files = {path: origin_of(path, store=store) for path in by_path}
    origins = {name: files[path] for path, some in by_path.items() for name in ids_of(some)}
    return origins, Checkouts().paths_of(files) if is_git else {}


def _message(changes: Iterable[AssetChange], cubes: Iterable[CubeChange] = ()) -> str:
    ops = Counter(change.op for change in changes)
    parts = [f"{word} {ops[op]}" for op, word in VERBS.items() if ops[op]]
    parts += [f"{cube.action} cube {cube.id}" for cube in cubes if cube.action != "update"]
    return ", ".join(parts)
