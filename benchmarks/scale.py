"""Measures a store of a million assets: a commit of one changed asset, a lost race, readers.

    uv run --group bench python benchmarks/scale.py [--assets N] [--folder DIR] [--output FILE]

The assets have entries in the tree and spec files, as published ones, but no documents and no
pixels. The folder should be in memory (tmpfs), so that geobatch and not the disk is measured; it is
removed afterwards. Each row is a process of its own. It works with the folder as with a bucket, so
that each call is a request, and counts these.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from machine import machine_facts
from measure import Cost, measure

from geobatch.format.trees.paged import PagedTree
from geobatch.model.assets.asset import Image
from geobatch.model.assets.documents.listed import Row, Spot
from geobatch.model.digest import digest_bytes
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.caches.page_rows import PageRows
from geobatch.store.tilestore import TileStore

LIMITS = {"one changed asset": 5.0, "a lost race": 5.0, "one asset looked up": 2.0}
MOST_BYTES, MOST_REQUESTS = 1e6, 20
_READS = {"get", "size", "state", "list", "scan"}
_WRITES = {"put", "put_soon", "create", "replace", "delete"}


class Counting:
    """A folder, used as if it were a bucket; counts requests and bytes."""

    def __init__(self, folder: Path) -> None:
        self._disk = LocalBackend(folder)
        self.local = None
        self.is_remote = True
        self.requests = 0
        self.sent = 0
        self.received = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._disk, name)
        return self._counted(name, found) if name in _READS | _WRITES else found

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.requests += 1
            if name in _WRITES and len(args) > 1:
                self.sent += len(bytes(args[1]))
            result = call(*args, **options)
            self.received += len(result) if isinstance(result, bytes) else 0
            return result

        return counted

    def get_all(self, names: Any) -> Any:
        """Count each."""
        return (self.get(name) for name in names)

    def states(self, names: Any) -> Any:
        """Count each."""
        return (self.state(name) for name in names)

    def beside(self, _: str) -> MemoryBackend:
        """Keep caches in memory."""
        return MemoryBackend()

    def prove(self) -> None:
        """Prove nothing: it is a disk."""


def asset_id(number: int) -> str:
    """Return the id of an asset: scenes by year, day and tile of a grid."""
    year, rest = 2016 + number % 9, number // 9
    return f"s2/{year}/{rest % 365:03}/T{rest % 60 + 1:02}{number:07}"


def entry(number: int, version: int = 0) -> TreeEntry:
    """Return the entry of an asset that has no document."""
    content, stored, fingerprint = (
        digest_bytes(f"{kind} {number} {version}".encode()) for kind in "csf"
    )
    return TreeEntry(
        id=asset_id(number),
        kind="image",
        content=content,
        stored=stored,
        fingerprint=fingerprint,
        tiles=9,
    )


def fill(folder: Path, assets: int) -> dict[str, Any]:
    """Publish all assets in one commit."""
    store = TileStore.create(folder)
    changes = {one.id: one for one in map(entry, range(assets))}
    began = time.perf_counter()
    head = store.publish(
        base=Head(),
        changes=changes,
        message="all",
        tools={},
        origins={name: f"specs/{name[:7].replace('/', '-')}.yaml" for name in changes},
    )
    seconds = time.perf_counter() - began
    assert isinstance(head.tree, PagedTree)
    PageRows(store.caches).keep([head.tree], {}, row)
    return {"seconds": seconds}


def row(entry: TreeEntry) -> Row:
    """Return what a list shows of an asset."""
    number = int(entry.id[-7:])
    west, south = float(number % 3600) / 10 - 180, float(number // 3600 % 1600) / 10 - 80
    box = (west, south, west + 1, south + 1)
    day = entry.id.split("/")[2]
    return Row(
        properties=(("cloud", number * 7919 % 10007 / 100), ("tile", entry.id[-10:-7])),
        start_time=f"{entry.id[3:7]}-{int(day) // 31 + 1:02}-{int(day) % 28 + 1:02}T10:00:00Z",
        end_time=None,
        spots=(Spot(crs="EPSG:32627", bounds=box, lonlat=box, shape=(10980, 10980)),),
        bands=4,
    )


FILTERS = ("--since", "2020-06-01", "--until", "2020-06-08", "--property", "cloud<1")
FAR_FILTERS = ("--bounds", "10,-60,11,-59", "--property", "cloud<50")


def publish(store: TileStore, number: int, base: Head) -> Head:
    """Publish a changed asset, with its document."""
    asset = Image(id=asset_id(number), grids=(), bands=(), tilesets=(), memo=f"{time.time_ns()}")
    changed = store.put_record(AssetRecord(asset=asset, arrays=(), fingerprints=()))
    return store.publish(
        base=base,
        changes={changed.id: changed},
        message="one",
        tools={"geobatch": "0"},
        origins={changed.id: f"specs/{changed.id[:7].replace('/', '-')}.yaml"},
    )


def work(what: str, folder: Path, assets: int) -> dict[str, Any]:
    """Do one thing, and return what it cost."""
    if what == "all at once":
        return fill(folder, assets)
    backend = Counting(folder)
    store = TileStore(backend)  # type: ignore[arg-type]
    base = store.head()
    if what == "a lost race":
        other = TileStore(LocalBackend(folder))
        publish(other, assets // 2, other.head())
    backend.requests = backend.sent = backend.received = 0
    began = time.perf_counter()
    if what in LIMITS and what != "one asset looked up":
        publish(store, assets // 3, base if what == "a lost race" else store.head())
    elif what == "one asset looked up":
        assert store.head().tree.entry(asset_id(assets // 4)) is not None
    elif what == "what a commit changed":
        found = store.at("1").tree.differences(store.at("2").tree)
        assert len(found) == 1
    elif what == "log":
        assert all(head.tree.count == assets for head in store.log())
    else:
        assert len(store.head().tree.entries) == assets
    return {
        "seconds": time.perf_counter() - began,
        "requests": backend.requests,
        "sent": backend.sent,
        "received": backend.received,
    }


STEPS = (
    "all at once",
    "one changed asset",
    "a lost race",
    "one asset looked up",
    "what a commit changed",
    "log",
    "all assets read",
)


def main(argv: list[str]) -> None:
    """Make the store, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "scale.md")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.work:
        print(json.dumps(work(chosen.work, chosen.folder / "store", chosen.assets)))
        return
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(dir=chosen.folder, prefix="scale-"))
    costs: dict[str, tuple[Cost, dict[str, Any]]] = {}
    try:
        for step in STEPS:
            command = [sys.executable, __file__, "--folder", str(folder), "--work", step]
            command += ["--assets", str(chosen.assets)]
            cost = measure(command, logs=folder, timeout=600)
            costs[step] = cost, json.loads(cost.output)
            if step == STEPS[0]:
                listing = [sys.executable, "-m", "geobatch", "--store", str(folder / "store"), "ls"]
                for name, filters in (("`ls` by time", FILTERS), ("`ls` by place", FAR_FILTERS)):
                    cost = measure([*listing, *filters], logs=folder, timeout=600)
                    found = len(cost.output.splitlines()) - 1
                    costs[f"{name}: {found:,} found"] = cost, {"seconds": cost.wall}
        pages = list((folder / "store" / "objects").rglob("*"))
    finally:
        shutil.rmtree(folder)
    sizes = len([page for page in pages if page.suffix == "" and len(page.name) == 62])
    chosen.output.write_text(report(costs, assets=chosen.assets, objects=sizes, load=load))
    print(chosen.output.read_text())


def report(
    costs: dict[str, tuple[Cost, dict[str, Any]]], *, assets: int, objects: int, load: float
) -> str:
    """Return the page."""
    rows = []
    for name, (cost, found) in costs.items():
        is_met = "-"
        if name.startswith("`ls`"):
            is_met = "yes" if found["seconds"] <= 2 else "NO"
        if name in LIMITS:
            tries = 2 if name == "a lost race" else 1
            is_small = found["sent"] <= tries * MOST_BYTES
            is_small &= found["requests"] <= tries * MOST_REQUESTS
            is_met = "yes" if found["seconds"] <= tries * LIMITS[name] and is_small else "NO"
        counts = (
            f"{found[key] / 1e3:,.0f} kB" if key in found else "-" for key in ("sent", "received")
        )
        rows.append(
            f"| {name} | {found['seconds']:.2f} s | {cost.cpu:.1f} s | {cost.memory:.0f} MB |"
            f" {found.get('requests', '-')} | {' | '.join(counts)} | {is_met} |"
        )
    return "\n".join(
        [
            "# Scale",
            "",
            "Written by `benchmarks/scale.py`.",
            "",
            f"A store of {assets:,} assets, whose tree and origins are on {objects:,} pages.",
            "A commit of one changed asset: at most 5 s, 1 MB, 20 requests; a lost race: twice.",
            "",
            *(f"- {name}: {value}" for name, value in machine_facts()),
            f"- load average before: {load:.1f}",
            "",
            "| | time | CPU of the process | peak RSS | requests | sent | received | met |",
            "| - | -: | -: | -: | -: | -: | -: | - |",
            *rows,
            "",
            "Time is that of the work alone; CPU and memory include the start of the process.",
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
