"""Resolved assets, with nothing left open."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from msgspec import Struct

from geobatch.errors import InternalError, Problem
from geobatch.model.assets.band import DTYPES, Band, Masking, MaskSource
from geobatch.model.assets.codec import Codec
from geobatch.model.assets.facts import Kind
from geobatch.model.assets.grid import Footprint, Grid
from geobatch.model.assets.image import ExternalImage, Image, Raster
from geobatch.model.assets.policy import Policy
from geobatch.model.assets.table import Table
from geobatch.model.assets.tileset import Source, Tileset
from geobatch.model.geobox import Transform
from geobatch.model.number import Number
from geobatch.model.sources.file_stat import FileStat

Asset: TypeAlias = Image | ExternalImage | Table
"""One declared product with everything resolved."""
AnyImage: TypeAlias = Image | ExternalImage
"""An asset of pixels, wherever they are."""


def image_of(asset: Asset) -> AnyImage:
    """Return an asset that is an image.

    Raises:
        InternalError: It is a table.
    """
    if isinstance(asset, Table):
        raise InternalError(f"`{asset.id}` is a table, not an image")
    return asset


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
    files: frozenset[int] = frozenset()
    """Hashes of the paths of the local files of images, for this process."""
    by_image: Mapping[str, tuple[Problem, ...]] = MappingProxyType({})
    """Those of them that one image alone determines, by its id."""
    beside: frozenset[str] = frozenset()
    """Ids of the images with files beside theirs, or pages, that other warnings are about."""

    @property
    def images(self) -> tuple[AnyImage, ...]:
        """Return the images, ingested and external."""
        return tuple(asset for asset in self.assets if isinstance(asset, Raster))


__all__ = [
    "DTYPES", "AnyImage", "Asset", "Band", "Codec", "ExternalImage", "FileStat", "Footprint",
    "Grid", "Image", "Kind", "MaskSource", "Masking", "Number", "Policy", "Raster", "Resolution",
    "Source", "Table", "Tileset", "Transform", "image_of",
]  # fmt: skip
