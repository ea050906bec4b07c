"""Where the changes of a plan are, in longitude and latitude."""

from __future__ import annotations

from collections.abc import Sequence

from geobatch.model.geobox import Bounds, GeoBox
from geobatch.sources.projections.bounds import box_around, transform_bounds

_LONGITUDE_LATITUDE = "OGC:CRS84"


def locate(planes: Sequence[GeoBox]) -> Bounds | None:
    """Return the box around some planes in longitude and latitude; loads what can tell."""
    boxes = [
        transform_bounds(plane.bounds, plane.crs.identity, _LONGITUDE_LATITUDE) for plane in planes
    ]
    return box_around([box for box in boxes if box is not None])
