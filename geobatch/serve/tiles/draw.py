"""A tile of a map, drawn from the level that fits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geobatch.errors import NotFoundError
from geobatch.model.assets.band import Band
from geobatch.review.pictures.colours import Stretch, stretch_of
from geobatch.serve.tiles.kept import Kept
from geobatch.serve.tiles.pixels import MOST_TILES, Published
from geobatch.serve.tiles.png import SIDE, empty_tile, encode
from geobatch.serve.tiles.positions import MapTile, positions_of
from geobatch.serve.tiles.style import Style, colours_of

Whole = npt.NDArray[np.int64]


class Drawing:
    """Draws tiles of images; threads share it."""

    def __init__(self) -> None:
        self._stretches: Kept[Stretch | None] = Kept(1 << 20)

    def map_tile(self, image: Published, style: Style, tile: MapTile) -> bytes:
        """Return a tile of Web Mercator as PNG; of each pixel, the nearest pixel of the image.

        Raises:
            CorruptObjectError: A tile of the store is damaged.
            SourceError: A COG is not in the state that was applied.
        """
        grid = image.grid(image.record.image.band(style.bands[0]))
        positions = positions_of(tile, grid.geobox)
        level = positions.level(grid)
        while True:
            rows, cols = positions.at(grid, level)
            under = image.tiles_under(grid.level(level), rows, cols)
            if under <= MOST_TILES or level == grid.level_count - 1:
                break
            level += 1
        if not under:
            return empty_tile()
        return self._draw(image, style, level, rows, cols)

    def native_tile(self, image: Published, style: Style, level: int, x: int, y: int) -> bytes:
        """Return 256 x 256 pixels of a level as PNG, each as it is stored.

        Args:
            image: The image.
            style: Its bands and colours.
            level: The level, 0 the finest.
            x: Column of the tile, from the left.
            y: Row of the tile, from the first row of the level.

        Raises:
            NotFoundError: There is no such level.
            CorruptObjectError: A tile of the store is damaged.
            SourceError: A COG is not in the state that was applied.
        """
        grid = image.grid(image.record.image.band(style.bands[0]))
        if not 0 <= level < grid.level_count:
            what = f"`{image.record.asset.id}` has no level {level}"
            raise NotFoundError(what, hint=f"its levels are 0 to {grid.level_count - 1}")
        plane = grid.level(level)
        if not (0 <= y * SIDE < plane.height and 0 <= x * SIDE < plane.width):
            return empty_tile()
        rows, cols = np.mgrid[y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
        return self._draw(image, style, level, rows, cols)

    def _draw(self, image: Published, style: Style, level: int, rows: Whole, cols: Whole) -> bytes:
        bands = [image.record.image.band(name) for name in style.bands]
        states = [image.sample(band, level, rows, cols) for band in bands]
        stretches = [
            self.stretch(image, band) if one is None and band.palette is None else one
            for band, one in zip(bands, style.stretches, strict=True)
        ]
        return encode(colours_of(bands, states, stretches, style.colormap))

    def stretch(self, image: Published, band: Band) -> Stretch | None:
        """Return the stretch that an image suggests: of its coarsest level; None if all is masked.

        Raises:
            CorruptObjectError: A tile of the store is damaged.
            SourceError: A COG is not in the state that was applied.
        """

        def make() -> Stretch | None:
            grid = image.grid(band)
            level = grid.level_count - 1
            height, width = grid.level(level).shape
            # Of external images, the coarsest level may be large.
            step = max(-(-max(height, width) // 512), 1)
            rows, cols = np.mgrid[0:height:step, 0:width:step]
            return stretch_of([image.sample(band, level, rows, cols)])

        return self._stretches.get((image.stored, band.id), make, lambda _: 200)
