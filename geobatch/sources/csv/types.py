"""The types of columns of texts, which all of their values decide."""

from __future__ import annotations

import re

from geobatch.model.assets.table import ColumnType
from geobatch.model.text.date_format import milliseconds

_LONG = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_NUMBER = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|"
    r"[-+]?(?:nan|inf|infinity)",
    re.ASCII | re.IGNORECASE,
)
_ENDS_OF_WORDS = "nNfFyY"
_GEOMETRY = re.compile(
    r"\s*(?:(?:(?:MULTI)?(?:POINT|LINESTRING|POLYGON)|GEOMETRYCOLLECTION)\s*(?:Z|M|ZM)?\s*"
    r"(?:\(|EMPTY)"
    r'|\{.*"type"\s*:\s*"(?:(?:Multi)?(?:Point|LineString|Polygon)|GeometryCollection)")',
    re.IGNORECASE | re.DOTALL,
)
_DIGITS = 15
"""Integers of so many digits are exact in float64."""
_EXACT = 1 << 53
_LONGS = range(-(1 << 63), 1 << 63)


class Column:
    """What the values of a column may all be, as far as they were seen."""

    def __init__(self, date_format: str) -> None:
        """Begin.

        Args:
            date_format: Format of dates, of `strptime`; empty if there are none.
        """
        self._date_format = date_format
        self.uri = ""
        """File of the next values."""
        self.has_values = False
        """Whether any value is not empty."""
        self._may_be_long = self._may_be_number = self._may_be_geometry = True
        self._has_inexact = False
        self.date: tuple[str, int, str] | None = None
        """(file, line, value) of the first date."""
        self.other: tuple[str, int, str] | None = None
        """(file, line, value) of the first value that is no date."""
        self.odd: tuple[str, int, str] | None = None
        """(file, line, value) of the first value that is no number."""

    def add(self, value: str, line: int) -> None:
        """Take a value that is not empty."""
        self.has_values = True
        if self._date_format and (self.date is None or self.other is None):
            if milliseconds(value, self._date_format) is None:
                self.other = self.other or (self.uri, line, value)
            else:
                self.date = self.date or (self.uri, line, value)
        if self._may_be_geometry:
            self._may_be_geometry = _GEOMETRY.match(value) is not None
        if self._may_be_number:
            self._may_be_number = self._add_number(value)
            if not self._may_be_number:
                self.odd = (self.uri, line, value)

    def _add_number(self, value: str) -> bool:
        """Take a value if it is a number, and return whether it is one."""
        if _LONG.fullmatch(value):
            if len(value) > _DIGITS and abs(number := int(value)) > _EXACT:
                self._has_inexact = True
                self._may_be_long &= number in _LONGS
            return True
        self._may_be_long = False
        if not _NUMBER.fullmatch(value):
            return False
        if value[-1] in _ENDS_OF_WORDS:
            return True
        if value.lstrip("-").isdigit():
            self._has_inexact |= len(value) > _DIGITS and abs(float(value)) > _EXACT
        # A number beyond float64 would become infinite.
        return abs(float(value)) != float("inf")

    @property
    def is_geometry(self) -> bool:
        """Whether each value is written like a geometry."""
        return self.has_values and self._may_be_geometry

    @property
    def type(self) -> ColumnType:
        """What each value is: an integer, a number, or else a text; no value is lost or rounded."""
        if not self.has_values or not self._may_be_number:
            return ColumnType.STRING
        if self._may_be_long:
            return ColumnType.INT64
        return ColumnType.STRING if self._has_inexact else ColumnType.FLOAT64
