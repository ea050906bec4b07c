"""Values of one kind as values of a column's type, without loss."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from geobatch.model.assets.table import ColumnType
from geobatch.table import geometries

_LONG = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_WORD = re.compile(r"[-+]?(nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_NUMERIC = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_EXACT = 1 << 53
"""Beyond it, float64 cannot hold every integer."""
_LONGS = range(-(1 << 63), 1 << 63)


def converted(values: Any, kind: str, wanted: ColumnType, charset: str) -> list[Any]:
    """Return values as a column's type: floats, integers, texts in UTF-8, or geometries as WKB.

    Args:
        values: Floats, integers, bytes or texts.
        kind: Of which list they are: `float_list`, `int64_list`, `bytes_list` or `text_list`.
        wanted: Type of the column.
        charset: How bytes are coded.

    Raises:
        ValueError: One of them cannot become that; the message says which.
    """
    if kind == "text_list":
        return [_from_text(text, wanted) for text in values]
    if kind == "bytes_list":
        return list(_from_bytes(values, wanted, charset))
    convert = _CONVERT.get((kind, wanted))
    return list(values) if convert is None else [convert(value) for value in values]


def _from_bytes(values: Any, wanted: ColumnType, charset: str) -> Iterator[Any]:
    for value in values:
        try:
            text = value.decode(charset)
        except UnicodeDecodeError as error:
            start = bytes(value[:12]).hex(" ")
            raise ValueError(
                f"a text that starts with the bytes `{start}` is not valid {charset}: "
                f"{error.reason}"
            ) from None
        is_same = wanted is ColumnType.STRING and charset == "utf-8"
        yield value if is_same else _from_text(text, wanted)


def _from_text(text: str, wanted: ColumnType) -> Any:
    if wanted is ColumnType.STRING:
        return text.encode()
    if wanted is ColumnType.GEOMETRY:
        return geometries.wkb_of(text)
    return _long(text.strip()) if wanted is ColumnType.INT64 else _numeric(text.strip())


def _long(text: str) -> int:
    if not _LONG.fullmatch(text) or int(text) not in _LONGS:
        raise ValueError(f"`{text[:40]}` is not a 64-bit integer")
    return int(text)


def _numeric(text: str) -> float:
    if not (_NUMERIC.fullmatch(text) or _WORD.fullmatch(text)):
        raise ValueError(f"`{text[:40]}` is not a number")
    return float(text)


def _float_to_long(value: float) -> int:
    if not math.isfinite(value) or value != int(value) or int(value) not in _LONGS:
        raise ValueError(f"`{_spelled(value)}` is not a 64-bit integer")
    return int(value)


def _long_to_float(value: int) -> float:
    if int(float(value)) != value:
        raise ValueError(f"`{value}` is beyond {_EXACT:,}, and float64 cannot hold it exactly")
    return float(value)


def _spelled(value: float) -> str:
    """Return the shortest text that reads back as the same float32."""
    return str(np.float32(value))


_CONVERT: dict[tuple[str, ColumnType], Callable[[Any], Any]] = {
    ("float_list", ColumnType.INT64): _float_to_long,
    ("float_list", ColumnType.STRING): lambda value: _spelled(value).encode(),
    ("int64_list", ColumnType.FLOAT64): _long_to_float,
    ("int64_list", ColumnType.STRING): lambda value: str(value).encode(),
}
"""What is done where values are not of the wanted type already."""
