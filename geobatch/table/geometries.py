"""Geometries as texts and as well-known binary (shapely), and the box around them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.errors import SourceError
from geobatch.extras import install_hint
from geobatch.model.assets.table import MAX_VERTICES
from geobatch.model.geobox import Bounds
from geobatch.table.part import Part

_SHOWN = 40


def wkb_of(text: str) -> bytes:
    """Return a geometry in WKT or GeoJSON as ISO WKB, little-endian, with Z where it has it.

    Raises:
        ValueError: It is neither, has more than `MAX_VERTICES`, or coordinates that are not finite.
        SourceError: shapely is not installed.
    """
    shapely = library()
    try:
        if text.lstrip().startswith("{"):
            found = shapely.geometry.shape(_geojson(text))
        else:
            found = shapely.from_wkt(text)
    except (shapely.errors.ShapelyError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"`{text[:_SHOWN]}` is no geometry: {error}") from None
    count = int(shapely.get_num_coordinates(found))
    if count > MAX_VERTICES:
        raise ValueError(f"a geometry has {count:,} vertices, but the limit is {MAX_VERTICES:,}")
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise ValueError(f"`{text[:_SHOWN]}` has coordinates that are not finite")
    made: bytes = shapely.to_wkb(found, byte_order=1, flavor="iso")
    return made


def _geojson(text: str) -> dict[str, Any]:
    """Return a geometry in GeoJSON.

    Raises:
        ValueError: It is none.
    """
    found: dict[str, Any] = json.loads(text)
    if "crs" in found:
        raise ValueError("a GeoJSON geometry names a CRS; declare `crs` in the source instead")
    return found


def wkt_of(data: bytes) -> str:
    """Return a geometry in ISO WKB as WKT that has every digit.

    Raises:
        SourceError: shapely is not installed.
    """
    shapely = library()
    text: str = shapely.to_wkt(shapely.from_wkb(data), rounding_precision=-1, output_dimension=4)
    return text


class Box:
    """The types of geometries of part after part, and the box around all of them."""

    def __init__(self) -> None:
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)
        self._types: set[str] = set()

    @property
    def bounds(self) -> Bounds | None:
        """The box; None without a vertex."""
        if not np.isfinite(self._low).all():
            return None
        # The zeros of both signs are one edge, whichever was met first.
        (left, bottom), (right, top) = (self._low + 0.0).tolist(), (self._high + 0.0).tolist()
        return (left, bottom, right, top)

    @property
    def types(self) -> list[str]:
        """GeoParquet's names of the types, sorted."""
        return sorted(self._types)

    def add(self, part: Part) -> npt.NDArray[np.float64]:
        """Take the geometries of the next rows; return the box of each, NaN of an empty one.

        Returns:
            (geometry, edge): least x and y, greatest x and y.
        """
        shapely = library()
        data, ends = part.values.tobytes(), np.cumsum(part.sizes)
        found = shapely.from_wkb(
            [data[end - size : end] for size, end in zip(part.sizes, ends, strict=True)]
        )
        for kind, has_z in set(zip(shapely.get_type_id(found), shapely.has_z(found), strict=True)):
            self._types.add(_TYPES[kind] + (" Z" if has_z else ""))
        places = shapely.get_coordinates(found)
        if len(places):
            self._low = np.minimum(self._low, places.min(axis=0))
            self._high = np.maximum(self._high, places.max(axis=0))
        boxes: npt.NDArray[np.float64] = shapely.bounds(found)
        return boxes


_TYPES = (
    "Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString",
    "MultiPolygon", "GeometryCollection",
)  # fmt: skip
"""By shapely's number."""


def library() -> Any:
    """Return the module `shapely`, imported when a geometry is read or written.

    Raises:
        SourceError: It is not installed, or cannot be imported.
    """
    try:
        import shapely  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(
            f"geometries are read and written by shapely, which cannot be imported: {error}",
            hint=install_hint("geometry"),
        ) from None
    return shapely
