"""How the tiles of a region are cut into pieces that are ingested at a time.

On a busy machine, a raster of 173 MB took 0.94 of the CPU time with it, and 0.90 of the time
(docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Band
from geobatch.model.assets.image import Raster
from geobatch.model.window import Box

_PIECE_BYTES = 8 << 20
"""Most bytes of pixels in a piece of several tiles."""


def pieces(wanted: Sequence[tuple[Band, npt.NDArray[np.bool_]]], asset: Raster) -> Iterator[Box]:
    """Yield boxes, from the region's corner, that cover the tiles that some bands want.

    A few tiles stay in the processor's cache on their whole way, from decoding to encoding, and
    one above the other they lie in memory as they are to be encoded. Where storage blocks straddle
    tiles, all is read at once, so that no block is decoded twice.

    Args:
        wanted: Bands, and the base tiles that each wants, (row, column) within the region.
        asset: What they are of.
    """
    if not wanted:
        return
    joint = np.logical_or.reduce([tiles for _, tiles in wanted])
    if not _is_tiled_alike(asset, {band.tileset for band, _ in wanted}):
        yield Box.around(joint, row=0, col=0)
        return
    # If a band wants only some tiles of a piece, the others would be read for nothing.
    are_alike = all(np.array_equal(tiles, joint) for _, tiles in wanted)
    tile_bytes = asset.tile**2 * sum(np.dtype(band.dtype).itemsize for band, _ in wanted)
    longest = max(1, _PIECE_BYTES // tile_bytes) if are_alike else 1
    for col, column in enumerate(joint.T.tolist()):
        height = 0
        for row, is_wanted in enumerate([*column, False]):
            if height and (not is_wanted or height == longest):
                yield Box(row=row - height, col=col, height=height, width=1)
                height = 0
            height += is_wanted


def _is_tiled_alike(asset: Raster, tilesets: set[str]) -> bool:
    """Return whether each tile holds whole storage blocks of every source of some tilesets."""
    return all(
        asset.tile % side == 0 and start % side == 0
        for tileset in asset.tilesets
        if tileset.id in tilesets
        for source in tileset.sources
        for side, start in zip(source.block, (source.row, source.col), strict=True)
    )
