"""What a list of assets needs to know of each: when, where, and its properties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from geobatch.model.asset import Asset
from geobatch.model.geobox import Bounds

LONGITUDE_LATITUDE = "EPSG:4326"
Locate: TypeAlias = Callable[[Bounds, str, str], Bounds | None]
"""Returns a box in another CRS, given the box and the two; None where it lies outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where one grid of an asset is."""

    crs: str
    """Identity of its CRS."""
    bounds: Bounds
    """Its box, in that CRS."""
    lonlat: Bounds | None
    """The box in degrees; None where it lies outside of what can be carried over."""
    shape: tuple[int, int]
    """(rows, columns) of level 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One asset in a list."""

    properties: tuple[tuple[str, str | int | float], ...]
    """Sorted by key."""
    start_time: str | None
    """RFC 3339 in UTC."""
    end_time: str | None
    """RFC 3339 in UTC, exclusive."""
    spots: tuple[Spot, ...]
    """One per grid."""
    bands: int
    """How many bands it has."""

    def to_json(self) -> list[Any]:
        """Return the row as JSON that is short and quick to read; NaN and infinities stay."""
        spots = [[spot.crs, spot.bounds, spot.lonlat, spot.shape] for spot in self.spots]
        return [self.properties, self.start_time, self.end_time, spots, self.bands]

    @classmethod
    def from_json(cls, value: list[Any]) -> Row:
        """Invert `to_json`.

        Raises:
            TypeError, ValueError: It is no row.
        """
        properties, start_time, end_time, spots, bands = value
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
        )


def row_of(asset: Asset, locate: Locate) -> Row:
    """Return what a list shows of an asset, and goes by."""
    return Row(
        properties=asset.properties,
        start_time=asset.start_time,
        end_time=asset.end_time,
        spots=tuple(
            Spot(
                crs=grid.geobox.crs.identity,
                bounds=grid.geobox.bounds,
                lonlat=locate(grid.geobox.bounds, grid.geobox.crs.identity, LONGITUDE_LATITUDE),
                shape=grid.geobox.shape,
            )
            for grid in asset.grids
        ),
        bands=len(asset.bands),
    )
