"""Which part of an asset is exported: bands, one level of their grid, and a window of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.model.assets.asset import Asset, Band
from geobatch.model.assets.grid import Grid
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import Bounds, GeoBox
from geobatch.model.published import AssetRecord
from geobatch.model.text.suggest import suggestion
from geobatch.model.window import Window
from geobatch.store.location import StoreLocation

_TOLERANCE = 0.01
"""Share of a pixel by which a region may miss the edge of one."""


class Feature(Struct, frozen=True, kw_only=True):
    """One output: a band, or the bands of an array band."""

    name: str
    """Band id, or name of the array band."""
    bands: tuple[Band, ...]
    """Its bands, in order."""
    is_array: bool
    """Whether it is an array band, if only of one band."""


class Selection(Struct, frozen=True, kw_only=True):
    """What is exported."""

    record: AssetRecord
    """The published asset."""
    features: tuple[Feature, ...]
    """Outputs in order, all on one grid."""
    level: int
    """The level that is exported."""
    window: Window
    """Which pixels of the level."""
    location: StoreLocation
    """Where the store is: the COGs of an external image are named relative to it."""

    @property
    def plane(self) -> GeoBox:
        """The whole plane of the level."""
        return self.grid.level(self.level)

    @property
    def grid(self) -> Grid:
        """The grid of all bands."""
        return self.record.image.grid(self.features[0].bands[0].grid)

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands of all features, in order, each once."""
        return tuple(
            {band.id: band for feature in self.features for band in feature.bands}.values()
        )

    @property
    def geobox(self) -> GeoBox:
        """Placement of the exported pixels."""
        return self.placed(self.level, self.window)

    def placed(self, level: int, window: Window) -> GeoBox:
        """Return the placement of a window of a level."""
        return self.grid.level(level).crop(window)


def select(
    record: AssetRecord,
    *,
    location: StoreLocation,
    names: Sequence[str] = (),
    level: int = 0,
    region: Bounds | None = None,
) -> Selection:
    """Return what is exported of an asset.

    Args:
        record: The published asset.
        location: Where its store is.
        names: Bands and array bands, in order; by default all, where an array band stands at the
            place of its first band, in place of its bands.
        level: Which level.
        region: Box in CRS units; the pixels that it touches, by default all.

    Raises:
        ExportError: There is no such band, level or pixel, or the bands lie on several grids.
    """
    asset = record.image
    features = tuple(_named(asset, names) if names else _all(asset))
    _check_one_grid(asset, features)
    grid = asset.grid(features[0].bands[0].grid)
    if not 0 <= level < grid.level_count:
        raise ExportError(
            f"`{asset.id}` has no level {level}",
            hint=f"levels go from 0, the finest, to {grid.level_count - 1}",
        )
    plane = grid.level(level)
    window = plane.window if region is None else _window(plane, region)
    return Selection(
        record=record, features=features, level=level, window=window, location=location
    )


def _all(asset: Raster) -> Iterable[Feature]:
    """Yield the array bands, and the bands that are in none."""
    arrays = dict(asset.array_bands)
    owners: dict[str, list[str]] = {}
    for name, members in arrays.items():
        for member in members:
            owners.setdefault(member, []).append(name)
    done: set[str] = set()
    for band in asset.bands:
        for name in owners.get(band.id, [band.id]):
            if name not in done:
                done.add(name)
                yield _feature(asset, name, arrays.get(name))


def _named(asset: Raster, names: Sequence[str]) -> Iterable[Feature]:
    arrays = dict(asset.array_bands)
    known = [*arrays, *(band.id for band in asset.bands)]
    for place, name in enumerate(names):
        if name not in known:
            listed = ", ".join(f"`{one}`" for one in known)
            raise ExportError(
                f"`{asset.id}` has no band `{name}`",
                hint=suggestion(name, known) or f"it has {listed}",
            )
        if name in names[:place]:
            raise ExportError(f"band `{name}` is given twice")
        yield _feature(asset, name, arrays.get(name))


def _feature(asset: Raster, name: str, members: tuple[str, ...] | None) -> Feature:
    return Feature(
        name=name,
        bands=tuple(asset.band(member) for member in members or (name,)),
        is_array=members is not None,
    )


def _check_one_grid(asset: Asset, features: Sequence[Feature]) -> None:
    by_grid: dict[str, list[str]] = {}
    for feature in features:
        by_grid.setdefault(feature.bands[0].grid, []).append(feature.name)
    if len(by_grid) > 1:
        listed = "; ".join(f"`{grid}`: {', '.join(names)}" for grid, names in by_grid.items())
        first = ",".join(next(iter(by_grid.values())))
        raise ExportError(
            f"the bands of `{asset.id}` have {len(by_grid)} grids, "
            f"but an export has only one: {listed}",
            hint=f"export the bands of one grid at a time: `--bands {first}`",
        )


def _window(plane: GeoBox, region: Bounds) -> Window:
    """Return the pixels of a plane that a box touches."""
    left, bottom, right, top = region
    corners = [plane.col_row(x=x, y=y) for x in (left, right) for y in (bottom, top)]
    cols, rows = zip(*corners, strict=True)
    first_col, last_col = _span(cols, plane.width)
    first_row, last_row = _span(rows, plane.height)
    if first_col >= last_col or first_row >= last_row:
        box = ", ".join(f"{edge:.12g}" for edge in plane.bounds)
        raise ExportError(
            f"the region {', '.join(f'{edge:.12g}' for edge in region)} touches no pixel",
            hint=f"the image spans {box}, in `{plane.crs.code or 'its own CRS'}`",
        )
    return Window(
        row=first_row, col=first_col, height=last_row - first_row, width=last_col - first_col
    )


def _span(places: Iterable[float], size: int) -> tuple[int, int]:
    """Return the pixels from the first to before the last that some places lie between."""
    found = sorted(places)
    first = math.floor(found[0] + _TOLERANCE)
    last = math.ceil(found[-1] - _TOLERANCE)
    return max(0, first), min(size, last)
