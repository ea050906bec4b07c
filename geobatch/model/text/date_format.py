"""Formats of dates in Joda's letters, as Earth Engine has them, and as Python has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

_PART = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|.", re.DOTALL)
_FIELDS = {
    "y": "%Y", "yyyy": "%Y", "M": "%m", "MM": "%m", "MMM": "%b", "MMMM": "%B", "d": "%d",
    "dd": "%d", "D": "%j", "DDD": "%j", "H": "%H", "HH": "%H", "h": "%I", "hh": "%I", "a": "%p",
    "m": "%M", "mm": "%M", "s": "%S", "ss": "%S", "E": "%a", "EEE": "%a", "EEEE": "%A",
    "Z": "%z", "ZZ": "%z", **{"S" * digits: "%f" for digits in range(1, 7)},
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def python_format(pattern: str) -> str:
    """Return a format in Joda's letters as one of `strptime`.

    Raises:
        ValueError: It has no year, or letters that are not known; the message says which.
    """
    made = "".join(_parts(pattern))
    if "%Y" not in made:
        raise ValueError("it has no year, `yyyy`")
    fields = [part for part in re.findall("%.", made) if part != "%%"]
    if len(set(fields)) < len(fields):
        raise ValueError("a field is there twice")
    return made


def _parts(pattern: str) -> Iterator[str]:
    for match in _PART.finditer(pattern):
        text, letter = match.group(), match.group(2)
        if letter is None:
            if text == "'":
                raise ValueError("a quote is not closed")
            quoted = match.group(1)
            literal = text if quoted is None else quoted.replace("''", "'") or "'"
            yield literal.replace("%", "%%")
        elif text in _FIELDS:
            yield _FIELDS[text]
        else:
            known = ", ".join(f"`{one}`" for one in _FIELDS)
            raise ValueError(f"`{text}` is not known; known are {known}, and texts in quotes")


def milliseconds(text: str, made: str) -> int | None:
    """Return a date as milliseconds since 1970, UTC unless it has an offset; None if it is none.

    Args:
        text: The date.
        made: What `python_format` returned.
    """
    try:
        found = datetime.strptime(text, made)  # noqa: DTZ007 - UTC is the next line
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
        return (found - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None
