"""How many tiles a second `geobatch serve` answers, and what memory 100 clients take.

    uv run python benchmarks/serve.py

It makes a store of one image of 8192 x 8192 pixels and one of three bands, starts the server, and
asks it as browsers do: each client takes the next tile when it has the last. Each tile is asked
for once, so that none is answered from a browser's memory.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

SPEC = """
kind: image
id: one
tilesets: [{id: t, sources: [{uris: [one.tif]}]}]
bands: [{id: v, tileset_id: t, pyramiding_policy: MEAN}]
---
kind: image
id: three
tilesets: [{id: t, sources: [{uris: [three.tif]}]}]
bands:
  - {id: red, tileset_id: t, tileset_band_index: 0, pyramiding_policy: MEAN}
  - {id: green, tileset_id: t, tileset_band_index: 1, pyramiding_policy: MEAN}
  - {id: blue, tileset_id: t, tileset_band_index: 2, pyramiding_policy: MEAN}
"""


def write(path: Path, count: int, side: int) -> None:
    """Write a raster of waves and noise."""
    rng = np.random.default_rng(0)
    wave = np.add.outer(np.sin(np.arange(side) / 90), np.cos(np.arange(side) / 70)) * 4000
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=count, dtype="int16",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000), tiled=True,
    ) as file:  # fmt: skip
        for band in range(1, count + 1):
            noise = rng.integers(0, 300, (side, side))
            file.write((wave + noise).astype(np.int16), band)


def tiles(zooms: range) -> Iterator[str]:
    """Yield the tiles that images of 82 km at 15 degrees east and 45 north are under."""
    half = 20037508.342789244
    for zoom in zooms:
        side = 2 * half / (1 << zoom)
        left, right, top, bottom = 1_669_800, 1_785_000, 5_642_000, 5_530_000
        for x in range(int((left + half) // side), int((right + half) // side) + 1):
            for y in range(int((half - top) // side), int((half - bottom) // side) + 1):
                yield f"{zoom}/{x}/{y}.png"


def ask(host: str, port: int, paths: list[str], clients: int) -> tuple[float, int]:
    """Return (seconds, failures) of asking for paths by some clients at once."""
    left = list(paths)
    lock, failures = threading.Lock(), []

    def client() -> None:
        link = http.client.HTTPConnection(host, port, timeout=120)
        while True:
            with lock:
                if not left:
                    return
                path = left.pop()
            link.request("GET", path)
            answer = link.getresponse()
            if answer.status != 200 or not answer.read().startswith(b"\x89PNG"):
                failures.append(path)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, len(failures)


def memory(process: int) -> dict[str, int]:
    """Return the memory of a process in MB, now and at most."""
    text = Path(f"/proc/{process}/status").read_text()
    found = re.findall(r"(VmRSS|VmHWM):\s+(\d+)", text)
    return {name: int(number) // 1024 for name, number in found}


def cpu_seconds(process: int) -> float:
    """Return the time that processors worked for a process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Make the store, start the server, and print the numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "one.tif", 1, 8192)
        write(folder / "three.tif", 3, 4096)
        (folder / "spec.yaml").write_text(SPEC)
        run = [sys.executable, "-m", "geobatch"]
        store = str(folder / "store")
        subprocess.run([*run, "apply", "spec.yaml", "--init", "--store", store, "-q", "-y"],
                       cwd=folder, check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        server = subprocess.Popen([*run, "serve", store, "--port", "0", "-q"],
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
        try:
            found = re.search(r"http://([^:]+):(\d+)", server.stdout.readline())
            host, port = found[1], int(found[2])
            print(f"at rest: {memory(server.pid)['VmRSS']} MB")
            for asset in ("one", "three"):
                for clients in (2, 8, 100):
                    paths = [f"/tiles/{asset}/{tile}?n={clients}" for tile in tiles(range(9, 15))]
                    random.Random(1).shuffle(paths)
                    paths = paths[:600]
                    before = cpu_seconds(server.pid)
                    seconds, failures = ask(host, port, paths, clients)
                    each = (cpu_seconds(server.pid) - before) / len(paths) * 1000
                    print(
                        f"{asset}, {clients} clients: {len(paths) / seconds:.0f} tiles/s, "
                        f"{each:.1f} ms of a processor per tile, {failures} failures, "
                        f"peak {memory(server.pid)['VmHWM']} MB"
                    )
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
