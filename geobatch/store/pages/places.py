"""Where tiles and pages are in an index: its height, slots, and what a page says of another."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.format.page import CHILD, FAN_OUT
from geobatch.model.published import PageRef

Shape: TypeAlias = tuple[int, int]
Places: TypeAlias = npt.NDArray[np.uint32]
"""(n, 2) of (row, col), sorted."""

BITS = 6


def height_of(shape: Shape) -> int:
    """Return how many pages lie between an index root and a tile of a (rows, columns) plane."""
    height = 1
    while FAN_OUT**height < max(shape):
        height += 1
    return height


def keys_of(
    rows: npt.NDArray[np.integer], cols: npt.NDArray[np.integer], height: int
) -> npt.NDArray[np.uint64]:
    """Return per tile its slots from the root down, 12 bits each: the order of the tree."""
    keys = np.zeros(len(rows), dtype=np.uint64)
    for level in range(height):
        shift = BITS * level
        slots = ((rows >> shift) % FAN_OUT).astype(np.uint64) * np.uint64(FAN_OUT)
        slots += ((cols >> shift) % FAN_OUT).astype(np.uint64)
        keys |= slots << np.uint64(2 * shift)
    return keys


def places_of(
    slots: npt.NDArray[np.intp], row: int, col: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the (rows, columns) of slots of the page at a position, in child sizes."""
    return row * FAN_OUT + slots // FAN_OUT, col * FAN_OUT + slots % FAN_OUT


def row_major(rows: npt.NDArray[np.uint32], cols: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """Return numbers by which tiles are sorted by (row, column)."""
    return (rows.astype(np.uint64) << np.uint64(32)) | cols.astype(np.uint64)


def sorted_places(parts: list[Places]) -> Places:
    """Return several lists of positions as one, sorted by (row, column)."""
    if not parts:
        return np.zeros((0, 2), dtype=np.uint32)
    joined = np.concatenate(parts)
    return joined[np.argsort(row_major(joined[:, 0], joined[:, 1]))]


def any_below(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which 64 x 64 squares of a plane have a True in them."""
    starts = [np.arange(0, size, FAN_OUT) for size in mask.shape]
    by_rows = np.logical_or.reduceat(mask, starts[0], axis=0)
    return np.logical_or.reduceat(by_rows, starts[1], axis=1)


def as_child(ref: PageRef | None) -> np.void | None:
    """Return a page as its parent has it; the reverse of `page_ref`."""
    if ref is None:
        return None
    child: npt.NDArray[np.void] = np.zeros(1, dtype=CHILD)
    child["content"] = np.frombuffer(bytes.fromhex(ref.content), dtype=np.uint8)
    child["stored"] = np.frombuffer(bytes.fromhex(ref.stored), dtype=np.uint8)
    child["size"], child["tiles"] = ref.size, ref.tiles
    made: np.void = child[0]
    return made


def page_ref(child: np.void) -> PageRef | None:
    """Return what one of `CHILD` or `PAGE_ENTRY` says of a page; None without tiles."""
    if not child["tiles"]:
        return None
    return PageRef(
        content=child["content"].tobytes().hex(),
        stored=child["stored"].tobytes().hex(),
        size=int(child["size"]),
        tiles=int(child["tiles"]),
    )


def checked(values: npt.NDArray[np.uint32], limit: int) -> npt.NDArray[np.uint32]:
    """Return the rows or columns of tiles.

    Raises:
        ValueError: One lies outside of its plane.
    """
    if len(values) and int(values.max()) >= limit:
        raise ValueError(f"tile coordinate {values.max()} lies outside a plane of {limit}")
    return values
