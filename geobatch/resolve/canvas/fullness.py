"""Whether a canvas is too large, or nearly empty: its tiles, its pixels and the stored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geobatch.declare import ImageSpec, RasterSpec
from geobatch.errors import PlanError
from geobatch.model.assets.image import DEFAULT_TILE
from geobatch.model.geobox import Bounds
from geobatch.model.limits import TILES
from geobatch.resolve.canvas.antimeridian import Wrap
from geobatch.resolve.canvas.canvas import Canvas
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.selection import ProbedSource

MAX_GAP = 0.99
"""Share of a canvas that may stay uncovered."""
MOST_TILES = 1 << 26
"""Level-0 tiles of a canvas; plans hold a set of them per band."""
MOST_EMPTY_TILES = 1 << 20
"""Level-0 tiles that any canvas may have, unless a spec allows more."""
_SHARE = 100
"""A larger canvas must have one stored pixel per this many."""


def check_canvases(
    spec: RasterSpec,
    mosaics: Mapping[str, Mosaic],
    canvases: Mapping[str, Canvas],
    wraps: Mapping[str, Wrap],
) -> None:
    """Check the canvases of bands.

    Args:
        spec: The image.
        mosaics: Its tilesets.
        canvases: Their canvases; those of masks are not checked.
        wraps: What is wrong with those at the antimeridian.

    Raises:
        PlanError: There are too many tiles, or too few pixels in them.
    """
    tile = spec.tile if isinstance(spec, ImageSpec) else DEFAULT_TILE
    for tileset, canvas in canvases.items():
        if canvas.is_of_masks:
            continue
        check_gap(canvas, wraps[tileset].hint if tileset in wraps else None)
        check_size(canvas, tile=tile)
        if isinstance(spec, ImageSpec):  # of an external image, no tile is computed
            _check_fullness(
                canvas,
                mosaics[tileset].sources,
                tile=tile,
                limit=spec.max_tiles,
                bounds=spec.bounds,
            )


def check_gap(canvas: Canvas, remedy: str | None = None) -> None:
    """Refuse a canvas that the sources leave nearly uncovered.

    Args:
        canvas: The canvas.
        remedy: What to write in the spec, where the reason is known.

    Raises:
        PlanError: The bounds meet no source, or more than 99 % of the union is gap.
    """
    area = canvas.geobox.height * canvas.geobox.width
    if canvas.covered == 0:
        raise PlanError(
            f"no source lies within `grid.bounds`; `{canvas.sources[0].header.uri}` is outside",
            hint=remedy or "bounds must be [left, bottom, right, top] in the units of the CRS",
        )
    # A declared grid includes its gaps on purpose.
    if canvas.is_union and area - canvas.covered > MAX_GAP * area:
        raise PlanError(
            f"the sources cover {canvas.covered} of the {area} pixels of their union: more than 99"
            f" % is empty (`{canvas.sources[0].header.uri}` to `{canvas.sources[-1].header.uri}`)",
            hint=remedy or "check for a source far from the others, or declare `grid.bounds`",
        )


def check_size(canvas: Canvas, *, tile: int) -> None:
    """Refuse a canvas of more tiles than a plan can name.

    Raises:
        PlanError: It has too many.
    """
    geobox, first = canvas.geobox, canvas.sources[0].header
    rows, cols = geobox.tile_shape(tile=tile)
    if rows * cols > MOST_TILES:
        raise PlanError(
            f"{geobox.width:.6g} x {geobox.height:.6g} pixels of the size of those of `{first.uri}`"
            f" are {rows * cols:.6g} tiles; at most {MOST_TILES:,} can be planned",
            hint="check that `grid.bounds` are in the units of the CRS, or choose larger tiles",
        )


def _check_fullness(
    canvas: Canvas,
    sources: Sequence[ProbedSource],
    *,
    tile: int,
    limit: int | None,
    bounds: Bounds | None,
) -> None:
    """Refuse a canvas of more tiles than a limit that its sources fill by less than 1 %.

    Of a sparse TIFF those blocks count that are stored, of TFRecord the records that the shards can
    hold.

    Args:
        canvas: The canvas.
        sources: Its sources.
        tile: Side of a tile.
        limit: `grid.max_tiles` of the spec.
        bounds: `grid.bounds` of the spec.

    Raises:
        PlanError: There are too many tiles for so few pixels.
    """
    plane = canvas.geobox
    rows, cols = plane.tile_shape(tile=tile)
    tiles, most = rows * cols, limit or MOST_EMPTY_TILES
    if tiles > TILES.value:
        raise PlanError(
            f"{plane.width:,} x {plane.height:,} pixels are {tiles:,} tiles, expected at most"
            f" {TILES.value:,}",
            hint=f"declare a larger `tiling.tile`, or `grid.bounds`; or, {TILES.hint(tiles)}",
        )
    if tiles <= most:
        return
    area, stored = plane.height * plane.width, 0
    for one in sources:
        stored = min(canvas.covered, stored + one.driver.stored_pixels(one.probe))
        if stored * _SHARE >= area:
            return
    edges = f"bounds: [{', '.join(f'{edge!r}' for edge in bounds)}], " if bounds else ""
    raise PlanError(
        f"{plane.width:,} x {plane.height:,} pixels are {tiles:,} tiles, but the sources store"
        f" {stored:,} of the {area:,} pixels; a canvas of more than {most:,} tiles must be at"
        " least 1 % full",
        hint="declare `grid.bounds` around the data; or, if you mean it, write"
        f" `grid: {{{edges}max_tiles: {tiles}}}`",
    )
