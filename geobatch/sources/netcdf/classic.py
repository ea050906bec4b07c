"""How long a NetCDF file of the classic formats must be: the library reads past its end silently.

Source: https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html
"""

from __future__ import annotations

from math import prod
from struct import unpack
from typing import BinaryIO

from geobatch.sources.naming import UnnamedError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a value by the number of its type."""
_STREAMING = 0xFFFFFFFF
_MOST = 1 << 24
"""Bytes of a header."""


def check_length(file: BinaryIO, size: int) -> None:
    """Refuse a file of a classic format that ends before its last value; others are passed over.

    Args:
        file: The file, at its start.
        size: Its bytes.

    Raises:
        UnnamedError: It is truncated, or its header is damaged.
    """
    data = file.read(4)
    if data[:3] != b"CDF":
        return
    data += file.read(_MOST)
    try:
        wanted = _Header(data).end()
    except (ValueError, KeyError, IndexError, OverflowError):
        raise UnnamedError("the header of the NetCDF file is damaged") from None
    if size < wanted:
        hint = "the file is truncated; copy it again"
        raise UnnamedError(f"expected at least {wanted} bytes, got {size}", hint=hint)


class _Header:
    """The header of a file, read from its start."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 4
        version = data[3]
        self._count = 8 if version == 5 else 4
        self._offset = 4 if version == 1 else 8

    def _number(self, size: int) -> int:
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise ValueError
        self._at += size
        number: int = unpack(">Q" if size == 8 else ">I", piece)[0]
        return number

    def _skip(self, size: int) -> None:
        self._at += size + -size % 4

    def _list(self) -> int:
        """Return how many elements the list that begins here has."""
        self._number(4)
        return self._number(self._count)

    def _attributes(self) -> None:
        for _ in range(self._list()):
            self._skip(self._number(self._count))
            kind = self._number(4)
            self._skip(self._number(self._count) * _SIZES[kind])

    def end(self) -> int:
        """Return where the last value ends."""
        records = self._number(self._count)
        if records in (_STREAMING, (1 << 64) - 1):
            records = 0
        lengths = []
        for _ in range(self._list()):
            self._skip(self._number(self._count))
            lengths.append(self._number(self._count))
        self._attributes()
        fixed: list[tuple[int, int]] = []
        of_records: list[tuple[int, int]] = []
        for _ in range(self._list()):
            self._skip(self._number(self._count))
            shape = [lengths[self._number(self._count)] for _ in range(self._number(self._count))]
            self._attributes()
            size = _SIZES[self._number(4)]
            self._number(self._count)
            begin = self._number(self._offset)
            # The length of the dimension of records is written as 0.
            is_of_records = bool(shape) and shape[0] == 0
            (of_records if is_of_records else fixed).append(
                (begin, size * prod(shape[1:] if is_of_records else shape))
            )
        ends = [begin + size for begin, size in fixed]
        padded = len(of_records) > 1
        record = sum(size + (-size % 4 if padded else 0) for _, size in of_records)
        if records:
            ends += [begin + (records - 1) * record + size for begin, size in of_records]
        return max([self._at, *ends])
