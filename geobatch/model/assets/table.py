"""Tables: the sources of their rows, and their published form."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct

from geobatch.model.assets.facts import Facts, Kind
from geobatch.model.compared import Compared
from geobatch.model.digest import Digest
from geobatch.model.geobox import Bounds, Crs
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.pin import PinnedObject

MAX_ROWS = 100_000_000
"""Features that a table may hold; this and the next three are Earth Engine's limits."""
MAX_COLUMNS = 1000
"""Columns that its records may have."""
MAX_CHARACTERS = 100_000
"""Most characters of one text."""
MAX_VERTICES = 100_000
"""Most vertices of one geometry."""
CSV_ENDINGS = (".csv", ".tsv")
"""Endings of the names of CSV files."""


def is_csv(uri: str) -> bool:
    """Return whether a file of rows is CSV, by its name; others are TFRecord shards."""
    name = uri.lower()
    return name.endswith(CSV_ENDINGS) or name.partition("#")[0].endswith(CSV_ENDINGS)


class ColumnType(StrEnum):
    """What the values of a column are."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT64 = "int64"
    STRING = "string"
    GEOMETRY = "geometry"

    @property
    def is_number(self) -> bool:
        """Whether values are numbers."""
        return self not in (ColumnType.STRING, ColumnType.GEOMETRY)


class TableSource(Compared, frozen=True, kw_only=True):
    """One file of rows: a TFRecord shard with an Example per row, or a CSV file."""

    beside: ClassVar[frozenset[str]] = frozenset({"path", "stat", "pinned"})

    uri: str
    """Uri as the spec gives it, globs and prefix expanded."""
    digest: Digest
    """Digest of the file's bytes; of an object that is not local, of its url and state."""
    path: str = ""
    """Local path, or url; empty when read back from a store."""
    stat: FileStat | None = None
    """The file as it was when it was digested."""
    pinned: PinnedObject | None = None
    """The object, if it is not a local file."""


class Table(Facts, frozen=True, kw_only=True):
    """An asset of rows: the sources of them, and how they are read."""

    kind: ClassVar[Kind] = Kind.TABLE

    sources: tuple[TableSource, ...]
    """In the order of the rows."""
    x_column: str
    """Column with the x of each row's point; empty for no points."""
    y_column: str
    """Column with its y."""
    crs: Crs
    """What x and y are in."""
    is_placed: bool = False
    """Whether the spec names these columns; they must then exist and hold numbers."""
    charset: str = "utf-8"
    """How texts are encoded in the files, by Python's name."""
    geometry_column: str = ""
    """Column of a CSV file with the geometry of each row; empty for the first that holds some."""
    delimiter: str = ","
    """What is between the values of a CSV file."""
    qualifier: str = '"'
    """What surrounds values of a CSV file that hold delimiters or line ends."""
    date_format: str = ""
    """How dates of a CSV file are written, in Joda's letters; empty to keep texts."""
    types: tuple[tuple[str, ColumnType], ...] = ()
    """Declared types of columns, sorted by name; others follow the files."""


class Column(Struct, frozen=True, kw_only=True):
    """One column of a published table."""

    name: str
    """Key of the feature in the records."""
    type: ColumnType
    """What its values are."""
    is_array: bool
    """Whether a row has a list of values."""
    content: Digest
    """Digest of its values in the order of the rows, however they are stored."""


class StoredTable(Struct, frozen=True, kw_only=True):
    """A published table: what a reader can see of its rows, and where they are."""

    rows: int
    """How many rows there are."""
    columns: tuple[Column, ...]
    """Sorted by name; a column of points is not among them."""
    geometry: str | None
    """Name of the column of geometries: one of `columns`, or points made of x and y; None without
    geometries."""
    bounds: Bounds | None
    """Box around the geometries, in the table's CRS; None without any."""
    fingerprint: Digest
    """Hash of all that determines the rows, known before reading one."""
    stored: Digest
    """Digest of the Parquet file; names the object."""
    size: int
    """Length of that file in bytes."""

    @property
    def is_of_points(self) -> bool:
        """Whether its geometries are points that were made of x and y."""
        return self.geometry is not None and all(one.name != self.geometry for one in self.columns)
