"""Index pages: the byte layout of 64 x 64 children, read and written with numpy."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from msgspec import Struct

from geobatch.errors import CorruptObjectError, FormatError
from geobatch.model.digest import DIGEST_BYTES, Digest

FAN_OUT = 64
"""Children per side of a page."""
SLOTS = FAN_OUT * FAN_OUT
"""Children of a page at most."""
MAGIC = b"GBIX"
VERSION = 1
HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("version", "<u2"),
        ("height", "<u2"),
        ("count", "<u4"),
        ("reserved", "<u4"),
        ("bitmap", "u1", (SLOTS // 8,)),
    ]
)
"""The first 528 bytes of a page."""
CHILD = np.dtype(
    [
        ("content", "u1", (DIGEST_BYTES,)),
        ("stored", "u1", (DIGEST_BYTES,)),
        ("size", "<u8"),
        ("tiles", "<u8"),
    ]
)
"""What a page records of a child; in the page each field is an array of its own."""

_START = struct.Struct("<4sHHI")
_ONE_TILE = struct.Struct("<QQ")
_BITMAP = HEADER.itemsize - SLOTS // 8
_DOMAIN = b"geobatch index page 1\x00"


class Page(Struct, frozen=True, kw_only=True):
    """The children of one page, in row-major order of their slots."""

    height: int
    """1 where the children are tiles, else one more than the height of the children."""
    slots: npt.NDArray[np.intp]
    """(count,) sorted slots: 64 * row + col of a child within the page."""
    children: npt.NDArray[np.void]
    """(count,) of `CHILD`."""

    @property
    def bitmap(self) -> npt.NDArray[np.uint8]:
        """(512,) presence of the slots, most significant bit first."""
        present = np.zeros(SLOTS, dtype=np.bool_)
        present[self.slots] = True
        return np.packbits(present)

    @property
    def content(self) -> Digest:
        """Merkle hash over height, positions and content digests; stored digests stay out of it."""
        hasher = blake3(_DOMAIN)
        hasher.update(self.height.to_bytes(2, "little"))
        hasher.update(self.bitmap.tobytes())
        hasher.update(self.children["content"].tobytes())
        return hasher.hexdigest()

    @property
    def tiles(self) -> int:
        """How many tiles are below the page."""
        return int(self.children["tiles"].sum())

    def to_bytes(self) -> bytes:
        """Return the page as it is stored: header, bitmap, then one column after the other."""
        start = _START.pack(MAGIC, VERSION, self.height, len(self.slots)).ljust(_BITMAP, b"\0")
        names = CHILD.names or ()
        columns = (self.children[name].tobytes() for name in names)
        return b"".join([start, self.bitmap.tobytes(), *columns])

    @classmethod
    def from_bytes(cls, data: bytes, *, height: int, digest: Digest) -> Page:
        """Read a page.

        Args:
            data: The bytes of the page.
            height: The height that the page must have.
            digest: The page's name, for messages.

        Raises:
            FormatError: A newer geobatch wrote the page.
            CorruptObjectError: The bytes are no page of that height.
        """
        if len(data) < HEADER.itemsize or not data.startswith(MAGIC):
            raise CorruptObjectError(f"object `{digest}` is not an index page")
        header = np.frombuffer(data, dtype=HEADER, count=1)[0]
        if header["version"] != VERSION:
            raise FormatError(
                f"index page `{digest}` has version {header['version']}, expected {VERSION}",
                hint="use a newer geobatch",
            )
        slots = np.flatnonzero(np.unpackbits(header["bitmap"]))
        count = len(slots)
        expected = HEADER.itemsize + count * CHILD.itemsize
        got = (int(header["height"]), int(header["count"]), len(data))
        if count == 0 or got != (height, count, expected):
            raise CorruptObjectError(
                f"index page `{digest}` has (height, children, bytes) {got}, "
                f"expected {(height, count, expected)}"
            )
        children: npt.NDArray[np.void] = np.empty(count, dtype=CHILD)
        offset = HEADER.itemsize
        for name in CHILD.names or ():
            column = CHILD[name]
            children[name] = _column(data, column, count=count, offset=offset)
            offset += count * column.itemsize
        children.flags.writeable = False
        return cls(height=height, slots=slots, children=children)


def page_of_tile(slot: int, content: bytes, stored: bytes, size: int) -> tuple[bytes, Digest]:
    """Return the page of a single tile, and its content digest, as `Page` gives them.

    Args:
        slot: Where the tile is in the page.
        content: Digest of its pixels.
        stored: Digest of its bytes.
        size: Length of its bytes.
    """
    bitmap = bytearray(SLOTS // 8)
    bitmap[slot // 8] = 1 << 7 - slot % 8
    start = _START.pack(MAGIC, VERSION, 1, 1).ljust(_BITMAP, b"\0")
    data = b"".join([start, bitmap, content, stored, _ONE_TILE.pack(size, 1)])
    merkle = b"".join([_DOMAIN, (1).to_bytes(2, "little"), bitmap, content])
    return data, blake3(merkle).hexdigest()


class References(NamedTuple):
    """The objects that a page refers to, without their other fields."""

    height: int
    """Height of the page."""
    stored: list[Digest]
    """Digests of the children's objects."""
    sizes: tuple[int, ...]
    """Their lengths in bytes."""


def references(data: bytes, *, digest: Digest) -> References:
    """Read what a page of any height refers to; quicker than all of it, for very many small ones.

    Args:
        data: The bytes of the page, which have its digest.
        digest: The page's name, for messages.

    Raises:
        CorruptObjectError: The bytes are no page of this version.
    """
    start = HEADER.itemsize
    magic, version, height, count = _START.unpack_from(data.ljust(_START.size, b"\0"))
    if (magic, version, len(data)) != (MAGIC, VERSION, start + count * CHILD.itemsize):
        raise CorruptObjectError(f"object `{digest}` is not an index page of version {VERSION}")
    first = start + count * DIGEST_BYTES
    text = data[first : first + count * DIGEST_BYTES].hex()
    side = 2 * DIGEST_BYTES
    return References(
        height=height,
        stored=[text[at : at + side] for at in range(0, len(text), side)],
        sizes=struct.unpack_from(f"<{count}Q", data, first + count * DIGEST_BYTES),
    )


def stored_children(data: bytes, *, digest: Digest) -> tuple[int, npt.NDArray[np.bytes_]]:
    """Read only the height of a page and the stored digests of its children: (n,) of 32 bytes.

    Args:
        data: The bytes of the page, which have its digest.
        digest: The page's name, for messages.

    Raises:
        CorruptObjectError: The bytes are no page of this version.
    """
    start = HEADER.itemsize
    magic, version, height, count = _START.unpack_from(data.ljust(_START.size, b"\0"))
    if (magic, version, len(data)) != (MAGIC, VERSION, start + count * CHILD.itemsize):
        raise CorruptObjectError(f"object `{digest}` is not an index page of version {VERSION}")
    first = start + count * DIGEST_BYTES
    return height, np.frombuffer(data, dtype=f"S{DIGEST_BYTES}", count=count, offset=first)


def child_position(data: bytes, number: int, row: int, col: int) -> tuple[int, int]:
    """Return the (row, column), in child sizes, of a child of the page at a position."""
    bitmap = np.frombuffer(data, dtype=np.uint8, count=SLOTS // 8, offset=_BITMAP)
    slot = int(np.flatnonzero(np.unpackbits(bitmap))[number])
    return row * FAN_OUT + slot // FAN_OUT, col * FAN_OUT + slot % FAN_OUT


def _column(data: bytes, column: np.dtype[Any], *, count: int, offset: int) -> npt.NDArray[Any]:
    items = count * int(np.prod(column.shape, dtype=np.intp))
    flat = np.frombuffer(data, dtype=column.base, count=items, offset=offset)
    return flat.reshape(count, *column.shape)
