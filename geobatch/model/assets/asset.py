"""Resolved assets: grids, bands, tilesets and sources, with nothing left open."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from msgspec import Struct

from geobatch.errors import Problem
from geobatch.model.assets.table import Table
from geobatch.model.compared import Compared
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox, Transform
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.pin import Pin
from geobatch.model.sources.tfrecord import Feature, Records

Number: TypeAlias = int | float

DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
)  # fmt: skip
"""The pixel types that an asset may hold, by numpy name; stored little-endian."""


class Kind(StrEnum):
    """What an asset is."""

    IMAGE = "image"
    EXTERNAL_IMAGE = "external_image"
    TABLE = "table"
    IMAGE_COLLECTION = "image_collection"
    FOLDER = "folder"


class Policy(StrEnum):
    """How a 2x2 group of pixels becomes one pixel of the level above (Earth Engine's policies)."""

    MEAN = "MEAN"
    SAMPLE = "SAMPLE"
    MIN = "MIN"
    MAX = "MAX"
    MODE = "MODE"
    MEDIAN = "MEDIAN"


class MaskSource(StrEnum):
    """Where a band's mask comes from; the highest declared one wins."""

    NONE = "none"
    """Nothing masks the band but NaN, gaps and the footprint."""
    VALUES = "values"
    """Pixels equal to a missing value are masked (`missing_data`, or the file's nodata)."""
    FILE = "file"
    """The source file's own alpha band or internal mask."""
    BAND = "band"
    """The last band of a mask tileset (`mask_bands`)."""


class Codec(Struct, frozen=True, kw_only=True):
    """How the pixels of a tile become the bytes of an object."""

    name: str = "blosc"
    """`blosc`, `zstd`, `gzip` or `none`."""
    level: int = 1
    """Compression level of the codec."""
    compressor: str = "zstd"
    """Inner compressor of blosc; empty for the others."""
    shuffle: str = "bitshuffle"
    """Blosc's shuffle: `noshuffle`, `shuffle` or `bitshuffle`; empty for the others."""
    chunk: int = 0
    """Side of the chunks that are encoded one by one in a tile that is a shard; 0 in one that is
    none."""


def _identity(value: Any) -> Any:
    """Return the key that compares values that may hold NaN: floats by their text."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, tuple):
        return tuple(_identity(item) for item in value)
    return value


def _identities(value: Any) -> tuple[Any, ...]:
    return tuple(_identity(getattr(value, name)) for name in value.__struct_fields__)


class Masking(Struct, frozen=True, kw_only=True):
    """What may mask a band's pixels, according to specs and headers."""

    source: MaskSource
    """Which kind of masking applies."""
    values: tuple[Number, ...] = ()
    """Missing values, in the band's dtype; only with VALUES."""
    is_near: bool = False
    """Whether floats close to a missing value equal it, as GDAL treats a file's nodata."""
    tileset: str | None = None
    """Tileset whose last band is the mask; only with BAND."""
    valid_value: int = 255
    """Value of that band that means valid; only with BAND."""
    is_partial: bool = False
    """Whether masks between 0 and 255 may occur (alpha and mask bands)."""
    has_gaps: bool = False
    """Whether the sources leave a part of the canvas uncovered, or a footprint cuts it."""
    is_fill_free: bool = False
    """Whether no valid pixel of level 0 can equal the band's fill value."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Masking) and _identities(self) == _identities(other)

    def __hash__(self) -> int:
        return hash(_identities(self))


class Band(Struct, frozen=True, kw_only=True):
    """One output channel, mapped from (tileset, band index)."""

    id: str
    """Name of the band and of its arrays."""
    grid: str
    """Name of the grid that the band lies on."""
    tileset: str
    """Id of the tileset that feeds the band."""
    index: int
    """Zero-based band index within the sources of the tileset."""
    dtype: str
    """Numpy name of the pixel type, one of `DTYPES`."""
    policy: Policy
    """Pyramiding policy."""
    fill: Number
    """Value that is burned into masked pixels."""
    masking: Masking
    """What may mask its pixels."""
    description: str | None = None
    """Band description of the file."""
    unit: str | None = None
    """Unit of the scaled values."""
    scale: float | None = None
    """Factor from stored to physical values; None for 1."""
    offset: float | None = None
    """Addend from stored to physical values; None for 0."""
    palette: tuple[tuple[int, int, int, int], ...] | None = None
    """Colour table, RGBA per value from 0."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Band) and _identities(self) == _identities(other)

    def __hash__(self) -> int:
        return hash(_identities(self))

    @property
    def is_float(self) -> bool:
        """Whether the dtype is a floating-point type."""
        return self.dtype.startswith("float")

    @property
    def can_be_masked(self) -> bool:
        """Whether any pixel of the band can be masked, according to specs and headers."""
        masking = self.masking
        return self.is_float or masking.source is not MaskSource.NONE or masking.has_gaps

    @property
    def mask_from_level(self) -> int | None:
        """First level with a mask array beside the band: 0, 1, or None for no mask array at all."""
        if not self.can_be_masked:
            return None
        return 1 if self.masking.is_fill_free and not self.masking.is_partial else 0

    def has_mask(self, level: int) -> bool:
        """Return whether a level of the band has a mask array."""
        first = self.mask_from_level
        return first is not None and level >= first


class Grid(Struct, frozen=True, kw_only=True):
    """The pixel planes that some bands of an asset share: one multiscale group."""

    name: str
    """Group name under the asset when there are several grids."""
    geobox: GeoBox
    """Level 0."""
    shapes: tuple[tuple[int, int], ...] | None = None
    """(rows, columns) per level, as COGs have them, of an external image; None for halves."""

    @property
    def level_count(self) -> int:
        """How many levels there are, from level 0."""
        return self.geobox.level_count if self.shapes is None else len(self.shapes)

    def level(self, level: int) -> GeoBox:
        """Return the plane of a level; if it is not a half, it still covers the area of level 0."""
        plane = self.geobox.level(level)
        if self.shapes is None or self.shapes[level] == plane.shape:
            return plane
        height, width = self.shapes[level]
        down, right = self.geobox.height / height, self.geobox.width / width
        a, b, c, d, e, f = self.geobox.transform
        return GeoBox(
            crs=plane.crs,
            transform=(a * right, b * down, c, d * right, e * down, f),
            height=height,
            width=width,
        )

    def scale(self, level: int) -> tuple[float, float]:
        """Return how many (rows, columns) of the level below make one of a level."""
        if level == 0:
            return (1.0, 1.0)
        if self.shapes is None:
            return (2.0, 2.0)
        (down, right), (below_down, below_right) = self._factors(level), self._factors(level - 1)
        return (down / below_down, right / below_right)

    def _factors(self, level: int) -> tuple[float, float]:
        plane, full = self.level(level), self.geobox
        if plane == full.level(level):
            return (float(1 << level), float(1 << level))
        return (full.height / plane.height, full.width / plane.width)

    def tile_shape(self, *, tile: int, level: int) -> tuple[int, int]:
        """Return how many (rows, columns) of tiles cover a level."""
        return self.level(level).tile_shape(tile=tile)


class Source(Compared, frozen=True, kw_only=True):
    """One raster of a tileset, placed on the tileset's canvas."""

    beside: ClassVar[frozenset[str]] = frozenset(
        {
            "block",
            "is_pixel_interleaved",
            "is_placed",
            "path",
            "stat",
            "is_proven",
            "overview",
            "records",
            "driver",
        }
    )

    uri: str
    """Uri as the spec gives it, globs and prefix expanded; of TFRecord shards, the mixer's."""
    digest: Digest
    """What identifies its pixels."""
    row: int
    """Canvas row of the source's first row; may be negative under `grid.bounds`."""
    col: int
    """Canvas column of the source's first column; may be negative under `grid.bounds`."""
    height: int
    """Rows of the source."""
    width: int
    """Columns of the source."""
    mask: str | None = None
    """Its own mask: `alpha`, `internal`, or None."""
    block: tuple[int, int] = (1, 1)
    """(rows, columns) of a storage block; decides how to read, not what."""
    is_pixel_interleaved: bool = False
    """Whether one block holds all bands."""
    is_placed: bool = False
    """Whether the spec or a sidecar declares its placement, not the file itself."""
    path: str = ""
    """Local path; empty when read back from a store."""
    stat: FileStat | None = None
    """The file as it was when it was digested."""
    is_proven: bool = True
    """Whether an equal stat proves the bytes that were digested; else its blocks are compared."""
    pin: Pin | None = None
    """The state of the COG that the pixels stay in; None where they are ingested."""
    overview: int = 0
    """Which reduced image is read instead of the full one; 0 for none."""
    driver: str = "geotiff"
    """Name of the driver that reads it; the default when read back from a store."""
    records: Records | None = None
    """The shards of a TFRecord source; None for a TIFF, or when read back from a store."""

    @property
    def size(self) -> int | None:
        """Bytes of its files; None where they are not known."""
        if self.stat is None:
            return None
        shards = self.records.shards if self.records is not None else ()
        return self.stat.size + sum(shard.stat.size for shard in shards)


class Tileset(Compared, frozen=True, kw_only=True):
    """Sources that share one structure and are mosaicked; a later source wins where it is valid."""

    beside: ClassVar[frozenset[str]] = frozenset({"has_own_crs"})

    id: str
    """Unique within the asset; may be empty."""
    grid: str
    """Name of the grid that the canvas is."""
    dtypes: tuple[str, ...]
    """Numpy dtype of each band in the files."""
    sources: tuple[Source, ...]
    """In the order of the spec, globs sorted by name with digits as numbers."""
    has_own_crs: bool = False
    """Whether the spec or a sidecar declares the CRS, not the sources."""
    features: tuple[Feature, ...] = ()
    """Features that are read from TFRecord sources; empty for TIFFs."""


class Footprint(Struct, frozen=True, kw_only=True):
    """A polygon in pixel coordinates of one grid; pixels that it does not touch are masked."""

    grid: str
    """Grid of the band that the footprint refers to."""
    points: tuple[tuple[float, float], ...]
    """(x, y) pixel coordinates of the closed ring."""


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
