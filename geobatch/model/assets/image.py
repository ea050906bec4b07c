"""Images: bands of pixels, in tiles of the store or in sources that stay where they are."""

from __future__ import annotations

from typing import ClassVar

from geobatch.model.assets.band import Band
from geobatch.model.assets.codec import Codec
from geobatch.model.assets.facts import Facts, Kind
from geobatch.model.assets.grid import Footprint, Grid
from geobatch.model.assets.tileset import Tileset
from geobatch.model.checks.check import Check

DEFAULT_TILE = 512
"""Side of a tile in pixels, unless the spec declares another."""


class Raster(Facts, frozen=True, kw_only=True):
    """What an image has, wherever its pixels are."""

    grids: tuple[Grid, ...]
    """Grids in the order in which the bands name them first."""
    bands: tuple[Band, ...]
    """Bands in the order of the spec."""
    tilesets: tuple[Tileset, ...]
    """Tilesets that feed bands or masks."""
    array_bands: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Array bands, sorted by name, each with the ids of its bands in order; an export makes one
    tensor of them."""
    tile: int = DEFAULT_TILE
    """Side of a square tile in pixels."""
    codec: Codec = Codec()
    """How tiles are encoded."""
    footprint: Footprint | None = None
    """Valid region in pixels."""
    checks: tuple[Check, ...] = ()
    """What its pixels and grids must be, in the order of the spec; no pixel depends on them."""

    def grid(self, name: str) -> Grid:
        """Return the grid of a name."""
        return next(grid for grid in self.grids if grid.name == name)

    def band(self, band_id: str) -> Band:
        """Return the band of an id."""
        return next(band for band in self.bands if band.id == band_id)

    def tileset(self, tileset_id: str) -> Tileset:
        """Return the tileset of an id."""
        return next(tileset for tileset in self.tilesets if tileset.id == tileset_id)

    def bands_of(self, grid: str) -> tuple[Band, ...]:
        """Return the bands on a grid, in order."""
        return tuple(band for band in self.bands if band.grid == grid)


class Image(Raster, frozen=True, kw_only=True):
    """An image whose pixels are tiles of the store."""

    kind: ClassVar[Kind] = Kind.IMAGE


class ExternalImage(Raster, frozen=True, kw_only=True):
    """An image whose pixels stay in its sources, which are pinned COGs."""

    kind: ClassVar[Kind] = Kind.EXTERNAL_IMAGE


IMAGES: dict[Kind, type[Image | ExternalImage]] = {
    Kind.IMAGE: Image,
    Kind.EXTERNAL_IMAGE: ExternalImage,
}
"""The type of an image by its kind."""
