"""Rows of CSV files, after a first reading that finds what each column is."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing

from geobatch.errors import SourceError, SourceErrors
from geobatch.model.assets.table import MAX_COLUMNS, ColumnType, Table, TableSource
from geobatch.model.text.date_format import milliseconds, python_format
from geobatch.model.text.suggest import suggestion
from geobatch.sources.csv.lines import Line, LineError, lines_of
from geobatch.sources.csv.types import Column
from geobatch.sources.naming import Named
from geobatch.sources.rows import Row, RowReader
from geobatch.sources.whole.pieces import pieces

_OTHERS = {";": ";", "\t": "\\t", "|": "|"}
"""Delimiters that a file with one column may have, and how they are written in YAML."""


class CsvReader(RowReader):
    """Reads CSV files of one table."""

    def __init__(self, table: Table) -> None:
        """Read all of them for the types of the columns.

        Raises:
            SourceError: A file cannot be read, or is no such CSV file.
        """
        self._table = table
        self._date_format = python_format(table.date_format) if table.date_format else ""
        self._names: list[str] = []
        self._first = ""
        self._dates: set[str] = set()
        self._types: dict[str, ColumnType] = {}
        self._find_types()

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Types of all columns but those of dates."""
        return self._types

    def where(self, uri: str, number: int) -> str:
        """Return the file and the line of a row."""
        return f"`{uri}:{number}`"

    def rows(self, source: TableSource) -> Iterator[tuple[int, Row]]:
        """Yield the rows with the numbers of their first lines; see `RowReader.rows`."""
        with Named(source.uri), closing(self._lines(source)) as lines:
            names = [(name, name in self._dates) for name in self._header(next(lines), source.uri)]
            for line in lines:
                row: Row = []
                for (name, is_date), value in zip(names, line.values, strict=True):
                    if value is None or (not value and self._types.get(name) != ColumnType.STRING):
                        row.append((name, "int64_list" if is_date else "text_list", ()))
                    elif is_date:
                        row.append((name, "int64_list", (self._date(value, line.number),)))
                    else:
                        row.append((name, "text_list", (value,)))
                yield line.number, row

    def _date(self, value: str, line: int) -> int:
        found = milliseconds(value, self._date_format)
        if found is None:
            raise LineError(line, f"`{value[:40]}` is not a date")
        return found

    def _lines(self, source: TableSource) -> Generator[Line, None, None]:
        """Yield the line of names, and rows of as many values."""
        table = self._table
        found = lines_of(
            pieces(source, what="the CSV file"),
            charset=table.charset,
            delimiter=table.delimiter,
            qualifier=table.qualifier,
        )
        first = next(found, None)
        if first is None:
            raise LineError(1, "the file is empty", hint="its first line must name the columns")
        yield first
        count = len(first.values)
        for line in found:
            if len(line.values) != count:
                hint = f"put `{table.qualifier}` around a value that holds a `{table.delimiter}`"
                values = "value" if count == 1 else "values"
                message = f"expected {count:,} {values}, as in line {first.number}, got "
                raise LineError(line.number, f"{message}{len(line.values):,}", hint=hint)
            yield line

    def _header(self, line: Line, uri: str) -> list[str]:
        """Return the names of the columns, which are the same in all files, in any order."""
        names = [value or "" for value in line.values]
        if len(names) > MAX_COLUMNS:
            message = f"{len(names):,} columns exceed the limit of {MAX_COLUMNS:,} per table"
            raise LineError(line.number, message)
        other = next((one for one in _OTHERS if len(names) == 1 and one in names[0]), None)
        if other is not None and self._table.delimiter == ",":
            hint = f'declare `csv_delimiter: "{_OTHERS[other]}"`'
            raise LineError(line.number, f"the only column is `{names[0][:80]}`", hint=hint)
        seen: dict[str, int] = {}
        for number, name in enumerate(names, start=1):
            if not name:
                hint = "name every column; pandas omits its index with `index=False`"
                raise LineError(line.number, f"column {number} has no name", hint=hint)
            if seen.setdefault(name, number) != number:
                message = f"columns {seen[name]} and {number} have the same name, `{name}`"
                raise LineError(line.number, message)
        if not self._names:
            self._names, self._first = names, uri
            self._check_declared(line.number)
        elif odd := sorted(set(names) ^ set(self._names)):
            has, lacks = (uri, self._first) if odd[0] in names else (self._first, uri)
            message = f"`{has}` has the column `{odd[0]}`, but `{lacks}` does not"
            raise LineError(line.number, message, hint="all files of a table have the same columns")
        return names

    def _check_declared(self, line: int) -> None:
        table = self._table
        declared = [*dict(table.types), *([table.geometry_column] if table.geometry_column else [])]
        for name in declared:
            if name not in self._names:
                message = f"no column `{name}`, which the spec names"
                raise LineError(line, message, hint=suggestion(name, self._names))

    def _find_types(self) -> None:
        declared = dict(self._table.types)
        columns: dict[str, Column] = {}
        errors = SourceErrors()
        for source in self._table.sources:
            with (
                errors.collecting(source.uri),
                Named(source.uri),
                closing(self._lines(source)) as lines,
            ):
                names = self._header(next(lines), source.uri)
                for name in names:
                    columns.setdefault(name, Column(self._date_format)).uri = source.uri
                adders = [None if name in declared else columns[name].add for name in names]
                for number, values in lines:
                    for add, value in zip(adders, values, strict=True):
                        if add is not None and value:
                            add(value, number)
        errors.raise_all()
        self._check_dates(columns)
        self._decide(columns, declared)

    def _check_dates(self, columns: Mapping[str, Column]) -> None:
        """Check that no column has both dates and others; those of declared types have neither."""
        for name, column in columns.items():
            if column.date is not None and column.other is not None:
                (uri, line, date), (odd, other, value) = column.date, column.other
                raise SourceError(
                    f"`{odd}:{other}`: column `{name}`: `{value[:40]}` is not a date in the form"
                    f" `{self._table.date_format}`, but `{date[:40]}` in `{uri}:{line}` is",
                    hint=f"`column_data_type_overrides: {{{name}: STRING}}` keeps texts",
                )

    def _decide(self, columns: Mapping[str, Column], declared: Mapping[str, ColumnType]) -> None:
        table = self._table
        geometry = table.geometry_column
        if not geometry and not table.is_placed:
            candidates = (name for name in self._names if name not in declared)
            geometry = next((name for name in candidates if columns[name].is_geometry), "")
        for name in self._names:
            if name == geometry:
                self._types[name] = ColumnType.GEOMETRY
            elif name not in declared and columns[name].date is not None:
                self._dates.add(name)
            else:
                self._types[name] = declared.get(name, columns[name].type)
        if not geometry:
            self._check_points(columns)

    def _check_points(self, columns: Mapping[str, Column]) -> None:
        """Check that columns which make points by their names hold numbers."""
        names = (self._table.x_column, self._table.y_column)
        if self._table.is_placed or not all(name in self._types for name in names):
            return
        for name in names:
            odd = columns[name].odd
            if self._types[name] is ColumnType.STRING and odd is not None:
                uri, line, value = odd
                raise SourceError(
                    f"`{uri}:{line}`: column `{name}` gives the coordinates of points, but"
                    f" `{value[:40]}` is no number",
                    hint="leave it empty where there is no point; `x_column: ''` and"
                    " `y_column: ''` make no points",
                )
