"""Runs geobatch and its rivals in turn, as whole processes, and writes the table of results.

    uv run --group bench python benchmarks/run.py [--runs 3] [--size N] [--only NAME ...]

Every rival's run follows directly on a run of geobatch, and ratios are taken within such pairs, so
that a machine that slows down for a while slows both. The first round warms caches and counts for
nothing. A run at full size of everything writes `benchmarks/results.md`; any other only prints.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from machine import machine_facts
from measure import CommandError, Cost, measure

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
FULL_SIZE = 10980
MEMORY_LIMIT = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Another way to make the same pyramid."""

    name: str
    """What `--only` calls it."""
    script: str
    """Its script and options, in `rivals/`."""
    title: str
    """What the table calls it."""
    target: float | None
    """The ratio geobatch / rival that is to be reached on two cores, of wall seconds; None where
    the rival is shown for what it is."""


RIVALS = (
    Rival(
        name="tensorstore",
        script="tensorstore_downsample.py",
        title="rasterio + tensorstore `downsample`",
        target=0.9,
    ),
    Rival(name="gdal_cog", script="gdal_cog.py", title="GDAL COG driver", target=0.35),
    Rival(
        name="dask",
        script="dask_plain.py",
        title="rioxarray + dask `coarsen` + `to_zarr`",
        target=0.3,
    ),
    Rival(
        name="tensorstore_no_sync",
        script="tensorstore_downsample.py --no-sync",
        title="the same tensorstore, nothing made durable",
        target=None,
    ),
    Rival(
        name="dask_tuned",
        script="dask_coarsen.py",
        title="the same dask, tuned by hand",
        target=None,
    ),
)
ROOM = 10 << 30
"""Bytes of disk that the next runs may need."""
EXTRAS = ("commands", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured run."""

    cost: Cost
    """What the process cost."""
    written: float
    """MB of 10**6 bytes that it left on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A run of geobatch and the rival's run that followed it."""

    geobatch: Sample
    """The run of geobatch."""
    rival: Sample
    """The run of the rival."""

    @property
    def ratio(self) -> float:
        """Wall seconds of geobatch for each second of the rival."""
        return self.geobatch.cost.wall / self.rival.cost.wall


class Bench:
    """The commands that are measured, at one choice of options."""

    def __init__(self, *, interleave: str, timeout: float, work: Path = WORK) -> None:
        self.interleave = interleave
        self.timeout = timeout
        self.work = work
        self.outputs = work / "output"
        self.room: float = ROOM
        self.number = 0
        self.logs = work / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    def run(self, *command: str) -> Cost:
        """Measure one command of this interpreter."""
        return measure([sys.executable, *command], logs=self.logs, timeout=self.timeout)

    @property
    def output(self) -> Path:
        """The folder of the current run."""
        return self.outputs / str(self.number)

    def begin(self) -> None:
        """Give the next run a folder of its own, and let the disk come to rest.

        Nothing is deleted while there is room: for minutes after, ext4 makes new files slowly.
        """
        self.number += 1
        self.outputs.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.outputs).free < self.room:
            self.clear()
        os.sync()

    def clear(self) -> None:
        """Remove what the runs wrote."""
        shutil.rmtree(self.outputs, ignore_errors=True)

    def source(self, size: int) -> Path:
        """Make the workload unless it is there, and return its path."""
        options = [
            "--size",
            str(size),
            "--interleave",
            self.interleave,
            "--directory",
            str(self.work),
        ]
        said = self.run(str(HERE / "make_workload.py"), *options).output
        return self.work / said.split(":")[0]

    def spec(self, size: int) -> Path:
        """Return the spec of a workload: the committed one, or its copy for another raster."""
        source = self.source(size)
        committed = HERE / "specs" / "big.yaml"
        text = committed.read_text()
        if source.name in text:
            return committed
        path = source.with_suffix(".yaml")
        path.write_text(text.replace(f"../work/workload_{FULL_SIZE}.tif", source.name))
        return path

    def apply(self, spec: Path, *, is_fresh: bool = True) -> Sample:
        """Run `geobatch apply`, in a fresh store or in the one that the last run left."""
        if is_fresh:
            self.begin()
        cost = self.run(
            "-m", "geobatch", "apply", "--init", str(spec), "--store", str(self.output), "--json"
        )  # fmt: skip
        lines = [json.loads(line) for line in cost.output.splitlines() if line.strip()]
        summaries = [line for line in lines if line.get("type") == "summary"]
        if not summaries or lines[-1] != {"type": "exit", "code": 0}:
            raise CommandError(f"`apply --json` ended without a summary and exit 0: {lines[-2:]}")
        if (summaries[-1]["commit"] is not None) != is_fresh:
            raise CommandError(f"a commit was due: {is_fresh}, but apply said {summaries[-1]}")
        return Sample(cost=cost, written=disk_use(self.output))

    def rival(self, rival: Rival, source: Path, *options: str) -> Sample:
        """Run a rival over a raster."""
        self.begin()
        script, *own = rival.script.split()
        command = (str(HERE / "rivals" / script), str(source), str(self.output))
        cost = self.run(*command, *own, *options)
        return Sample(cost=cost, written=disk_use(self.output))


def disk_use(folder: Path) -> float:
    """Return the MB of the files under a folder, hard links counted once."""
    stats = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in stats}.values()) / 1e6


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all but the first column are aligned to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(row: Sequence[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return "| " + " | ".join(cells) + " |"

    return "\n".join(line(row) for row in [header, rule, *rows])


def cost_cells(samples: Sequence[Sample]) -> list[str]:
    """Return the cells of a row: medians, and the worst peak memory."""
    walls = [sample.cost.wall for sample in samples]
    return [
        f"{median(walls):.2f}",
        f"{min(walls):.2f} .. {max(walls):.2f}",
        f"{median(sample.cost.cpu for sample in samples):.2f}",
        f"{max(sample.cost.memory for sample in samples):.0f}",
        f"{median(sample.written for sample in samples):.0f}",
    ]


def compare(bench: Bench, *, rivals: Sequence[Rival], size: int, runs: int) -> str:
    """Run geobatch against the rivals and return the two tables of what they cost."""
    spec, source = bench.spec(size), bench.source(size)
    pairs: dict[str, list[Pair]] = {rival.name: [] for rival in rivals}
    for number in range(runs + 1):
        for rival in rivals:
            pair = Pair(geobatch=bench.apply(spec), rival=bench.rival(rival, source))
            note = "warm-up" if number == 0 else f"run {number}"
            print(
                f"{note}: {rival.name}: {pair.geobatch.cost.wall:.2f} s against "
                f"{pair.rival.cost.wall:.2f} s, ratio {pair.ratio:.2f}",
                file=sys.stderr,
            )
            if number:
                pairs[rival.name].append(pair)
    own = [pair.geobatch for found in pairs.values() for pair in found]
    memory = max(sample.cost.memory for sample in own)
    header = ["", "wall s", "range s", "CPU s", "peak RSS MB", "written MB"]
    rows = [["**geobatch apply**", *cost_cells(own)]]
    rows += [
        [rival.title, *cost_cells([pair.rival for pair in pairs[rival.name]])] for rival in rivals
    ]
    ratios = []
    for rival in rivals:
        found = [pair.ratio for pair in pairs[rival.name]]
        each = ", ".join(f"{ratio:.2f}" for ratio in found)
        met = "" if rival.target is None else "yes" if median(found) <= rival.target else "NO"
        ratios.append(
            [
                rival.title,
                f"{median(found):.2f}",
                each,
                "" if rival.target is None else f"{rival.target}",
                met,
            ]
        )
    peak = "yes" if memory <= MEMORY_LIMIT else "NO"
    return "\n".join(
        [
            "## Cost\n",
            table(header, rows),
            "\n## Ratios: wall seconds of geobatch / the rival's, pair by pair\n",
            table(["rival", "median", "each", "at most", "met"], ratios),
            f"\nPeak RSS of geobatch: {memory:.0f} MB; at most {MEMORY_LIMIT} MB: {peak}.",
        ]
    )


def time_commands(bench: Bench, *, size: int, runs: int) -> str:
    """Time the commands that should answer in a blink."""
    spec = bench.spec(size)
    bench.apply(spec)
    commands: dict[str, Callable[[], Cost]] = {
        "`geobatch --help`": partial(bench.run, "-m", "geobatch", "--help"),
        "`geobatch validate`": partial(bench.run, "-m", "geobatch", "validate", str(spec)),
        "`geobatch apply`, nothing to do": lambda: bench.apply(spec, is_fresh=False).cost,
    }
    rows = []
    for name, command in commands.items():
        costs = [command() for _ in range(max(runs, 3) + 1)][1:]
        walls = [cost.wall for cost in costs]
        rows.append(
            [
                name,
                f"{median(walls):.2f}",
                f"{min(walls):.2f} .. {max(walls):.2f}",
                f"{max(cost.memory for cost in costs):.0f}",
            ]
        )
    return "## Short commands\n\n" + table(["", "wall s", "range s", "peak RSS MB"], rows)


def measure_memory(bench: Bench, *, size: int) -> str:
    """Measure the peak memory of `apply` over rasters of growing size."""
    rows = []
    for side in (size // 4, size // 2, size):
        sample = bench.apply(bench.spec(side))
        rows.append(
            [
                f"4 x {side} x {side}",
                f"{4 * side * side * 2 / 1e6:.0f}",
                f"{sample.cost.memory:.0f}",
                f"{sample.cost.wall:.2f}",
            ]
        )
    header = ["raster", "pixels MB", "peak RSS MB", "wall s"]
    return "## Peak memory against raster size\n\n" + table(header, rows)


def describe(*, source: Path, size: int, interleave: str, runs: int) -> str:
    """Return the head of the report: what was run, on what."""
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    return (
        "# Results\n\n"
        "Written by `benchmarks/run.py`; what is compared, and how: [README.md](README.md).\n\n"
        f"Workload: 4 bands of {size} x {size} uint16, {interleave}-interleaved, "
        f"{source.stat().st_size / 1e6:.0f} MB on disk, {8 * size * size / 1e6:.0f} MB of pixels. "
        f"Medians; measured runs of each pair: {runs}, after one warm-up.\n\n{facts}"
    )


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    names = [rival.name for rival in RIVALS]
    parser = argparse.ArgumentParser(description="Compare geobatch with its rivals.")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each pair")
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="side of the raster in pixels")
    parser.add_argument("--interleave", choices=("pixel", "band"), default="pixel")
    parser.add_argument("--only", nargs="+", choices=[*names, *EXTRAS], help="measure just these")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each process")
    parser.add_argument("--output", type=Path, help="write the report here")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    chosen = arguments.only or [*names, *EXTRAS]
    rivals = [rival for rival in RIVALS if rival.name in chosen]
    size, runs = arguments.size, arguments.runs
    is_whole = (arguments.only, size, arguments.interleave) == (None, FULL_SIZE, "pixel")
    output = arguments.output or (HERE / "results.md" if is_whole else None)
    bench = Bench(interleave=arguments.interleave, timeout=arguments.timeout)
    try:
        source = bench.source(size)
        parts = [describe(source=source, size=size, interleave=arguments.interleave, runs=runs)]
        if rivals:
            parts.append(compare(bench, rivals=rivals, size=size, runs=runs))
        if "commands" in chosen:
            parts.append(time_commands(bench, size=size, runs=runs))
        if "memory" in chosen:
            parts.append(measure_memory(bench, size=size))
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        bench.clear()
    report = "\n\n".join(parts) + "\n"
    print(report)
    if output:
        output.write_text(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
