"""Boxes from one coordinate reference system to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geobatch.model.geobox import Bounds
from geobatch.sources.projections.proj import proj

if TYPE_CHECKING:
    from pyproj import Transformer

_EDGE_POINTS = 21
"""Points per edge that are transformed: a straight edge is bent in another CRS."""


@lru_cache(maxsize=65536)
def transform_bounds(bounds: Bounds, source: str, target: str) -> Bounds | None:
    """Return the box in `target` that holds a box of `source`.

    Where the target is geographic and the box crosses the antimeridian, right is below left.
    Source: https://pyproj4.github.io/pyproj/stable/api/transformer.html

    Args:
        bounds: (left, bottom, right, top); x first, whatever the CRS says.
        source: Authority code or WKT.
        target: Authority code or WKT.

    Returns:
        None if the box cannot be transformed.
    """
    if source == target:
        return bounds
    try:
        found = _transformer(source, target).transform_bounds(
            *bounds, densify_pts=_EDGE_POINTS, errcheck=True
        )
    except proj().exceptions.ProjError:
        return None
    left, bottom, right, top = (float(edge) for edge in found)
    return (left, bottom, right, top)


def transform_points(
    points: Sequence[tuple[float, float]], source: str, target: str
) -> list[tuple[float, float]]:
    """Return points in another CRS, x first; what cannot be transformed is infinite.

    Raises:
        ValueError: One of the texts is not a CRS.
    """
    if source == target:
        return list(points)
    try:
        transformer = _transformer(source, target)
    except proj().exceptions.ProjError as error:
        raise ValueError(f"`{source}` is not a coordinate reference system") from error
    xs, ys = transformer.transform([x for x, _ in points], [y for _, y in points])
    return [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def transform_arrays(
    xs: npt.NDArray[np.float64], ys: npt.NDArray[np.float64], source: str, target: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return points in another CRS, x first; what cannot be transformed is infinite.

    Args:
        xs: Of any shape.
        ys: Of the same shape.
        source: Authority code or WKT.
        target: Authority code or WKT.

    Raises:
        ValueError: One of the texts is not a CRS.
    """
    if source == target:
        return xs, ys
    try:
        transformer = _transformer(source, target)
    except proj().exceptions.ProjError as error:
        raise ValueError(f"`{source}` is not a coordinate reference system") from error
    found_x, found_y = transformer.transform(xs, ys)
    return np.asarray(found_x, np.float64), np.asarray(found_y, np.float64)


def box_around(boxes: Sequence[Bounds]) -> Bounds | None:
    """Return the narrowest box of longitudes and latitudes that holds some; None for none.

    A box whose right is below its left crosses the antimeridian.
    """
    if not boxes or not all(math.isfinite(edge) for box in boxes for edge in box):
        return None
    if len(set(boxes)) == 1:
        return boxes[0]
    bottom, top = min(box[1] for box in boxes), max(box[3] for box in boxes)
    arcs = sorted({_arc(left, right) for left, _, right, _ in boxes})
    # All but the widest gap between them. What reaches past 180 degrees is before the first, too.
    reach = max(end for _, end in arcs) - 360
    gaps = []
    for left, end in arcs:
        gaps.append((left - reach, -left, reach))
        reach = max(reach, end)
    gap, left, right = max(gaps)
    if gap <= 0:
        return (-180.0, bottom, 180.0, top)
    return (-left, bottom, right + 360 if right < -180 else right, top)


def _arc(left: float, right: float) -> tuple[float, float]:
    """Return where a box starts, from -180 to 180, and where it ends, which may be beyond."""
    width = right - left if right >= left else right - left + 360
    turns = 0 if -180 <= left <= 180 else 360 * math.floor((left + 180) / 360)
    start = left - turns
    return (start, right if turns == 0 and right >= left else start + width)


@lru_cache(maxsize=64)
def is_geographic(crs: str) -> bool:
    """Return whether x is a longitude.

    Raises:
        ValueError: The text is not a CRS.
    """
    try:
        return bool(proj().CRS.from_user_input(crs).is_geographic)
    except proj().exceptions.CRSError as error:
        raise ValueError(f"`{crs}` is not a coordinate reference system") from error


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    transformer: Transformer = proj().Transformer.from_crs(source, target, always_xy=True)
    return transformer
