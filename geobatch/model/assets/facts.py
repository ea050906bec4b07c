"""What an asset may be, and what can be asked of every asset."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from geobatch.model.assets.band import Band
from geobatch.model.assets.codec import Codec
from geobatch.model.assets.grid import Footprint, Grid
from geobatch.model.assets.tileset import Tileset
from geobatch.model.compared import Compared


class Kind(StrEnum):
    """What an asset is."""

    IMAGE = "image"
    EXTERNAL_IMAGE = "external_image"
    TABLE = "table"
    IMAGE_COLLECTION = "image_collection"
    FOLDER = "folder"


class Facts(Compared, frozen=True, kw_only=True):
    """What every asset has; one that has no pixels has no grids and no bands."""

    kind: ClassVar[Kind]
    """What it is: one kind per class."""
    beside: ClassVar[frozenset[str]] = frozenset({"origin"})

    id: str
    """`/`-separated name."""
    properties: tuple[tuple[str, str | int | float], ...] = ()
    """Sorted by key."""
    start_time: str | None = None
    """RFC 3339 in UTC, `Z`-terminated."""
    end_time: str | None = None
    """RFC 3339 in UTC, exclusive."""
    memo: str = ""
    """The user's notes; no effect."""
    is_protected: bool = False
    """Whether `lifecycle.protect` guards the asset against deletion."""
    origin: str = ""
    """Spec file and line, for messages."""

    @property
    def grids(self) -> tuple[Grid, ...]:
        """Grids in the order in which the bands name them first."""
        return ()

    @property
    def bands(self) -> tuple[Band, ...]:
        """Bands in the order of the spec."""
        return ()

    @property
    def tilesets(self) -> tuple[Tileset, ...]:
        """Tilesets that feed bands or masks."""
        return ()

    @property
    def array_bands(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Array bands, sorted by name, each with the ids of its bands in order.

        An export makes one tensor of them.
        """
        return ()

    @property
    def tile(self) -> int:
        """Side of a square tile in pixels."""
        return 512

    @property
    def codec(self) -> Codec:
        """How tiles are encoded."""
        return Codec()

    @property
    def footprint(self) -> Footprint | None:
        """Valid region in pixels."""
        return None

    @property
    def is_external(self) -> bool:
        """Whether the pixels stay in the sources, and the store holds none."""
        return self.kind is Kind.EXTERNAL_IMAGE

    def grid(self, name: str) -> Grid:
        """Return the grid of a name."""
        return next(grid for grid in self.grids if grid.name == name)

    def band(self, band_id: str) -> Band:
        """Return the band of an id."""
        return next(band for band in self.bands if band.id == band_id)

    def tileset(self, tileset_id: str) -> Tileset:
        """Return the tileset of an id."""
        return next(tileset for tileset in self.tilesets if tileset.id == tileset_id)

    def group(self, grid: str) -> str:
        """Return the path of a grid's multiscale group in the asset: empty for a single grid."""
        return "" if len(self.grids) == 1 else grid

    def bands_of(self, grid: str) -> tuple[Band, ...]:
        """Return the bands on a grid, in order."""
        return tuple(band for band in self.bands if band.grid == grid)
