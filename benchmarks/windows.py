"""Random windows of a COG: through geobatch, and with rasterio alone.

    uv run python benchmarks/windows.py --size 4096     # small

Both read the same windows of one band, in turns, each from a process that is warm; the report is
the median of the ratios of the turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.transform import from_origin
from rasterio.windows import Window

import geobatch
from geobatch.workflow.apply import apply

WINDOW = 512


def make_cog(path: Path, size: int, *, compress: str) -> None:
    """Write a COG of one band of smooth relief with noise, uint16, in tiles of 512."""
    rng = np.random.default_rng(0)
    plain = path.with_suffix(".plain.tif")
    with rasterio.open(
        plain, "w", driver="GTiff", width=size, height=size, count=1, dtype="uint16", tiled=True,
        blockxsize=512, blockysize=512, crs="EPSG:32633",
        transform=from_origin(500_000, 5_000_000, 10, 10),
    ) as file:  # fmt: skip
        for row in range(0, size, 512):
            height = min(512, size - row)
            y, x = np.mgrid[row : row + height, 0:size]
            relief = 2000 + 900 * np.sin(x / 311) * np.cos(y / 173)
            pixels = (relief + rng.normal(0, 12, relief.shape)).astype("uint16")
            file.write(pixels, 1, window=Window(0, row, size, height))
    rasterio.shutil.copy(
        plain, path, driver="COG", COMPRESS=compress, PREDICTOR="YES", BLOCKSIZE=512,
        OVERVIEW_RESAMPLING="AVERAGE",
    )  # fmt: skip
    plain.unlink()


def timed(read: Callable[[int, int], Any], places: list[tuple[int, int]]) -> float:
    """Return the seconds that reading some windows takes."""
    started = time.perf_counter()
    for row, col in places:
        read(row, col)
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=16384, help="rows and columns of the COG")
    parser.add_argument("--windows", type=int, default=200, help="windows per turn")
    parser.add_argument("--turns", type=int, default=7, help="turns of each reader")
    options = parser.parse_args()
    print("| COG | windows | rasterio, ms a window | geobatch, ms a window | ratio |")
    print("|---|---|---:|---:|---:|")
    for compress in ("DEFLATE", "ZSTD"):
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), compress, options)


def measure(folder: Path, compress: str, options: argparse.Namespace) -> None:
    """Measure one COG."""
    make_cog(folder / "cog.tif", options.size, compress=compress)
    (folder / "spec.yaml").write_text(
        "kind: external_image\nid: a\ntilesets: [{sources: [{uris: [cog.tif]}]}]\n"
    )
    apply([folder / "spec.yaml"], store=folder / "store")
    array: Any = geobatch.open_store(folder / "store").open("a")["0/b1"]
    rng = np.random.default_rng(1)
    for kind in ("anywhere", "on tiles"):
        with rasterio.open(folder / "cog.tif") as dataset:

            def by_rasterio(row: int, col: int, dataset: Any = dataset) -> Any:
                return dataset.read(1, window=Window(col, row, WINDOW, WINDOW))

            def by_geobatch(row: int, col: int) -> Any:
                return array[row : row + WINDOW, col : col + WINDOW]

            times: list[tuple[float, float]] = []
            for _ in range(options.turns + 1):
                places = rng.integers(0, options.size - WINDOW, (options.windows, 2))
                if kind == "on tiles":
                    places = places // WINDOW * WINDOW
                chosen = [(int(row), int(col)) for row, col in places]
                if not times:
                    assert np.array_equal(by_rasterio(*chosen[0]), by_geobatch(*chosen[0]))
                times.append((timed(by_rasterio, chosen), timed(by_geobatch, chosen)))
        del times[0]  # the first turn warms up
        ratio = statistics.median(ours / theirs for theirs, ours in times)
        theirs, ours = (
            statistics.median(column) / options.windows * 1000
            for column in zip(*times, strict=True)
        )
        print(f"| {compress} | {kind} | {theirs:.2f} | {ours:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
