"""Plans as JSON, in the form that `plan --json` prints and `plan -o` saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from geobatch.model.assets.asset import Raster
from geobatch.model.digest import Json
from geobatch.model.geobox import Bounds, GeoBox
from geobatch.model.plans.inputs import AssetInput, Inputs, SourceInput
from geobatch.model.plans.plan import AssetChange, BandWork, Op, Options, Plan, Reason, Start

FORMAT_VERSION = "1.4"
"""Minor versions add members; a reader refuses a major version that it does not know."""
VERBS = {
    Op.CREATE: "create", Op.UPDATE: "update", Op.RENAME: "rename", Op.DELETE: "delete",
    Op.KEEP: "keep",
}  # fmt: skip
"""The word for an asset with this op."""
Locate: TypeAlias = Callable[[Sequence[GeoBox]], Bounds | None]
"""Returns the box around some planes, in longitude and latitude, where there is one."""


def plan_json(plan: Plan, *, locate: Locate | None = None) -> dict[str, Json]:
    """Return what a plan would do; unchanged assets are only counted.

    Args:
        plan: The plan.
        locate: Returns where changes are; without it, the document has no boxes.
    """
    listed = plan.changed
    return {
        "format_version": FORMAT_VERSION,
        "plan_id": plan.plan_id,
        "store_id": plan.store_id or None,
        "base_commit": plan.base_commit,
        "changes": not plan.is_empty,
        "looked_at": {"hashed": plan.sources_hashed, "by_stat": plan.sources_by_stat},
        "asset_changes": [change_json(change, locate=locate) for change in listed],
        "refusals": list(plan.refusals),
        "summary": {
            **{VERBS[op]: plan.count(op) for op in Op if op is not Op.KEEP},
            "blocked": sum(1 for change in listed if change.blocked),
            "unchanged": plan.count(Op.KEEP),
            "not_selected": plan.not_selected,
        },
        "totals": _totals(listed),
        "collections": _collections(listed),
        "cubes": [cube.to_json() for cube in plan.cubes],
        "undeclared": list(plan.undeclared),
    }


def _totals(changes: Sequence[AssetChange]) -> dict[str, Json]:
    """Return the totals of all changes, without blocked ones."""
    done = [change for change in changes if not change.blocked]
    return {
        "tiles": {
            "compute": sum(change.tiles.compute for change in done),
            "total": sum(change.tiles.total for change in done),
            "remove": sum(change.tiles.remove for change in done),
        },
        "bytes": {
            "read": sum(change.bytes_read for change in done),
            "write_max": sum(change.bytes_write_max for change in done),
        },
    }


def _collections(changes: Sequence[AssetChange]) -> list[Json]:
    """Return how many assets each op concerns in each folder of asset ids, sorted by folder."""
    counts: dict[str, Counter[str]] = {}
    for change in changes:
        name = "blocked" if change.blocked else VERBS[change.op]
        counts.setdefault(change.id.rpartition("/")[0], Counter())[name] += 1
    return [{"id": folder, **counted} for folder, counted in sorted(counts.items())]


def change_json(change: AssetChange, *, locate: Locate | None = None) -> dict[str, Json]:
    """Return what happens to one asset; for `locate` see `plan_json`."""
    tiles = change.tiles
    is_kept = bool(change.work) and all(work.start is Start.LEVEL_0 for work in change.work)
    document: dict[str, Json] = {
        "id": change.id,
        **({"previous_id": change.previous_id} if change.previous_id else {}),
        "actions": _actions(change),
        "reasons": [
            {"code": because.reason.value, "path": because.path, "detail": because.detail}
            for because in change.because
        ],
        "tiles": {
            "compute": tiles.compute,
            "total": tiles.total,
            "add": tiles.add,
            "change": tiles.change,
            "remove": tiles.remove,
            "unchanged": tiles.unchanged,
            "by_level": list(tiles.by_level),
        },
        "bytes": {"read": change.bytes_read, "write_max": change.bytes_write_max},
        "risks": [{"code": risk.value, "path": path} for risk, path in change.risks],
    }
    if locate is not None:
        document["bounds_4326"] = locate(change.extent) if change.extent else None
        document |= _declared(change)
    if change.table is not None:
        document["table"] = {"is_read": change.table.is_read, "rows": change.table.rows}
    if is_kept:
        document["is_level_0_kept"] = True
    # The bands of a published state are kept; those of an earlier one, or of another asset, reused.
    if reused := [band for band, (asset_id, _) in change.carried if not asset_id]:
        document["reused_bands"] = reused
    if change.checks:
        document["checks"] = [check.to_json() for check in change.checks]
    if change.blocked:
        document["blocked"] = change.blocked
    return document


def _declared(change: AssetChange) -> dict[str, Json]:
    """Return which line of which spec declares an asset, and the planes of its pixels."""
    if change.asset is None:
        return {}
    path, _, line = change.asset.origin.rpartition(":")
    document: dict[str, Json] = {"declared": {"path": path, "line": int(line)}} if path else {}
    if isinstance(change.asset, Raster):
        image = change.asset
        document["grids"] = [
            {
                "name": grid.name,
                "crs": grid.geobox.crs.identity,
                "transform": list(grid.geobox.transform),
                "height": grid.geobox.height,
                "width": grid.geobox.width,
                "tile": image.tile,
                "bands": [band.id for band in image.bands_of(grid.name)],
            }
            for grid in image.grids
        ]
    return document


def _actions(change: AssetChange) -> list[Json]:
    if change.blocked:
        return ["blocked"]
    is_more = any(because.reason is not Reason.RENAMED for because in change.because)
    also = [VERBS[Op.UPDATE]] if change.op is Op.RENAME and is_more else []
    return [VERBS[change.op], *also]


def inputs_json(plan: Plan, inputs: Inputs) -> dict[str, Json]:
    """Return the inputs of a plan, as members in addition to those of `plan_json`."""
    blocks = {(change.id, *item) for change in plan.changed for item in change.blocks_changed}
    changed = {(asset_id, uri): count for asset_id, uri, count in blocks}
    return {
        "tool": {"name": "geobatch", "version": inputs.tool},
        "spec_digest": inputs.spec_digest,
        "assets": [
            {
                "id": asset.id,
                "path": asset.path,
                "spec": asset.spec,
                "fingerprint": asset.fingerprint,
            }
            for asset in inputs.assets
        ],
        "deleted": list(inputs.deleted),
        "sources": [
            {
                "asset": asset.id,
                "uri": source.uri,
                "digest": source.digest,
                "size": source.size,
                "blocks_changed": changed.get((asset.id, source.uri)),
            }
            for asset in inputs.assets
            for source in asset.sources
        ],
    }


def inputs_from_json(document: dict[str, Json]) -> Inputs:
    """Return the inputs of the plan of a document.

    Raises:
        KeyError, TypeError, AttributeError: It is not such a document.
    """
    sources: dict[str, list[SourceInput]] = {}
    for row in document["sources"]:
        source = SourceInput(uri=row["uri"], digest=row["digest"], size=row["size"])
        sources.setdefault(row["asset"], []).append(source)
    return Inputs(
        store_id=document["store_id"] or "",
        base_commit=document["base_commit"],
        tool=document["tool"]["version"],
        assets=tuple(
            AssetInput(
                id=row["id"],
                path=row["path"],
                spec=row["spec"],
                fingerprint=row["fingerprint"],
                sources=tuple(sources.get(row["id"], ())),
            )
            for row in document["assets"]
        ),
        deleted=tuple(document["deleted"]),
    )


def options_json(options: Options) -> dict[str, Json]:
    """Return options as JSON."""
    return {
        "select": list(options.select),
        "replace": list(options.replace),
        "prune": options.is_pruning,
        "max_delete": options.max_delete,
        "keep_project_prefix": options.keeps_project_prefix,
    }


def options_from_json(document: dict[str, Json]) -> Options:
    """Invert `options_json`.

    Raises:
        KeyError, TypeError: It is not such a document.
    """
    return Options(
        select=tuple(document["select"]),
        replace=tuple(document["replace"]),
        is_pruning=bool(document["prune"]),
        max_delete=document["max_delete"],
        keeps_project_prefix=bool(document.get("keep_project_prefix", False)),
    )


def tile_rows(plan: Plan) -> Iterator[dict[str, Json]]:
    """Yield every tile that a plan recomputes, of values and masks, as it counts them."""
    for change in plan.changed:
        for work in change.work:
            yield from _band_rows(change, work)


def _band_rows(change: AssetChange, work: BandWork) -> Iterator[dict[str, Json]]:
    if change.asset is None:
        return
    band = change.image.band(work.band)
    level_count = change.image.grid(band.grid).level_count
    for level, tiles in enumerate(work.dirty(level_count)):
        has_mask = band.has_mask(level)
        for row, col in tiles:
            place = {"asset": change.id, "band": band.id, "level": level, "row": row, "col": col}
            yield {**place, "is_mask": False}
            if has_mask:
                yield {**place, "is_mask": True}
