"""Block tables: what each storage block of a source holds, by digest, and which blocks changed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.digest import DIGEST_BYTES, Digest, digest_bytes
from geobatch.model.geobox import ceil_div
from geobatch.model.tiles import TileSet

_START = struct.Struct("<4sQQQQQ32sB")
_MAGIC = b"GBT1"


class BlockTable(Struct, frozen=True, kw_only=True):
    """The digests of the raw bytes of every block of a source, with what determines their decoding.

    Equal tables mean equal pixels, whatever else the two files say.
    """

    height: int
    """Rows of the source."""
    width: int
    """Columns of the source."""
    block: tuple[int, int]
    """(rows, columns) of a block; those at the lower and right edges may hold fewer."""
    planes: int
    """1 if a block holds all bands, else one plane per band."""
    decoding: Digest
    """Hash of everything but the blocks that decides which pixels they decode to."""
    digests: bytes
    """32 bytes per block: (plane, block row, block column), the last one fastest."""
    mask: BlockTable | None = None
    """Table of the internal mask of the same size, with one plane; None without."""

    def __post_init__(self) -> None:
        if min(self.height, self.width, *self.block, self.planes) < 1:
            raise ValueError(f"a block table needs pixels, got {self.height} x {self.width}")
        expected = self.total * DIGEST_BYTES
        if len(self.digests) != expected:
            raise ValueError(f"expected {expected} bytes of digests, got {len(self.digests)}")
        if len(self.decoding) != 2 * DIGEST_BYTES:
            raise ValueError(f"`{self.decoding}` is not a digest")
        if self.mask is not None and (self.mask.mask is not None or self.mask.planes != 1):
            raise ValueError("a mask has one plane and no mask of its own")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the block grid."""
        return (ceil_div(self.height, self.block[0]), ceil_div(self.width, self.block[1]))

    @property
    def total(self) -> int:
        """How many blocks there are in all planes, the mask's not counted."""
        return self.planes * self.shape[0] * self.shape[1]

    @property
    def identity(self) -> Digest:
        """The digest that identifies a source by its pixels as they are stored."""
        return digest_bytes(b"geobatch block table\n" + self.to_bytes())

    @property
    def array(self) -> npt.NDArray[np.uint8]:
        """The digests as (plane, block row, block column, byte)."""
        flat = np.frombuffer(self.digests, dtype=np.uint8)
        return flat.reshape(self.planes, *self.shape, DIGEST_BYTES)

    def to_bytes(self) -> bytes:
        """Return the one encoding of the table: little-endian, the mask's table last."""
        start = _START.pack(
            _MAGIC,
            self.height,
            self.width,
            *self.block,
            self.planes,
            bytes.fromhex(self.decoding),
            self.mask is not None,
        )
        return start + self.digests + (self.mask.to_bytes() if self.mask is not None else b"")

    @classmethod
    def from_bytes(cls, data: bytes) -> BlockTable:
        """Invert `to_bytes`.

        Raises:
            ValueError: The bytes are no table, or not the whole of one.
        """
        if len(data) < _START.size:
            raise ValueError("a block table is cut short")
        magic, height, width, rows, cols, planes, decoding, has_mask = _START.unpack_from(data)
        if magic != _MAGIC or has_mask > 1 or min(height, width, rows, cols, planes) < 1:
            raise ValueError("not a block table")
        end = _START.size + planes * ceil_div(height, rows) * ceil_div(width, cols) * DIGEST_BYTES
        if len(data) < end or (len(data) > end) != bool(has_mask):
            raise ValueError("a block table is cut short or too long")
        return cls(
            height=height,
            width=width,
            block=(rows, cols),
            planes=planes,
            decoding=decoding.hex(),
            digests=data[_START.size : end],
            mask=cls.from_bytes(data[end:]) if has_mask else None,
        )


class BlockChanges(Struct, frozen=True, kw_only=True):
    """The blocks that differ between two tables of one block grid."""

    height: int
    """Rows of the source."""
    width: int
    """Columns of the source."""
    block: tuple[int, int]
    """(rows, columns) of a block."""
    planes: tuple[TileSet, ...]
    """Changed blocks over the block grid: one set if a block holds all bands, else one per band."""
    mask: TileSet | None = None
    """Changed blocks of the internal mask; None without one."""
    mask_block: tuple[int, int] | None = None
    """(rows, columns) of a block of the mask; None without one."""

    def __bool__(self) -> bool:
        return any(self.planes) or bool(self.mask)

    @property
    def count(self) -> int:
        """How many blocks changed, the mask's included."""
        return sum(plane.count for plane in self.planes) + (self.mask.count if self.mask else 0)

    @property
    def total(self) -> int:
        """How many blocks there are, the mask's included."""
        sets = (*self.planes, *((self.mask,) if self.mask is not None else ()))
        return sum(blocks.shape[0] * blocks.shape[1] for blocks in sets)

    def tiles(
        self,
        *,
        row: int,
        col: int,
        canvas: tuple[int, int],
        tile: int,
        index: int,
        with_mask: bool,
    ) -> TileSet:
        """Return the tiles of a canvas that changed blocks overlap.

        Args:
            row: Canvas row of the source's first row; may be negative.
            col: Canvas column of the source's first column; may be negative.
            canvas: (height, width) of the canvas in pixels.
            tile: Side of a tile in pixels.
            index: Band, counted from 0, or from the end if negative.
            with_mask: Whether the internal mask matters, too.
        """
        plane = self.planes[index if len(self.planes) > 1 else 0]
        place = {"origin": (row, col), "size": (self.height, self.width), "canvas": canvas}
        found = _overlapped(plane, block=self.block, tile=tile, **place)
        if with_mask and self.mask is not None and self.mask_block is not None:
            found |= _overlapped(self.mask, block=self.mask_block, tile=tile, **place)
        return found


def compare(old: BlockTable, new: BlockTable) -> BlockChanges | None:
    """Return which blocks differ between two tables.

    Returns:
        The changed blocks; None where the tables cannot be compared block by block, since size,
        block grid, decoding or having a mask differ: then any pixel may have changed.
    """
    if not _is_comparable(old, new):
        return None
    mask = None
    if old.mask is not None or new.mask is not None:
        if old.mask is None or new.mask is None or not _is_comparable(old.mask, new.mask):
            return None
        mask = _differing(old.mask, new.mask)[0]
    return BlockChanges(
        height=new.height,
        width=new.width,
        block=new.block,
        planes=_differing(old, new),
        mask=mask,
        mask_block=new.mask.block if new.mask is not None else None,
    )


def changed_blocks(
    pairs: Iterable[tuple[Digest, Digest]], tables: Callable[[Digest], BlockTable | None]
) -> Mapping[tuple[Digest, Digest], BlockChanges]:
    """Return which blocks differ between sources, where the cache has the tables of both.

    Args:
        pairs: (old, new) digests of sources.
        tables: Returns the block table of a source, or None.
    """
    found = {}
    for old, new in pairs:
        before = tables(old)
        # The new one may have to be read for its table: only if needed.
        after = None if before is None else tables(new)
        changes = None if before is None or after is None else compare(before, after)
        if changes is not None:
            found[old, new] = changes
    return found


def _is_comparable(old: BlockTable, new: BlockTable) -> bool:
    return (old.height, old.width, old.block, old.planes, old.decoding) == (
        new.height, new.width, new.block, new.planes, new.decoding,
    )  # fmt: skip


def _differing(old: BlockTable, new: BlockTable) -> tuple[TileSet, ...]:
    if old.digests == new.digests:
        return (TileSet.empty(new.shape),) * new.planes
    # Whole digests are compared: as words of 8 bytes that takes an eighth of the time.
    words = [np.frombuffer(table.digests, dtype="<u8").reshape(-1, 4) for table in (old, new)]
    is_changed = (words[0] != words[1]).any(axis=1).reshape(new.planes, *new.shape)
    return tuple(TileSet.from_mask(plane) for plane in is_changed)


def _overlapped(
    blocks: TileSet,
    *,
    block: tuple[int, int],
    tile: int,
    origin: tuple[int, int],
    size: tuple[int, int],
    canvas: tuple[int, int],
) -> TileSet:
    """Return the tiles of a canvas that some blocks of a source overlap."""
    shape = (ceil_div(canvas[0], tile), ceil_div(canvas[1], tile))
    # Each block covers a rectangle of tiles. A corner of every rectangle is marked with +1 or -1,
    # so that the running sums over rows and columns count the rectangles above each tile.
    corners = np.zeros((shape[0] + 1, shape[1] + 1), dtype=np.int64)
    places = np.argwhere(blocks.mask)
    first, stop = [], []
    is_inside = np.ones(len(places), dtype=np.bool_)
    for axis in (0, 1):
        start = places[:, axis] * block[axis]
        end = np.minimum(start + block[axis], size[axis]) + origin[axis]
        start = np.maximum(start + origin[axis], 0)
        end = np.minimum(end, canvas[axis])
        is_inside &= start < end
        first.append(start // tile)
        stop.append(-(-end // tile))
    top, left, bottom, right = (edge[is_inside] for edge in (*first, *stop))
    np.add.at(corners, (top, left), 1)
    np.add.at(corners, (bottom, right), 1)
    np.add.at(corners, (top, right), -1)
    np.add.at(corners, (bottom, left), -1)
    covered = corners.cumsum(axis=0).cumsum(axis=1)[:-1, :-1] > 0
    return TileSet.from_mask(covered)
