"""Whether a canvas of very many tiles is nearly empty: its pixels and the stored ones."""

from __future__ import annotations

from collections.abc import Iterable

from geobatch.errors import PlanError
from geobatch.model.geobox import Bounds
from geobatch.model.limits import TILES
from geobatch.model.sources.probe import Probe
from geobatch.resolve.canvas.canvas import Canvas, covered_pixels
from geobatch.sources.registry import driver_named

MOST_EMPTY_TILES = 1 << 20
"""Level-0 tiles that any canvas may have, unless a spec allows more."""
_SHARE = 100
"""A larger canvas must have one stored pixel per this many."""


def check_fullness(
    canvas: Canvas,
    found: Iterable[Probe],
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
        found: Its sources.
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
    covered = covered_pixels(canvas)
    for one in found:
        stored = min(covered, stored + driver_named(one.driver).stored_pixels(one))
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
