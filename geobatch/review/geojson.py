"""The changed tiles as GeoJSON (RFC 7946), which sites that host code draw as a map."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from geobatch.model.geobox import GeoBox
from geobatch.model.plans.plan_document import GridDocument, TileDocument
from geobatch.model.window import Box
from geobatch.review.report import Report, ReportedAsset
from geobatch.review.tiles import Row, checked, geobox_of
from geobatch.sources.projections.rings import Ring, rings_of

MOST_FEATURES = 5_000
"""Tiles in one file: sites draw files of some megabytes."""


class _Plane(Struct, frozen=True, kw_only=True):
    """What a tile of a band needs to become a feature."""

    asset: ReportedAsset
    grid: GridDocument
    geobox: GeoBox


def geojson(report: Report, rows: Iterable[Row]) -> str:
    """Return the tiles of a plan as a feature collection, one feature per line.

    Of more tiles than `MOST_FEATURES`, each asset has a share, its finest levels first; the member
    `geobatch` says how many are omitted.

    Args:
        report: The assets.
        rows: The tiles of the plan; its masks are part of the tiles of the values.
    """
    planes = dict(_planes(report))
    share = max(MOST_FEATURES // max(len({asset for asset, _ in planes}), 1), 1)
    seen: Counter[str] = Counter()
    kept: dict[tuple[str, int], list[TileDocument]] = {}
    for row in checked(rows):
        if row.is_mask or (row.asset, row.band) not in planes:
            continue
        seen[row.asset] += 1
        level = kept.setdefault((row.asset, row.level), [])
        if len(level) < share:
            level.append(row)
    features = [
        json.dumps(feature, allow_nan=False)
        for row in _chosen(kept, share)
        if (feature := _feature(planes[row.asset, row.band], row)) is not None
    ]
    total = seen.total()
    omitted = total - len(features)
    about: dict[str, Any] = {"plan": report.plan_id, "tiles": total, "omitted": omitted}
    if omitted:
        about["note"] = f"{omitted:,} of {total:,} tiles are omitted, the coarser levels first"
    listed = ",\n".join(features)
    head = json.dumps({"type": "FeatureCollection", "geobatch": about})[:-1]
    return f'{head}, "features": [\n{listed}\n]}}\n'


def _planes(report: Report) -> Iterator[tuple[tuple[str, str], _Plane]]:
    for asset in report.assets:
        for grid in asset.grids:
            geobox = geobox_of(grid)
            if geobox is not None:
                for band in grid.bands:
                    yield (asset.id, band), _Plane(asset=asset, grid=grid, geobox=geobox)


def _chosen(kept: dict[tuple[str, int], list[TileDocument]], share: int) -> Iterator[TileDocument]:
    """Yield the tiles to show: of each asset its share, of all at most `MOST_FEATURES`."""
    left = MOST_FEATURES
    used: Counter[str] = Counter()
    for asset, level in sorted(kept):
        rows = kept[asset, level][: min(share - used[asset], left)]
        used[asset] += len(rows)
        left -= len(rows)
        yield from rows


def _feature(plane: _Plane, row: TileDocument) -> dict[str, Any] | None:
    """Return a tile as a feature; None if it is not on the Earth, or outside of its image."""
    level = row.level
    box = Box.of_tile(row.row, row.col)
    side = plane.grid.tile << level
    height, width = plane.geobox.shape
    if box.row * side >= height or box.col * side >= width:
        return None
    rings = rings_of(plane.geobox, box.window(plane.geobox.shape, tile=side))
    if not rings:
        return None
    return {
        "type": "Feature",
        "properties": {
            "asset": plane.asset.id,
            "level": level,
            "band": row.band,
            "reason": ", ".join(dict.fromkeys(one.code for one in plane.asset.reasons)),
            "row": row.row,
            "col": row.col,
        },
        "geometry": _geometry(rings),
    }


def _geometry(rings: list[Ring]) -> dict[str, Any]:
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
