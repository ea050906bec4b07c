"""Images whose pixels stay in their sources: the state of each is pinned, and gives the levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from msgspec.structs import replace

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Codec, ExternalImage, Grid, Tileset
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.notes import Note
from geobatch.resolve.selection import ProbedSource
from geobatch.sources.driver import InPlaceState

PLAIN = Codec(name="none", level=0, compressor="", shuffle="")
"""Codec of a reader's pixels: none, they are decoded already."""


def pin_image(
    image: ExternalImage, mosaics: Mapping[str, Mosaic]
) -> tuple[ExternalImage, list[Note]]:
    """Return an image whose pixels stay in its sources, and warnings about these sources.

    Args:
        image: The image, without what its sources define.
        mosaics: Its tilesets, of one source each.

    Raises:
        PlanError: A file cannot be read in place, or a mask covers another plane than its bands.
    """
    for tileset in image.tilesets:
        _check_offset(tileset, image.grid(tileset.grid))
    states: dict[str, InPlaceState] = {}
    notes: list[Note] = []
    for mosaic in mosaics.values():
        (source,) = mosaic.sources
        state = states[mosaic.id] = in_place_state(source)
        if state.weaknesses is not None:
            loc = ("tilesets", mosaic.number, "sources", 0, "uris", 0)
            message = f"`{source.probe.header.uri}`: {state.weaknesses.message}"
            notes.append(Note(loc, source.probe.driver, message, state.weaknesses.hint))
    by_grid: dict[str, list[InPlaceState]] = {}
    for tileset in image.tilesets:
        by_grid.setdefault(tileset.grid, []).append(states[tileset.id])
    shapes = {grid: _common_levels(members) for grid, members in by_grid.items()}

    def pinned(tileset: Tileset) -> Tileset:
        (source,) = tileset.sources
        pin, levels = states[tileset.id].pin, len(shapes[tileset.grid])
        pin = replace(pin, overviews=pin.overviews[: levels - 1])
        return replace(tileset, sources=(replace(source, pin=pin),))

    return replace(
        image,
        grids=tuple(replace(grid, shapes=shapes[grid.name]) for grid in image.grids),
        tilesets=tuple(map(pinned, image.tilesets)),
        tile=max(state.tile for state in states.values()),
        codec=PLAIN,
    ), notes


def in_place_state(source: ProbedSource) -> InPlaceState:
    """Return the state of a source whose pixels stay where they are.

    Raises:
        PlanError: Its pixels must be ingested, or it must be rewritten first.
    """
    if source.driver.in_place is None:
        raise PlanError(f"`{source.probe.header.uri}`: its pixels cannot stay where they are")
    return source.driver.in_place.state(source.file, source.probe)


def _common_levels(states: Sequence[InPlaceState]) -> tuple[tuple[int, int], ...]:
    """Return (rows, columns) of each level that all sources of one grid have, from level 0."""
    levels = zip(*(state.shapes for state in states), strict=False)
    return tuple(shapes[0] for shapes in takewhile(lambda shapes: len(set(shapes)) == 1, levels))


def _check_offset(tileset: Tileset, grid: Grid) -> None:
    (source,) = tileset.sources
    plane, shape = grid.geobox, (source.height, source.width)
    if (source.row, source.col, shape) != (0, 0, plane.shape):
        raise PlanError(
            f"the mask `{source.uri}` of {shape[1]} x {shape[0]} pixels lies at row {source.row},"
            f" column {source.col} of a grid of {plane.width} x {plane.height}; in an external"
            " image it must cover exactly the grid",
            hint="cut it to the grid, or ingest it with `kind: image`",
        )
