"""What the tasks of a pass have put: tiles and pages, until the indexes of the pass are written.

Tiles are indexed before very many have collected, and pages are some 100 bytes per 4096 tiles. So
the memory of a run does not grow with its tiles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from geobatch.execute.pages.entries import entries_of, positions_of
from geobatch.execute.tasks.task import PART, JoinTask, Roots, TaskResult
from geobatch.format.page import FAN_OUT
from geobatch.model.published import PAGE_ENTRY, ArrayKey, PageRef
from geobatch.model.tile import StoredTile
from geobatch.store.index import Index
from geobatch.store.pages.writing import put_single

MOST_TILES = 1 << 17
"""Tiles that collect until they are indexed."""

PlaneOf: TypeAlias = Callable[[ArrayKey], tuple[int, int]]
"""Returns the (rows, columns) of tiles of an array."""


class Collected:
    """What the tasks of a pass have put."""

    def __init__(self, index: Index, plane_of: PlaneOf) -> None:
        """Have nothing yet.

        Args:
            index: Where indexes are read and written.
            plane_of: Returns the tile plane of an array.
        """
        self._index, self._plane_of = index, plane_of
        self._entries: dict[ArrayKey, list[StoredTile]] = {}
        self._removed: dict[ArrayKey, list[tuple[int, int]]] = {}
        self._tiles = 0
        self._written: Roots = {}
        """Roots of arrays whose tiles were indexed before the end of the pass."""
        self._pages: defaultdict[ArrayKey, bytearray] = defaultdict(bytearray)
        self._parts: defaultdict[ArrayKey, bytearray] = defaultdict(bytearray)
        self._sides: dict[ArrayKey, int] = {}

    @property
    def has_parts(self) -> bool:
        """Whether parts of pages are to be joined."""
        return bool(self._parts)

    def absorb(self, result: TaskResult, roots: Mapping[ArrayKey, PageRef | None]) -> None:
        """Take in what a task has put.

        Args:
            result: Of the task.
            roots: Index roots before the pass.
        """
        for key, rows in result.entries.items():
            self._entries.setdefault(key, []).extend(rows)
            self._tiles += len(rows)
        for key, positions in result.removed.items():
            self._removed.setdefault(key, []).extend(positions)
            self._tiles += len(positions)
        for key, pages in result.pages.items():
            self._pages[key] += pages
        for key, (side, pages) in result.parts.items():
            self._parts[key] += pages
            self._sides[key] = side
        if self._tiles > MOST_TILES:
            self._index_tiles(roots)

    def joins(self, asset_id: str, roots: Mapping[ArrayKey, PageRef | None]) -> Iterator[JoinTask]:
        """Yield the tasks that join the parts of pages; none is left afterwards.

        Args:
            asset_id: Of the image.
            roots: Index roots before the pass.
        """
        while self._parts:
            key, data = self._parts.popitem()
            side = self._sides.pop(key)
            many = FAN_OUT // side
            rows = np.frombuffer(data, dtype=PAGE_ENTRY)
            pages = np.stack([rows["row"] // many, rows["col"] // many], axis=1)
            order = np.lexsort((pages[:, 1], pages[:, 0]))
            rows, pages = rows[order], pages[order]
            starts = np.flatnonzero(np.any(pages[1:] != pages[:-1], axis=1)) + 1
            for start, stop in zip([0, *starts], [*starts, len(rows)], strict=True):
                found = rows[start:stop]
                parts = np.zeros(len(found), dtype=PART)
                parts["row"], parts["col"] = found["row"] % many, found["col"] % many
                parts["stored"] = found["stored"]
                row, col = pages[start].tolist()
                yield JoinTask(
                    asset_id=asset_id,
                    array=key,
                    root=roots.get(key),
                    plane=self._plane_of(key),
                    row=row,
                    col=col,
                    side=side,
                    parts=parts.tobytes(),
                )

    def write(self, roots: Roots) -> None:
        """Write the indexes of the pass, and forget what was collected.

        Args:
            roots: Index roots before the pass; receives those after it.
        """
        self._index_tiles(roots)
        for key in sorted(self._pages):
            pages = np.frombuffer(self._pages.pop(key), dtype=PAGE_ENTRY)
            base = self._written.get(key, roots.get(key))
            self._written[key] = self._index.write_pages(
                self._plane_of(key), base=base, pages=pages
            )
        roots |= self._written
        self._written = {}

    def _index_tiles(self, roots: Mapping[ArrayKey, PageRef | None]) -> None:
        for key in sorted(self._entries.keys() | self._removed.keys()):
            base = self._written.get(key, roots.get(key))
            plane, tiles = self._plane_of(key), self._entries.get(key, [])
            if base is None and len(tiles) == 1:
                self._written[key] = put_single(self._index, plane, tiles[0])
                if self._written[key] is not None:
                    continue
            self._written[key] = self._index.write(
                plane,
                base=base,
                entries=entries_of(tiles),
                remove=positions_of([] if base is None else self._removed.get(key, [])),
            )
        self._entries.clear()
        self._removed.clear()
        self._tiles = 0
