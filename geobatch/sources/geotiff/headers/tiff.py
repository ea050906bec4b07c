"""The parts of TIFF that GDAL does not report: the compression's name, exact nodata, block sizes.

Source: TIFF 6.0 section 2, and the BigTIFF design (8-byte counts and offsets, version 43).
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.limits import BANDS as BANDS_LIMIT
from geobatch.model.limits import BLOCK_BYTES, BLOCKS, TAG_BYTES, Limit
from geobatch.model.window import Window
from geobatch.sources.naming import UnnamedError

SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, BANDS, ROWS_PER_STRIP, STRIP_BYTE_COUNTS, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTE_COUNTS, SUB_DIRECTORIES = 322, 323, 324, 325, 330
EXTRA_SAMPLES, MODEL_TRANSFORMATION, GDAL_NODATA = 338, 34264, 42113
GDAL_METADATA = 42112
REDUCED, MASK = 1, 4
"""Bits of `SUBFILE_TYPE`."""

COMPRESSIONS: Mapping[int, str] = {
    1: "NONE", 2: "CCITTRLE", 3: "CCITTFAX3", 4: "CCITTFAX4", 5: "LZW", 6: "OJPEG", 7: "JPEG",
    8: "DEFLATE", 32766: "NEXT", 32771: "CCITTRLEW", 32773: "PACKBITS", 32809: "THUNDERSCAN",
    32946: "DEFLATE", 33003: "APERIO_JPEG2000", 33005: "APERIO_JPEG2000", 34661: "JBIG",
    34676: "SGILOG", 34677: "SGILOG24", 34712: "JPEG2000", 34887: "LERC", 34925: "LZMA",
    50000: "ZSTD", 50001: "WEBP", 50002: "JXL", 52546: "JXL",
}  # fmt: skip
"""Names of the values of the Compression tag."""

_TYPES = {
    1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "V8", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "V8",
    11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
_WHOLE = frozenset({"LERC", "WEBP", "JXL", "JPEG2000", "APERIO_JPEG2000", "JBIG"})
"""Compressions whose strips are decoded as a whole; those of others are decoded row by row."""
_SEPARATE = 2
"""Value of `PLANAR` where each band has blocks of its own."""
MAX_DIRECTORIES = 64
"""How many directories are read."""
_ASSOCIATED = 1
"""Value of `EXTRA_SAMPLES` for alpha that colours are multiplied by."""
_OVERVIEW_FILE = "overview_file"
_MAX_FIELDS = 1 << 16
_MAX_VALUES = 1 << 28


_PLACES = frozenset((STRIP_OFFSETS, STRIP_BYTE_COUNTS, TILE_OFFSETS, TILE_BYTE_COUNTS))


class Field(Struct, frozen=True, kw_only=True):
    """One entry of a directory."""

    type: int
    """TIFF type code."""
    count: int
    """How many values."""
    offset: int
    """Where the values are in the file."""


class Directory(Struct, frozen=True, kw_only=True):
    """One image file directory: tags and where their values are."""

    order: str
    """Byte order, `<` or `>`."""
    fields: Mapping[int, Field]
    """Entries by tag."""
    is_plain: bool
    """Whether each tag appears once, with a known type."""
    stop: int
    """Where it ends, including the offset of the next one."""


class Tags(Struct, frozen=True, kw_only=True):
    """Tags of the full image that GDAL does not report."""

    compression: int
    """Value of the Compression tag."""
    nodata: str | None
    """Text of the nodata tag."""
    has_matrix: bool
    """Whether the transform is given as a matrix, which alone can be the identity."""
    bits: int
    """Bits of a sample."""
    mask_bits: int
    """Bits of a sample of the internal mask; 1 without one."""
    is_premultiplied: bool
    """Whether the colours are already multiplied by alpha (associated alpha)."""
    pages: int
    """How many other images there are, without reduced ones and masks."""
    names_file: bool
    """Whether the metadata name another file, which GDAL would open for overviews."""


class BlockSizes(Struct, frozen=True, kw_only=True):
    """How many bytes each block of an image takes in the file."""

    rows: int
    """Rows of a block."""
    cols: int
    """Columns of a block."""
    counts: npt.NDArray[np.int64]
    """Stored bytes, (plane, block row, block column); one plane if a block holds all bands."""
    offsets: npt.NDArray[np.int64] | None = None
    """First byte of each, likewise; None where the file does not say."""

    def extents(self, window: Window, *, planes: list[int]) -> list[tuple[int, int]]:
        """Return (first byte, length) of the stored blocks that a pixel window touches, sorted."""
        if self.offsets is None:
            return []
        chosen = planes if self.counts.shape[0] > 1 else [0]
        rows, cols = window.in_tiles((self.rows, self.cols)).slices
        at = (chosen, rows, cols)
        pairs = zip(
            self.offsets[at].ravel().tolist(), self.counts[at].ravel().tolist(), strict=True
        )
        return sorted({pair for pair in pairs if pair[1]})

    def within(self, window: Window, *, planes: list[int]) -> int:
        """Return the stored bytes of all blocks that a pixel window touches."""
        chosen = planes if self.counts.shape[0] > 1 else [0]
        rows, cols = window.in_tiles((self.rows, self.cols)).slices
        return sum(int(self.counts[plane, rows, cols].sum()) for plane in chosen)


def is_tiff(start: bytes) -> bool:
    """Return whether a file that starts with these (at least 4) bytes is a TIFF."""
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_directories(file: BinaryIO) -> list[Directory]:
    """Return the directories of a TIFF in file order; the first is the full image.

    GDAL passes over a tag or a later directory that lies beyond the end of the file, and so loses
    decoding tables, masks or the transform of a file that was cut short; here that is an error.

    Raises:
        ValueError: The file is not a TIFF, or it ends before its directories do.
        UnnamedError: What it declares is more than a limit allows.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(16)
    if not is_tiff(start):
        raise ValueError(f"starts with the bytes {start[:4]!r}, not like a TIFF")
    order = "<" if start[:2] == b"II" else ">"
    is_big = b"+" in start[2:4]
    found: list[Directory] = []
    seen: set[int] = set()
    try:
        offset = struct.unpack_from(order + ("Q" if is_big else "I"), start, 8 if is_big else 4)[0]
        while offset and offset not in seen and len(found) < MAX_DIRECTORIES:
            seen.add(offset)
            directory, offset = _read_directory(file, order, offset, is_big=is_big)
            found.append(directory)
    except (struct.error, OSError, OverflowError):
        raise ValueError(f"the file ends before its directory {len(found)}") from None
    if not found:
        raise ValueError("the file has no directory")
    for number, directory in enumerate(found):
        for tag, field in directory.fields.items():
            if field.offset + field.count * np.dtype(_TYPES[field.type]).itemsize > size:
                raise ValueError(f"tag {tag} of directory {number} lies beyond the end of the file")
    _check_cost(file, found)
    return found


def _check_cost(file: BinaryIO, directories: Sequence[Directory]) -> None:
    """Refuse a TIFF before what its tags declare is read; several tags may share their bytes."""
    every = [(tag, field) for one in directories for tag, field in one.fields.items()]
    blocks = sum(field.count for tag, field in every if tag in _PLACES)
    if blocks > 2 * BLOCKS.value:
        raise _costly(BLOCKS, -(-blocks // 2), "its tables of blocks")
    size = sum(_size(field) for tag, field in every if tag not in _PLACES)
    if size > TAG_BYTES.value:
        raise _costly(TAG_BYTES, size, "its tags")
    bands = max(read_number(file, one, BANDS, 1) for one in directories)
    if bands > BANDS_LIMIT.value:
        raise _costly(BANDS_LIMIT, bands, "an image")
    _check_strip(file, directories[0], file.seek(0, 2))
    for one in directories[1:]:
        if read_number(file, one, SUBFILE_TYPE, 0) & (MASK | REDUCED) == MASK:
            _check_mask(file, one, file.seek(0, 2))


def _check_strip(file: BinaryIO, directory: Directory, size: int) -> None:
    """Refuse huge strips of a codec that decodes them as a whole; others are decoded by rows."""
    code = read_number(file, directory, COMPRESSION, 1)
    if TILE_WIDTH in directory.fields or COMPRESSIONS.get(code) not in _WHOLE:
        return
    height = read_number(file, directory, HEIGHT, 1)
    rows = min(read_number(file, directory, ROWS_PER_STRIP, height), height)
    is_planar = read_number(file, directory, PLANAR, 1) == _SEPARATE
    bands = 1 if is_planar else read_number(file, directory, BANDS, 1)
    bits = read_number(file, directory, BITS, 1)
    needed = rows * read_number(file, directory, WIDTH, 1) * bands * bits // 8
    if needed > BLOCK_BYTES.of_file(size):
        raise _costly(BLOCK_BYTES, needed, "a strip")


def _check_mask(file: BinaryIO, directory: Directory, size: int) -> None:
    """Refuse an internal mask of huge blocks: GDAL decodes each as a whole, a byte per pixel."""
    tags = (TILE_HEIGHT, TILE_WIDTH) if TILE_WIDTH in directory.fields else (ROWS_PER_STRIP, WIDTH)
    rows, cols = (read_number(file, directory, tag, 1) for tag in tags)
    needed = min(rows, read_number(file, directory, HEIGHT, 1)) * cols
    if needed > BLOCK_BYTES.of_file(size):
        raise _costly(BLOCK_BYTES, needed, "a block of its internal mask")


def _read_directory(
    file: BinaryIO, order: str, offset: int, *, is_big: bool
) -> tuple[Directory, int]:
    head, entry, pointer = ("Q", "HHQQ", "Q") if is_big else ("H", "HHII", "I")
    inline = struct.calcsize("<" + pointer)
    size = struct.calcsize("<" + entry)
    file.seek(offset)
    count = struct.unpack(order + head, file.read(struct.calcsize("<" + head)))[0]
    if count > _MAX_FIELDS:
        raise struct.error
    data = file.read(count * size)
    first = offset + struct.calcsize("<" + head)
    fields: dict[int, Field] = {}
    is_plain = True
    for index in range(count):
        tag, kind, values, _ = struct.unpack_from(order + entry, data, index * size)
        is_plain = is_plain and kind in _TYPES and tag not in fields
        if kind not in _TYPES:
            continue
        if tag == GDAL_METADATA and tag in fields:
            raise ValueError(f"tag {tag} appears twice in one directory")
        value_offset = first + index * size + size - inline
        if values * np.dtype(_TYPES[kind]).itemsize > inline:
            value_offset = struct.unpack_from(order + pointer, data, (index + 1) * size - inline)[0]
        fields[tag] = Field(type=kind, count=values, offset=value_offset)
    following = struct.unpack(order + pointer, file.read(inline))[0]
    stop = first + count * size + inline
    return Directory(order=order, fields=fields, is_plain=is_plain, stop=stop), following


def end_of(directory: Directory) -> int:
    """Return where a directory and all values that it refers to end."""
    ends = (field.offset + _size(field) for field in directory.fields.values())
    return max((directory.stop, *ends))


def _size(field: Field) -> int:
    return field.count * np.dtype(_TYPES[field.type]).itemsize


def read_values(file: BinaryIO, directory: Directory, tag: int) -> npt.NDArray[Any]:
    """Return the values of a tag as a 1-D array; empty if the tag is absent or truncated."""
    field = directory.fields.get(tag)
    if field is None or field.count > _MAX_VALUES:
        return np.zeros(0, dtype=np.int64)
    dtype = np.dtype(directory.order + _TYPES[field.type])
    try:
        file.seek(field.offset)
        data = file.read(field.count * dtype.itemsize)
    except (OSError, OverflowError):
        data = b""
    if len(data) < field.count * dtype.itemsize:
        return np.zeros(0, dtype=dtype)
    return np.frombuffer(data, dtype=dtype)


def list_tags(
    file: BinaryIO, directory: Directory, *, without: Collection[int]
) -> list[list[int | str]]:
    """Return (tag, type, count, values as hexadecimal bytes) of tags, by number."""
    return [
        [tag, field.type, field.count, read_values(file, directory, tag).tobytes().hex()]
        for tag, field in sorted(directory.fields.items())
        if tag not in without
    ]


def read_number(file: BinaryIO, directory: Directory, tag: int, default: int) -> int:
    """Return the first value of a tag, or the default."""
    values = read_values(file, directory, tag)
    return int(values[0]) if values.size and values.dtype.kind in "iu" else default


def read_text(file: BinaryIO, directory: Directory, tag: int) -> str | None:
    """Return the text of a tag, spaces around it included, or None."""
    values = read_values(file, directory, tag)
    if values.dtype.kind != "S":
        return None
    return values.tobytes().split(b"\0")[0].decode("ascii", "replace")


def read_tags(file: BinaryIO) -> Tags:
    """Return the tags of the full image that GDAL reports wrongly or not at all.

    Raises:
        ValueError: The file is not a TIFF, or its first directory is broken.
    """
    directory, *others = read_directories(file)
    kinds = [read_number(file, other, SUBFILE_TYPE, 0) for other in others]
    masks = [
        other
        for other, kind in zip(others, kinds, strict=True)
        if kind & MASK and not kind & REDUCED
    ]
    return Tags(
        compression=read_number(file, directory, COMPRESSION, 1),
        nodata=read_text(file, directory, GDAL_NODATA),
        has_matrix=MODEL_TRANSFORMATION in directory.fields,
        bits=read_number(file, directory, BITS, 1),
        mask_bits=read_number(file, masks[0], BITS, 1) if masks else 1,
        is_premultiplied=_ASSOCIATED in read_values(file, directory, EXTRA_SAMPLES),
        pages=sum(not kind & (MASK | REDUCED) for kind in kinds),
        names_file=any(_names_file(file, one) for one in (directory, *others)),
    )


def _names_file(file: BinaryIO, directory: Directory) -> bool:
    """Return whether the metadata of an image name a file with its overviews.

    Source: GDAL's `GDALDefaultOverviews::OverviewScan`. It opens the file with any driver.
    """
    from html import unescape  # noqa: PLC0415 - slow to import

    values = read_values(file, directory, GDAL_METADATA)
    data = values.astype(np.uint8) if values.dtype.kind in "iu" else values
    text = data.tobytes().decode("latin-1")
    # XML may spell each character as a number.
    for _ in range(3):
        if _OVERVIEW_FILE in text.casefold():
            return True
        text = unescape(text)
    return _OVERVIEW_FILE in text.casefold()


def read_block_sizes(file: BinaryIO, directory: Directory) -> BlockSizes | None:
    """Return the stored size of every block, or None if the file does not declare it."""
    height = read_number(file, directory, HEIGHT, 0)
    width = read_number(file, directory, WIDTH, 0)
    if TILE_BYTE_COUNTS in directory.fields:
        rows = read_number(file, directory, TILE_HEIGHT, 0)
        cols = read_number(file, directory, TILE_WIDTH, 0)
        tags = (TILE_OFFSETS, TILE_BYTE_COUNTS)
    else:
        rows = min(read_number(file, directory, ROWS_PER_STRIP, height), height)
        cols = width
        tags = (STRIP_OFFSETS, STRIP_BYTE_COUNTS)
    offsets, counts = (read_values(file, directory, tag) for tag in tags)
    is_planar = read_number(file, directory, PLANAR, 1) == 2
    planes = read_number(file, directory, BANDS, 1) if is_planar else 1
    if min(height, width, rows, cols, planes) < 1:
        return None
    shape = (planes, -(-height // rows), -(-width // cols))
    if counts.size != shape[0] * shape[1] * shape[2] or counts.dtype.kind not in "iu":
        return None
    is_located = offsets.size == counts.size and offsets.dtype.kind == "u"
    return BlockSizes(
        rows=rows,
        cols=cols,
        counts=counts.astype(np.int64).reshape(shape),
        offsets=offsets.astype(np.int64).reshape(shape) if is_located else None,
    )


def _costly(limit: Limit, needed: int, what: str) -> UnnamedError:
    """Return the error of a TIFF that needs more of something than a limit allows."""
    message = f"{what}: {needed:,} {limit.unit}, expected at most {limit.value:,}"
    return UnnamedError(message, hint=limit.hint(needed))
