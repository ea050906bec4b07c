"""Writes pages of tiles without the pages above them, and parts of such pages, which are joined."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from geobatch.format.page import CHILD, FAN_OUT, SLOTS, Page, page_of_tile
from geobatch.model.published import PAGE_ENTRY, PageRef
from geobatch.model.tile import StoredTile
from geobatch.model.window import Box
from geobatch.store.index import Entries, Index, Pages
from geobatch.store.objects import Objects
from geobatch.store.pages.places import Places, Shape


def put_single(index: Index, shape: Shape, tile: StoredTile) -> PageRef | None:
    """Put the index of a single tile; return its root, or None if its plane has several pages.

    It is what `Index.write` puts, by a shorter way: most arrays of small images are so.

    Args:
        index: Where to.
        shape: (rows, columns) of the tile plane.
        tile: The tile.

    Raises:
        ValueError: The tile lies outside the plane.
    """
    if max(shape) > FAN_OUT:
        return None
    if tile.row >= shape[0] or tile.col >= shape[1]:
        raise ValueError(f"tile ({tile.row}, {tile.col}) lies outside a plane of {shape}")
    slot = tile.row * FAN_OUT + tile.col
    data, content = page_of_tile(slot, tile.content, tile.stored, tile.size)
    stored, _ = index.objects.put_soon(data)
    return PageRef(content=content, stored=stored, size=len(data), tiles=1)


class _Slots:
    """The children of one page of tiles, by slot."""

    def __init__(self, row: int, col: int) -> None:
        """Have none.

        Args:
            row: Row of the page among the pages of tiles.
            col: Its column.
        """
        self._row, self._col = row, col
        self._children: npt.NDArray[np.void] = np.zeros(SLOTS, dtype=CHILD)
        self._present = np.zeros((FAN_OUT, FAN_OUT), dtype=np.bool_)

    def take(self, page: Page) -> None:
        """Take in the tiles of another page at the same position."""
        self._children[page.slots] = page.children
        self._present.reshape(-1)[page.slots] = True

    def clear(self, box: Box, *, is_outside: bool = False) -> None:
        """Remove the tiles of a box of the plane, or those outside of it."""
        top, left = box.row - self._row * FAN_OUT, box.col - self._col * FAN_OUT
        rows = slice(max(0, top), max(0, top + box.height))
        cols = slice(max(0, left), max(0, left + box.width))
        if is_outside:
            inside = self._present[rows, cols].copy()
            self._present[:] = False
            self._present[rows, cols] = inside
        else:
            self._present[rows, cols] = False

    def change(self, entries: Entries, removed: Places) -> None:
        """Remove tiles, and set others; all are of this page."""
        self._present[removed[:, 0] % FAN_OUT, removed[:, 1] % FAN_OUT] = False
        rows, cols = entries["row"] % FAN_OUT, entries["col"] % FAN_OUT
        self._present[rows, cols] = True
        slots = rows.astype(np.intp) * FAN_OUT + cols
        for name in ("content", "stored", "size"):
            self._children[name][slots] = entries[name]
        self._children["tiles"][slots] = 1

    def put(self, objects: Objects) -> PageRef | None:
        """Put the page; return None if it has no tile."""
        slots = np.flatnonzero(self._present)
        if not len(slots):
            return None
        page = Page(height=1, slots=slots, children=self._children[slots])
        data = page.to_bytes()
        stored, _ = objects.put(data)
        return PageRef(content=page.content, stored=stored, size=len(data), tiles=page.tiles)


def put_changed(
    index: Index,
    objects: Objects,
    shape: Shape,
    root: PageRef | None,
    *,
    box: Box,
    entries: Entries,
    removed: Places,
) -> Pages:
    """Put the pages of tiles in which tiles of a box change, each with its tiles in the box alone.

    Args:
        index: Where the pages of `root` are read.
        objects: Where pages are put.
        shape: (rows, columns) of the tile plane.
        root: Root of the index before the change; None for no tile.
        box: Tiles of the plane, whole pages or a part of one.
        entries: Tiles to set, within the box.
        removed: Positions of tiles to remove before.

    Returns:
        The pages that may have changed, by their position among pages.

    Raises:
        CorruptObjectError: A page of `root` is damaged.
        StoreError: The store cannot be written.
    """
    positions = np.concatenate([_pages_of(entries["row"], entries["col"]), _pages_of(*removed.T)])
    made = []
    for row, col in np.unique(positions, axis=0).tolist():
        slots = _Slots(row, col)
        before = index.find_page(shape, root, row=row, col=col)
        if before is not None:
            slots.take(index.page(before.stored, 1))
            slots.clear(box, is_outside=True)
        changed, gone = (
            rows[(_pages_of(*places) == (row, col)).all(axis=1)]
            for rows, places in (
                (entries, (entries["row"], entries["col"])),
                (removed, removed.T),
            )
        )
        slots.change(changed, gone)
        made.append((row, col, slots.put(objects)))
    return _entries(made)


def join_parts(
    index: Index,
    objects: Objects,
    before: PageRef | None,
    *,
    row: int,
    col: int,
    parts: Iterable[tuple[Box, str]],
) -> Pages:
    """Put a page of tiles that is like another one, but for some boxes of it.

    Args:
        index: Where pages are read.
        objects: Where they are put.
        before: The other one; None for none.
        row: Row of the page among the pages of tiles.
        col: Its column.
        parts: Boxes of the plane, each with the stored digest of the page that has its tiles;
            empty for no tile.

    Returns:
        The page.

    Raises:
        CorruptObjectError: A page is damaged or missing.
        StoreError: The store cannot be written.
    """
    slots = _Slots(row, col)
    if before is not None:
        slots.take(index.page(before.stored, 1))
    boxes = list(parts)
    for box, _ in boxes:
        slots.clear(box)
    stored = [digest for _, digest in boxes if digest]
    for digest, data in zip(stored, objects.get_all(stored), strict=True):
        slots.take(Page.from_bytes(data, height=1, digest=digest))
    return _entries([(row, col, slots.put(objects))])


def _pages_of(
    rows: npt.NDArray[np.integer], cols: npt.NDArray[np.integer]
) -> npt.NDArray[np.integer]:
    """Return the (row, column) of the page of each tile: (n, 2)."""
    return np.stack([rows // FAN_OUT, cols // FAN_OUT], axis=1).astype(np.int64)


def _entries(made: list[tuple[int, int, PageRef | None]]) -> Pages:
    found: Pages = np.zeros(len(made), dtype=PAGE_ENTRY)
    for at, (row, col, ref) in enumerate(made):
        found["row"][at], found["col"][at] = row, col
        if ref is not None:
            found["size"][at], found["tiles"][at] = ref.size, ref.tiles
            for name, digest in (("content", ref.content), ("stored", ref.stored)):
                found[name][at] = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
    return found
