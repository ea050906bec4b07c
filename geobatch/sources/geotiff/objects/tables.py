"""Block tables of objects: from the blocks as they are read, or from all blocks, by ranges."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from msgspec.structs import replace

from geobatch.model.digest import DIGEST_BYTES, Digest
from geobatch.model.sources.blocks import BlockTable, compare
from geobatch.sources.driver import Tabulated
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.identity.blocks import Layout, layouts_of
from geobatch.sources.geotiff.objects.raster import ObjectRaster
from geobatch.sources.remote.memory import Extent
from geobatch.sources.remote.remote_file import Request

_GROUP_BYTES = 8 << 20
"""Bytes of blocks that are requested at a time."""
_GROUPS = 4
"""Groups that are being fetched at a time."""

Layouts = Sequence[Layout]
_Group = tuple[list[Extent], list[Request]]


def layouts_in(raster: ObjectRaster) -> Layouts | None:
    """Return the layouts of the blocks of an object and its mask; None as `layouts_of`.

    Raises:
        UnnamedError: The object changed, cannot be read, or is damaged.
    """
    return raster.with_header(
        lambda file: layouts_of(file, tiff.read_directories(file), raster.size)
    )


def tabulate(raster: ObjectRaster, before: BlockTable | None) -> Tabulated:
    """Return the block table of an object; all of its blocks are read, and none is decoded.

    Blocks that an earlier state did not have are kept, as far as there is room.

    Args:
        raster: The object.
        before: The blocks of the earlier state; None if they are not known.

    Raises:
        UnnamedError: The object changed, or cannot be read.
    """
    layouts = layouts_in(raster)
    if layouts is None:
        return Tabulated(None)
    parts = (before, before.mask) if before is not None else ()
    known = {row for part in parts if part is not None for row in _rows(part.digests)}
    extents = sorted({extent for layout in layouts for extent in _stored(layout)})
    waiting: deque[_Group] = deque()
    groups = _groups(extents)
    for group in islice(groups, _GROUPS):
        waiting.append((group, raster.submit(group)))
    while waiting:
        group, requests = waiting.popleft()
        following = next(groups, None)
        if following is not None:
            waiting.append((following, raster.submit(following)))
        for extent, block in raster.blocks(group, requests):
            digest = blake3(block).digest()
            raster.digests[extent] = digest
            if known and digest not in known:
                raster.keep(extent, bytes(block))
    table = table_of(layouts, raster, unknown=b"")
    changes = None if before is None else compare(before, table)
    equal = 0 if changes is None else changes.total - changes.count
    return Tabulated(table, fetched=len(extents), equal=min(equal, len(extents)))


def table_of(layouts: Layouts, raster: ObjectRaster, *, unknown: bytes) -> BlockTable:
    """Return the block table of an object from the digests of the blocks that were read.

    Args:
        layouts: The layouts of the image and its mask.
        raster: The object.
        unknown: 32 bytes in place of the digest of a block that was not read.
    """
    main, *masks = [_table(layout, raster, unknown) for layout in layouts]
    return replace(main, mask=masks[0]) if masks else main


def unknown_block(identity: Digest) -> bytes:
    """Return what replaces the digest of a block that was not read: it differs from all others.

    Args:
        identity: The identity of the source, whose table alone contains it.
    """
    return blake3(b"geobatch unread block " + identity.encode()).digest()


def filled(table: BlockTable, earlier: BlockTable | None, *, unknown: bytes) -> BlockTable:
    """Return a table with blocks of an earlier table of the same source where it has none."""
    if earlier is None or (earlier.mask is None) is not (table.mask is None):
        return table
    if (table.planes, table.shape, table.decoding) != (
        earlier.planes,
        earlier.shape,
        earlier.decoding,
    ):
        return table
    found, old = (
        np.frombuffer(one.digests, "u1").reshape(-1, DIGEST_BYTES) for one in (table, earlier)
    )
    is_unknown = (found == np.frombuffer(unknown, "u1")).all(axis=1)
    mask = table.mask
    if mask is not None:
        mask = filled(mask, earlier.mask, unknown=unknown)
    return replace(table, digests=np.where(is_unknown[:, None], old, found).tobytes(), mask=mask)


def _table(layout: Layout, raster: ObjectRaster, unknown: bytes) -> BlockTable:
    digests = raster.digests
    rows = [
        digests.get((offset, count), unknown) if count else layout.absent
        for offset, count in zip(layout.offsets.tolist(), layout.counts.tolist(), strict=True)
    ]
    return BlockTable(
        height=layout.height,
        width=layout.width,
        block=layout.block,
        planes=layout.planes,
        decoding=layout.decoding,
        digests=b"".join(rows),
    )


def _stored(layout: Layout) -> Iterator[Extent]:
    is_stored: npt.NDArray[np.bool_] = layout.counts > 0
    yield from zip(
        layout.offsets[is_stored].tolist(), layout.counts[is_stored].tolist(), strict=True
    )


def _rows(digests: bytes) -> Iterator[bytes]:
    return (digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES))


def _groups(extents: Sequence[Extent]) -> Iterator[list[Extent]]:
    """Yield runs of blocks of some size together."""
    group: list[Extent] = []
    size = 0
    for extent in extents:
        if group and size + extent[1] > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(extent)
        size += extent[1]
    if group:
        yield group
