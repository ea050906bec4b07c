"""BigTIFFs that a library would not write: any tags, blocks that are shared or lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

Value = tuple[int, int, bytes]
"""(type code, count, bytes) of a tag."""

SHORT, LONG, DOUBLE, LONG8 = 3, 4, 12, 16
_CODES = {SHORT: "H", LONG: "I", DOUBLE: "d", LONG8: "Q"}
TRANSFORM: Mapping[int, Value] = {
    33550: (DOUBLE, 3, struct.pack("<3d", 10, 10, 0)),
    33922: (DOUBLE, 6, struct.pack("<6d", 0, 0, 0, 0, 10, 0)),
    34735: (
        SHORT,
        16,
        struct.pack("<16H", 1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633),
    ),
}
"""Tags of pixels of 10 m in UTM 33."""


def values(kind: int, *numbers: float) -> Value:
    return kind, len(numbers), struct.pack(f"<{len(numbers)}{_CODES[kind]}", *numbers)


def image(
    width: int,
    height: int,
    *,
    tile: tuple[int, int] | None = None,
    rows: int | None = None,
    bands: int = 1,
    bits: int = 8,
    compression: int = 8,
    planar: int = 1,
    block: bytes = b"",
    counts: int | None = None,
) -> dict[int, Value]:
    """Return the tags of an image whose blocks are all one and the same: see `write`."""
    tags = {
        256: values(LONG, width),
        257: values(LONG, height),
        258: values(SHORT, *[bits] * bands),
        259: values(SHORT, compression),
        262: values(SHORT, 1),
        277: values(SHORT, bands),
        284: values(SHORT, planar),
        **TRANSFORM,
    }
    if bands > 1:
        tags[338] = values(SHORT, *[0] * (bands - 1))
    cols, lines = tile or (width, rows or height)
    if counts is None:
        counts = -(-width // cols) * -(-height // lines) * (bands if planar == 2 else 1)
    offsets = (LONG8, counts, struct.pack("<Q", 16) * counts)
    lengths = (LONG, counts, struct.pack("<I", len(block)) * counts)
    if tile:
        tags |= {322: values(LONG, cols), 323: values(LONG, lines), 324: offsets, 325: lengths}
    else:
        tags |= {278: values(LONG, lines), 273: offsets, 279: lengths}
    return tags


def write(
    path: Path, *directories: Mapping[int, Value], block: bytes = b"", is_loop: bool = False
) -> Path:
    """Write directories one after the other; the block lies at byte 16."""
    data = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) + block)
    link = 8
    first = 0
    for tags in directories:
        entries = b""
        for tag, (kind, count, content) in sorted(tags.items()):
            if len(content) > 8:
                place = struct.pack("<Q", len(data))
                data += content
            else:
                place = content.ljust(8, b"\0")
            entries += struct.pack("<HHQ", tag, kind, count) + place
        struct.pack_into("<Q", data, link, len(data))
        first = first or len(data)
        data += struct.pack("<Q", len(tags)) + entries
        link = len(data)
        data += struct.pack("<Q", 0)
    if is_loop:
        struct.pack_into("<Q", data, link, first)
    path.write_bytes(data)
    return path


def zeros(count: int) -> bytes:
    """Return so many zeros, compressed by DEFLATE in little memory."""
    packer, chunk, left = zlib.compressobj(9), bytes(1 << 20), count
    parts = []
    while left:
        parts.append(packer.compress(chunk[:left]))
        left -= min(left, len(chunk))
    return b"".join((*parts, packer.flush()))
