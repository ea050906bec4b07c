"""Features of records, gathered into columns: typed, checked, and handed on part after part."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from geobatch.errors import SourceError
from geobatch.model.assets.table import (
    MAX_CHARACTERS,
    MAX_COLUMNS,
    MAX_ROWS,
    ColumnType,
    Table,
)
from geobatch.table.convert import converted
from geobatch.table.part import DTYPES, Part

Features: TypeAlias = Iterable[tuple[str, str, Any]]
"""(name, kind such as `float_list`, values) of each feature of a record that has a kind."""

PART_BYTES = 32 << 20
"""Bytes of values after which a part ends, and so a row group."""
PART_ROWS = 1 << 17
"""Rows of a part at most."""
_OWN_TYPES = {
    "float_list": ColumnType.FLOAT32,
    "int64_list": ColumnType.INT64,
    "bytes_list": ColumnType.STRING,
    "text_list": ColumnType.STRING,
}
_TEXTS = ("bytes_list", "text_list")
_CODES = {ColumnType.FLOAT32: "f", ColumnType.FLOAT64: "d", ColumnType.INT64: "q"}


class Gathered(Struct, kw_only=True):
    """A column, and its values since the last part."""

    name: str
    """Key of the feature."""
    kind: str
    """The kind of its values in the records."""
    type: ColumnType
    """What they become."""
    first: str
    """Where it was seen first, for messages."""
    is_declared: bool
    """Whether its type is declared: then its values may be of several kinds."""
    most: int = 0
    """Most values of a row."""
    _rows: array[int] = field(default_factory=lambda: array("q"))
    _counts: array[int] = field(default_factory=lambda: array("q"))
    _sizes: array[int] = field(default_factory=lambda: array("q"))
    _values: Any = None

    def __post_init__(self) -> None:
        self._clear()

    def add(self, row: int, values: Any) -> int:
        """Take the values of a row, numbers or texts in UTF-8, and return about their bytes."""
        count = len(values)
        self._rows.append(row)
        self._counts.append(count)
        self.most = max(self.most, count)
        if self.type.is_number:
            self._values.extend(values)
            return 8 * count
        size = 0
        for text in values:
            self._values += text
            self._sizes.append(len(text))
            size += len(text)
        return size

    def part(self) -> Part:
        """Return what was gathered, and start again."""
        values: npt.NDArray[Any]
        if self.type.is_number:
            values = np.array(self._values, dtype=DTYPES[self.type])
            if values.dtype.kind == "f":
                # All NaNs are stored as the same one: their bits are not part of the data.
                values[np.isnan(values)] = np.nan
        else:
            values = np.frombuffer(bytes(self._values), dtype=np.uint8)
        made = Part(
            rows=np.array(self._rows, dtype=np.int64),
            counts=np.array(self._counts, dtype=np.int64),
            values=values,
            sizes=np.array(self._sizes, dtype=np.int64),
        )
        self._clear()
        return made

    def _clear(self) -> None:
        for numbers in (self._rows, self._counts, self._sizes):
            del numbers[:]
        self._values = array(_CODES[self.type]) if self.type.is_number else bytearray()


class Gatherer:
    """Takes records one by one; holds the values of a part at most."""

    def __init__(
        self,
        table: Table,
        *,
        types: Mapping[str, ColumnType],
        where: Callable[[str, int], str],
    ) -> None:
        """Begin.

        Args:
            table: What the rows are of.
            types: Types of columns that its files tell.
            where: Returns what messages call a row, of the uri of its file and its number.
        """
        self._declared = {**types, **dict(table.types)}
        self._where = where
        self._charset = table.charset
        self.columns: dict[str, Gathered] = {}
        """Every column that was seen, by name."""
        self.rows = 0
        """Records that were taken."""
        self.waiting = 0
        """Rows since the last part."""
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether a part should be taken before the next record."""
        return self._bytes >= PART_BYTES or self.waiting >= PART_ROWS

    def add(self, features: Features, *, uri: str, number: int) -> None:
        """Take a record as the next row.

        Args:
            features: What it holds.
            uri: File, for messages.
            number: Number of the record within it.

        Raises:
            SourceError: A column has values of another kind than before or than its declared type
                takes, a text is too long or not in the charset, or a limit is passed.
        """
        if self.rows == MAX_ROWS:
            raise SourceError(
                f"{self._where(uri, number)} exceeds the limit of {MAX_ROWS:,} rows per table"
            )
        for name, kind, values in features:
            column = self.columns.get(name) or self._begin(name, kind, uri, number)
            if kind != column.kind or column.is_declared or kind in _TEXTS:
                # TensorFlow's numbers are of their own type already.
                values = self._values(column, kind, values, uri, number)  # noqa: PLW2901
            self._bytes += column.add(self.waiting, values)
        self.rows += 1
        self.waiting += 1

    def parts(self) -> tuple[int, Mapping[str, Part]]:
        """Return the rows since the last time, and the values of each column that has any."""
        rows, self.waiting, self._bytes = self.waiting, 0, 0
        parts = {name: column.part() for name, column in self.columns.items()}
        return rows, {name: part for name, part in parts.items() if len(part.rows)}

    def _begin(self, name: str, kind: str, uri: str, number: int) -> Gathered:
        if len(self.columns) == MAX_COLUMNS:
            raise SourceError(
                f"{self._where(uri, number)}: column `{name}` exceeds the limit of {MAX_COLUMNS:,}"
                " columns per table"
            )
        declared = self._declared.get(name)
        column = self.columns[name] = Gathered(
            name=name,
            kind=kind,
            type=declared or _OWN_TYPES[kind],
            first=f"record {number} of `{uri}`",
            is_declared=declared is not None,
        )
        return column

    def _values(self, column: Gathered, kind: str, values: Any, uri: str, number: int) -> Any:
        if kind != column.kind and not column.is_declared:
            raise self._error(
                f"expected `{column.kind}`, as in {column.first}, got `{kind}`",
                column, uri, number,
                hint=f"`column_data_type_overrides: {{{column.name}: NUMERIC}}`, or LONG or STRING,"
                " converts both to one type",
            )  # fmt: skip
        try:
            made = converted(values, kind, column.type, self._charset)
        except ValueError as error:
            hint = _hint(kind, column.type)
            raise self._error(str(error), column, uri, number, hint=hint) from None
        for text in made if column.type is ColumnType.STRING else ():
            if len(text) > MAX_CHARACTERS and (count := len(text.decode())) > MAX_CHARACTERS:
                message = f"a text has {count:,} characters, but the limit is {MAX_CHARACTERS:,}"
                raise self._error(message, column, uri, number)
        return made

    def _error(
        self, message: str, column: Gathered, uri: str, number: int, *, hint: str | None = None
    ) -> SourceError:
        where = self._where(uri, number)
        return SourceError(f"{where}: column `{column.name}`: {message}", hint=hint)


def _hint(kind: str, wanted: ColumnType) -> str:
    if wanted is ColumnType.GEOMETRY:
        return (
            "expected WKT or GeoJSON; the type STRING in `column_data_type_overrides` keeps texts"
        )
    if kind == "bytes_list" and wanted is ColumnType.STRING:
        return "name the `charset` of the records' texts; `latin-1` takes any bytes"
    return "declare another type in `column_data_type_overrides`"
