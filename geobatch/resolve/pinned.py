"""Images whose pixels stay in their sources: the state of each is pinned, and gives the levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from msgspec.structs import replace

from geobatch.declare import RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.errors import PlanError, Problem
from geobatch.model.assets.asset import Codec, ExternalImage, Grid, Tileset
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources.registry import in_place

PLAIN = Codec(name="none", level=0, compressor="", shuffle="")
"""Codec of a reader's pixels: none, they are decoded already."""


def pinned(
    asset: ExternalImage,
    spec: RasterSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[Probe]],
) -> tuple[ExternalImage, list[Problem]]:
    """Return an image whose pixels stay in its sources, and warnings about these sources.

    Args:
        asset: The image, without what its sources define.
        spec: What declares it.
        files: Its one file per tileset.
        probes: Their states, likewise.

    Raises:
        PlanError: A file cannot be read in place, or a mask covers another plane than its bands.
    """
    file_of = {t.id: file for t, (file,) in zip(spec.tilesets, files, strict=True)}
    found = {t.id: probe for t, (probe,) in zip(spec.tilesets, probes, strict=True)}
    warnings: list[Problem] = []
    for number, probe in enumerate(found.values()):
        in_place(probe).check(probe)
        warnings += _weaknesses(spec, number, probe)
    by_grid: dict[str, list[Probe]] = {}
    for tileset in asset.tilesets:
        _check_offset(tileset, asset.grid(tileset.grid))
        by_grid.setdefault(tileset.grid, []).append(found[tileset.id])
    shapes = {grid: _common_levels(members) for grid, members in by_grid.items()}

    def pin(tileset: Tileset) -> Tileset:
        (source,) = tileset.sources
        probe, levels = found[tileset.id], len(shapes[tileset.grid])
        made = in_place(probe).pin(file_of[tileset.id], probe, levels=levels)
        return replace(tileset, sources=(replace(source, pin=made),))

    return replace(
        asset,
        grids=tuple(replace(grid, shapes=shapes[grid.name]) for grid in asset.grids),
        tilesets=tuple(map(pin, asset.tilesets)),
        tile=max(in_place(probe).tile_side(probe) for probe in found.values()),
        codec=PLAIN,
    ), warnings


def _common_levels(probes: Sequence[Probe]) -> tuple[tuple[int, int], ...]:
    """Return (rows, columns) of each level that all sources of one grid have, from level 0."""
    planes = [in_place(probe).level_shapes(probe) for probe in probes]
    return tuple(
        shapes[0]
        for shapes in takewhile(lambda shapes: len(set(shapes)) == 1, zip(*planes, strict=False))
    )


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


def _weaknesses(spec: RasterSpec, number: int, probe: Probe) -> Iterator[Problem]:
    """Yield one warning with everything that a source should have and lacks, and one command."""
    found = in_place(probe).weaknesses(probe)
    if found is not None:
        loc = ("tilesets", number, "sources", 0, "uris", 0)
        message = f"`{probe.header.uri}`: {found.message}"
        yield from warning(spec, loc, probe.driver, message, found.hint)
