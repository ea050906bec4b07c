"""Resolved assets: grids, bands, tilesets and sources, with nothing left open."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from geobatch.errors import Problem
from geobatch.model.assets.band import DTYPES, Band, Masking, MaskSource, Number
from geobatch.model.assets.codec import Codec
from geobatch.model.assets.grid import Footprint, Grid
from geobatch.model.assets.policy import Policy
from geobatch.model.assets.table import Table
from geobatch.model.assets.tileset import Source, Tileset
from geobatch.model.compared import Compared
from geobatch.model.geobox import Transform
from geobatch.model.sources.file_stat import FileStat


class Kind(StrEnum):
    """What an asset is."""

    IMAGE = "image"
    EXTERNAL_IMAGE = "external_image"
    TABLE = "table"
    IMAGE_COLLECTION = "image_collection"
    FOLDER = "folder"


class Asset(Compared, frozen=True, kw_only=True):
    """One declared product with everything resolved."""

    beside: ClassVar[frozenset[str]] = frozenset({"origin"})

    id: str
    """`/`-separated name."""
    kind: Kind
    """What it is."""
    grids: tuple[Grid, ...]
    """Grids in the order in which the bands name them first."""
    bands: tuple[Band, ...]
    """Bands in the order of the spec."""
    tilesets: tuple[Tileset, ...]
    """Tilesets that feed bands or masks."""
    array_bands: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Array bands, sorted by name, each with the ids of its bands in order; an export makes one
    tensor of them."""
    tile: int = 512
    """Side of a square tile in pixels."""
    codec: Codec = Codec()
    """How tiles are encoded."""
    properties: tuple[tuple[str, str | int | float], ...] = ()
    """Sorted by key."""
    start_time: str | None = None
    """RFC 3339 in UTC, `Z`-terminated."""
    end_time: str | None = None
    """RFC 3339 in UTC, exclusive."""
    footprint: Footprint | None = None
    """Valid region in pixels."""
    table: Table | None = None
    """What the rows of a table are made of; None for an asset of pixels."""
    memo: str = ""
    """The user's notes; no effect."""
    is_protected: bool = False
    """Whether `lifecycle.protect` guards the asset against deletion."""
    origin: str = ""
    """Spec file and line, for messages."""

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


class Resolution(Struct, frozen=True, kw_only=True):
    """The resolved form of every asset that the specs declare."""

    assets: tuple[Asset, ...]
    """Sorted by id."""
    sources_hashed: int = 0
    """How many sources had to be read to be digested."""
    sources_by_stat: int = 0
    """How many sources have an unchanged stat."""
    warnings: tuple[Problem, ...] = ()
    """Warnings about likely mistakes, from headers."""


__all__ = [
    "DTYPES", "Asset", "Band", "Codec", "FileStat", "Footprint", "Grid", "Kind", "MaskSource",
    "Masking", "Number", "Policy", "Resolution", "Source", "Tileset", "Transform",
]  # fmt: skip
