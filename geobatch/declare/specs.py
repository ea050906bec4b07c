"""Specs as written and validated: normalised, positioned, and with the defaults still open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, TypeAlias

from msgspec import Struct, field

from geobatch.declare.files.objects import Objects
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.model.assets.asset import Codec, Kind, Number, Policy
from geobatch.model.assets.image import DEFAULT_TILE
from geobatch.model.assets.table import ColumnType
from geobatch.model.compared import Compared
from geobatch.model.geobox import Bounds, Transform
from geobatch.model.sources.allowed import Allowed

Loc: TypeAlias = tuple[str | int, ...]
"""Keys (in snake_case) and list indexes from the root of a document to an element."""


class SourceSpec(Struct, frozen=True, kw_only=True, gc=False):
    """A raster, or a glob of rasters."""

    uris: tuple[str, ...]
    """As written."""
    affine_transform: Transform | None = None
    """Placement that overrides the file's own."""
    dimensions: tuple[int, int] | None = None
    """(width, height) in pixels."""


class FeatureSpec(Struct, frozen=True, kw_only=True):
    """One feature of TFRecord records."""

    name: str
    """Its key in the records."""
    dtype: str | None = field(default=None, name="data_type")
    """Numpy name of the pixel type; None to follow the tileset."""
    axis_order: Literal["CHW", "HWC"] | None = None
    """Whether the values of a pixel are adjacent (HWC) or not; None for one value per pixel."""
    depth: int | None = None
    """Values per pixel; None to derive it from the length of the feature."""


class TfrecordSpec(Struct, frozen=True, kw_only=True):
    """How the records of a tileset's TFRecord sources are read."""

    kernel_size: tuple[int, int] = (0, 0)
    """(columns, rows) that patches may be larger by than the mixer says."""
    features: tuple[FeatureSpec, ...] = ()
    """In the order of the bands; empty for those that the bands name."""
    dtype: str | None = field(default=None, name="data_type")
    """Numpy name of the pixel type of features without their own; None to follow the tileset."""


class TilesetSpec(Struct, frozen=True, kw_only=True, gc=False):
    """Sources that share one structure."""

    id: str
    """Unique in the asset; may be empty."""
    sources: tuple[SourceSpec, ...]
    """At least one."""
    dtype: str | None = field(default=None, name="data_type")
    """Numpy name of the pixel type; None for the files' own."""
    crs: str | None = None
    """Authority code or WKT; None for the files' own."""
    variable: str = ""
    """Variable of NetCDF files; empty for the only one, and for other files."""
    tfrecord: TfrecordSpec | None = None
    """How records are read; None for TIFFs, or to use the defaults."""
    is_optional: bool = field(default=False, name="optional")
    """Whether an image of a collection is made without it if its files are absent."""


class BandSpec(Struct, frozen=True, kw_only=True):
    """One output channel."""

    id: str
    """Unique in the asset."""
    tileset_id: str
    """An existing tileset."""
    tileset_band_index: int = 0
    """Zero-based."""
    feature: str | None = None
    """Feature of the tileset's records, instead of an index."""
    missing_data: tuple[Number, ...] | None = field(default=None, name="missing_data.values")
    """Masked values; empty to ignore the file's nodata; None to follow the asset."""
    pyramiding_policy: Policy | None = None
    """None to follow the asset."""


class MaskBandSpec(Struct, frozen=True, kw_only=True):
    """A tileset whose last band masks other bands."""

    tileset_id: str
    """An existing tileset."""
    band_ids: tuple[str, ...] = ()
    """Masked bands; all when empty."""
    feature: str | None = None
    """Feature of the tileset's records that is the mask; None for its last band."""
    valid_value: int | None = None
    """Value of the mask that means valid; None for the highest of its bits."""


class FootprintSpec(Struct, frozen=True, kw_only=True):
    """A polygon in pixel coordinates."""

    points: tuple[tuple[float, float], ...]
    """(x, y) of the closed ring, at least four."""
    band_id: str = ""
    """Band whose pixels the coordinates count; empty for the first."""


class CheckSpec(Struct, frozen=True, kw_only=True):
    """One check of the data; one of the first six is given."""

    range: tuple[Number, Number] | None = None
    """Lowest and highest value of valid pixels."""
    classes: tuple[Number, ...] | None = None
    """All values that valid pixels may have."""
    max_masked: str | None = None
    """Largest share of masked pixels, such as `20%`."""
    max_changed: str | None = None
    """Largest share of pixels that differ from the published ones."""
    resolution: tuple[float, float] | None = None
    """Width and height of a pixel."""
    crs: str | None = None
    """Authority code or WKT."""
    bands: tuple[str, ...] = ()
    """Bands that are checked; all when empty."""
    severity: Literal["error", "warn"] = "error"
    """What it means if it fails."""


RULE: Loc = ("for_each",)
"""Where a collection says for which files it makes images."""


class Positions(Struct, frozen=True, kw_only=True):
    """The positions of the elements of a document."""

    path: str
    """Spec file, as the user named it."""
    by_loc: dict[Loc, tuple[int, int]]
    """(line, column), both from 1, of every element; the empty loc is the document."""
    is_of_matches: bool = False
    """Whether each source of its images is one file that the rule of a collection has matched."""

    @property
    def is_of_collection(self) -> bool:
        """Whether they are those of an image that a collection's rule made."""
        return RULE in self.by_loc

    def where(self, loc: Loc) -> tuple[str, int, int]:
        """Return (path, line, column) of an element, or of the nearest around it."""
        for length in range(len(loc), -1, -1):
            if position := self.by_loc.get(loc[:length]):
                return (self.path, *position)
        return (self.path, 1, 1)


NOWHERE = Positions(path="", by_loc={})
"""The position of a spec without a file."""


class Declaration(Compared, frozen=True, kw_only=True):
    """What a document declares under one id, with its positions for messages."""

    beside: ClassVar[frozenset[str]] = frozenset({"positions", "project"})

    id: str
    """`/`-separated name."""
    positions: Positions = NOWHERE
    """Positions of its elements, for messages."""
    project: Project = NO_PROJECT
    """What holds for all specs of its project: where uris lead, and what does not warn."""

    def __repr__(self) -> str:
        names = (name for name in self.__struct_fields__ if name not in self.beside)
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({fields})"

    @property
    def path(self) -> str:
        """Spec file, as the user named it; relative uris start from its folder."""
        return self.positions.path

    @property
    def origin(self) -> str:
        """Spec file and line, for messages."""
        path, line, _ = self.where()
        return f"{path}:{line}"

    def where(self, *loc: str | int) -> tuple[str, int, int]:
        """Return (path, line, column) of an element, or of the nearest around it.

        Args:
            *loc: Keys in snake_case and list indexes, as in `where("bands", 1, "tileset_id")`.
        """
        return self.positions.where(loc)


class CollectionSpec(Declaration, frozen=True, kw_only=True):
    """The id and the positions of a collection; its images are specs of their own."""

    has_cubes: bool = field(default=False, name="cube")
    """Whether the images of each folder are also shown as one array along time."""


class SpecFields(Declaration, frozen=True, kw_only=True):
    """What every asset may declare."""

    kind: ClassVar[Kind]
    """What it is: one kind per class."""

    start_time: str | None = None
    """RFC 3339 in UTC: `YYYY-MM-DDTHH:MM:SS[.fraction]Z`."""
    end_time: str | None = None
    """Likewise; exclusive, not before the start."""
    properties: tuple[tuple[str, str | int | float], ...] = ()
    """Sorted by key."""
    memo: str = ""
    """Notes."""
    uri_prefix: str = ""
    """Put literally before every uri."""
    moved_from: str | None = None
    """Id under which the asset may be published still."""
    is_protected: bool = field(default=False, name="lifecycle.protect")
    """Whether deletion is refused."""


class RasterSpec(SpecFields, frozen=True, kw_only=True):
    """What an image declares, wherever its pixels will be."""

    tilesets: tuple[TilesetSpec, ...]
    """At least one."""
    bands: tuple[BandSpec, ...] | None = None
    """In order; None for all bands of all tilesets."""
    array_bands: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Sorted by name; each with the ids of existing bands, in order."""
    mask_bands: tuple[MaskBandSpec, ...] = ()
    """A band is masked by one at most."""
    missing_data: tuple[Number, ...] | None = field(default=None, name="missing_data.values")
    """Masked values of bands without their own; empty to ignore the files' nodata."""
    pyramiding_policy: Policy | None = None
    """Policy of bands without their own."""
    footprint: FootprintSpec | None = None
    """Valid region."""
    checks: tuple[CheckSpec, ...] = ()
    """What the data must be to be published."""
    skip_metadata_read: bool = False
    """Whether every tileset and source declares its placement and type, and the files' are
    ignored."""
    absent: tuple[str, ...] = ()
    """Optional tilesets whose files are absent, and which are omitted."""


class ImageSpec(RasterSpec, frozen=True, kw_only=True, tag=Kind.IMAGE.value):
    """An image whose pixels become tiles of the store."""

    kind: ClassVar[Kind] = Kind.IMAGE

    tile: int = DEFAULT_TILE
    """Side of a square tile in pixels."""
    codec: Codec = field(default_factory=Codec)
    """Encoding of the tiles."""
    bounds: Bounds | None = field(default=None, name="grid.bounds")
    """Declared canvas in CRS units."""
    max_tiles: int | None = field(default=None, name="grid.max_tiles")
    """Level-0 tiles that a canvas may have which its sources hardly fill; None for the default."""


class ExternalImageSpec(RasterSpec, frozen=True, kw_only=True, tag=Kind.EXTERNAL_IMAGE.value):
    """An image whose pixels stay in COGs, which define its tiles and its canvas."""

    kind: ClassVar[Kind] = Kind.EXTERNAL_IMAGE

    allow_unpinned: bool = False
    """Whether servers may omit what distinguishes one state of a COG from the next."""


class TableSpec(SpecFields, frozen=True, kw_only=True, tag=Kind.TABLE.value):
    """A table: where its rows come from."""

    kind: ClassVar[Kind] = Kind.TABLE

    sources: tuple[SourceSpec, ...]
    """In the order of the rows."""
    x_column: str | None = None
    """Column with the x of each row's point; empty for no points; None for the default."""
    y_column: str | None = None
    """Column with its y, likewise."""
    crs: str | None = None
    """Authority code or WKT of x and y; None for the default."""
    charset: str = "utf-8"
    """How texts are encoded in the files, by Python's name."""
    geometry_column: str = field(default="", name="primary_geometry_column")
    """Column of CSV files with the geometry of each row; empty for the first that holds some."""
    delimiter: str = field(default=",", name="csv_delimiter")
    """What is between the values of CSV files."""
    qualifier: str = field(default='"', name="csv_qualifier")
    """What surrounds values of CSV files that hold delimiters or line ends."""
    date_format: str = ""
    """How dates in CSV files are written, in Joda's letters; empty to keep texts."""
    types: tuple[tuple[str, ColumnType], ...] = ()
    """Declared types of columns, sorted by name."""


AssetSpec: TypeAlias = ImageSpec | ExternalImageSpec | TableSpec
"""One asset as its document declares it; the types are those of `Asset`."""


def sources_of(spec: AssetSpec) -> Iterator[tuple[Loc, SourceSpec]]:
    """Yield every source that a spec declares, with its loc."""
    if isinstance(spec, TableSpec):
        for position, source in enumerate(spec.sources):
            yield ("sources", position), source
        return
    for number, tileset in enumerate(spec.tilesets):
        for position, source in enumerate(tileset.sources):
            yield ("tilesets", number, "sources", position), source


class Seen(Struct, frozen=True, kw_only=True):
    """What a load read: what it did not read is not known to be gone."""

    files: frozenset[tuple[int, int]] = frozenset()
    """(device, inode) of each spec file."""
    linked: tuple[str, ...] = ()
    """Real paths of the folders that links in the given folders lead to."""
    broken: tuple[str, ...] = ()
    """Links in the given folders that lead nowhere."""
    allowed: Allowed | None = None
    """What the run may read; None for everything."""
    collections: tuple[CollectionSpec, ...] = ()
    """Collections that were read."""
    objects: Objects = field(default_factory=Objects)
    """What was learned of buckets."""
