"""Headers of files that differ only in where they lie: GDAL reads one of them, not each.

Many small images are of one size, type and CRS. What of the header depends on the upper-left corner
is the transform alone, and how is shown by the file that GDAL has read.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.digest import Json
from geobatch.model.geobox import Transform
from geobatch.model.sources.header import Header

_PIXEL_SCALE, _TIE_POINTS = 33550, 33922
_DOUBLE = 12
_MOST = 64
"""Headers that are kept at most."""
_MOST_DIGITS = 1 << 14
"""Hexadecimal digits of the tags of a file, from which on its header is not kept."""

_Tags: TypeAlias = tuple[object, ...]


class Frame(Struct, frozen=True, kw_only=True):
    """What the header of a file is read from, its corner apart."""

    tags: _Tags
    """All of `tags.inputs_of` but x and y of the tie point."""
    transform: Transform
    """What the tags say if a pixel is an area: GDAL may say something else."""


def frame_of(inputs: Json, order: str) -> Frame | None:
    """Return the frame of a file; None if its corner is not one tie point of its first pixel.

    Args:
        inputs: What `tags.inputs_of` returns.
        order: Byte order, `<` or `>`.
    """
    *start, directories = inputs
    (first, size), *others = directories
    by_tag = {tag[0]: tag for tag in first}
    scale = _doubles(by_tag.get(_PIXEL_SCALE), order, count=3)
    tie = _doubles(by_tag.get(_TIE_POINTS), order, count=6)
    if scale is None or tie is None or any(tie[:3]) or min(scale[:2]) <= 0:
        return None
    if not all(map(math.isfinite, (*scale, *tie))):
        return None
    if sum(len(str(tag[3])) for tags, _ in directories for tag in tags) > _MOST_DIGITS:
        return None
    # The height of a tie point is kept: with a vertical CRS, it becomes an offset of the values.
    own = (*(tuple(tag) for tag in first if tag[0] != _TIE_POINTS), tie[5])
    rest = tuple((tuple(map(tuple, tags)), length) for tags, length in others)
    return Frame(
        tags=(*start, order, own, size, rest),
        transform=(scale[0], 0.0, tie[3], 0.0, -scale[1], tie[4]),
    )


class AlikeHeaders:
    """Headers that one run has read, by their frames; safe to share between threads."""

    def __init__(self) -> None:
        """Know none."""
        self._headers: dict[_Tags, Header] = {}

    def find(self, frame: Frame | None, path: Path, uri: str) -> Header | None:
        """Return the header of a file, as GDAL would read it; None if that is not known.

        Args:
            frame: Of the file, whose blocks are where they should be.
            path: Its real path.
            uri: What messages call it.
        """
        known = None if frame is None else self._headers.get(frame.tags)
        if frame is None or known is None:
            return None
        try:
            real = os.fspath(path)
            real.encode()
        except UnicodeEncodeError:  # whoever reads the header says what is wrong
            return None
        return replace(known, uri=uri, path=real, transform=frame.transform)

    def add(self, frame: Frame | None, header: Header) -> None:
        """Keep the header that GDAL has read, if its transform is what the tags say."""
        if frame is None or header.transform != frame.transform or len(self._headers) >= _MOST:
            return
        # A corner so far away that half a pixel is lost would hide that a pixel is a point.
        a, _, c, _, e, f = frame.transform
        if c - a / 2 != c and f - e / 2 != f:
            self._headers[frame.tags] = header


def _doubles(tag: Sequence[Json] | None, order: str, *, count: int) -> tuple[float, ...] | None:
    if tag is None or tag[1] != _DOUBLE or tag[2] != count or len(tag[3]) != 16 * count:
        return None
    return struct.unpack(f"{order}{count}d", bytes.fromhex(tag[3]))
