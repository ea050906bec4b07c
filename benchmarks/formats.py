"""Runs geobatch and its rivals on TIFFs of many formats, as whole processes in turn.

    uv run --group bench python benchmarks/formats.py [--runs 3] [--size N] [--only NAME ...]

The rows of several runs are kept in the folder of work, against each rival those of the last one;
the table has all of one size.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import rasterio
import zarr
from machine import machine_facts
from make_formats import FORMATS, Content, Format, make_format
from measure import CommandError
from run import RIVALS, WORK, Bench, Pair, Rival, table

CHOSEN = [rival for rival in RIVALS if rival.target is not None]
"""tensorstore, GDAL COG, and dask as its users write it."""
SHORT = {"tensorstore": "tensorstore", "gdal_cog": "GDAL COG", "dask": "dask"}
TOP = 512
"""Where GDAL's overviews end; the others make one more level."""


class Run:
    """The pairs of one format."""

    def __init__(
        self, bench: Bench, chosen: Format, source: Path, *, against: Sequence[str]
    ) -> None:
        self.against = against
        self.bench = bench
        self.chosen = chosen
        self.source = source
        self.spec = source.with_suffix(".yaml")
        self.spec.write_text(spec_of(source, chosen.content))

    def rivals(self) -> list[Rival]:
        """Return those that can do it: dask has no majority in a few lines."""
        is_mode = self.chosen.content.policy == "MODE"
        able = [rival for rival in CHOSEN if not (is_mode and rival.name == "dask")]
        return [rival for rival in able if rival.name in self.against]

    def pair(self, rival: Rival, *, is_checked: bool) -> Pair:
        """Run geobatch, then a rival."""
        own = self.bench.apply(self.spec)
        shapes = zarr_shapes(self.bench.output / "zarr/benchmark/format", "b1")
        options = ["--mode"] if self.chosen.content.policy == "MODE" else []
        found = Pair(geobatch=own, rival=self.bench.rival(rival, self.source, *options))
        if is_checked:
            check(rival, self.bench.output, shapes)
        return found

    def measure(self, runs: int) -> dict[str, Any]:
        """Return what the row of the table is made of, after one round that counts for nothing."""
        pairs: dict[str, list[Pair]] = {rival.name: [] for rival in self.rivals()}
        for number in range(runs + 1):
            for rival in self.rivals():
                found = self.pair(rival, is_checked=number == 0)
                if number:
                    pairs[rival.name].append(found)
        own = [one.geobatch.cost for several in pairs.values() for one in several]
        return {
            "title": self.chosen.title,
            "file": self.source.stat().st_size / 1e6,
            "wall": median(cost.wall for cost in own),
            "cpu": median(cost.cpu for cost in own),
            "rivals": {
                name: {
                    "wall": median(one.rival.cost.wall for one in several),
                    "cpu": median(one.rival.cost.cpu for one in several),
                    "own_cpu": median(one.geobatch.cost.cpu for one in several),
                    "ratios": [one.ratio for one in several],
                }
                for name, several in pairs.items()
            },
        }


def spec_of(source: Path, content: Content) -> str:
    """Return the spec of a raster."""
    bands = "".join(
        f"  - {{id: b{number + 1}, tileset_id: main, tileset_band_index: {number}}}\n"
        for number in range(content.bands)
    )
    return (
        "kind: image\nid: benchmark/format\n"
        f"tilesets:\n  - {{id: main, sources: [{{uris: [{source.name}]}}]}}\n"
        f"bands:\n{bands}pyramiding_policy: {content.policy}\ntiling: {{tile: 512}}\n"
    )


def zarr_shapes(folder: Path, name: str) -> list[tuple[int, ...]]:
    """Return the rows and columns of each level of a Zarr tree, level 0 first."""
    levels = sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())
    found = []
    for level in levels:
        array = zarr.open(folder / str(level) / name if name else folder / str(level), mode="r")
        array = array["pixels"] if isinstance(array, zarr.Group) else array
        found.append(array.shape[-2:])
    return found


def check(rival: Rival, output: Path, expected: Sequence[tuple[int, ...]]) -> None:
    """Refuse a rival that made other levels; dask may omit an odd row, and GDAL the top.

    Raises:
        CommandError: The levels differ.
    """
    if rival.name == "gdal_cog":
        with rasterio.open(output / "out.tif") as raster:
            height, width = raster.shape
            halves = raster.overviews(1)
        found = [(height, width), *((-(-height // up), -(-width // up)) for up in halves)]
        expected = expected[: len(found)]
        if min(found[-1]) > TOP:
            raise CommandError(f"{rival.name} ends at {found[-1]}")
    else:
        found = zarr_shapes(output, "")
    off = 1 if rival.name == "dask" else 0
    pairs = zip(found, expected, strict=False)
    if len(found) != len(expected) or any(
        abs(a - b) > off for one, other in pairs for a, b in zip(one, other, strict=True)
    ):
        raise CommandError(f"{rival.name} made levels of {found}, geobatch {expected}")


def report(rows: Sequence[dict[str, Any]], *, size: int, media: str) -> str:
    """Return the page."""
    header = ["", "file MB", "geobatch s (CPU)"]
    header += [f"{SHORT[rival.name]} s (CPU)" for rival in CHOSEN]
    lines, ratios = [], []
    for row in rows:
        found = [row["rivals"].get(rival.name) for rival in CHOSEN]
        own = f"{row['wall']:.2f} ({row['cpu']:.2f})"
        lines.append([row["title"], f"{row['file']:.0f}", own, *map(_cost, found)])
        ratios.append(
            [row["title"], *(cell(one) for one in found for cell in (_ratio, _cpu_ratio))]
        )
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    against = [name for rival in CHOSEN for name in (f"/ {SHORT[rival.name]}", "CPU")]
    return (
        "# Formats\n\n"
        "Written by `benchmarks/formats.py`; what is compared, and how: [README.md](README.md).\n\n"
        f"Whole processes, one after the other, after one round that counts for nothing. {media}\n"
        f"The relief has 4 bands of {size} x {size} uint16, RGB 3 bands of {2 * size} x {2 * size} "
        f"uint8, the floats 2 bands of\n{size} x {size}, the classes 1 band of {2 * size} x "
        f"{2 * size}. dask has no majority in a few lines.\n\n{facts}\n\n"
        f"## Seconds\n\n{table(header, lines)}\n\n"
        "## Ratios\n\nWall seconds of geobatch / the rival's: the median of the pairs, and each; "
        "and the ratio of the medians of CPU\nseconds in the same pairs.\n\n"
        f"{table(['', *against], ratios)}\n"
    )


def _cost(found: dict[str, Any] | None) -> str:
    return "none" if found is None else f"{found['wall']:.2f} ({found['cpu']:.2f})"


def _ratio(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    each = ", ".join(f"{ratio:.2f}" for ratio in found["ratios"])
    return f"{median(found['ratios']):.2f}: {each}"


def _cpu_ratio(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['own_cpu'] / found['cpu']:.2f}"


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare geobatch with rivals, by format.")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each pair")
    parser.add_argument("--size", type=int, default=5490, help="side of the relief in pixels")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in FORMATS])
    parser.add_argument("--against", nargs="+", choices=[*SHORT], default=[*SHORT])
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each process")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of rasters and outputs")
    parser.add_argument("--outputs", type=Path, help="folder in memory for outputs")
    parser.add_argument("--output", type=Path, help="write the report here")
    arguments = parser.parse_args()
    bench = Bench(interleave="pixel", timeout=arguments.timeout, work=arguments.work)
    if arguments.outputs is not None:
        bench.outputs, bench.room = arguments.outputs, math.inf  # each run's is deleted at once
    kept = arguments.work / f"formats_{arguments.size}.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    try:
        for chosen in FORMATS:
            if arguments.only and chosen.name not in arguments.only:
                continue
            source = make_format(chosen, directory=arguments.work, size=arguments.size)
            run = Run(bench, chosen, source, against=arguments.against)
            before = rows.get(chosen.name, {}).get("rivals", {})
            row = rows[chosen.name] = run.measure(arguments.runs)
            row["rivals"] = before | row["rivals"]
            kept.write_text(json.dumps(rows))
            ratios = {name: one["ratios"] for name, one in rows[chosen.name]["rivals"].items()}
            print(f"{chosen.name}: {rows[chosen.name]['wall']:.2f} s; {ratios}", file=sys.stderr)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        bench.clear()
    ordered = [rows[one.name] for one in FORMATS if one.name in rows]
    outputs = "on a disk" if arguments.outputs is None else "in memory"
    media = f"Files are on a disk, and in\nthe page cache; outputs are {outputs}."
    text = report(ordered, size=arguments.size, media=media)
    print(text)
    if arguments.output:
        arguments.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
