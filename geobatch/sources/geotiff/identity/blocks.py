"""Block tables of TIFFs: the digest of every tile or strip as it is stored; nothing is decoded.

Unusual files get no table: then the digest of the whole file is used, which is always right.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from msgspec import Struct

from geobatch.model.digest import DIGEST_BYTES, Digest, canonical_json, digest_json
from geobatch.model.geobox import ceil_div
from geobatch.model.sources.blocks import BlockTable
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.identity.hashing import Meanwhile, digests_of

IDENTITY_EPOCH = 1
"""Increased whenever equal files would get other tables than before."""

FREE_TAGS = frozenset(
    (
        # Where the blocks are, not what they hold.
        tiff.STRIP_OFFSETS, tiff.STRIP_BYTE_COUNTS, tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS,
        # Texts about the document, its making and its maker.
        269, 270, 271, 272, 285, 305, 306, 315, 316, 33432,
        # Size and position on paper: position, resolution, its unit, page number.
        282, 283, 286, 287, 296, 297,
        # Embedded documents: XMP, IPTC, Photoshop, Exif, GPS.
        700, 33723, 34377, 34665, 34853,
        # Colours of values. Values are read as they are; the colours reach the asset by the header.
        320,
        # Where the pixels lie on Earth: by the header, too.
        33550, 33922, 34264, 34735, 34736, 34737, 50844,
        # GDAL's descriptions, units, scales, statistics (42112), and those of ESRI (50909).
        42112, 50909,
        # Nodata is compared with decoded pixels; blocks that it fills are not there: `_absent`.
        42113,
    )
)  # fmt: skip
"""Tags that do not affect pixels, with the reason; any other tag may."""

_OLD_JPEG, _JPEG, _LERC = 6, 7, 34887
_MAX_BLOCKS = 1 << 22
_MAX_SIDE = (1 << 31) - 1
_MAX_BANDS = 1 << 16
_MAX_DEPTH = 128


class Layout(Struct, frozen=True, kw_only=True):
    """The blocks of one directory."""

    height: int
    width: int
    block: tuple[int, int]
    planes: int
    decoding: Digest
    absent: bytes
    """The digest of a block that is not stored."""
    offsets: npt.NDArray[np.uint64]
    counts: npt.NDArray[np.uint64]


def tabulate(
    file: BinaryIO,
    directories: Sequence[tiff.Directory],
    *,
    meanwhile: Meanwhile = lambda: None,
) -> BlockTable | None:
    """Return the block table of an open TIFF: its full image and the internal mask that GDAL uses.

    Reduced images are left out, because they are never read.

    Args:
        file: An unbuffered regular file.
        directories: Its directories, at least one.
        meanwhile: May be called, while other processes hash a large file.

    Returns:
        The table; None if the file is damaged, or laid out in a way that is not sure to be
        understood.

    Raises:
        OSError: The file cannot be read.
        EOFError: It is being truncated.
    """
    layouts = layouts_of(file, directories, os.fstat(file.fileno()).st_size)
    if layouts is None:
        return None
    main, *masks = layouts
    return _table(file, main, meanwhile, *(_table(file, mask, meanwhile) for mask in masks))


def layouts_of(
    file: BinaryIO, directories: Sequence[tiff.Directory], size: int
) -> list[Layout] | None:
    """Return the layout of a TIFF's blocks: the full image's, then its mask's, if any.

    Returns:
        The layouts; None as `tabulate`.
    """
    first, *others = directories
    masks = [other for other in others if tiff.read_number(file, other, tiff.SUBFILE_TYPE, 0) & 4]
    # The mask of an overview is not used.
    masks = [one for one in masks if not tiff.read_number(file, one, tiff.SUBFILE_TYPE, 0) & 1]
    if len(masks) > 1 or len(others) + 1 >= tiff.MAX_DIRECTORIES:
        return None
    main = _layout(file, first, size)
    if main is None or not masks:
        return None if main is None else [main]
    mask = _layout(file, masks[0], size)
    if mask is None or mask.planes != 1 or (mask.height, mask.width) != (main.height, main.width):
        return None
    return [main, mask]


def _layout(file: BinaryIO, directory: tiff.Directory, size: int) -> Layout | None:
    """Return the layout of a directory's blocks; None if anything is unusual."""
    if not _is_ordinary(file, directory):
        return None
    height = tiff.read_number(file, directory, tiff.HEIGHT, 0)
    width = tiff.read_number(file, directory, tiff.WIDTH, 0)
    if _is_tiled(directory):
        rows = tiff.read_number(file, directory, tiff.TILE_HEIGHT, 0)
        cols = tiff.read_number(file, directory, tiff.TILE_WIDTH, 0)
        tags = (tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS)
    else:
        rows = min(tiff.read_number(file, directory, tiff.ROWS_PER_STRIP, height), height)
        cols = width
        tags = (tiff.STRIP_OFFSETS, tiff.STRIP_BYTE_COUNTS)
    is_planar = tiff.read_number(file, directory, tiff.PLANAR, 1) == 2
    planes = tiff.read_number(file, directory, tiff.BANDS, 1) if is_planar else 1
    sides = (height, width, rows, cols, planes)
    if min(sides) < 1 or max(sides) > _MAX_SIDE:
        return None
    offsets, counts = (tiff.read_values(file, directory, tag) for tag in tags)
    total = planes * ceil_div(height, rows) * ceil_div(width, cols)
    is_whole = offsets.size == counts.size == total <= _MAX_BLOCKS
    if not is_whole or offsets.dtype.kind != "u" or counts.dtype.kind != "u":
        return None
    layout = Layout(
        height=height,
        width=width,
        block=(rows, cols),
        planes=planes,
        decoding=_decoding(file, directory),
        absent=_absent(file, directory),
        offsets=offsets.astype(np.uint64),
        counts=counts.astype(np.uint64),
    )
    is_sure = _are_inside(layout, size) and _are_complete(file, directory, layout)
    return layout if is_sure else None


def _is_ordinary(file: BinaryIO, directory: tiff.Directory) -> bool:
    compression = tiff.read_number(file, directory, tiff.COMPRESSION, 1)
    photometric = tiff.read_number(file, directory, tiff.PHOTOMETRIC, 1)
    # GDAL decodes rare colour spaces in another way, which reads more of the file.
    is_known_colour = 0 <= photometric <= 5 or (photometric == 6 and compression == _JPEG)
    has_more = tiff.SUB_DIRECTORIES in directory.fields
    return directory.is_plain and is_known_colour and compression != _OLD_JPEG and not has_more


def _is_tiled(directory: tiff.Directory) -> bool:
    tags = {tiff.TILE_WIDTH, tiff.TILE_HEIGHT, tiff.TILE_OFFSETS, tiff.TILE_BYTE_COUNTS}
    return bool(tags & directory.fields.keys())


def _are_inside(layout: Layout, size: int) -> bool:
    """Return whether each block is inside the file, or clearly not stored."""
    offsets, counts, end = layout.offsets, layout.counts, np.uint64(size)
    # Without an offset or without bytes, but not both: readers treat it differently.
    is_clear = np.array_equal(offsets == 0, counts == 0)
    return is_clear and bool(np.all(counts <= end) and np.all(offsets <= end - counts))


def _are_complete(file: BinaryIO, directory: tiff.Directory, layout: Layout) -> bool:
    """Return whether the byte counts cover all that is decoded.

    Of blocks that are not compressed, libtiff reads as many bytes as the pixels need, whatever
    their counts say.
    """
    if tiff.read_number(file, directory, tiff.COMPRESSION, 1) != 1:
        return True
    bits = tiff.read_values(file, directory, tiff.BITS)
    depth = int(bits[0]) if bits.size and bits.dtype.kind == "u" else 1
    bands = tiff.read_number(file, directory, tiff.BANDS, 1)
    if np.any(bits != depth) or depth > _MAX_DEPTH or not 0 < bands <= _MAX_BANDS:
        return False
    (rows, cols), samples = layout.block, bands if layout.planes == 1 else 1
    needed = np.full(ceil_div(layout.height, rows), rows, dtype=np.uint64)
    if not _is_tiled(directory):
        needed[-1] = layout.height - (needed.size - 1) * rows
    needed *= np.uint64(ceil_div(cols * depth * samples, 8))
    counts = layout.counts.reshape(layout.planes, needed.size, -1)
    return bool(np.all((counts >= needed[:, None]) | (counts == 0)))


def _decoding(file: BinaryIO, directory: tiff.Directory) -> Digest:
    """Return the hash of all tags that may affect decoded pixels, and of the byte order."""
    # LERC has masks of its own, which a decoder may fill.
    is_lerc = tiff.read_number(file, directory, tiff.COMPRESSION, 1) == _LERC
    free = FREE_TAGS - {tiff.GDAL_NODATA} if is_lerc else FREE_TAGS
    tags = tiff.list_tags(file, directory, without=free)
    return digest_json(["geobatch decoding", IDENTITY_EPOCH, directory.order, tags])


def _absent(file: BinaryIO, directory: tiff.Directory) -> bytes:
    """Return the content of a block that is not stored: GDAL fills it with nodata, else 0."""
    nodata = tiff.read_text(file, directory, tiff.GDAL_NODATA)
    text = None if nodata is None else nodata.strip()
    return blake3(canonical_json(["geobatch absent block", text])).digest()


def _table(
    file: BinaryIO, layout: Layout, meanwhile: Meanwhile, mask: BlockTable | None = None
) -> BlockTable:
    return BlockTable(
        height=layout.height,
        width=layout.width,
        block=layout.block,
        planes=layout.planes,
        decoding=layout.decoding,
        digests=_digests(file, layout, meanwhile).tobytes(),
        mask=mask,
    )


def _digests(file: BinaryIO, layout: Layout, meanwhile: Meanwhile) -> npt.NDArray[np.uint8]:
    """Return the digest of every block's bytes, (block, byte), read in the order of the file."""
    found = np.empty((layout.offsets.size, DIGEST_BYTES), dtype=np.uint8)
    is_stored = layout.counts > 0
    found[~is_stored] = np.frombuffer(layout.absent, dtype=np.uint8)
    stored = np.flatnonzero(is_stored)
    if not stored.size:
        return found
    extents = np.stack([layout.offsets[stored], layout.counts[stored]], axis=1)
    if stored.size == 1:  # of most small files this is all
        found[stored] = np.frombuffer(
            digests_of(file.fileno(), extents, meanwhile=meanwhile), dtype=np.uint8
        )
        return found
    # Blocks may share bytes; those that are the very same are read once.
    unique, inverse = np.unique(extents, axis=0, return_inverse=True)
    digests = digests_of(file.fileno(), unique, meanwhile=meanwhile)
    rows = np.frombuffer(digests, dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    found[stored] = rows[inverse.reshape(-1)]
    return found
