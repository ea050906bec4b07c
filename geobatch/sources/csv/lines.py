"""The lines of a CSV file, and the values of its rows; each has the number of its first line.

Neither the standard library nor pyarrow says whether a value was qualified, which decides whether
it is trimmed, and whether an empty one is a text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

from geobatch.errors import SourceError
from geobatch.sources.naming import UnnamedError

MOST = 1 << 24
"""Characters of one row."""
BLANKS = "".join(map(chr, range(33)))
"""What is trimmed from values that are not qualified."""


class Line(NamedTuple):
    """A row of texts, before any has a type."""

    number: int
    """Its first line, from 1."""
    values: list[str | None]
    """None for an empty value that is not qualified."""


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Texts:
    """The lines of a file, with their ends, and how many there were."""

    def __init__(self, pieces: Iterator[bytes], charset: str) -> None:
        # A mark at the start of UTF-8 is not of the first name; other codecs know their marks.
        self._charset = charset
        codec = "utf-8-sig" if charset == "utf-8" else charset
        self._file = io.TextIOWrapper(
            io.BufferedReader(_Stream(pieces)), encoding=codec, newline=""
        )
        self.count = 0

    def next(self, *, read: int = 0, of_row: int = 0) -> str:
        """Return the next line; an empty text at the end of the file.

        Args:
            read: How many characters of its row were read before.
            of_row: Line in which its row begins; 0 if it begins in this one.
        """
        most = max(MOST - read, 0)
        try:
            line = self._file.readline(most + 1)
        except UnicodeDecodeError as error:
            raise self._undecoded(error) from None
        self.count += 1
        if len(line) > most:
            hint = "is the qualifier, or the delimiter, another one?"
            message = f"a row of more than {MOST:,} characters begins here"
            raise LineError(of_row or self.count, message, hint=hint)
        return line

    def _undecoded(self, error: UnicodeDecodeError) -> UnnamedError:
        before = error.object[: error.start].decode(self._charset, "replace")
        line = self.count + 1 + len(re.findall(r"\r\n|\r|\n", before))
        found = error.object[error.start : error.start + 8].hex(" ")
        is_wide = error.object[:2] in (b"\xff\xfe", b"\xfe\xff") and not self.count
        hint = "declare the `charset` of the file; `latin-1` takes any bytes"
        if is_wide:
            hint = "the file starts with the mark of UTF-16: declare `charset: UTF-16`"
        return LineError(line, f"the bytes `{found}` are not valid {self._charset}", hint=hint)


class LineError(UnnamedError):
    """What is wrong in a line of a file: it is named `FILE:LINE`."""

    def __init__(self, line: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line

    def named(self, uri: str) -> SourceError:
        """Return the error with the name of the file."""
        return SourceError(f"`{uri}:{self.line}`: {self.message}", hint=self.hint)


def lines_of(
    pieces: Iterator[bytes], *, charset: str, delimiter: str, qualifier: str
) -> Iterator[Line]:
    """Yield the rows of a file, that of the column names first; empty lines are omitted.

    A value that starts with the qualifier ends at the next one that is not doubled; it may hold
    delimiters and line ends, and is not trimmed.

    Args:
        pieces: The bytes of the file, in order.
        charset: How they are coded.
        delimiter: One character.
        qualifier: One character.

    Raises:
        UnnamedError: A byte is not of the charset, a qualified value is not closed or is followed
            by text, or a row is too long.
    """
    texts = _Texts(pieces, charset)
    split = _Splitter(texts, delimiter=delimiter, qualifier=qualifier)
    kept = BLANKS.replace(delimiter, "")
    while line := texts.next():
        number = texts.count
        if qualifier in line:
            yield Line(number, split(line))
        elif line.strip(kept):
            yield Line(number, [value.strip(BLANKS) or None for value in line.split(delimiter)])


class _Splitter:
    """Splits rows that hold qualifiers, and reads on where a value goes on in the next line."""

    def __init__(self, texts: _Texts, *, delimiter: str, qualifier: str) -> None:
        blank = "[" + re.escape(" \t".replace(delimiter, "")) + "]*"
        mark, end = re.escape(qualifier), re.escape(delimiter)
        self._texts, self._delimiter, self._qualifier = texts, delimiter, qualifier
        self._opened = re.compile(f"{blank}{mark}")
        self._inside = re.compile(f"[^{mark}]*(?:{mark}{mark}[^{mark}]*)*")
        self._closed = re.compile(rf"{mark}{blank}(?:({end})|[\r\n]*\Z)")

    def __call__(self, line: str) -> list[str | None]:
        values: list[str | None] = []
        at, first = 0, self._texts.count
        while True:
            opened = self._opened.match(line, at)
            if opened is None:
                end = line.find(self._delimiter, at)
                values.append(line[at : end if end >= 0 else None].strip(BLANKS) or None)
                if end < 0:
                    return values
                at = end + 1
                continue
            value, line, at = self._qualified(line, opened.end(), first)
            values.append(value)
            closed = self._closed.match(line, at)
            if closed is None:
                hint = f"write a `{self._qualifier}` within a value twice"
                raise LineError(self._texts.count, "text follows a qualified value", hint=hint)
            if closed.group(1) is None:
                return values
            at = closed.end()

    def _qualified(self, line: str, at: int, first: int) -> tuple[str, str, int]:
        """Return a value, the line that it ends in, and where its last qualifier is."""
        begun, size = self._texts.count, 0
        parts: list[str] = []
        while True:
            match = self._inside.match(line, at)
            end = at if match is None else match.end()
            parts.append(line[at:end])
            if end < len(line):
                break
            size += len(line)
            line, at = self._texts.next(read=size, of_row=first), 0
            if not line:
                hint = f"end it with `{self._qualifier}`, or declare another `csv_qualifier`"
                raise LineError(begun, "a qualified value is not closed", hint=hint)
        text = "".join(parts)
        return text.replace(self._qualifier * 2, self._qualifier), line, end
