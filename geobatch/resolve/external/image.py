"""Resolved external images: the state of each COG, its levels, and the rules for COGs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from msgspec.structs import replace

from geobatch.declare import Loc, RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.errors import PlanError, Problem
from geobatch.model.assets.asset import Codec, ExternalImage, Grid, Tileset
from geobatch.model.geobox import ceil_div
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Pin, Plane
from geobatch.model.sources.probe import Probe
from geobatch.resolve.gdal_commands import quoted_input, quoted_output

PLAIN = Codec(name="none", level=0, compressor="", shuffle="")
"""Codec of a reader's pixels: none, they are decoded already."""
SIDES = (256, 512, 1024, 2048)
"""Sides that the tiles of a COG may have."""
HEADER_LIMIT = 10_000_000
"""Bytes within which Earth Engine searches for the metadata of a COG."""


def pinned(
    asset: ExternalImage,
    spec: RasterSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[Probe]],
) -> tuple[ExternalImage, list[Problem]]:
    """Return an external image with the state of its COGs, and warnings about these COGs.

    Args:
        asset: The image, without what its COGs define.
        spec: What declares it.
        files: Its one file per tileset.
        probes: Their states, likewise.

    Raises:
        PlanError: A file is no COG, or a mask covers another plane than its bands.
    """
    file_of = {t.id: file for t, (file,) in zip(spec.tilesets, files, strict=True)}
    cogs = {t.id: probe for t, (probe,) in zip(spec.tilesets, probes, strict=True)}
    warnings: list[Problem] = []
    for number, cog in enumerate(cogs.values()):
        check_cog(cog)
        loc = ("tilesets", number, "sources", 0, "uris", 0)
        warnings += _cog_warning(spec, loc, cog)
    by_grid: dict[str, list[Probe]] = {}
    for tileset in asset.tilesets:
        _check_offset(tileset, asset.grid(tileset.grid))
        by_grid.setdefault(tileset.grid, []).append(cogs[tileset.id])
    shapes = {grid: common_levels(found) for grid, found in by_grid.items()}

    def pin(tileset: Tileset) -> Tileset:
        (source,) = tileset.sources
        count = len(shapes[tileset.grid])
        made = pin_of(file_of[tileset.id], cogs[tileset.id], levels=count)
        return replace(tileset, sources=(replace(source, pin=made),))

    return replace(
        asset,
        grids=tuple(replace(grid, shapes=shapes[grid.name]) for grid in asset.grids),
        tilesets=tuple(map(pin, asset.tilesets)),
        tile=max(plane.block[0] for cog in cogs.values() for plane in planes_of(cog)),
        codec=PLAIN,
    ), warnings


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


def pin_of(file: DeclaredSource, found: Probe, *, levels: int) -> Pin:
    """Return the state of a COG that an asset shows, as levels 0 to `levels` - 1."""
    layout = layout_of(found)
    return Pin(
        generation=file.generation or generation_of(found),
        location=file.url,
        header_bytes=layout.header_bytes,
        overviews=_numbers(found)[1:levels],
        is_interleaved=found.header.is_pixel_interleaved,
        remote=found.remote,
    )


def generation_of(found: Probe) -> str:
    """Return what identifies the state in which a COG was found."""
    return found.digest if found.remote is None else found.remote.generation


def planes_of(found: Probe) -> tuple[Plane, ...]:
    """Return the images of a COG that are its levels."""
    layout = layout_of(found)
    return tuple(layout.planes[number] for number in _numbers(found))


def common_levels(cogs: Sequence[Probe]) -> tuple[tuple[int, int], ...]:
    """Return (rows, columns) of each level that all COGs of one grid have, from level 0."""
    planes = [[(p.height, p.width) for p in planes_of(cog)] for cog in cogs]
    return tuple(
        shapes[0]
        for shapes in takewhile(lambda shapes: len(set(shapes)) == 1, zip(*planes, strict=False))
    )


def _numbers(found: Probe) -> tuple[int, ...]:
    return layout_of(found).levels(is_masked=found.header.mask == "internal")


def layout_of(found: Probe) -> CogLayout:
    """Return the layout of a COG, which every source of an external image has."""
    if found.layout is None:
        raise PlanError(f"`{found.header.uri}`: was not read as a COG")
    return found.layout


def check_cog(found: Probe) -> None:
    """Check what a COG must be.

    Source: Earth Engine's guide to COG-backed assets.

    Raises:
        PlanError: A rule is broken; names the command that fixes it.
    """
    header, layout = found.header, layout_of(found)
    problems = []
    for number, plane in enumerate(layout.planes):
        rows, cols = plane.block
        what = "overview {number}, " if number else ""
        size = f"{what.format(number=number)}{plane.width} x {plane.height}"
        if not rows:
            problems.append(f"it is in strips ({size}), expected square tiles")
        elif rows != cols or rows not in SIDES:
            sides = ", ".join(map(str, SIDES[:-1]))
            problems.append(
                f"it has tiles of {cols} x {rows} ({size}), expected squares of {sides} or"
                f" {SIDES[-1]}"
            )
        if problems:
            break
    if layout.data_start and layout.header_bytes > layout.data_start:
        problems.append(
            f"a directory ends at byte {layout.header_bytes:,}, after the first pixels at"
            f" {layout.data_start:,}; expected all of them at the beginning of the file"
        )
    if problems:
        raise PlanError(
            f"`{header.uri}` is not a COG that can be read in place: {'; '.join(problems)}",
            hint=_mend(header),
        )


def _cog_warning(spec: RasterSpec, loc: Loc, found: Probe) -> Iterator[Problem]:
    """Yield one warning with everything that a COG should have and lacks, and one command."""
    weak = list(weaknesses(found))
    if weak:
        header = found.header
        hint = _mend(header) if any(mends for _, mends in weak) else "use larger tiles"
        message = f"`{header.uri}`: {'; '.join(text for text, _ in weak)}"
        yield from warning(spec, loc, "cog", message, hint)


def weaknesses(found: Probe) -> Iterator[tuple[str, bool]]:
    """Yield what a COG should have and lacks, each with whether `remedy` fixes it."""
    header, layout = found.header, layout_of(found)
    full = layout.planes[0]
    if full.block[0] < 512 < max(full.height, full.width):
        yield f"it has tiles of {full.block[0]}, which cause many small reads", True
    planes = planes_of(found)
    odd = [p for level, p in enumerate(planes) if not _is_half(full, p, level)]
    if odd:
        sizes = ", ".join(f"{plane.width} x {plane.height}" for plane in odd)
        yield f"it has overviews that are not half of the one before: {sizes}", True
    if len(planes) < len(layout.planes):
        count = len(layout.planes) - len(planes)
        yield f"{count} of its overviews are not used: they lack its mask", True
    elif len(planes) == 1 and max(full.height, full.width) > full.block[0]:
        yield "it has no overviews, so level 0 is the only one", True
    if header.is_pixel_interleaved:
        yield "it interleaves its bands by pixel: reading one band reads them all", True
    if layout.header_bytes > HEADER_LIMIT:
        size = f"{layout.header_bytes:,} bytes"
        limit = f"the {HEADER_LIMIT:,} in which Earth Engine searches for them"
        yield f"its metadata takes {size}, more than {limit}", False


def _is_half(full: Plane, plane: Plane, level: int) -> bool:
    """Return whether a level halves the one before; GDAL rounds up or down."""
    sides = ((full.height, plane.height), (full.width, plane.width))
    return all(side in (size >> level, ceil_div(size, 1 << level), 1) for size, side in sides)


def _mend(header: Header) -> str:
    return f"rewrite it, with GDAL 3.11 or newer: `{remedy(header)}`"


def remedy(header: Header) -> str:
    """Return the command that makes a good COG of a file."""
    predictor = 3 if header.dtypes[0].startswith("float") else 2
    source, target = quoted_input(header), quoted_output(header, "_cog")
    return (
        f"gdal_translate {source} {target} -of COG -co OVERVIEWS=IGNORE_EXISTING"
        f" -co COMPRESS=ZSTD -co LEVEL=22 -co PREDICTOR={predictor} -co INTERLEAVE=BAND"
    )
