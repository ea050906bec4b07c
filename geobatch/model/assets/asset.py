"""Resolved assets, with nothing left open."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from geobatch.errors import Problem
from geobatch.model.assets.band import DTYPES, Band, Masking, MaskSource, Number
from geobatch.model.assets.codec import Codec
from geobatch.model.assets.facts import Kind
from geobatch.model.assets.grid import Footprint, Grid
from geobatch.model.assets.image import ExternalImage, Image
from geobatch.model.assets.policy import Policy
from geobatch.model.assets.table import Table
from geobatch.model.assets.tileset import Source, Tileset
from geobatch.model.geobox import Transform
from geobatch.model.sources.file_stat import FileStat

Asset: TypeAlias = Image | ExternalImage | Table
"""One declared product with everything resolved."""


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
    "DTYPES", "Asset", "Band", "Codec", "ExternalImage", "FileStat", "Footprint", "Grid", "Image",
    "Kind", "MaskSource", "Masking", "Number", "Policy", "Resolution", "Source", "Table",
    "Tileset", "Transform",
]  # fmt: skip
