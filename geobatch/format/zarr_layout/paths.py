"""The names of arrays, as CF allows them, and their paths within an asset."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import count

from geobatch.format.zarr_layout.pyramids import pyramids_of
from geobatch.model.assets.asset import Grid
from geobatch.model.assets.image import Raster
from geobatch.model.published import ArrayKey

MASKS = "masks"
"""Folder of the masks, with a group per level as the bands have."""

RESERVED = frozenset({"time", "time_bnds", "bnds", "x", "y", "spatial_ref"})
"""Coordinates and dimensions of an image or a cube, in lower or upper case."""

_LEGAL = re.compile("[A-Za-z][A-Za-z0-9_]*")
_ILLEGAL = re.compile("[^A-Za-z0-9_]")


def level_path(asset: Raster, grid: str, level: int) -> str:
    """Return the path of a level's group within its asset: `0`, `fine/0`."""
    return _level_paths(asset.grids)[grid, level]


def array_path(asset: Raster, key: ArrayKey) -> str:
    """Return the path of an array within its asset: `0/b1`, `masks/1/b1`, `fine/0/b1`.

    Raises:
        KeyError: The asset has no such band or level.
    """
    names = array_names(asset)
    if key.band not in names:
        raise KeyError(key.band)
    grid = asset.band(key.band).grid
    path = level_path(asset, grid, key.level)
    if key.is_mask:
        top, _, step = path.rpartition("/")
        path = join(top, MASKS, step)
    return join(path, names[key.band])


def array_names(asset: Raster) -> dict[str, str]:
    """Return the name of each band's arrays, by the band's id.

    It is the id, if that begins with a letter, has only letters, digits and `_`, and is not the
    name of a coordinate. Otherwise, each other character becomes `_`, `band_` comes before what
    begins with no letter or is a coordinate, and a number behind what is taken, also if only by
    other case.

    Source: CF 1.11 section 2.3.
    """
    return _names(tuple(band.id for band in asset.bands))


def join(*parts: str) -> str:
    """Return a `/`-separated path of the parts that are not empty."""
    return "/".join(part for part in parts if part)


@lru_cache(maxsize=256)
def _names(ids: tuple[str, ...]) -> dict[str, str]:
    found = {one: one for one in ids if _LEGAL.fullmatch(one) and one.casefold() not in RESERVED}
    taken = {one.casefold() for one in found}
    for one in ids:
        if one in found:
            continue
        legal = _ILLEGAL.sub("_", one)
        if not legal[0].isalpha() or legal.casefold() in RESERVED:
            legal = f"band_{legal}"
        name = next(
            name
            for number in count(1)
            if (name := legal if number == 1 else f"{legal}_{number}").casefold() not in taken
        )
        found[one] = name
        taken.add(name.casefold())
    return found


@lru_cache(maxsize=256)
def _level_paths(grids: tuple[Grid, ...]) -> dict[tuple[str, int], str]:
    return {
        (grid.name, level): join(pyramid.path, step.name)
        for pyramid in pyramids_of(grids)
        for step in pyramid.steps
        for grid, level in step.members
    }
