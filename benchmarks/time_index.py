"""Times the index of a very large simulated asset, in process; prints one JSON line.

    python benchmarks/time_index.py build STORE --tiles N        # fill the index of its one asset
    python benchmarks/time_index.py commit STORE --seed N        # change one tile, publish
    python benchmarks/time_index.py diff STORE                   # open, compare head and HEAD~1

The tiles are simulated: the index names objects that are not there.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from geobatch.format.page import FAN_OUT
from geobatch.model.published import TILE_ENTRY, AssetRecord, PageRef
from geobatch.store.index import Entries
from geobatch.store.tilestore import TileStore


def simulated(
    rows: npt.NDArray[np.intp], cols: npt.NDArray[np.intp], random: np.random.Generator
) -> Entries:
    """Return entries with random digests at some places."""
    entries = np.zeros(len(rows), dtype=TILE_ENTRY)
    entries["row"], entries["col"] = rows, cols
    for name in ("content", "stored"):
        words = random.bytes(32 * len(rows))
        entries[name] = np.frombuffer(words, dtype=np.uint8).reshape(-1, 32)
    entries["size"] = random.integers(1_000, 500_000, len(rows))
    return entries


def publish(store: TileStore, root: PageRef | None, message: str) -> None:
    """Publish the asset of the store with another index for its first array."""
    head = store.head()
    entry = head.tree.entries[0]
    record = store.record(entry)
    changed: AssetRecord = replace(record, arrays=((record.arrays[0][0], root), *record.arrays[1:]))
    changes = {entry.id: store.put_record(changed)}
    store.publish(base=head, changes=changes, message=message, tools={})


def build(store: TileStore, *, side: int) -> None:
    """Publish an index that holds every tile of a side x side plane, band by band of pages."""
    random = np.random.default_rng(0)
    root = None
    for first in range(0, side, FAN_OUT):
        band = np.arange(first, min(first + FAN_OUT, side))
        rows, cols = np.repeat(band, side), np.tile(np.arange(side), len(band))
        entries = simulated(rows, cols, random)
        root = store.index.write((side, side), base=root, entries=entries)
    publish(store, root, "all tiles")


def side_of(tiles: int) -> int:
    """Return the side of a square plane of this many tiles, the partial row counted as whole."""
    return math.isqrt(tiles - 1) + 1


def commit(place: Path, *, seed: int) -> float:
    """Change one tile of the index and publish it; return the seconds from opening to durable."""
    start = time.perf_counter()
    store = TileStore.open(place)
    record = store.record(store.head().tree.entries[0])
    root = record.arrays[0][1]
    assert root is not None
    random = np.random.default_rng(seed)
    side = side_of(root.tiles)
    row, col = random.integers(0, side, (2, 1))
    after = store.index.write((side, side), base=root, entries=simulated(row, col, random))
    publish(store, after, "one tile")
    return time.perf_counter() - start


def diff(place: Path) -> float:
    """Open the store, compare its last two commits, return the seconds."""
    start = time.perf_counter()
    store = TileStore.open(place)
    after, before = (
        store.record(store.at(name).tree.entries[0]).arrays[0][1] for name in ("HEAD", "HEAD~1")
    )
    assert after is not None
    side = side_of(after.tiles)
    found = store.index.diff((side, side), before, after)
    seconds = time.perf_counter() - start
    counts = [len(found.added), len(found.changed), len(found.removed)]
    if counts != [0, 1, 0]:
        raise AssertionError(f"one changed tile was due, the diff says {counts}")
    return seconds


def main() -> int:
    """Do what the options ask for and print the seconds."""
    parser = argparse.ArgumentParser(description="Time the index of a simulated asset.")
    parser.add_argument("action", choices=("build", "commit", "diff"))
    parser.add_argument("store", type=Path, help="made by `apply` of a spec of one image")
    parser.add_argument("--tiles", type=int, default=10**7)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    seconds = 0.0
    if arguments.action == "build":
        build(TileStore.open(arguments.store), side=side_of(arguments.tiles))
    elif arguments.action == "commit":
        seconds = commit(arguments.store, seed=arguments.seed)
    else:
        seconds = diff(arguments.store)
    print(json.dumps({"seconds": seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
