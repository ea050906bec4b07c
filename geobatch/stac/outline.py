"""Where an asset is: its true outline in longitude and latitude, and the box around that."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from geobatch.model.assets.asset import Asset
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.geobox import Bounds, Crs, GeoBox
from geobatch.sources.projections.bounds import box_around, transform_points
from geobatch.sources.projections.rings import Point, Ring, rings_around

_PARTS = 32
"""Parts of an edge: a straight edge is bent in longitude and latitude."""
_SLACK = 1e-4
"""How far a point may be from the line that replaces it, as a share of the outline's size."""
_WGS84 = "EPSG:4326"
_SAMPLES = 128
"""Positions on a side, of a plane that is in part beyond the Earth's edge."""


class Outline(NamedTuple):
    """An outline."""

    geometry: dict[str, Any] | None
    """GeoJSON (RFC 7946); None if nothing of the asset has a longitude and latitude."""
    bbox: Bounds | None
    """(west, south, east, north); across the antimeridian, west is greater than east."""


def outline_of(asset: Asset, stored: StoredTable | None) -> Outline:
    """Return the outline of an asset.

    It is that of the footprint if the spec declares one; else that of the grid, of the largest if
    it holds the others, or else of the box around all. Of a table it is the box of its points.
    """
    if isinstance(asset, Table):
        bounds = None if stored is None else stored.bounds
        return Outline(None, None) if bounds is None else _of_bounds(bounds, asset.crs)
    if asset.footprint is not None:
        grid = asset.grid(asset.footprint.grid)
        points = asset.footprint.points
        is_closed = len(points) > 1 and points[0] == points[-1]
        found = _around(grid.geobox, points[:-1] if is_closed else points)
        if found.geometry is not None:
            return found
    planes = [_plane(grid.geobox) for grid in asset.grids]
    if len(planes) == 1:
        return planes[0]
    boxes = [one.bbox for one in planes if one.bbox is not None]
    around = box_around(boxes)
    slack = max((_slack(box) for box in boxes), default=0.0)
    for one in planes:
        if one.bbox is not None and around is not None and _is_close(one.bbox, around, slack):
            return one
    return Outline(None, None) if around is None else _of_bounds(around, Crs(code=_WGS84, wkt=""))


@lru_cache(maxsize=4096)
def _plane(geobox: GeoBox) -> Outline:
    """Return the outline of a plane of pixels; images of one grid share it."""
    right, bottom = float(geobox.width), float(geobox.height)
    return _around(geobox, ((0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)))


def _around(geobox: GeoBox, corners: Sequence[Point]) -> Outline:
    rings = rings_around(geobox, corners, parts=_PARTS)
    if not rings:
        box = _box_of_samples(geobox)
        return Outline(None, None) if box is None else _of_bounds(box, Crs(code=_WGS84, wkt=""))
    boxes = [(min(x), min(y), max(x), max(y)) for x, y in (zip(*r, strict=True) for r in rings)]
    return Outline(_polygons([_simplified(ring) for ring in rings]), box_around(boxes))


def _polygons(rings: list[Ring]) -> dict[str, Any]:
    shown = [[list(point) for point in ring] for ring in rings]
    if len(shown) == 1:
        return {"type": "Polygon", "coordinates": shown}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in shown]}


def _of_bounds(bounds: Bounds, crs: Crs) -> Outline:
    """Return the outline of a box; of one without an area, the point or line that it is."""
    left, bottom, right, top = bounds
    if left > right:  # across the antimeridian, in degrees
        right += 360
    if left < right and bottom < top:
        transform = (right - left, 0.0, left, 0.0, bottom - top, top)
        return _plane(GeoBox(crs=crs, transform=transform, height=1, width=1))
    ends = transform_points([(left, bottom), (right, top)], crs.identity, _WGS84)
    if not all(math.isfinite(value) for end in ends for value in end):
        return Outline(None, None)
    (west, south), (east, north) = ((round(x, 7), round(y, 7)) for x, y in ends)
    if (west, south) == (east, north):
        geometry = {"type": "Point", "coordinates": [west, south]}
    else:
        geometry = {"type": "LineString", "coordinates": [[west, south], [east, north]]}
    return Outline(
        geometry, (min(west, east), min(south, north), max(west, east), max(south, north))
    )


def _box_of_samples(geobox: GeoBox) -> Bounds | None:
    """Return the box of those of many positions in a plane that are on the Earth."""
    steps = [n / _SAMPLES for n in range(_SAMPLES + 1)]
    places = [
        geobox.xy(col=across * geobox.width, row=down * geobox.height)
        for down in steps
        for across in steps
    ]
    try:
        points = transform_points(places, geobox.crs.identity, _WGS84)
    except ValueError:
        return None
    found = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if not found:
        return None
    lons, lats = zip(*found, strict=True)
    return (min(lons), max(min(lats), -90.0), max(lons), min(max(lats), 90.0))


def _slack(box: Bounds) -> float:
    return 1e-3 * max((box[2] - box[0]) % 360, box[3] - box[1])


def _is_close(box: Bounds, around: Bounds, slack: float) -> bool:
    return all(abs(one - other) <= slack for one, other in zip(box, around, strict=True))


def _simplified(ring: Ring) -> Ring:
    """Return a closed ring without the points that a straight line replaces (Douglas-Peucker)."""
    lons, lats = zip(*ring, strict=True)
    slack = _SLACK * max(max(lons) - min(lons), max(lats) - min(lats))
    # From two points that stay, the first and the one that is farthest from it.
    far = max(range(len(ring)), key=lambda n: math.dist(ring[0], ring[n]))
    kept = {0, far, len(ring) - 1, *_corners(ring, 0, far, slack)}
    kept |= set(_corners(ring, far, len(ring) - 1, slack))
    return [ring[n] for n in sorted(kept)]


def _corners(ring: Ring, first: int, last: int, slack: float) -> Iterator[int]:
    """Yield the points between two others that are too far from the line between them."""
    waiting = [(first, last)]
    while waiting:
        first, last = waiting.pop()
        inside = range(first + 1, last)
        off, middle = max(
            ((_distance(ring[n], ring[first], ring[last]), n) for n in inside), default=(0.0, 0)
        )
        if off > slack:
            yield middle
            waiting += [(first, middle), (middle, last)]


def _distance(point: Point, start: Point, end: Point) -> float:
    """Return how far a point is from a line, or from its end if that has no length."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    if length == 0:
        return math.dist(point, start)
    return abs(dx * (point[1] - start[1]) - dy * (point[0] - start[0])) / length
