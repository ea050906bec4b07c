"""Dask clusters of real processes, and what tests of them share."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
from distributed import Client, LocalCluster

from geobatch.execute.executors.dask import session, worker
from geobatch.execute.executors.dask.cluster import LOCAL
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster
from geobatch.workflow.apply import apply

SPECS = Path(__file__).parents[2] / "specs"
ROOT = "e9ad50ffc084d18cf12f67980506c04146614ac7afa7581a162e131a398ffa53"


@contextmanager
def cluster(folder: Path, *, workers: int = 2, failures: int = 3, **more: Any) -> Iterator[Any]:
    """Give a client of worker processes with one thread each."""
    settings = {"threads_per_worker": 1, "silence_logs": 50, **more}
    with (
        dask.config.set({**LOCAL, "distributed.scheduler.allowed-failures": failures}),
        LocalCluster(
            n_workers=workers,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
            **settings,
        ) as made,
        Client(made, set_as_default=False) as client,
    ):
        yield client


def write_images(folder: Path, *, small: int = 12) -> Path:
    """Write a raster of many regions, small images, and a spec of all."""
    rng = np.random.default_rng(3)
    folder.mkdir(exist_ok=True)
    write_raster(folder / "large.tif", rng.integers(0, 9, (900, 700)).astype(np.uint8))
    documents = [image("large", "large.tif")]
    for number in range(small):
        name = f"s{number}.tif"
        write_raster(folder / name, rng.integers(0, 9, (40 + number, 50)).astype(np.uint8))
        documents.append(image(f"small-images/s{number}", name))
    (folder / "spec.yaml").write_text("\n---\n".join(documents))
    return folder / "spec.yaml"


def write_history(folder: Path) -> Path:
    """Make a store of three commits, of which the older ones need many tiles of their own."""
    spec = write_images(folder / "in", small=5)
    rng = np.random.default_rng(8)
    for _ in range(3):
        apply([spec], store=folder / "store")
        write_raster(folder / "in" / "large.tif", rng.integers(0, 9, (900, 700)).astype(np.uint8))
    return folder / "store"


def image(asset_id: str, name: str) -> str:
    return (
        f"id: {asset_id}\ntilesets: [{{id: t, sources: [{{uris: [{name}]}}]}}]\n"
        "bands: [{id: b, tileset_id: t}]\ntiling: {tile: 64}\n"
    )


def state(store: Path) -> tuple[str, set[str]]:
    """Return what is published, and the names of all objects but commits."""
    with closing(TileStore.open(store)) as opened:
        head = opened.head()
        commits = {commit.digest for commit in opened.log()}
    names = {path.parent.name + path.name for path in store.glob("objects/*/*")}
    return repr(head.tree), names - commits


def runs_of(store: Path) -> list[str]:
    """Return the folders of runs."""
    return [path.name for path in (store / "runs").iterdir() if path.is_dir()]


def children() -> set[int]:
    """Return the processes that this one has started, and theirs."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                text = (folder / "stat").read_text().rpartition(")")[2].split()
                if text[0] != "Z":
                    parents[int(folder.name)] = int(text[1])
    found, before = {os.getpid()}, set[int]()
    while found != before:
        before = set(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {os.getpid()}


class Silent:
    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class Spy:
    """A client that notes what is sent and received."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.batches: list[session.Batch] = []
        self.sent: list[int] = []
        self.keys: list[Any] = []
        self.inputs: list[Any] = []
        self.returned: list[int] = []
        self.in_flight: set[Any] = set()
        self.most_in_flight = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def submit(self, function: Any, *arguments: Any, key: Any, **more: Any) -> Any:
        if function is worker.run_batch:
            self.batches.append(pickle.loads(arguments[1]))
            self.sent.append(len(pickle.dumps(arguments[1])))
            self.keys.append(key)
            self.in_flight.add(key)
            self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        else:
            self.inputs.append(key)
        return self._client.submit(function, *arguments, key=key, **more)

    def gather(self, futures: Any, **more: Any) -> Any:
        found = self._client.gather(futures, **more)
        self.in_flight -= {future.key for future in futures}
        self.returned += [len(answer) for answer in found.values()]
        return found
