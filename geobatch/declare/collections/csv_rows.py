"""Rows of a CSV file by the name of the file that each describes."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct

from geobatch import buckets
from geobatch.buckets.errors import BucketError
from geobatch.declare.hints import show
from geobatch.declare.projects.project import Location
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


def read_rows(location: Location, *, uri: str, key: str) -> Rows:
    """Read a CSV file in UTF-8 with a line of column names; blanks around cells do not count.

    Args:
        location: The file, or an object in a bucket.
        uri: Its name in messages.
        key: Column that names the file of a row.

    Raises:
        RowsError: It cannot be read, is uneven, or a key appears twice.
    """
    if location.is_in_bucket:
        stream = io.BytesIO(_object(location, uri))
        return _read_text(stream, uri=uri, key=key)
    try:
        with location.path.open("rb") as file:
            _check_size(os.fstat(file.fileno()).st_size, uri)
            return _read_text(file, uri=uri, key=key)
    except OSError as error:
        message = f"cannot read {show(uri)}: {error.strerror or error}"
        raise RowsError("unreadable-file", message) from None


def _object(location: Location, uri: str) -> bytes:
    """Return the bytes of an object, in the state that the run knows."""
    try:
        url = location.bucket_url
        state = location.known.state(url)
        size = 0 if state is None else state.size
        _check_size(size, uri)
        return buckets.fetch(url, [(0, size)], state)[0] if state is not None and size else b""
    except BucketError as error:
        message = f"cannot read {show(uri)}: {error.message}"
        raise RowsError("unreadable-file", message, error.hint) from None


def _check_size(size: int, uri: str) -> None:
    most = CSV_BYTES.value
    if size > most:
        message = f"{show(uri)} has {size:,} bytes, expected at most {most:,}"
        raise RowsError("too-large", message, CSV_BYTES.hint(size))


def _read_text(file: BinaryIO, *, uri: str, key: str) -> Rows:
    try:
        with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as stream:
            return _read(_lines(stream, uri), uri=uri, key=key)
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
