"""The inputs of a TIFF's header: the tags of all its directories, and no block.

While these are the same, a header that was read before is still valid. Unusual files get no hash:
then the header is read again, which is always right.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import BinaryIO

from geobatch.model.digest import Json
from geobatch.sources.geotiff.headers import tiff

TAGS_EPOCH = 1
"""Increased whenever the hash covers something else than before."""

_PLACES = frozenset(
    (tiff.STRIP_OFFSETS, tiff.STRIP_BYTE_COUNTS, tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS)
)
_POINTERS = frozenset((tiff.SUB_DIRECTORIES, 34665, 34853, 40965))
"""Tags that lead to other directories: Exif, GPS and interoperability."""
_NONE = 1
_COMPRESSIONS = frozenset((_NONE, 5, 8, 32773, 32946, 34925, 50000))
"""Compressions of bytes. Of others, GDAL reads a block to see whether they lose information."""
_STRUCTURE = re.compile(rb"GDAL_STRUCTURAL_METADATA_SIZE=([0-9]{6}) bytes\n")
_STRUCTURE_BYTES = len("GDAL_STRUCTURAL_METADATA_SIZE=000000 bytes\n")


def inputs_of(file: BinaryIO, directories: Sequence[tiff.Directory]) -> Json | None:
    """Return all that the header of a TIFF is read from.

    Sidecars are not included, because they are never read.

    Args:
        file: A file with a block table: its blocks are where they should be.
        directories: All its directories.

    Returns:
        A list, whose digest is compared; it ends with (tags, size of the file or None) of each
        directory. None if the header may be read from something else as well.

    Raises:
        OSError: The file cannot be read.
    """
    if len(directories) >= tiff.MAX_DIRECTORIES:
        return None
    found: list[Json] = []
    for directory in directories:
        compression = tiff.read_number(file, directory, tiff.COMPRESSION, _NONE)
        is_sure = directory.is_plain and not _POINTERS & directory.fields.keys()
        if not is_sure or compression not in _COMPRESSIONS:
            return None
        # GDAL may cut an image that is not compressed into other blocks than the tags say, by
        # the offset of its strip and the size of the file.
        is_raw = compression == _NONE
        tags = tiff.list_tags(file, directory, without=frozenset() if is_raw else _PLACES)
        found.append([tags, os.fstat(file.fileno()).st_size if is_raw else None])
    return ["geobatch tags", TAGS_EPOCH, _start(file), found]


def _start(file: BinaryIO) -> str:
    """Return the bytes before all tags, except offsets.

    That is byte order and version, and what GDAL may say of the layout of the file.
    """
    file.seek(0)
    start = file.read(16 + _STRUCTURE_BYTES)
    first = 16 if b"+" in start[2:4] else 8
    version = start[: first // 2]
    stated = _STRUCTURE.match(start, first)
    if stated is None:
        return version.hex()
    file.seek(first)
    return (version + file.read(_STRUCTURE_BYTES + int(stated[1]))).hex()
