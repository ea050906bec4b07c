"""The fields of a spec document: Earth Engine's image manifest and geobatch's own keys."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geobatch.spec.hints import show
from geobatch.spec.values import (
    AssetId,
    AssetName,
    BandId,
    DataTypeName,
    Finite,
    Index,
    KindName,
    Number,
    PolicyName,
    PropertyKey,
    PropertyValue,
    Size,
    Text,
    Time,
    refuse,
)

LEVELS = {"blosc": (0, 9), "zstd": (1, 22), "gzip": (0, 9)}
"""Compression levels, lowest and highest, by codec."""


class Part(BaseModel):
    """A mapping of a spec; its own keys only, in canonical order."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    required: ClassVar[tuple[str, ...]] = ()
    """Keys that must stand; a default fills in for them so that the rest can be judged."""
    unsupported: ClassVar[dict[str, str]] = {}
    """Keys that are known but have no effect here, and why."""
    misspelt: ClassVar[dict[str, str]] = {}
    """Spellings that Google's own guide has, and what they mean."""
    barred: ClassVar[dict[str, str]] = {}
    """Keys that stand elsewhere only, and where."""
    one_or_many: ClassVar[frozenset[str]] = frozenset()
    """Lists that may be written as their one item."""


class AffineManifest(Part):
    """Places a raster: x = scale_x*col + shear_x*row + translate_x, y likewise."""

    required: ClassVar[tuple[str, ...]] = ("scale_x", "scale_y")

    scale_x: Finite = 1
    """Width of a pixel."""
    shear_x: Finite = 0
    """Change of x per row."""
    translate_x: Finite = 0
    """x of the upper left corner."""
    shear_y: Finite = 0
    """Change of y per column."""
    scale_y: Finite = 1
    """Height of a pixel; negative where rows run south."""
    translate_y: Finite = 0
    """y of the upper left corner."""

    @model_validator(mode="after")
    def _has_area(self) -> AffineManifest:
        if float(self.scale_x) * float(self.scale_y) == float(self.shear_x) * float(self.shear_y):
            hint = "`scale_x` and `scale_y` are the sizes of a pixel, not zero"
            refuse("affine", "the transform gives pixels without area", hint)
        return self


class DimensionsManifest(Part):
    """Size of a raster."""

    required: ClassVar[tuple[str, ...]] = ("width", "height")

    width: Size = 1
    """Columns."""
    height: Size = 1
    """Rows."""


class SourceManifest(Part):
    """One raster of a tileset, or a glob of them."""

    required: ClassVar[tuple[str, ...]] = ("uris",)

    uris: Annotated[list[Text], Field(min_length=1)] = []
    """One path, relative to the spec file, and its `.tfw` and `.prj` if there are any; a glob gives
    one source per file, sorted by name with digits as numbers. Or the TFRecord shards of one
    export, in order, and its mixer."""
    affine_transform: AffineManifest | None = None
    """Placement, for a file that does not tell its own."""
    dimensions: DimensionsManifest | None = None
    """Size, which the file must have; needed only with `skip_metadata_read`."""


class FeatureManifest(Part):
    """One feature of TFRecord records; may be written as its name alone."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: Text = "_"
    """Its key in the records."""
    data_type: DataTypeName = None
    """Pixel type, where that of the tileset's features shall not hold."""
    axis_order: Literal["CHW", "HWC"] | None = None
    """Of several values per pixel: band by band (CHW), or pixel by pixel (HWC)."""
    depth: Annotated[int, Field(ge=1, le=2**16)] | None = None
    """Values per pixel, each a band; needed where the length of the feature can be read in two
    ways, one with the margin and one without."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class TfrecordManifest(Part):
    """How the records of TFRecord sources are read."""

    kernel_size: Annotated[
        list[Annotated[int, Field(ge=0, le=2**16)]], Field(min_length=2, max_length=2)
    ] = [0, 0]
    """[columns, rows] that patches overlap by; the margin, half of it a side, is cut off."""
    features: list[FeatureManifest] = []
    """Those to read, in the order of the bands; by default those that the bands name."""
    data_type: DataTypeName = None
    """Pixel type of the features; by default FLOAT for float_list, INT64 for int64_list, and UINT8
    for bytes_list, whose bytes are little-endian pixels."""


class TilesetManifest(Part):
    """Sources that share one structure and are mosaicked."""

    required: ClassVar[tuple[str, ...]] = ("sources",)
    unsupported: ClassVar[dict[str, str]] = {
        "subdataset_prefix": "a GeoTIFF has no named subdatasets, and other formats are not read",
        "subdataset_suffix": "a GeoTIFF has no named subdatasets, and other formats are not read",
    }

    id: str = ""
    """Name of the tileset, unique in the asset; may be empty."""
    optional: bool = False
    """In a collection: whether an image may lack the files, and is then made without them."""
    data_type: DataTypeName = None
    """Pixel type, where the file's own shall not hold."""
    crs: Text | None = None
    """Authority code such as `EPSG:32633`, or WKT, where the file's own shall not hold."""
    sources: Annotated[list[SourceManifest], Field(min_length=1)] = []
    """Rasters; where they overlap, the later wins where it is valid."""
    tfrecord: TfrecordManifest | None = None
    """How records are read, where the sources are TFRecord shards."""


class MissingDataManifest(Part):
    """Values that mean masked."""

    values: list[Number] = []
    """Masked values; an empty list ignores the file's own nodata."""


class BandManifest(Part):
    """One output channel."""

    required: ClassVar[tuple[str, ...]] = ("id",)
    misspelt: ClassVar[dict[str, str]] = {"pyraminding_policy": "pyramiding_policy"}

    id: BandId = ""
    """Name of the band and of its arrays."""
    tileset_id: str | None = None
    """Tileset that feeds the band; may be left away when there is one."""
    tileset_band_index: Index = 0
    """Zero-based band of the tileset's files."""
    feature: Text | None = None
    """Feature of the tileset's records, in place of an index."""
    pyramiding_policy: PolicyName = None
    """How 2x2 pixels become one; the asset's policy by default."""
    missing_data: MissingDataManifest | None = None
    """Masked values of this band; the asset's by default."""


class MaskBandManifest(Part):
    """A tileset whose last band masks other bands."""

    tileset_id: str | None = None
    """Tileset whose last band is the mask; may be left away when there is one."""
    band_ids: list[str] = []
    """Bands that it masks; all when empty."""
    feature: Text | None = None
    """Feature of the tileset's records that is the mask, in place of its last band."""
    valid_value: Size | None = None
    """Value of the mask that means valid, such as 1; by default 255, of n bits 2^n - 1."""


class PointManifest(Part):
    """A corner of a footprint, in pixels."""

    required: ClassVar[tuple[str, ...]] = ("x", "y")

    x: Finite = 0
    """Columns from the left edge."""
    y: Finite = 0
    """Rows from the upper edge."""


class FootprintManifest(Part):
    """A polygon in pixel coordinates; pixels that it does not touch are masked."""

    required: ClassVar[tuple[str, ...]] = ("points",)

    points: Annotated[list[PointManifest], Field(min_length=4)] = []
    """The ring; the last point is the first again."""
    band_id: str = ""
    """Band whose pixels are meant; the first by default."""

    @model_validator(mode="after")
    def _is_closed(self) -> FootprintManifest:
        if not self.points:
            return self
        first, last = self.points[0], self.points[-1]
        if first != last:
            message = "the ring is open: its last point is not its first"
            refuse("footprint", message, f"end with `{{x: {first.x}, y: {first.y}}}`")
        return self


class TilingManifest(Part):
    """How the pixel planes are cut."""

    tile: Annotated[int, Field(ge=16, le=4096, multiple_of=16)] = 512
    """Side in pixels of a square tile, which a reader decodes at a time."""
    shard: Annotated[int, Field(ge=32, le=4096)] | None = None
    """Side in pixels of what is stored, planned and computed at a time: a square of several tiles,
    which makes fewer and larger files; by default one tile. GDAL reads shards from 3.13 on."""

    @model_validator(mode="after")
    def _is_whole(self) -> TilingManifest:
        if self.shard is not None and (self.shard % self.tile or self.shard == self.tile):
            message = f"a shard of {self.shard} pixels does not hold several whole tiles"
            largest = min(4, 4096 // self.tile) * self.tile
            hint = f"use a multiple of {self.tile}, such as {largest}"
            refuse("tiling", message, hint if largest > self.tile else "leave `shard` away")
        return self


class CodecManifest(Part):
    """How the pixels of a tile become bytes; may be written as its name alone."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: Literal["blosc", "zstd", "gzip", "none"] = "blosc"
    """Codec of Zarr."""
    level: int | None = None
    """Compression level; of blosc 1 by default, of the others 3."""
    compressor: Literal["blosclz", "lz4", "lz4hc", "zlib", "zstd"] | None = None
    """Inner compressor of blosc; zstd by default."""
    shuffle: Literal["noshuffle", "shuffle", "bitshuffle"] | None = None
    """Shuffle of blosc; bitshuffle by default."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> CodecManifest:
        if self.name != "blosc" and (self.compressor or self.shuffle):
            message = f"{show(self.name)} takes neither `compressor` nor `shuffle`"
            refuse("codec", message, "only `blosc` does")
        if self.level is None:
            return self
        low, high = LEVELS.get(self.name, (0, 0))
        if not low <= self.level <= high:
            message = f"{show(self.name)} has no level {show(self.level)}"
            refuse("codec", message, f"from {low} to {high}")
        return self


class GridManifest(Part):
    """The canvas, where it shall not follow the sources."""

    bounds: Annotated[list[Finite], Field(min_length=4, max_length=4)] | None = None
    """[left, bottom, right, top] in CRS units; keeps the tiles in place as sources come and go."""
    max_tiles: Annotated[int, Field(ge=1, le=2**26)] | None = None
    """Most tiles of a canvas of which the sources fill less than 1 %; 1,048,576 by default."""

    @model_validator(mode="after")
    def _has_area(self) -> GridManifest:
        if self.bounds is not None:
            left, bottom, right, top = self.bounds
            if not (left < right and bottom < top):
                message = f"{show(self.bounds)} spans nothing"
                refuse("bounds", message, "in order: left < right, bottom < top")
        return self


class LifecycleManifest(Part):
    """What may happen to the asset."""

    protect: bool = False
    """Whether deleting the asset is refused."""


class Manifest(Part):
    """A raster asset: its sources, bands, masks, pyramids and metadata."""

    unsupported: ClassVar[dict[str, str]] = {
        "min_tile_area_ratio": "Earth Engine does not document it; a mosaic may be 99 % gap",
    }
    barred: ClassVar[dict[str, str]] = {
        "for_each": "it needs `kind: image_collection`",
        "image": "it needs `kind: image_collection`",
        "sources": "it needs `kind: table`; those of an image stand in `tilesets`",
        "column_data_type_overrides": "it needs `kind: table`",
        "csv_column_data_type_overrides": "it needs `kind: table`",
    }
    one_or_many: ClassVar[frozenset[str]] = frozenset({"mask_bands"})
    misspelt: ClassVar[dict[str, str]] = {"pyraminding_policy": "pyramiding_policy"}

    kind: KindName | None = None
    """What the asset is."""
    id: AssetId | None = None
    """`/`-separated name of the asset, at most ten parts."""
    name: AssetName | None = None
    """Earth Engine's spelling of the id: `projects/P/assets/ID`."""
    moved_from: AssetId | None = None
    """Id under which the asset was published before; its tiles are taken over."""
    uri_prefix: str = ""
    """Put literally before every uri."""
    tilesets: list[TilesetManifest] = []
    """Where the pixels come from."""
    bands: list[BandManifest] = []
    """Bands in order; by default all bands of all tilesets."""
    array_bands: dict[BandId, Annotated[list[str], Field(min_length=1)]] = {}
    """Bands that an export makes one tensor of, in order, by the name of the tensor."""
    mask_bands: list[MaskBandManifest] = []
    """Tilesets that mask bands."""
    missing_data: MissingDataManifest | None = None
    """Masked values of bands without their own."""
    pyramiding_policy: PolicyName = None
    """Policy of bands without their own; MEAN by default."""
    footprint: FootprintManifest | None = None
    """Valid region."""
    start_time: Time | None = None
    """Start, RFC 3339 or a date."""
    end_time: Time | None = None
    """End, exclusive."""
    properties: dict[PropertyKey, PropertyValue] = {}
    """Metadata: text or numbers."""
    skip_metadata_read: bool = False
    """Whether type and placement are all declared, and the files' metadata is set aside."""
    allow_unpinned: bool = False
    """Whether an external image may be on a server that sends neither a strong ETag nor
    Last-Modified; then reads are checked by the size of the file alone."""
    memo: str = ""
    """Notes; no effect."""
    grid: GridManifest | None = None
    """The canvas."""
    tiling: TilingManifest | None = None
    """The tiles."""
    codec: CodecManifest | None = None
    """Encoding of the tiles."""
    lifecycle: LifecycleManifest | None = None
    """Protection."""
