"""The fields of a spec document: Earth Engine's image manifest and geobatch's own keys."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from geobatch.declare.fields.checks import Bound, Resolution, Share, check_one
from geobatch.declare.fields.values import (
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
from geobatch.declare.hints import show

LEVELS = {"blosc": (0, 9), "zstd": (1, 22), "gzip": (0, 9)}
"""Compression levels, lowest and highest, by codec."""


class Part(BaseModel):
    """A mapping of a spec; only its own keys, in canonical order."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)

    required: ClassVar[tuple[str, ...]] = ()
    """Keys that are required; a default replaces them so that the rest can be checked."""
    unsupported: ClassVar[dict[str, str]] = {}
    """Keys that are known but have no effect here, and why."""
    misspelt: ClassVar[dict[str, str]] = {}
    """Spellings that Google's own guide has, and what they mean."""
    barred: ClassVar[dict[str, str]] = {}
    """Keys that are allowed only elsewhere, and where."""
    one_or_many: ClassVar[frozenset[str]] = frozenset()
    """Lists that may be written as their one item."""


class AffineManifest(Part):
    """The transform of a raster: x = scale_x*col + shear_x*row + translate_x, y likewise."""

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
            hint = "`scale_x` and `scale_y` are the size of a pixel and cannot be zero"
            refuse("affine", "with this transform, pixels have no area", hint)
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
    """One path, relative to the spec file, and its `.tfw` and `.prj` if it has them; or a glob,
    which gives one source per file, sorted by name with digits as numbers; or the TFRecord shards
    of one export, in order, and its mixer."""
    affine_transform: AffineManifest | None = None
    """Transform, for a file that does not declare one."""
    dimensions: DimensionsManifest | None = None
    """Size that the file must have; required only with `skip_metadata_read`."""


class FeatureManifest(Part):
    """One feature of TFRecord records; a name alone is enough."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: Text = "_"
    """Its key in the records."""
    data_type: DataTypeName = None
    """Pixel type, if it differs from that of the tileset's features."""
    axis_order: Literal["CHW", "HWC"] | None = None
    """Order of several values per pixel: band by band (CHW) or pixel by pixel (HWC)."""
    depth: Annotated[int, Field(ge=1, le=2**16)] | None = None
    """Values per pixel, one band each; required if the length of the feature fits two readings, one
    with the margin and one without."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class TfrecordManifest(Part):
    """How the records of TFRecord sources are read."""

    kernel_size: Annotated[
        list[Annotated[int, Field(ge=0, le=2**16)]], Field(min_length=2, max_length=2)
    ] = [0, 0]
    """[columns, rows] by which patches overlap; half of it is cut off at each side."""
    features: list[FeatureManifest] = []
    """Features to read, in the order of the bands; by default those that the bands name."""
    data_type: DataTypeName = None
    """Pixel type of the features; by default FLOAT for float_list, INT64 for int64_list, and UINT8
    for bytes_list, whose bytes are little-endian pixels."""


class TilesetManifest(Part):
    """Sources of one structure, which form a mosaic."""

    required: ClassVar[tuple[str, ...]] = ("sources",)
    unsupported: ClassVar[dict[str, str]] = {
        "subdataset_prefix": "`variable` names a variable of NetCDF files; TIFFs have none",
        "subdataset_suffix": "`variable` names a variable of NetCDF files; TIFFs have none",
    }

    id: str = ""
    """Name of the tileset, unique in the asset; may be empty."""
    optional: bool = False
    """In a collection: whether an image may lack the files, and is then made without them."""
    data_type: DataTypeName = None
    """Pixel type, if it must differ from the files'."""
    crs: Text | None = None
    """Authority code such as `EPSG:32633`, or WKT; overrides the files'."""
    variable: Text | None = None
    """Variable of NetCDF files; it may be omitted if they have one."""
    sources: Annotated[list[SourceManifest], Field(min_length=1)] = []
    """Rasters; where two overlap, a valid pixel of the later one wins."""
    tfrecord: TfrecordManifest | None = None
    """How records are read, if the sources are TFRecord shards."""


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
    """Tileset that feeds the band; optional if there is only one."""
    tileset_band_index: Index = 0
    """Zero-based band of the tileset's files."""
    feature: Text | None = None
    """Feature of the tileset's records, instead of an index."""
    pyramiding_policy: PolicyName = None
    """How 2x2 pixels become one pixel of the next level; the asset's policy by default."""
    missing_data: MissingDataManifest | None = None
    """Masked values of this band; the asset's by default."""


class MaskBandManifest(Part):
    """A tileset whose last band masks other bands."""

    tileset_id: str | None = None
    """Tileset whose last band is the mask; optional if there is only one."""
    band_ids: list[str] = []
    """Bands that it masks; an empty list means all."""
    feature: Text | None = None
    """Feature of the tileset's records that is the mask, instead of the last band."""
    valid_value: Size | None = None
    """Value of the mask that means valid, such as 1; by default 255, or 2^n - 1 for n bits."""


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
    """The ring; its last point equals its first."""
    band_id: str = ""
    """Band whose pixels the coordinates count; the first by default."""

    @model_validator(mode="after")
    def _is_closed(self) -> FootprintManifest:
        if not self.points:
            return self
        first, last = self.points[0], self.points[-1]
        if first != last:
            message = "the ring is open: its last point differs from its first"
            refuse("footprint", message, f"end with `{{x: {first.x}, y: {first.y}}}`")
        return self


class TilingManifest(Part):
    """How the pixel planes are cut into tiles."""

    tile: Annotated[int, Field(ge=16, le=4096, multiple_of=16)] = 512
    """Side in pixels of a square tile, the unit that a reader decodes."""
    shard: Annotated[int, Field(ge=32, le=4096)] | None = None
    """Side in pixels of the square of tiles that is stored, planned and computed as one unit: more
    tiles make fewer and larger files; by default one tile. GDAL 3.13 or newer reads shards."""

    @model_validator(mode="after")
    def _is_whole(self) -> TilingManifest:
        if self.shard is not None and (self.shard % self.tile or self.shard == self.tile):
            message = f"a shard of {self.shard} pixels cannot hold two or more whole tiles per side"
            largest = min(4, 4096 // self.tile) * self.tile
            hint = f"use a multiple of {self.tile}, such as {largest}"
            refuse("tiling", message, hint if largest > self.tile else "remove `shard`")
        return self


class CodecManifest(Part):
    """How the pixels of a tile become bytes; a name alone is enough."""

    required: ClassVar[tuple[str, ...]] = ("name",)

    name: Literal["blosc", "zstd", "gzip", "none"] = "blosc"
    """Codec of Zarr."""
    level: int | None = None
    """Compression level; by default 1 for blosc and 3 for the others."""
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
            message = f"{show(self.name)} has neither `compressor` nor `shuffle`"
            refuse("codec", message, "only `blosc` has them")
        if self.level is None:
            return self
        low, high = LEVELS.get(self.name, (0, 0))
        if not low <= self.level <= high:
            message = f"{show(self.name)} has no level {show(self.level)}"
            refuse("codec", message, f"levels are {low} to {high}")
        return self


class GridManifest(Part):
    """The canvas, if it must not follow the sources."""

    bounds: Annotated[list[Finite], Field(min_length=4, max_length=4)] | None = None
    """[left, bottom, right, top] in CRS units; tiles keep their position when sources change."""
    max_tiles: Annotated[int, Field(ge=1, le=2**26)] | None = None
    """Most tiles of a canvas that is less than 1 % filled by sources; 1,048,576 by default."""

    @model_validator(mode="after")
    def _has_area(self) -> GridManifest:
        if self.bounds is not None:
            left, bottom, right, top = self.bounds
            if not (left < right and bottom < top):
                message = f"{show(self.bounds)} spans no area"
                refuse("bounds", message, "in this order: left < right, bottom < top")
        return self


class CheckManifest(Part):
    """One check of the data: one of `range` to `crs`, for some bands."""

    range: Annotated[list[Bound], Field(min_length=2, max_length=2)] | None = None
    """[lowest, highest] stored value of valid pixels, both allowed; `.inf` for an open end."""
    classes: Annotated[list[Finite], Field(min_length=1, max_length=2**16)] | None = None
    """All stored values that valid pixels may have."""
    max_masked: Share | None = None
    """Largest share of masked pixels, of the canvas, or of the footprint if there is one."""
    max_changed: Share | None = None
    """Largest share of pixels that differ from the published ones, of the same pixels."""
    resolution: Resolution | None = None
    """Width and height of a pixel in units of the CRS; one number if they are equal."""
    crs: Text | None = None
    """Authority code such as `EPSG:32633`, or WKT, of the grid."""
    bands: list[str] = []
    """Bands that are checked; an empty list means all."""
    severity: Literal["error", "warn"] = "error"
    """Whether a failed check prevents the publication, or is a warning."""

    @model_validator(mode="after")
    def _is_one(self) -> CheckManifest:
        check_one(self.__dict__)
        return self


class LifecycleManifest(Part):
    """What may happen to the asset."""

    protect: bool = False
    """Whether geobatch refuses to delete the asset."""


class Manifest(Part):
    """A raster asset: its sources, bands, masks, pyramids and metadata."""

    unsupported: ClassVar[dict[str, str]] = {
        "min_tile_area_ratio": "Earth Engine does not document it; a mosaic may have 99 % gaps",
    }
    barred: ClassVar[dict[str, str]] = {
        "for_each": "it requires `kind: image_collection`",
        "image": "it requires `kind: image_collection`",
        "sources": "it requires `kind: table`; those of an image belong in `tilesets`",
        "column_data_type_overrides": "it requires `kind: table`",
        "csv_column_data_type_overrides": "it requires `kind: table`",
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
    """Former id of the published asset; its tiles are kept."""
    uri_prefix: str = ""
    """Text that is put before every uri, unchanged."""
    tilesets: list[TilesetManifest] = []
    """Where the pixels come from."""
    bands: list[BandManifest] = []
    """Bands in order; by default all bands of all tilesets."""
    array_bands: dict[BandId, Annotated[list[str], Field(min_length=1)]] = {}
    """Bands that an export joins into one tensor, in order, by the name of the tensor."""
    mask_bands: list[MaskBandManifest] = []
    """Tilesets that mask bands."""
    missing_data: MissingDataManifest | None = None
    """Masked values of bands that declare none."""
    pyramiding_policy: PolicyName = None
    """Policy of bands that declare none; MEAN by default."""
    footprint: FootprintManifest | None = None
    """Valid region."""
    start_time: Time | None = None
    """Start, RFC 3339 or a date."""
    end_time: Time | None = None
    """End, exclusive."""
    properties: dict[PropertyKey, PropertyValue] = {}
    """Metadata: text or numbers."""
    skip_metadata_read: bool = False
    """Whether the spec declares pixel types and placement, and the files' metadata is ignored."""
    allow_unpinned: bool = False
    """Whether an external image may be on a server that sends neither a strong ETag nor
    Last-Modified; then only the size of the file shows whether it changed."""
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
    checks: list[CheckManifest] = []
    """What the pixels and grids must be to be published; no pixel depends on it."""
