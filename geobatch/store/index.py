"""The index of an array level: a radix tree of pages over tile coordinates.

The height of the tree follows from the tile plane alone, so equal tiles make equal pages, however
one got there, and equal content digests mean equal subtrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.format.page import CHILD, FAN_OUT, SLOTS, Page
from geobatch.model.digest import Digest
from geobatch.model.published import TILE_ENTRY, PageRef
from geobatch.model.tile import StoredTile
from geobatch.model.tiles import TileSet
from geobatch.store.objects import Objects
from geobatch.store.pages.places import (
    BITS,
    Places,
    Shape,
    any_below,
    as_child,
    checked,
    height_of,
    keys_of,
    page_ref,
    places_of,
    row_major,
    sorted_places,
)

Entries: TypeAlias = npt.NDArray[np.void]
"""(n,) of `TILE_ENTRY`."""
Pages: TypeAlias = npt.NDArray[np.void]
"""(n,) of `PAGE_ENTRY`."""

_PAGES_KEPT = 32


class Diff(NamedTuple):
    """Where two indexes say something else of a tile's pixels."""

    added: Places
    """Only in the second."""
    changed: Places
    """In both, with different content digests."""
    removed: Places
    """Only in the first."""


class _Change(NamedTuple):
    """New tiles and tiles to remove, in the order in which the tree holds them."""

    keys: npt.NDArray[np.uint64]
    children: npt.NDArray[np.void]
    removed: npt.NDArray[np.uint64]
    bottom: int = 1
    """Height of the pages whose children these are; 2 if they are pages of tiles themselves."""


class Index:
    """Reads and writes indexes whose pages are objects; decoded pages are kept for a while."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        """Where the pages are."""
        self._page = lru_cache(maxsize=_PAGES_KEPT)(self._read)

    def write(
        self,
        shape: Shape,
        *,
        base: PageRef | None = None,
        entries: Entries,
        remove: Places | None = None,
    ) -> PageRef | None:
        """Return the root of an index like `base` without some tiles and with others.

        Only the pages on the way to these tiles are read and written.

        Args:
            shape: (rows, columns) of the tile plane.
            base: Root of an index over the same plane; None for no tile.
            entries: Tiles to set, in any order.
            remove: Positions of tiles to remove before; those that are not there do not matter.

        Returns:
            None where no tile remains.

        Raises:
            ValueError: A tile lies outside the plane, or appears twice in `entries`.
            CorruptObjectError: A page of `base` is damaged.
        """
        height = height_of(shape)
        keys = keys_of(checked(entries["row"], shape[0]), checked(entries["col"], shape[1]), height)
        order = np.argsort(keys)
        keys = keys[order]
        if np.any(keys[1:] == keys[:-1]):
            twice = entries[order][:-1][keys[1:] == keys[:-1]][0]
            raise ValueError(f"tile ({twice['row']}, {twice['col']}) is given twice")
        children: npt.NDArray[np.void] = np.empty(len(keys), dtype=CHILD)
        for name in ("content", "stored", "size"):
            children[name] = entries[name][order]
        children["tiles"] = 1
        gone = np.zeros((0, 2), dtype=np.uint32) if remove is None else remove
        removed = np.sort(
            keys_of(checked(gone[:, 0], shape[0]), checked(gone[:, 1], shape[1]), height)
        )
        return self._write(height, base, _Change(keys, children, removed))

    def write_pages(self, shape: Shape, *, base: PageRef | None, pages: Pages) -> PageRef | None:
        """Return the root of an index like `base` with other pages of tiles, which are put already.

        Args:
            shape: (rows, columns) of the tile plane.
            base: Root of an index over the same plane; None for no tile.
            pages: Each page at most once, in any order; those without tiles are removed.

        Returns:
            None where no tile remains.

        Raises:
            CorruptObjectError: A page of `base` is damaged.
        """
        height = height_of(shape)
        if height == 1:
            return page_ref(pages[0]) if len(pages) else base
        keys = keys_of(pages["row"], pages["col"], height - 1)
        order = np.argsort(keys)
        keys, pages = keys[order], pages[order]
        is_there = pages["tiles"] > 0
        children: npt.NDArray[np.void] = np.empty(int(is_there.sum()), dtype=CHILD)
        for name in CHILD.names or ():
            children[name] = pages[name][is_there]
        change = _Change(keys[is_there], children, keys[~is_there], bottom=2)
        return self._write(height, base, change)

    def find_page(
        self, shape: Shape, root: PageRef | None, *, row: int, col: int
    ) -> PageRef | None:
        """Return a page of tiles by its position among such pages; None where there is none.

        Raises:
            CorruptObjectError: A page on the way is damaged.
        """
        found = root
        for height in range(height_of(shape), 1, -1):
            if found is None:
                return None
            page = self._page(found.stored, height)
            shift = BITS * (height - 2)
            slot = ((row >> shift) % FAN_OUT) * FAN_OUT + (col >> shift) % FAN_OUT
            at = int(np.searchsorted(page.slots, slot))
            is_there = at < len(page.slots) and page.slots[at] == slot
            found = page_ref(page.children[at]) if is_there else None
        return found

    def lookup(
        self, shape: Shape, root: PageRef | None, *, row: int, col: int
    ) -> StoredTile | None:
        """Return a tile, or None where the tile is fill.

        Raises:
            CorruptObjectError: A page on the way is damaged.
        """
        if root is None or not (0 <= row < shape[0] and 0 <= col < shape[1]):
            return None
        digest = root.stored
        for height in range(height_of(shape), 0, -1):
            page = self._page(digest, height)
            shift = BITS * (height - 1)
            slot = ((row >> shift) % FAN_OUT) * FAN_OUT + (col >> shift) % FAN_OUT
            at = int(np.searchsorted(page.slots, slot))
            if at == len(page.slots) or page.slots[at] != slot:
                return None
            digest = page.children["stored"][at].tobytes().hex()
        found = page.children[at]
        return StoredTile(
            row=row,
            col=col,
            content=found["content"].tobytes(),
            stored=found["stored"].tobytes(),
            size=int(found["size"]),
        )

    def entries(self, shape: Shape, root: PageRef | None) -> Entries:
        """Return all tiles of an index, sorted by (row, col).

        Raises:
            CorruptObjectError: A page is damaged.
        """
        return self._entries(shape, root, None)

    def parts(self, shape: Shape, root: PageRef | None) -> Iterator[Entries]:
        """Yield all tiles of an index, the pages of 64 rows at a time: few are in memory.

        Each part is sorted by (row, col), and so are all of them in a plane of up to 4096 columns.

        Raises:
            CorruptObjectError: A page is damaged.
        """
        pages = self._parts(shape, root, None)
        for _, several in groupby(pages, key=lambda page: int(page["row"][0]) // FAN_OUT):
            yield _sorted([*several])

    def select(self, shape: Shape, root: PageRef | None, tiles: TileSet) -> Entries:
        """Return those of some tiles that an index has, sorted by (row, col).

        Raises:
            CorruptObjectError: A page on the way is damaged.
            ValueError: The tiles are of another plane.
        """
        if tiles.shape != shape:
            raise ValueError(f"tile planes differ: {tiles.shape} and {shape}")
        masks = [tiles.mask]
        for _ in range(height_of(shape) - 1):
            masks.append(any_below(masks[-1]))
        return self._entries(shape, root, masks)

    def diff(
        self, shape: Shape, a: PageRef | None, b: PageRef | None, *, other: Index | None = None
    ) -> Diff:
        """Return where two indexes over one plane differ in content; equal subtrees are not read.

        Tiles that only differ in their encoding are equal.

        Args:
            shape: (rows, columns) of the tile plane.
            a: Root of the first index; None for no tile.
            b: Root of the second.
            other: Where the pages of the second are, if in another store.

        Raises:
            CorruptObjectError: A page on the way is damaged.
        """
        found: tuple[list[Places], list[Places], list[Places]] = ([], [], [])
        height = height_of(shape)
        indexes = (self, other or self)
        for positions, kind in _differences(indexes, height, (as_child(a), as_child(b)), 0, 0):
            found[kind].append(positions)
        return Diff(*(sorted_places(parts) for parts in found))

    def pages(self, shape: Shape, root: PageRef | None) -> Iterator[Digest]:
        """Yield the stored digests of an index's pages, parents first.

        Raises:
            CorruptObjectError: A page is damaged.
        """
        if root is not None:
            for _, digest, _, _ in self._walk(height_of(shape), root.stored, 0, 0, None):
                yield digest

    def page(self, digest: Digest, height: int) -> Page:
        """Return a page of a height.

        Raises:
            CorruptObjectError: It is damaged.
        """
        return self._page(digest, height)

    def _read(self, digest: Digest, height: int) -> Page:
        return Page.from_bytes(self.objects.get(digest), height=height, digest=digest)

    def _write(self, height: int, base: PageRef | None, change: _Change) -> PageRef | None:
        keys, removed = change.keys, change.removed
        if len(keys) == 0 and (base is None or len(removed) == 0):
            return base
        shift = np.uint64(2 * BITS * (height - change.bottom))
        set_slots = ((keys >> shift) % np.uint64(SLOTS)).astype(np.intp)
        if base is None and height == change.bottom:  # of most images this is all
            return self._put_page(height, set_slots, change.children)
        dense: npt.NDArray[np.void] = np.zeros(SLOTS, dtype=CHILD)
        present = np.zeros(SLOTS, dtype=np.bool_)
        if base is not None:
            page = self._page(base.stored, height)
            dense[page.slots] = page.children
            present[page.slots] = True
        removed_slots = ((removed >> shift) % np.uint64(SLOTS)).astype(np.intp)
        if height == change.bottom:
            present[removed_slots] = False
            present[set_slots] = True
            dense[set_slots] = change.children
        else:
            for slot in np.union1d(set_slots, removed_slots):
                first, last = np.searchsorted(set_slots, [slot, slot + 1])
                lower, upper = np.searchsorted(removed_slots, [slot, slot + 1])
                below = change._replace(
                    keys=keys[first:last],
                    children=change.children[first:last],
                    removed=removed[lower:upper],
                )
                before = page_ref(dense[slot]) if present[slot] else None
                after = self._write(height - 1, before, below)
                present[slot] = after is not None
                if after is not None:
                    dense[slot] = as_child(after)
        slots = np.flatnonzero(present)
        return self._put_page(height, slots, dense[slots]) if len(slots) else None

    def _put_page(
        self, height: int, slots: npt.NDArray[np.intp], children: npt.NDArray[np.void]
    ) -> PageRef:
        page = Page(height=height, slots=slots, children=children)
        data = page.to_bytes()
        stored, _ = self.objects.put_soon(data)
        return PageRef(content=page.content, stored=stored, size=len(data), tiles=page.tiles)

    def _walk(
        self,
        height: int,
        digest: Digest,
        row: int,
        col: int,
        masks: list[npt.NDArray[np.bool_]] | None,
    ) -> Iterator[tuple[Page, Digest, int, int]]:
        """Yield pages with their digest and the (row, col) of their first child, in child sizes."""
        page = self._page(digest, height)
        yield page, digest, row * FAN_OUT, col * FAN_OUT
        if height == 1:
            return
        rows, cols = places_of(page.slots, row, col)
        stored = page.children["stored"]
        for at, (child_row, child_col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True)):
            if masks is None or masks[height - 1][child_row, child_col]:
                yield from self._walk(
                    height - 1, stored[at].tobytes().hex(), child_row, child_col, masks
                )

    def _entries(
        self, shape: Shape, root: PageRef | None, masks: list[npt.NDArray[np.bool_]] | None
    ) -> Entries:
        return _sorted([one for one in self._parts(shape, root, masks) if len(one)])

    def _parts(
        self, shape: Shape, root: PageRef | None, masks: list[npt.NDArray[np.bool_]] | None
    ) -> Iterator[Entries]:
        if root is not None:
            for page, _, row, col in self._walk(height_of(shape), root.stored, 0, 0, masks):
                if page.height > 1:
                    continue
                rows, cols = places_of(page.slots, row // FAN_OUT, col // FAN_OUT)
                wanted = slice(None) if masks is None else masks[0][rows, cols]
                rows, cols = rows[wanted], cols[wanted]
                part: Entries = np.empty(len(rows), dtype=TILE_ENTRY)
                part["row"], part["col"] = rows, cols
                for name in ("content", "stored", "size"):
                    part[name] = page.children[name][wanted]
                yield part


def _differences(
    indexes: tuple[Index, Index],
    height: int,
    children: tuple[np.void | None, np.void | None],
    row: int,
    col: int,
) -> Iterator[tuple[Places, int]]:
    """Yield (positions, 0 added, 1 changed, 2 removed) below two children at a (row, col)."""
    a, b = children
    if a is not None and b is not None and np.array_equal(a["content"], b["content"]):
        return
    pages = [
        None if child is None else index.page(child["stored"].tobytes().hex(), height)
        for index, child in zip(indexes, children, strict=True)
    ]
    dense: npt.NDArray[np.void] = np.zeros((2, SLOTS), dtype=CHILD)
    present = np.zeros((2, SLOTS), dtype=np.bool_)
    for side, page in enumerate(pages):
        if page is not None:
            dense[side, page.slots] = page.children
            present[side, page.slots] = True
    both = present[0] & present[1]
    differs = both & np.any(dense["content"][0] != dense["content"][1], axis=1)
    if height == 1:
        for kind, mask in enumerate((present[1] & ~both, differs, present[0] & ~both)):
            rows, cols = places_of(np.flatnonzero(mask), row, col)
            yield np.stack([rows, cols], axis=1).astype(np.uint32), kind
        return
    slots = np.flatnonzero(differs | (present[0] ^ present[1]))
    rows, cols = places_of(slots, row, col)
    for slot, child_row, child_col in zip(slots, rows.tolist(), cols.tolist(), strict=True):
        below = [dense[side, slot] if present[side, slot] else None for side in (0, 1)]
        yield from _differences(indexes, height - 1, (below[0], below[1]), child_row, child_col)


def _sorted(parts: list[Entries]) -> Entries:
    """Return several tiles as one array, sorted by (row, col); empties the list."""
    if not parts:
        return np.empty(0, dtype=TILE_ENTRY)
    joined = np.concatenate(parts)
    parts.clear()
    order = np.argsort(row_major(joined["row"], joined["col"]), kind="stable")
    return joined[order]
