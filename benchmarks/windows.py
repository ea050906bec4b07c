"""Random windows of 512: through geobatch, with zarr-python on its tree, and with rasterio alone.

    uv run python benchmarks/windows.py                             # writes windows.md
    uv run python benchmarks/windows.py --size 4096 --windows 60    # small

One raster is ingested, and one stays in its COG. All read the same windows of one band, in turns
and in one process that is warm; a ratio is the median of the ratios of the turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import rasterio
import rasterio.shutil
import zarr
from machine import machine_facts
from rasterio.transform import from_origin
from rasterio.windows import Window

import geobatch
from geobatch.workflow.apply import apply

WINDOW = 512
FULL_SIZE = 12288
CACHE_MB = 64
"""Decoded blocks that GDAL keeps: as many as geobatch keeps of external images."""
Read: TypeAlias = Callable[[int, int], Any]
"""Returns the window whose first pixel is at (row, column)."""
HEAD = (
    "| windows of | level | at | geobatch, ms | CPU ms | zarr, ms | CPU ms | rasterio, ms | CPU ms"
    " | to zarr | to rasterio |\n|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


class Cost(NamedTuple):
    """What a turn took."""

    wall: float
    cpu: float


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


def timed(read: Read, places: list[tuple[int, int]]) -> Cost:
    """Return the seconds that reading some windows takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    for row, col in places:
        read(row, col)
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def of_array(array: Any) -> Read:
    """Return what reads windows of a zarr array."""
    return lambda row, col: array[row : row + WINDOW, col : col + WINDOW]


def of_dataset(dataset: Any) -> Read:
    """Return what reads windows of the band of a rasterio dataset."""
    return lambda row, col: dataset.read(1, window=Window(col, row, WINDOW, WINDOW))


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="rows and columns of the COG")
    parser.add_argument("--windows", type=int, default=60, help="windows per turn")
    parser.add_argument("--turns", type=int, default=5, help="turns of each reader")
    parser.add_argument("--folder", type=Path, help="where to make the rasters; not a tmpfs")
    parser.add_argument("--output", type=Path, help="write the page here")
    options = parser.parse_args()
    rows = []
    for compress in ("ZSTD", "DEFLATE"):
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            rows += measure(Path(name), compress, options)
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    text = (
        "# Windows of 512\n\nWritten by `benchmarks/windows.py`; what is compared: "
        f"[README.md](README.md).\n\n{options.size} x {options.size} uint16, tiles of 512. Medians "
        f"of {options.turns} turns of {options.windows} windows, all readers in turn in one "
        "process that is warm, in which GDAL keeps 64 MB of blocks; milliseconds a window.\n\n"
        + facts
        + "\n\n"
        + "\n".join([HEAD, *rows])
        + "\n"
    )
    print(text)
    whole = Path(__file__).with_name("windows.md") if options.size == FULL_SIZE else None
    output = options.output or whole
    if output:
        output.write_text(text)


def measure(folder: Path, compress: str, options: argparse.Namespace) -> list[str]:
    """Return rows of the table: of a COG that stays, and of its pixels in the store."""
    make_cog(folder / "cog.tif", options.size, compress=compress)
    source = "tilesets: [{sources: [{uris: [cog.tif]}]}]"
    (folder / "spec.yaml").write_text(
        f"kind: external_image\nid: outside\n{source}\n---\nid: inside\n{source}\n"
    )
    apply([folder / "spec.yaml"], store=folder / "store")
    store = geobatch.open_store(folder / "store")
    tree: Any = zarr.open_group(folder / "store" / "zarr" / "inside", mode="r")
    rows = []
    for level in (0, 1):
        options_of_level = {} if level == 0 else {"overview_level": level - 1}
        with (
            rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
            rasterio.open(folder / "cog.tif", **options_of_level) as dataset,
        ):
            by_rasterio = of_dataset(dataset)
            for asset, title in (("inside", "the store"), ("outside", f"a {compress} COG")):
                if asset == "inside" and compress != "ZSTD":
                    continue
                group: Any = store.open(asset)
                readers = {"geobatch": of_array(group[f"{level}/b1"]), "rasterio": by_rasterio}
                if asset == "inside":
                    readers["zarr"] = of_array(tree[f"{level}/b1"])
                for at in ("any place", "tiles"):
                    costs = compare(readers, options.size >> level, at, options)
                    rows.append(f"| {title} | {level} | {at} | {cells(costs, options.windows)} |")
                    print(rows[-1], flush=True)
    return rows


def compare(
    readers: dict[str, Read], size: int, at: str, options: argparse.Namespace
) -> dict[str, list[Cost]]:
    """Return what each turn of each reader took; the first turn only warms up."""
    rng = np.random.default_rng(1)
    found: dict[str, list[Cost]] = {name: [] for name in readers}
    for turn in range(options.turns + 1):
        places = rng.integers(0, size - WINDOW + 1, (options.windows, 2))
        if at == "tiles":
            places = places // WINDOW * WINDOW
        chosen = [(int(row), int(col)) for row, col in places]
        if turn == 0 and at == "any place":
            pixels = [read(*chosen[0]) for read in readers.values()]
            # Overviews of the COG are GDAL's; those of the store geobatch's.
            same = pixels if size == options.size else [pixels[0], pixels[-1]][: len(pixels) - 1]
            assert all(np.array_equal(one, same[0]) for one in same)
        for name, read in readers.items():
            cost = timed(read, chosen)
            if turn:
                found[name].append(cost)
    return found


def cells(costs: dict[str, list[Cost]], windows: int) -> str:
    """Return what a reader takes for a window, and the ratios of geobatch to the others."""
    values, ratios = [], []
    for name in ("geobatch", "zarr", "rasterio"):
        turns = costs.get(name, [])
        values += [
            f"{median(part) / windows * 1000:.2f}" if turns else ""
            for part in (
                [cost.wall for cost in turns],
                [cost.cpu for cost in turns],
            )
        ]
        if name != "geobatch":
            pairs = zip(costs["geobatch"], turns, strict=False)
            found = [ours.wall / theirs.wall for ours, theirs in pairs]
            ratios.append(f"{median(found):.2f}" if found else "")
    return " | ".join([*values, *ratios])


if __name__ == "__main__":
    main()
