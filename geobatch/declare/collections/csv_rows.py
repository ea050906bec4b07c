"""Rows of a CSV file by the name of the file that each describes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from geobatch.declare.hints import show
from geobatch.model.limits import CSV_BYTES, CSV_CELLS, CSV_ROWS


class RowsError(Exception):
    """The table cannot be used; holds a message and a hint."""

    def __init__(self, rule: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint


class Rows(Struct, frozen=True, kw_only=True):
    """A table, keyed by file."""

    path: str
    """As the spec spells it."""
    columns: tuple[str, ...]
    """Names of the columns, the key's among them."""
    rows: dict[str, tuple[int, list[str]]]
    """(1-based line, cells) by key."""

    def find(self, *keys: str) -> tuple[int, list[str]] | None:
        """Return the row of the first key that has one."""
        return next((self.rows[key] for key in keys if key in self.rows), None)


def read_rows(path: Path, *, uri: str, key: str) -> Rows:
    """Read a CSV file in UTF-8 with a line of column names; blanks around cells do not count.

    Args:
        path: The file.
        uri: Its name in messages.
        key: Column that names the file of a row.

    Raises:
        RowsError: It cannot be read, is uneven, or a key appears twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            size, most = os.fstat(stream.fileno()).st_size, CSV_BYTES.value
            if size > most:
                message = f"{show(uri)} has {size:,} bytes, expected at most {most:,}"
                raise RowsError("too-large", message, CSV_BYTES.hint(size))
            return _read(_lines(stream, uri), uri=uri, key=key)
    except OSError as error:
        message = f"cannot read {show(uri)}: {error.strerror or error}"
        raise RowsError("unreadable-file", message) from None
    except UnicodeDecodeError:
        message = f"{show(uri)}: a byte is not UTF-8"
        raise RowsError("encoding", message, "save the table as UTF-8") from None


def _lines(stream: Iterator[str], uri: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(stream, strict=True, skipinitialspace=True)
    first, rows, count = 1, 0, 0
    try:
        for cells in reader:
            rows, count = rows + 1, count + len(cells)
            for limit, got in ((CSV_ROWS, rows), (CSV_CELLS, count)):
                if got > limit.value:
                    message = f"`{uri}:{first}`: more than {limit.value:,} {limit.unit}"
                    raise RowsError("too-large", message, limit.hint())
            if cells:
                yield first, [cell.strip() for cell in cells]
            first = reader.line_num + 1
    except csv.Error as error:
        raise RowsError("csv", f"`{uri}:{first}`: {error}") from None


def _read(lines: Iterator[tuple[int, list[str]]], *, uri: str, key: str) -> Rows:
    line, columns = next(lines, (1, []))
    if not columns:
        raise RowsError("csv", f"{show(uri)} is empty", "its first line must name the columns")
    # Names of columns are not quoted: the file may be no table at all.
    first: dict[str, int] = {}
    for number, column in enumerate(columns, start=1):
        if first.setdefault(column, number) != number:
            message = f"`{uri}:{line}`: columns {first[column]} and {number} have the same name"
            raise RowsError("csv", message)
    if key not in columns:
        hint = f"`key` of `csv` names the column of file names, one of {len(columns):,}"
        if any(column.casefold() == key.casefold() for column in columns):
            hint = "`key` of `csv` names the column of file names: upper and lower case differ"
        if any(mark in columns[0] for mark in ";\t"):
            hint = "separate the columns with commas"
        raise RowsError("csv-key", f"`{uri}:{line}`: no column {show(key)}", hint)
    at = columns.index(key)
    rows: dict[str, tuple[int, list[str]]] = {}
    for line, cells in lines:
        if len(cells) != len(columns):
            message = f"`{uri}:{line}`: {len(cells)} cells, but the first line has {len(columns)}"
            raise RowsError("csv", message, "put quotes around a cell that holds a comma")
        if cells[at] in rows:
            message = f"`{uri}:{line}`: {show(cells[at])} already has a row, on line"
            raise RowsError("csv-key", f"{message} {rows[cells[at]][0]}", "keep one")
        rows[cells[at]] = (line, cells)
    return Rows(path=uri, columns=tuple(columns), rows=rows)
