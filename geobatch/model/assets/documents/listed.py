"""The row of an asset in a list: times, boxes and properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import Struct

from geobatch.model.assets.asset import Asset
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.geobox import Bounds

LONGITUDE_LATITUDE = "EPSG:4326"
Locate: TypeAlias = Callable[[Bounds, str, str], Bounds | None]
"""Returns a box in another CRS, given the box and the two; None where it lies outside."""


class Spot(Struct, frozen=True, kw_only=True):
    """Where one grid of an asset is, or the points of a table."""

    crs: str
    """Identity of its CRS."""
    bounds: Bounds
    """Its box, in that CRS."""
    lonlat: Bounds | None
    """The box in degrees; None if it cannot be transformed."""
    shape: tuple[int, int]
    """(rows, columns) of level 0."""


class Row(Struct, frozen=True, kw_only=True):
    """One asset in a list."""

    properties: tuple[tuple[str, str | int | float], ...]
    """Sorted by key."""
    start_time: str | None
    """RFC 3339 in UTC."""
    end_time: str | None
    """RFC 3339 in UTC, exclusive."""
    spots: tuple[Spot, ...]
    """One per grid; of a table, one around its points."""
    bands: int
    """How many bands it has."""
    table: tuple[int, int, int] | None = None
    """Of a table: its rows, its columns, and the bytes of its object."""

    def to_json(self) -> list[Any]:
        """Return the row as JSON that is short and quick to read; NaN and infinities stay."""
        spots = [[spot.crs, spot.bounds, spot.lonlat, spot.shape] for spot in self.spots]
        return [self.properties, self.start_time, self.end_time, spots, self.bands, self.table]

    @classmethod
    def from_json(cls, value: list[Any]) -> Row:
        """Invert `to_json`.

        Raises:
            TypeError, ValueError: It is not a row.
        """
        properties, start_time, end_time, spots, bands, table = value
        return cls(
            properties=tuple((key, item) for key, item in properties),
            start_time=start_time,
            end_time=end_time,
            spots=tuple(
                Spot(
                    crs=crs,
                    bounds=tuple(bounds),
                    lonlat=None if lonlat is None else tuple(lonlat),
                    shape=tuple(shape),
                )
                for crs, bounds, lonlat, shape in spots
            ),
            bands=bands,
            table=None if table is None else (table[0], table[1], table[2]),
        )


def row_of(asset: Asset, stored: StoredTable | None, locate: Locate) -> Row:
    """Return the row of a published asset; `stored` is that of a table."""
    planes: list[tuple[str, Bounds, tuple[int, int]]] = []
    if not isinstance(asset, Table):
        for grid in asset.grids:
            box = grid.geobox
            planes.append((box.crs.identity, box.bounds, box.shape))
    elif stored is not None and stored.bounds is not None:
        planes.append((asset.crs.identity, stored.bounds, (0, 0)))
    return Row(
        properties=asset.properties,
        start_time=asset.start_time,
        end_time=asset.end_time,
        spots=tuple(
            Spot(
                crs=crs,
                bounds=bounds,
                lonlat=locate(bounds, crs, LONGITUDE_LATITUDE),
                shape=shape,
            )
            for crs, bounds, shape in planes
        ),
        bands=0 if isinstance(asset, Table) else len(asset.bands),
        table=None if stored is None else (stored.rows, len(stored.columns), stored.size),
    )
