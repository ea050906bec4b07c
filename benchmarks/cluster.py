"""Times a Dask cluster of two workers against threads, and how fast tasks are dispatched.

    uv run python benchmarks/cluster.py [--pairs 5] [--size N] [--small 2000] [--output FILE]

The scheduler and the workers are processes that are up before anything is timed; the runs are
whole processes, in pairs of threads and Dask, each with a new store. CPU seconds are those of all
processes: coordinator, scheduler and workers. At full size it writes `benchmarks/cluster.md`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import yaml
from distributed import Client, LocalCluster
from machine import machine_facts
from measure import Cost, measure
from run import FULL_SIZE, HERE, WORK

from geobatch.execute import TaskContext
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.tasks.task import Region, RegionTask
from geobatch.model.digest import digest_bytes
from geobatch.sources.reader import Sources
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster

RATIO, RATE = 1.10, 3000
"""The targets: Dask to threads, and tasks per second."""
WORKERS = 2


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Give the address of a scheduler with two workers of one thread."""
    with LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        local_directory=str(folder),
    ) as made:
        yield made.scheduler_address


def pairs(spec: Path, address: str, folder: Path, *, count: int) -> list[tuple[Cost, Cost]]:
    """Apply a spec to new stores: first by threads, then by Dask, and so on; one pair warms up."""
    found = []
    for _ in range(count + 1):
        costs = []
        for executor in ("threads", f"dask://{address}"):
            store = folder / "store"
            shutil.rmtree(store, ignore_errors=True)
            os.sync()
            command = [
                sys.executable, "-m", "geobatch", "--store", str(store), "-j", str(WORKERS),
                "apply", str(spec), "--init", "--executor", executor, "--no-git",
            ]  # fmt: skip
            before = cpu_seconds(address)
            cost = measure(command, logs=folder, timeout=900)
            if executor != "threads":
                cost = replace(cost, cpu=cost.cpu + cpu_seconds(address) - before)
            costs.append(cost)
        found.append((costs[0], costs[1]))
    return found[1:]


def cpu_seconds(address: str) -> float:
    """Return the CPU seconds of the workers, and of the scheduler, which runs in this process."""
    with Client(address, set_as_default=False) as client:
        return sum(client.run(time.process_time).values()) + time.process_time()


def small_images(folder: Path, *, count: int) -> Path:
    """Write many images of 200 x 200 pixels, and a spec of all."""
    import numpy as np  # noqa: PLC0415 - by this alone

    random = np.random.default_rng(1)
    folder.mkdir()
    for number in range(count):
        write_raster(folder / f"s{number}.tif", random.integers(0, 200, (200, 200)).astype("uint8"))
    documents = (
        {
            "id": f"small/s{number}",
            "tilesets": [{"id": "t", "sources": [{"uris": [f"s{number}.tif"]}]}],
            "bands": [{"id": "b", "tileset_id": "t"}],
        }
        for number in range(count)
    )
    (folder / "small.yaml").write_text(yaml.safe_dump_all(documents))
    return folder / "small.yaml"


def dispatched(store: Path, address: str, *, count: int = 20_000) -> float:
    """Return how many tasks per second are sent and answered that do nothing."""
    with (
        closing(TileStore.open(store)) as opened,
        Sources(folder=store / "runs", cache=SourceCache.memory()) as reader,
    ):
        context = TaskContext(objects=opened.objects, index=opened.index, reader=reader)
        image = opened.record(opened.head().tree.entries[0]).image
        asset = context.inputs.add(image)
        with DaskExecutor(address=address).start(context) as running:
            sent = done = 0
            first, started = 0, 0.0
            while done < count:
                while sent < count and sent - done < running.capacity:
                    task = RegionTask(
                        key=digest_bytes(sent.to_bytes(8, "big")),
                        asset=asset,
                        roots=None,
                        grid=image.grids[0].name,
                        region=Region(level=0, row=0, col=0, span=0),
                        bands=(),
                        is_cached=False,
                    )
                    running.submit(sent, task)
                    sent += 1
                done += len(running.completed())
                if not first and done > count // 20:
                    first, started = done, time.perf_counter()
            return (done - first) / (time.perf_counter() - started)


def main(argv: list[str]) -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--size", type=int, default=FULL_SIZE)
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(argv)
    raster = WORK / f"workload_{chosen.size}.tif"
    if not raster.exists():
        measure(
            [sys.executable, str(HERE / "make_workload.py"), "--size", str(chosen.size)],
            logs=Path(tempfile.gettempdir()),
            timeout=900,
        )
    load = os.getloadavg()[0]
    folder = Path(tempfile.mkdtemp(dir=WORK, prefix="cluster-"))
    try:
        spec = folder / "big.yaml"
        text = (HERE / "specs" / "big.yaml").read_text()
        spec.write_text(text.replace(f"../work/workload_{FULL_SIZE}.tif", str(raster)))
        with cluster(folder / "dask") as address:
            big = pairs(spec, address, folder, count=chosen.pairs)
            rate = dispatched(folder / "store", address)
            small = pairs(
                small_images(folder / "small", count=chosen.small),
                address,
                folder,
                count=chosen.pairs,
            )
    finally:
        shutil.rmtree(folder)
    page = report({f"{chosen.size} x {chosen.size}, 4 bands": big,
                   f"{chosen.small} images of 200 x 200": small}, rate=rate, load=load)  # fmt: skip
    if chosen.output or chosen.size == FULL_SIZE:
        (chosen.output or HERE / "cluster.md").write_text(page)
    print(page)


def report(found: dict[str, list[tuple[Cost, Cost]]], *, rate: float, load: float) -> str:
    """Return the page."""
    rows = []
    for name, costs in found.items():
        ratios = [dask.wall / threads.wall for threads, dask in costs]
        rows.append(
            f"| {name} | {median(t.wall for t, _ in costs):.1f} s |"
            f" {median(d.wall for _, d in costs):.1f} s |"
            f" {' '.join(f'{one:.2f}' for one in ratios)} | {median(ratios):.2f} |"
            f" {median(t.cpu for t, _ in costs):.1f} s | {median(d.cpu for _, d in costs):.1f} s |"
            f" {median(d.cpu / t.cpu for t, d in costs):.2f} |"
        )
    return "\n".join(
        [
            "# A cluster of two workers",
            "",
            f"Written by `benchmarks/cluster.py`. At most {RATIO:.2f} times threads on the large",
            f"raster, and at least {RATE:,} tasks per second.",
            "",
            *(f"- {name}: {value}" for name, value in machine_facts()),
            f"- load average before: {load:.1f}",
            f"- tasks that do nothing, sent and answered: {rate:,.0f} per second",
            "",
            "| apply | threads | Dask | ratios | median | CPU, threads | CPU, Dask | ratio |",
            "| - | -: | -: | - | -: | -: | -: | -: |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
