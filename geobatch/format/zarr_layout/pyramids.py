"""Grids whose levels fit share one group of resolutions; each other grid has a group of its own."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from geobatch.model.assets.asset import Band, Grid
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import GeoBox

_EXACT = 1e-6
"""Part of a pixel by which the corners of equal planes may differ: what floats lose."""


class Step(Struct, frozen=True, kw_only=True):
    """One resolution: a group of arrays of one shape."""

    name: str
    """Name of its group."""
    geobox: GeoBox
    """Where its pixels are."""
    members: tuple[tuple[Grid, int], ...]
    """The grids that have this resolution, each with the number of its level."""
    below: str | None = None
    """Name of the step that it is derived from; None for the first."""
    scale: tuple[float, float] = (1.0, 1.0)
    """How many (rows, columns) of that one make one of this."""

    @property
    def made(self) -> frozenset[str]:
        """Names of the grids whose pixels are made from finer ones here."""
        return frozenset(grid.name for grid, level in self.members if level)


class Pyramid(Struct, frozen=True, kw_only=True):
    """Grids that share a group: one corner, one extent, and no two shapes of one resolution."""

    path: str
    """Path of the group within the asset; empty if it is the only one."""
    steps: tuple[Step, ...]
    """The resolutions, from the finest."""

    @property
    def grids(self) -> frozenset[str]:
        """Names of the grids."""
        return frozenset(grid.name for step in self.steps for grid, _ in step.members)


def pyramids(asset: Raster) -> tuple[Pyramid, ...]:
    """Return the groups of resolutions of an asset, in the order of its grids."""
    return tuple(pyramids_of(asset.grids))


def pyramid_path(asset: Raster, grid: str) -> str:
    """Return the path of the group of resolutions that a grid is in; empty for the asset's own."""
    return next(one.path for one in pyramids(asset) if grid in one.grids)


def bands_at(asset: Raster, step: Step) -> Iterator[tuple[Band, int]]:
    """Yield the bands of a step, in the order of the asset, each with the number of its level."""
    levels = {grid.name: level for grid, level in step.members}
    return ((band, levels[band.grid]) for band in asset.bands if band.grid in levels)


def pyramids_of(grids: tuple[Grid, ...]) -> Iterator[Pyramid]:
    """Yield the groups of resolutions of some grids, in their order."""
    families: list[tuple[Grid, ...]] = []
    for grid in grids:
        for at, family in enumerate(families):
            if _fits(family, grid):
                families[at] = (*family, grid)
                break
        else:
            families.append((grid,))
    is_only = len(families) == 1
    for family in families:
        yield Pyramid(path="" if is_only else family[0].name, steps=tuple(_steps(family)))


def _fits(family: tuple[Grid, ...], grid: Grid) -> bool:
    """Return whether readers that derive placements from the group's box draw all grids right."""
    if not all(_shares_frame(one.geobox, grid.geobox) for one in family):
        return False
    planes = [plane for plane, _ in _planes((*family, grid))]
    sizes = {(plane.transform[0], plane.transform[4]) for plane in planes}
    rows, cols = {plane.height for plane in planes}, {plane.width for plane in planes}
    return len(sizes) == len(rows) == len(cols) == len(planes)


def _shares_frame(one: GeoBox, other: GeoBox) -> bool:
    """Return whether two planes begin at one corner and end within a pixel of each other."""
    if one.crs != other.crs or not (one.is_axis_aligned and other.is_axis_aligned):
        return False
    (a, _, x, _, e, y), (b, _, u, _, f, v) = one.transform, other.transform
    ends = one.xy(col=one.width, row=one.height)
    others = other.xy(col=other.width, row=other.height)
    width, height = max(abs(a), abs(b)), max(abs(e), abs(f))
    return (
        a * b > 0
        and e * f > 0
        and max(abs(x - u) / width, abs(y - v) / height) < _EXACT
        and max(abs(ends[0] - others[0]) / width, abs(ends[1] - others[1]) / height) < 1 - _EXACT
    )


def _planes(grids: tuple[Grid, ...]) -> list[tuple[GeoBox, list[tuple[Grid, int]]]]:
    """Return the different planes of all levels, from the finest, each with whose it is."""
    if len(grids) == 1:  # they are in order
        grid = grids[0]
        return [(grid.level(level), [(grid, level)]) for level in range(grid.level_count)]
    found: list[tuple[GeoBox, list[tuple[Grid, int]]]] = []
    for grid in grids:
        for level in range(grid.level_count):
            plane = grid.level(level)
            for other, members in found:
                if _is_same(other, plane):
                    members.append((grid, level))
                    break
            else:
                found.append((plane, [(grid, level)]))
    return sorted(found, key=lambda one: abs(one[0].transform[0] * one[0].transform[4]))


def _is_same(one: GeoBox, other: GeoBox) -> bool:
    if one.shape != other.shape:
        return False
    ends = zip(one.transform, other.transform, (one.width, one.height, 1) * 2, strict=True)
    a, b, _, d, e, _ = one.transform
    pixel = min(abs(number) for number in (a, b, d, e) if number)
    return max(abs(left - right) * size for left, right, size in ends) < _EXACT * pixel


def _steps(family: tuple[Grid, ...]) -> Iterator[Step]:
    planes = _planes(family)
    names = {
        (grid.name, level): str(number)
        for number, (_, members) in enumerate(planes)
        for grid, level in members
    }
    first = planes[0][0]
    for number, (plane, members) in enumerate(planes):
        made = next(((grid, level) for grid, level in members if level), None)
        below, scale = None, (1.0, 1.0)
        if made is not None:
            grid, level = made
            below, scale = names[grid.name, level - 1], grid.scale(level)
        elif number:  # another grid begins; the convention's example derives it from the finest
            below = "0"
            scale = (
                plane.transform[4] / first.transform[4],
                plane.transform[0] / first.transform[0],
            )
        yield Step(name=str(number), geobox=plane, members=tuple(members), below=below, scale=scale)
