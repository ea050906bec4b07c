"""Measures `gc` on a store of a million objects; writes gc.md.

    uv run --group bench python benchmarks/gc.py [--objects N] [--folder DIR] [--output FILE]

The store has real documents and index pages, and tiles of a few bytes. One asset with half of the
objects is published twice, with all tiles changed: the first half is garbage. The folder should be
in memory (tmpfs), so that `gc` and not the disk is measured; it is removed afterwards.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import machine_facts
from measure import Cost, measure

from geobatch.format.page import FAN_OUT
from geobatch.model.assets.asset import Image
from geobatch.model.digest import digest_bytes
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord
from geobatch.store.tilestore import TileStore

SECONDS, MEGABYTES = 60.0, 500.0
KEEP = ("--keep-last", "1", "--keep-within", "0d", "--grace", "0d")


def fill(folder: Path, *, tiles: int) -> None:
    """Publish an asset of this many tiles, all of them new."""
    side = math.isqrt(tiles - 1) + 1
    for version in (1, 2):
        store = TileStore.create(folder)
        root, number = None, 0
        for first in range(0, side, FAN_OUT):
            band = np.arange(first, min(first + FAN_OUT, side))
            entries = np.zeros(len(band) * side, dtype=TILE_ENTRY)
            entries["row"], entries["col"] = (
                np.repeat(band, side),
                np.tile(np.arange(side), len(band)),
            )
            digests = []
            for _ in entries:
                data, number = f"{version} {number}".encode(), number + 1
                digest = digest_bytes(data)
                path = folder / "objects" / digest[:2] / digest[2:]
                try:
                    path.write_bytes(data)
                except FileNotFoundError:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                digests.append(digest)
            named = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(-1, 32)
            entries["content"], entries["stored"], entries["size"] = named, named, 10
            root = store.index.write((side, side), base=root, entries=entries)
        asset = Image(id="a", grids=(), bands=(), tilesets=(), memo=str(version))
        arrays = ((ArrayKey(band="b", level=0), root),)
        record = AssetRecord(asset=asset, arrays=arrays, fingerprints=())
        changes = {"a": store.put_record(record)}
        store.publish(base=store.head(), changes=changes, message=f"{version}", tools={})
        store.close()


def main(argv: list[str]) -> None:
    """Make the store, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "gc.md")
    chosen = parser.parse_args(argv)
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(dir=chosen.folder, prefix="gc-"))
    try:
        store = folder / "store"
        fill(store, tiles=chosen.objects // 2)
        base = [sys.executable, "-m", "geobatch", "--store", str(store), "gc", *KEEP]
        commands = {
            "dry run": base,
            "move to quarantine": [*base, "--apply"],
            "delete from quarantine": [*base, "--apply"],
            "nothing left to do": base,
        }
        costs = {
            name: measure(command, logs=folder, timeout=600) for name, command in commands.items()
        }
    finally:
        shutil.rmtree(folder)
    chosen.output.write_text(report(costs, objects=chosen.objects, load=load))
    print(chosen.output.read_text())


def report(costs: dict[str, Cost], *, objects: int, load: float) -> str:
    """Return the page."""
    rows = [
        f"| {name} | {cost.wall:.1f} s | {cost.cpu:.1f} s | {cost.memory:.0f} MB |"
        f" {'yes' if cost.wall <= SECONDS and cost.memory <= MEGABYTES else 'NO'} |"
        for name, cost in costs.items()
    ]
    return "\n".join(
        [
            "# gc",
            "",
            "Written by `benchmarks/gc.py`.",
            "",
            f"A store of {objects:,} objects, half of them garbage: all tiles of an asset changed.",
            f"At most {SECONDS:.0f} s and {MEGABYTES:.0f} MB.",
            "",
            *(f"- {name}: {value}" for name, value in machine_facts()),
            f"- load average before: {load:.1f}",
            "",
            "| `geobatch gc` | wall | CPU | peak RSS | met |",
            "| - | -: | -: | -: | - |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
