"""Tiles and positions as arrays, from the lists in which tasks collect them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geobatch.model.published import TILE_ENTRY
from geobatch.model.tile import StoredTile
from geobatch.store.index import Entries
from geobatch.store.pages.places import Places


def entries_of(rows: Sequence[StoredTile]) -> Entries:
    """Return tiles as an index takes them."""
    entries: Entries = np.zeros(len(rows), dtype=TILE_ENTRY)
    if rows:
        row, col, content, stored, size = zip(*rows, strict=True)
        entries["row"], entries["col"], entries["size"] = row, col, size
        for name, digests in (("content", content), ("stored", stored)):
            entries[name] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
    return entries


def positions_of(positions: Sequence[tuple[int, int]]) -> Places:
    """Return (row, column) of tiles: (n, 2)."""
    return np.array(positions, dtype=np.uint32).reshape(-1, 2)
