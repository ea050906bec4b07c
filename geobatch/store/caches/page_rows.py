"""Rows of lists by page of a tree: what filters ask for in columns, so that few rows are decoded.

Whatever is in the cache, only what no row of it can pass is left out; the rest is decided by rows.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.format.trees.page import Branch
from geobatch.format.trees.paged import PagedTree
from geobatch.model.assets.documents.listed import Row
from geobatch.model.digest import Digest
from geobatch.model.geobox import Bounds
from geobatch.model.published import TreeEntry
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.value_cache import ValueCache

ROWS = "cache/rows/"
MakeRow = Callable[[TreeEntry], Row]
"""Returns the row of an asset that no cache has."""

_HEADER = struct.Struct("<II")
_TIME = 19
"""Characters of a time up to the second."""
_FULL = "-full"
_decode_rows = msgspec.json.Decoder(list[tuple[str, msgspec.Raw]]).decode


class Wanted(Struct, frozen=True, kw_only=True):
    """What a row must have to be found; it need not be enough."""

    since: str = ""
    """RFC 3339 in UTC; empty for any."""
    until: str = ""
    """RFC 3339 in UTC; empty for any."""
    box: Bounds | None = None
    """Box in degrees; None for any."""
    tests: tuple[tuple[str, Callable[[Any], bool]], ...] = ()
    """Property, and what its value must pass."""

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the rows of a page that may pass.

        Raises:
            ValueError: The bytes are no columns.
        """
        try:
            count, length = _HEADER.unpack_from(data)
            at = _HEADER.size
            start, end = (
                np.frombuffer(data, f"S{_TIME}", count, at + number * _TIME * count)
                for number in range(2)
            )
            at += 2 * _TIME * count
            boxes = np.frombuffer(data, "<f8", 4 * count, at).reshape(4, count)
            may = self._in_time(start, end) & self._in_box(boxes)
            found: list[int] = np.flatnonzero(may).tolist()
            if not self.tests or not found:
                return found
            at += 32 * count
            properties = msgspec.json.decode(data[at : at + length])
            for key, test in self.tests:
                values = properties.get(key)
                found = [] if values is None else [n for n in found if test(values[n])]
        except (struct.error, msgspec.DecodeError, IndexError, AttributeError) as error:
            raise ValueError(str(error)) from error
        return found

    def _in_time(
        self, start: npt.NDArray[np.bytes_], end: npt.NDArray[np.bytes_]
    ) -> npt.NDArray[np.bool_]:
        may = np.ones(len(start), dtype=np.bool_)
        if self.until:
            may &= start <= self.until[:_TIME].encode()
        if self.since:
            since = self.since[:_TIME].encode()
            may &= (end >= since) | (start >= since)
        if self.since or self.until:
            may &= start != b""
        return may

    def _in_box(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        if self.box is None:
            return np.ones(boxes.shape[1], dtype=np.bool_)
        left, bottom, right, top = boxes
        # What is not one plain box is decided by its row: nothing is less than NaN.
        may: npt.NDArray[np.bool_] = ~((bottom > self.box[3]) | (top < self.box[1]))
        box_right = self.box[2] if self.box[2] >= self.box[0] else self.box[2] + 360
        misses = np.ones(len(left), dtype=np.bool_)
        for turn in (-360.0, 0.0, 360.0):
            misses &= (left + turn > box_right) | (right + turn < self.box[0])
        return may & ~misses


def columns_of(rows: Sequence[Row]) -> bytes:
    """Return what filters ask for, of the rows of a page."""
    starts = np.array([(row.start_time or "")[:_TIME] for row in rows], dtype=f"S{_TIME}")
    ends = np.array(
        [(row.end_time or row.start_time or "")[:_TIME] for row in rows], dtype=f"S{_TIME}"
    )
    boxes = np.array([_box(row) for row in rows], dtype="<f8").reshape(-1, 4).T
    keys = sorted({key for row in rows for key, _ in row.properties})
    values = [dict(row.properties) for row in rows]
    text = json.dumps({key: [one.get(key) for one in values] for key in keys}).encode()
    if b"NaN" in text or b"Infinity" in text:  # which no JSON has: then rows decide
        return b""
    header = _HEADER.pack(len(rows), len(text))
    return b"".join((header, starts.tobytes(), ends.tobytes(), boxes.tobytes(), text))


def _box(row: Row) -> Sequence[float]:
    spot = row.spots[0] if len(row.spots) == 1 else None
    box = None if spot is None else spot.lonlat
    if box is None or not all(map(math.isfinite, box)) or box[2] < box[0]:
        return (math.nan,) * 4
    return box


class PageRows:
    """The rows of assets on pages of trees, by page."""

    def __init__(self, caches: Backend) -> None:
        self._caches = caches
        self._values = ValueCache(caches, ROWS)

    def rows(
        self, tree: PagedTree, prefix: str, wanted: Wanted | None, make: MakeRow
    ) -> Iterator[tuple[TreeEntry, Row]]:
        """Yield the assets of a tree that may be wanted, with their rows, sorted by id.

        Args:
            tree: The tree.
            prefix: How the ids begin.
            wanted: What the rows must have; None for all.
            make: Returns a row that is not known.
        """
        for branch in tree.pages.leaves(prefix):
            numbers = self._candidates(branch, wanted)
            if numbers is not None and not numbers:
                continue
            (page,) = tree.pages.pages([branch], height=1)
            known = self.known(branch.stored)
            for number in range(len(page.entries)) if numbers is None else numbers:
                entry = page.entries[number]
                if entry.id.startswith(prefix):
                    row = row_from(known.get(entry.stored))
                    yield entry, make(entry) if row is None else row

    def keep(
        self, trees: Sequence[PagedTree], known: Mapping[Digest, object], make: MakeRow
    ) -> None:
        """Save the rows of all pages of some trees; those of other pages are forgotten.

        Args:
            trees: The trees.
            known: Rows as JSON, by the digest of the document of the asset.
            make: Returns a row that is not known.
        """
        pages = {
            branch.stored: (tree, branch) for tree in trees for branch in tree.pages.leaves("")
        }
        there = {name.removeprefix(ROWS) for name in self._caches.list(ROWS)}
        old = {name for name in there if name.removesuffix(_FULL) not in pages}
        missing = [digest for digest in pages if not {digest, digest + _FULL} <= there]
        found: dict[Digest, object] = dict(known)
        for name in old if missing else ():
            found |= self.known(name.removesuffix(_FULL)) if name.endswith(_FULL) else {}
        for digest in missing:
            tree, branch = pages[digest]
            (page,) = tree.pages.pages([branch], height=1)
            rows = [row_from(found.get(entry.stored)) or make(entry) for entry in page.entries]
            stored = (entry.stored for entry in page.entries)
            full = [(one, row.to_json()) for one, row in zip(stored, rows, strict=True)]
            self._values.put(digest + _FULL, json.dumps(full, separators=(",", ":")).encode())
            self._values.put(digest, columns_of(rows))
        self._caches.delete_all(ROWS + name for name in old)

    def known(self, page: Digest) -> dict[Digest, object]:
        """Return the rows of a page as JSON, by the digest of the document of the asset."""
        data = self._values.get(page + _FULL)
        try:
            return {} if data is None else dict(_decode_rows(data))
        except msgspec.DecodeError:
            return {}

    def _candidates(self, branch: Branch, wanted: Wanted | None) -> list[int] | None:
        """Return which rows of a page may be wanted; None if that is unknown."""
        data = None if wanted is None else self._values.get(branch.stored)
        if not data or wanted is None:
            return None
        try:
            return wanted.candidates(data)
        except ValueError:
            return None


def row_from(value: object) -> Row | None:
    """Return a cached row; None if it is not one, as another version may have written it."""
    try:
        found = json.loads(bytes(value)) if isinstance(value, msgspec.Raw) else value
        return Row.from_json(found) if isinstance(found, list) else None
    except (TypeError, ValueError):
        return None
