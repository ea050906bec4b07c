"""The format options of a TFRecord export, by the names of Earth Engine's guide."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.model.text.suggest import suggestion

_MAX_SIDE = 1 << 16
_SMALLEST_FILE = 1024

COMPRESSIONS = ("zstd", "deflate", "lzw", "none")
"""Of COGs; all keep every bit. zstd is the quickest, deflate the one that all readers know."""


class TFRecordOptions(Struct, frozen=True, kw_only=True):
    """How patches are cut and written."""

    patch_dimensions: tuple[int, int] = (256, 256)
    """(width, height) of a patch in pixels, without the margin."""
    kernel_size: tuple[int, int] = (1, 1)
    """(width, height) that are added to a patch, half on each side; 1 adds nothing."""
    compressed: bool = True
    """Whether shards are gzipped."""
    max_file_size: int = 1 << 30
    """Most bytes of a shard before compression; a shard holds one record at least."""
    default_value: float = 0.0
    """Value of pixels that are fully or partly masked, or outside the image."""
    tensor_depths: tuple[tuple[str, int], ...] = ()
    """Depth per array band, where it is not the number of its bands."""
    sequence_data: bool = False
    """Whether each pixel is a SequenceExample."""
    collapse_bands: bool = False
    """Whether all bands make one tensor, named after the first."""
    masked_threshold: float = 1.0
    """Largest share of masked pixels of a patch that is kept; below 1 there is no mixer."""
    pad_border: bool = False
    """Whether patches that the image fills in part are kept; geobatch's own."""


def parse_options(given: Mapping[str, Any]) -> TFRecordOptions:
    """Return format options of plain values, as JSON has them.

    Args:
        given: By the guide's names, such as `patchDimensions`; snake_case is taken as well.

    Raises:
        ExportError: A name or a value is wrong.
    """
    names = {
        spelling: name
        for name in TFRecordOptions.__struct_fields__
        for spelling in _spellings(name)
    }
    found: dict[str, Any] = {}
    for name, value in given.items():
        known = names.get(name)
        if known is None:
            raise ExportError(
                f"there is no format option `{name}`",
                hint=suggestion(name, names) or f"the options are {_listed()}",
            )
        if known in found:
            raise ExportError(f"the format option `{camel(known)}` is given twice")
        found[known] = _PARSERS[known](camel(known), value)
    return TFRecordOptions(**found)


def camel(name: str) -> str:
    """Return the guide's spelling of an option."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _spellings(name: str) -> tuple[str, str]:
    return (name, camel(name))


def _listed() -> str:
    return ", ".join(f"`{camel(name)}`" for name in TFRecordOptions.__struct_fields__)


def _refuse(name: str, expected: str, value: Any) -> NoReturn:
    raise ExportError(f"`{name}` needs {expected}, got `{value}`")


def _size(lowest: int) -> Callable[[str, Any], tuple[int, int]]:
    """Return a parser of one size, for a square, or of two."""

    def parse(name: str, value: Any) -> tuple[int, int]:
        sides = [value, value] if _is_integer(value) else value
        is_pair = isinstance(sides, list | tuple) and len(sides) == 2
        if not is_pair or not all(_is_integer(s) and lowest <= s <= _MAX_SIDE for s in sides):
            _refuse(name, f"[width, height], each from {lowest} to {_MAX_SIDE}", value)
        return (int(sides[0]), int(sides[1]))

    return parse


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        _refuse(name, "true or false", value)
    return value


def _bytes(name: str, value: Any) -> int:
    if not _is_integer(value) or value < _SMALLEST_FILE:
        _refuse(name, f"a number of bytes, at least {_SMALLEST_FILE}", value)
    return int(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(name, "a number", value)
    return float(value)


def _share(name: str, value: Any) -> float:
    share = _number(name, value)
    if math.isnan(share) or not 0 <= share <= 1:
        _refuse(name, "a share from 0 to 1", value)
    return share


def _depths(name: str, value: Any) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, dict) or not all(_is_integer(d) and d >= 1 for d in value.values()):
        _refuse(name, 'a depth of 1 or more per array band, as in {"series": 12}', value)
    return tuple(sorted((str(band), int(depth)) for band, depth in value.items()))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PARSERS: Mapping[str, Callable[[str, Any], Any]] = {
    "patch_dimensions": _size(1),
    "kernel_size": _size(0),
    "compressed": _flag,
    "max_file_size": _bytes,
    "default_value": _number,
    "tensor_depths": _depths,
    "sequence_data": _flag,
    "collapse_bands": _flag,
    "masked_threshold": _share,
    "pad_border": _flag,
}
