"""Boxes from one coordinate reference system to another."""

from __future__ import annotations

from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geobatch.model.geobox import Bounds

_EDGE_POINTS = 21
"""Points per edge that are carried over: edges that are straight here are bent there."""


@lru_cache(maxsize=65536)
def transform_bounds(bounds: Bounds, source: str, target: str) -> Bounds | None:
    """Return the box in `target` that holds a box of `source`.

    Where the target is geographic and the box crosses the antimeridian, right is below left.
    Source: https://pyproj4.github.io/pyproj/stable/api/transformer.html

    Args:
        bounds: (left, bottom, right, top); x first, whatever the CRS says.
        source: Authority code or WKT.
        target: Likewise.

    Returns:
        None where the box lies outside of what can be carried over.
    """
    if source == target:
        return bounds
    try:
        found = _transformer(source, target).transform_bounds(
            *bounds, densify_pts=_EDGE_POINTS, errcheck=True
        )
    except ProjError:
        return None
    left, bottom, right, top = (float(edge) for edge in found)
    return (left, bottom, right, top)


@lru_cache(maxsize=64)
def is_geographic(crs: str) -> bool:
    """Return whether x is a longitude.

    Raises:
        ValueError: The text is no CRS.
    """
    try:
        return bool(CRS.from_user_input(crs).is_geographic)
    except CRSError as error:
        raise ValueError(f"`{crs}` is no coordinate reference system") from error


@lru_cache(maxsize=256)
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)
