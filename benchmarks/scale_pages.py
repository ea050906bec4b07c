"""Measures the memory of the process that plans a large image and schedules its tasks.

    uv run python benchmarks/scale_pages.py [--tiles 10_000_000] [--simulated 1_000_000_000]

Both runs read a TIFF without blocks, all of whose pixels are 0, in tiles of 16 x 16. The first run
ingests every pixel, computes every level, and puts every tile and page; only the codec is replaced,
by the bytes that it made of the first tile, and the store remembers which names it has. The second
has more tiles than a machine computes in a day: an executor answers in place of workers, with pages
that it has put for the first square of each shape. All else is what `apply` does: the plan, the
tasks, their fingerprints, the joins of pages, the indexes, the asset document and the commit. Views
are not made. Each run is a process of its own, whose peak memory the kernel reports. It writes
`benchmarks/scale_pages.md` if both runs are as large as by default.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
from machine import machine_facts
from msgspec import Struct

from geobatch.execute import Counts, TaskContext, execute, shares_of
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.tasks import region
from geobatch.execute.tasks.runner import run_task
from geobatch.execute.tasks.task import JoinTask, PagesTask, Task, TaskResult
from geobatch.format.codec import content_digest, encode
from geobatch.format.page import FAN_OUT
from geobatch.model.assets.asset import Codec
from geobatch.model.limits import TILES as TILES_LIMIT
from geobatch.model.observer import SilentObserver
from geobatch.model.published import PAGE_ENTRY, TILE_ENTRY, ArrayKey
from geobatch.model.window import Box
from geobatch.sources.reader import Sources
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.protocol import Data
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.pages.writing import put_changed
from geobatch.store.tilestore import TileStore
from geobatch.workflow.plan import plan

HERE = Path(__file__).parent
TILES, SIMULATED = 10_000_000, 1_000_000_000
LIMITS = {"measured": 1 << 30, "simulated": 4 << 30}
MOST = 1 << 26
"""Tiles of a canvas at most."""
TILE = 16
EMPTY = np.zeros((TILE, TILE), dtype=np.uint8)


def main() -> None:
    """Make both runs, each in a process of its own, and write what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, default=TILES)
    parser.add_argument("--simulated", type=int, default=SIMULATED)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for the stores; a folder of the system's")
    parser.add_argument("--run", choices=LIMITS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        tiles = options.tiles if options.run == "measured" else options.simulated
        is_simulated = options.run == "simulated"
        print(json.dumps(run(options.folder, tiles, options.workers, is_simulated=is_simulated)))
        return
    rows = []
    for name, limit in LIMITS.items():
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            command = [
                sys.executable, __file__, "--run", name, "--folder", folder,
                "--tiles", str(options.tiles), "--simulated", str(options.simulated),
                "--workers", str(options.workers),
            ]  # fmt: skip
            made = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        found = json.loads(made.stdout)
        is_met = "yes" if found["peak"] <= limit else "NO"
        cells = [
            name, f"{found['tiles']:,}", f"{found['bands']}", f"{found['tasks']:,}",
            f"{found['planned'] / 2**20:,.0f} MiB", f"{found['peak'] / 2**20:,.0f} MiB",
            f"{limit / 2**30:.0f} GiB", is_met, f"{found['plan_s']:.0f} s", f"{found['cpu']:.0f} s",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    if (options.tiles, options.simulated) == (TILES, SIMULATED):
        (HERE / "scale_pages.md").write_text(report(rows))


def report(rows: Sequence[str]) -> str:
    """Return the results as a page."""
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    return f"""# Memory of the coordinator

Written by `benchmarks/scale_pages.py`, which says what is real in each run. Tiles are those of all
arrays and levels. The peak is that of the whole process; in the first run, it computes the tiles
itself, on one thread.

{facts}

| run | tiles | bands | tasks | peak after the plan | peak | limit | met | plan | CPU |
| - | -: | -: | -: | -: | -: | -: | - | -: | -: |
{chr(10).join(rows)}
"""


def run(folder: Path, tiles: int, workers: int, *, is_simulated: bool) -> dict[str, Any]:
    """Plan and execute an image of about so many tiles; return what it took."""
    bands = math.ceil(tiles / (MOST * 4 / 3))
    side = min(math.isqrt(MOST), round(math.sqrt(tiles * 3 / 4 / bands)))
    spec = write(folder, side, bands)
    os.environ[TILES_LIMIT.variable] = str(MOST)
    began = time.monotonic()
    made = plan([spec], store=folder / "store")
    planned_s, planned = time.monotonic() - began, peak()
    executor = Simulated() if is_simulated else None
    log = Log()
    data = encode(Codec(), EMPTY)
    region.encode = lambda *_: data
    with closing(TileStore.create(Remembering(folder / "store"))) as store:
        cache = SourceCache.memory()
        with Sources(folder=store.scratch(), cache=cache) as reader:
            context = TaskContext(
                objects=store.objects,
                index=store.index,
                reader=reader,
                regions=None if is_simulated else ValueCache(store.caches),
                caches=store.caches,
            )
            counts = Counts()
            shares = shares_of(made.changes, workers=workers, executor=executor)
            records = list(
                execute(
                    shares,
                    base_commit=None,
                    records={},
                    context=context,
                    observer=log,
                    counts=counts,
                )
            )
        entry = store.put_record(records[0])
        store.publish(base=store.head(), changes={entry.id: entry}, message="scale", tools={})
        found = sum(root.tiles for _, root in records[0].arrays if root is not None)
    return {
        "tiles": found,
        "bands": bands,
        "tasks": log.tasks,
        "planned": planned,
        "peak": peak(),
        "plan_s": planned_s,
        "cpu": time.process_time(),
    }


def write(folder: Path, side: int, bands: int) -> Path:
    """Write a TIFF of so many tiles on a side without blocks, and its spec."""
    with rasterio.open(
        folder / "empty.tif", "w", driver="GTiff", height=side * TILE, width=side * TILE,
        count=bands, dtype="uint8", crs="EPSG:32627", tiled=True, blockxsize=1024,
        blockysize=1024, interleave="pixel", SPARSE_OK=True, BIGTIFF=True,
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ):  # fmt: skip
        pass
    spec = folder / "spec.yaml"
    spec.write_text(
        "id: large\ntilesets: [{id: t, sources: [{uris: [empty.tif]}]}]\n"
        f"tiling: {{tile: {TILE}}}\ngrid: {{max_tiles: {MOST}}}\n"
    )
    return spec


def peak() -> int:
    """Return the most bytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Remembering(LocalBackend):
    """A folder; of what was put twice, only the name is looked up."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._there: set[str] = set()

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes, if the name is not known."""
        if name in self._there:
            return False
        self._there.add(name)
        return super().put(name, data)


class Log(SilentObserver):
    """Counts what completes."""

    tasks = 0

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Count a task."""
        del asset_id, tiles, bytes_read
        self.tasks += 1


class Simulated(Struct, frozen=True, eq=False):
    """An executor that puts the pages of squares, and computes no tile."""

    def start(self, context: TaskContext) -> SimulatedTasks:
        """Return what runs the tasks of one run."""
        return SimulatedTasks(context)


class SimulatedTasks:
    """The tasks of one run."""

    capacity = 32

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._waiting: deque[tuple[int, Task]] = deque()
        self._pages: dict[Any, np.ndarray[Any, Any]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()

    def submit(self, number: int, task: Task) -> None:
        """Keep a task until it is waited for."""
        self._waiting.append((number, task))

    def completed(self) -> Sequence[Outcome]:
        """Answer the task that waits."""
        number, task = self._waiting.popleft()
        if isinstance(task, PagesTask):
            return [Outcome(number=number, result=self._square(task))]
        if isinstance(task, JoinTask):
            return [Outcome(number=number, result=self._join(task))]
        return [Outcome(number=number, result=run_task(task, self._context))]

    def _entries(self, box: Box) -> Any:
        """Return the tiles of a box, which are one object."""
        data = encode(Codec(), EMPTY)
        stored, _ = self._context.objects.put(data)
        entries = np.zeros(box.height * box.width, dtype=TILE_ENTRY)
        rows, cols = np.indices(box.shape).reshape(2, -1)
        entries["row"], entries["col"] = rows + box.row, cols + box.col
        entries["size"] = len(data)
        for name, digest in (("content", content_digest(EMPTY)), ("stored", stored)):
            entries[name] = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
        return entries

    def _join(self, task: JoinTask) -> TaskResult:
        """Join pages as a worker does; those of equal parts once."""
        key = (task.side, task.parts)
        if key not in self._pages:
            found = run_task(task, self._context).pages[task.array]
            self._pages[key] = np.frombuffer(found, dtype=PAGE_ENTRY).copy()
        pages = self._pages[key]
        pages["row"], pages["col"] = task.row, task.col
        return TaskResult(pages={task.array: pages.tobytes()})

    def _square(self, task: PagesTask) -> TaskResult:
        """Put the pages of a square whose tiles are all alike; return what a worker would."""
        asset = self._context.inputs.asset(task.asset)
        geobox = asset.grid(task.grid).geobox
        result = TaskResult()
        for band in task.bands:
            for up, dirty in enumerate(band.dirty):
                level = task.square.level + up
                if not (up or band.from_sources):
                    continue
                plane = geobox.tile_shape(tile=asset.tile, level=level)
                box = task.square.box(level, plane)
                side = 1 << (task.square.span - up)
                shape = (box.shape, box.row % FAN_OUT, box.col % FAN_OUT)
                if shape not in self._pages:
                    self._pages[shape] = put_changed(
                        self._context.index,
                        self._context.objects,
                        plane,
                        None,
                        box=box,
                        entries=self._entries(box),
                        removed=np.zeros((0, 2), dtype=np.uint32),
                    )
                pages = self._pages[shape].copy()
                pages["row"] = pages["row"] - pages["row"][0] + box.row // FAN_OUT
                pages["col"] = pages["col"] - pages["col"][0] + box.col // FAN_OUT
                key = ArrayKey(band=band.band, level=level)
                result.reused += dirty.count
                if side >= FAN_OUT:
                    result.pages[key] = pages.tobytes()
                else:
                    pages["row"], pages["col"] = box.row // side, box.col // side
                    result.parts[key] = side, pages.tobytes()
        return result


if __name__ == "__main__":
    main()
