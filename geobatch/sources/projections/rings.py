"""Outlines in longitude and latitude, as rings that are cut at the antimeridian (RFC 7946)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TypeAlias

from geobatch.model.geobox import GeoBox
from geobatch.model.window import Window
from geobatch.sources.projections.bounds import transform_points

Point: TypeAlias = tuple[float, float]
"""(longitude, latitude) in degrees."""
Ring: TypeAlias = list[Point]
"""Points of a closed ring, counterclockwise."""

_EDGE_POINTS = 4
"""Parts of an edge, unless asked for more: a straight edge is bent in longitude and latitude."""
_DIGITS = 7
"""Decimals of a degree: about a centimetre."""
_WGS84 = "EPSG:4326"
_FULL_TURN = 1e-7
"""Degrees by which a ring around the Earth may be short of a turn."""


def rings_of(geobox: GeoBox, window: Window, *, parts: int = _EDGE_POINTS) -> list[Ring]:
    """Return the rings of a window of pixels: more than one across the antimeridian.

    None if a point has no longitude and latitude.
    """
    left, top = float(window.col), float(window.row)
    right, bottom = left + window.width, top + window.height
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return rings_around(geobox, corners, parts=parts)


def rings_around(
    geobox: GeoBox, corners: Sequence[Point], *, parts: int = _EDGE_POINTS
) -> list[Ring]:
    """Return the rings of a polygon of pixel positions.

    Args:
        geobox: What places the pixels.
        corners: (column, row) of its corners, without the first again.
        parts: Into how many parts each edge is divided.

    Returns:
        Closed rings: more than one across the antimeridian, none if a point has no longitude and
        latitude.
    """
    try:
        found = transform_points(
            [geobox.xy(col=col, row=row) for col, row in _edge(corners, parts)],
            geobox.crs.identity,
            _WGS84,
        )
    except ValueError:
        return []
    if not all(math.isfinite(lon) and math.isfinite(lat) for lon, lat in found):
        return []
    return _cut(_unrolled([(lon, max(min(lat, 90.0), -90.0)) for lon, lat in found]))


def _cut(ring: Ring) -> list[Ring]:
    """Return the parts of a ring between -180 and 180 degrees, closed, counterclockwise."""
    found = []
    first = math.floor((min(lon for lon, _ in ring) + 180) / 360)
    last = math.ceil((max(lon for lon, _ in ring) + 180) / 360)
    for turn in range(first, max(last, first + 1)):
        part = _clipped(_clipped(ring, turn * 360 - 180.0, 1), turn * 360 + 180.0, -1)
        exact = ((lon - turn * 360, lat) for lon, lat in part)
        rounded = [
            point for point, _ in groupby((round(x, _DIGITS), round(y, _DIGITS)) for x, y in exact)
        ]
        if (area := _area(rounded)) != 0:
            closed = [*rounded, rounded[0]]
            found.append(closed if area > 0 else closed[::-1])
    return found


def _edge(corners: Sequence[Point], parts: int) -> list[Point]:
    """Return (column, row) of points along the edges, without the first again."""
    return [
        (x + (to_x - x) * n / parts, y + (to_y - y) * n / parts)
        for (x, y), (to_x, to_y) in pairwise([*corners, corners[0]])
        for n in range(parts)
    ]


def _unrolled(ring: Sequence[Point]) -> Ring:
    """Return a ring without jumps of a turn; one around a pole gets the pole's edge."""
    start, pole = _at_pole(ring)
    points = [start[0]]
    for lon, lat in [*start[1:], start[0]]:
        before = points[-1][0]
        points.append((lon - 360 * round((lon - before) / 360), lat))
    turned = points[-1][0] - points[0][0]
    if abs(turned) >= 180:
        if pole is None:
            return _around_pole(points[:-1] if turned > 0 else points[:0:-1])
        # The edge runs through the pole, where the ring goes back.
        points[pole:] = [(lon - turned, lat) for lon, lat in points[pole:]]
    west, east = min(lon for lon, _ in points), max(lon for lon, _ in points)
    if east - west >= 360 - _FULL_TURN:
        low, high = min(lat for _, lat in points), max(lat for _, lat in points)
        return [(-180.0, low), (180.0, low), (180.0, high), (-180.0, high)]
    return points[:-1]


def _at_pole(ring: Sequence[Point]) -> tuple[Ring, int | None]:
    """Return a ring in which a point at a pole has the longitudes of both its neighbours.

    Also where the second of the two is; None if no single point is at a pole.
    """
    for place, (_, lat) in enumerate(ring):
        before, after = ring[place - 1], ring[(place + 1) % len(ring)]
        if _is_pole(lat) and not _is_pole(before[1]) and not _is_pole(after[1]):
            turned = [*ring[place + 1 :], *ring[:place]]
            return [*turned, (before[0], lat), (after[0], lat)], len(ring)
    return list(ring), None


def _is_pole(lat: float) -> bool:
    return abs(lat) >= 90 - _FULL_TURN


def _around_pole(ring: Sequence[Point]) -> Ring:
    """Return a ring to the east around a pole, from -180 to 180 degrees and back at the pole."""
    wrapped = [((lon + 180) % 360 - 180, lat) for lon, lat in ring]
    start = wrapped.index(min(wrapped))
    points = [*wrapped[start:], *wrapped[:start]]
    (lon, lat), (to_lon, to_lat) = points[-1], points[0]
    share = (180 - lon) / (to_lon + 360 - lon)
    edge = lat + (to_lat - lat) * share
    pole = math.copysign(90.0, sum(y for _, y in ring))
    return [(-180.0, edge), *points, (180.0, edge), (180.0, pole), (-180.0, pole)]


def _clipped(ring: Sequence[Point], lon: float, side: int) -> Ring:
    """Return the part of a ring east of a meridian, or west if `side` is -1."""
    found: Ring = []
    for (x, y), (to_x, to_y) in zip(ring, [*ring[1:], *ring[:1]], strict=True):
        is_in, goes_in = (x - lon) * side >= 0, (to_x - lon) * side >= 0
        if is_in:
            found.append((x, y))
        if is_in != goes_in:
            found.append((lon, y + (to_y - y) * (lon - x) / (to_x - x)))
    return found


def _area(ring: Sequence[Point]) -> float:
    """Return twice the signed area: above 0 if counterclockwise."""
    pairs = zip(ring, [*ring[1:], *ring[:1]], strict=True)
    return sum(x * to_y - to_x * y for (x, y), (to_x, to_y) in pairs)
