"""Where the pixels of a tile come from: its footprint at level 0, and the sources under it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.explain.reasons import Tables, no_tables
from geobatch.model.assets.asset import Band
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Digest
from geobatch.model.tile import TilePosition
from geobatch.model.window import Box, Window


class SourceUnder(Struct, frozen=True, kw_only=True):
    """A source that lies under a tile."""

    uri: str
    """Uri as the spec gave it."""
    digest: Digest
    """Its identity."""
    index: int
    """Zero-based band of it that is read."""
    is_mask: bool
    """Whether it gives masks instead of values."""
    window: Window
    """Pixels of the source that lie under the tile."""
    blocks: Box | None = None
    """Storage blocks that hold them; None where no block table is known."""
    block: tuple[int, int] | None = None
    """(rows, columns) of a block; None likewise."""


def check_place(asset: Raster, band: Band, place: TilePosition) -> None:
    """Refuse a tile that a band does not have.

    Raises:
        NotFoundError: There is no such level, row or column.
    """
    grid = asset.grid(band.grid)
    if not 0 <= place.level < grid.level_count:
        raise NotFoundError(
            f"band `{band.id}` of `{asset.id}` has no level `{place.level}`",
            hint=f"its levels go from 0, the finest, to {grid.level_count - 1}",
        )
    rows, cols = grid.tile_shape(tile=asset.tile, level=place.level)
    if not (0 <= place.row < rows and 0 <= place.col < cols):
        raise NotFoundError(
            f"band `{band.id}` of `{asset.id}` has no tile `{place}`",
            hint=f"level {place.level} has rows 0 to {rows - 1} and columns 0 to {cols - 1}",
        )


def has_place(asset: Raster, band: Band, place: TilePosition) -> bool:
    """Return whether a band has a tile, stored or not."""
    try:
        check_place(asset, band, place)
    except NotFoundError:
        return False
    return True


def footprint(asset: Raster, band: Band, place: TilePosition | None) -> Window:
    """Return the pixels of level 0 that determine a tile; without one, the whole plane."""
    whole = asset.grid(band.grid).geobox.window
    if place is None:
        return whole
    side = asset.tile << place.level
    tile = Window(row=place.row * side, col=place.col * side, height=side, width=side)
    return tile.intersect(whole) or tile


def children(asset: Raster, band: Band, place: TilePosition) -> tuple[TilePosition, ...]:
    """Return the tiles of the level below that a tile is built from; none for level 0."""
    if place.level == 0:
        return ()
    level = place.level - 1
    rows, cols = asset.grid(band.grid).tile_shape(tile=asset.tile, level=level)
    return tuple(
        TilePosition(level=level, row=row, col=col)
        for row in range(2 * place.row, min(2 * place.row + 2, rows))
        for col in range(2 * place.col, min(2 * place.col + 2, cols))
    )


def sources_under(
    asset: Raster, band: Band, window: Window, *, tables: Tables = no_tables
) -> Iterator[SourceUnder]:
    """Yield the sources under a window of a band's level 0: values, then masks, each in order.

    Of sources that overlap, the later wins where it is valid.
    """
    channels = [(band.tileset, band.index, False)]
    if band.masking.tileset is not None:
        last = len(asset.tileset(band.masking.tileset).dtypes) - 1
        channels.append((band.masking.tileset, last, True))
    for name, index, is_mask in channels:
        for source in asset.tileset(name).sources:
            common = window.intersect(source)
            if common is None:
                continue
            inside = common.shift(rows=-source.row, cols=-source.col)
            table = tables(source.digest)
            yield SourceUnder(
                uri=source.uri,
                digest=source.digest,
                index=index,
                is_mask=is_mask,
                window=inside,
                blocks=None if table is None else inside.in_tiles(table.block),
                block=None if table is None else table.block,
            )
