"""Measures that geobatch does work in proportion to what changed, and writes the table of it.

    uv run --group bench python benchmarks/increments.py [--runs 3] [--size N] [--only NAME ...]

Whole processes, as in run.py; ratios are taken between runs that follow each other. A run of
everything at full size writes `benchmarks/increments.md`; any other only prints.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from machine import machine_facts
from measure import CommandError, Cost, LateError, measure
from run import FULL_SIZE, HERE, WORK, Bench, table

BLOCKS = 3
"""Blocks that are rewritten after each full ingest, one after the other."""
BLOCK = 512
SETTLE = 0.1
"""Seconds that a file rests before it is looked at, so that its stat counts as evidence."""
NAMES = ("edit", "rehearse", "noop", "documents", "collection", "files", "index", "resume")
SIGNALS = (signal.SIGINT, signal.SIGKILL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table: a quantity and what it may be."""

    title: str
    """What was measured."""
    values: tuple[float, ...]
    """One per measured run."""
    limit: float
    """What the median may be at most."""
    unit: str
    """`x` for a ratio, `s`, `ms` or `MB`."""

    @property
    def is_met(self) -> bool:
        """Whether the median is within the limit."""
        return median(self.values) <= self.limit

    def cells(self) -> list[str]:
        """Return the row of the table."""
        digits = {"x": 3, "s": 2}.get(self.unit, 0)
        low, high, middle = min(self.values), max(self.values), median(self.values)
        return [
            self.title,
            f"{middle:,.{digits}f} {self.unit}",
            f"{low:,.{digits}f} .. {high:,.{digits}f}",
            f"{len(self.values)}",
            f"{self.limit:g} {self.unit}",
            "yes" if self.is_met else "NO",
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Increments:
    """The measurements, at one choice of options; each returns its lines of the table."""

    size: int
    """Side of the raster in pixels."""
    scale: float
    """Share of the full number of assets, files and tiles."""
    runs: int
    """Measured runs of each."""
    patience: float
    """Seconds that the first apply of very many files may take."""
    timeout: float
    """Seconds that any other process may take."""
    notes: list[str] = field(default_factory=list)
    """What the report has to say besides."""

    @property
    def folder(self) -> Path:
        """Where everything of these measurements lies."""
        return WORK / "increments"

    def run(self, *command: str | Path, timeout: float | None = None) -> Cost:
        """Measure one command of this interpreter."""
        texts = [sys.executable, *map(str, command)]
        return measure(texts, logs=WORK / "logs", timeout=timeout or self.timeout)

    def geobatch(self, *command: str | Path, store: Path, timeout: float | None = None) -> Cost:
        """Measure one command of geobatch on a store."""
        return self.run("-m", "geobatch", *command, "--store", store, timeout=timeout)

    def apply(self, spec: Path, *, store: Path) -> tuple[Cost, dict[str, object]]:
        """Run an apply that has to publish something; return its cost and its summary."""
        cost = self.geobatch("apply", "--init", spec, "--json", store=store)
        lines = [json.loads(line) for line in cost.output.splitlines() if line.strip()]
        summary: dict[str, object] = next(x for x in lines if x.get("type") == "summary")
        if summary["commit"] is None:
            raise CommandError(f"a commit was due, but apply said {summary}")
        return cost, summary

    def count(self, full: int) -> int:
        """Return how many of something there are at this scale."""
        return max(int(full * self.scale), 10)

    def fresh(self, name: str) -> Path:
        """Return the place of a store that is not there, on a disk that rests."""
        store = self.folder / name
        shutil.rmtree(store, ignore_errors=True)
        os.sync()
        return store

    def repeat(self, command: Callable[[], Cost]) -> list[Cost]:
        """Return the costs of a command, at least three, after one warm-up."""
        return [command() for _ in range(max(self.runs, 3) + 1)][1:]

    def edit(self) -> list[Line]:
        """Measure a rewritten block and another policy of one band against the full ingest."""
        source, spec, other = self._workload()
        side = -(-self.size // BLOCK)
        blocks: list[float] = []
        policies: list[float] = []
        for number in range(self.runs + 1):
            store = self.fresh("edit")
            full = self.apply(spec, store=store)[0].wall
            found = []
            for step in range(BLOCKS):
                # Away from the corner of nodata, and never the same block twice in a store.
                place = (number + step * side // BLOCKS) % side, side - 1 - (step + number) % side
                self.run(HERE / "rewrite_block.py", source, *map(str, place))
                os.sync()
                time.sleep(SETTLE)
                plan = self.geobatch("plan", spec, store=store)
                cost, summary = self.apply(spec, store=store)
                found.append((plan.wall + cost.wall) / full)
                self._say(
                    f"edit {number}: full {full:.2f} s, block {place}: plan {plan.wall:.2f} s, "
                    f"apply {cost.wall:.2f} s, {summary}"
                )
            os.sync()
            cost, summary = self.apply(other, store=store)
            self._say(f"edit {number}: policy: {cost.wall:.2f} s, {summary}")
            if number:
                blocks.extend(found)
                policies.append(cost.wall / full)
        self.fresh("edit")
        return [
            Line(
                title="one rewritten block: plan + apply / full ingest",
                values=tuple(blocks), limit=0.15, unit="x",
            ),
            Line(
                title="another policy for one band of four: apply / full ingest",
                values=tuple(policies), limit=0.25, unit="x",
            ),
        ]  # fmt: skip

    def rehearse(self) -> list[Line]:
        """Measure a rehearsal, and the apply that publishes it, against the full ingest."""
        _, spec, _ = self._workload()
        plan = self.folder / "rehearsed.json"
        rehearsals: list[float] = []
        applies: list[float] = []
        for number in range(self.runs + 1):
            full = self.apply(spec, store=self.fresh("full"))[0].wall
            store = self.fresh("rehearse")
            first = self.geobatch("plan", spec, "--init", "--rehearse", "-o", plan, store=store)
            os.sync()
            second, summary = self.apply(plan, store=store)
            self._say(
                f"rehearse {number}: full {full:.2f} s, rehearsal {first.wall:.2f} s, "
                f"apply {second.wall:.2f} s, {summary}"
            )
            if number:
                rehearsals.append(first.wall / full)
                applies.append(second.wall / full)
        for name in ("full", "rehearse"):
            self.fresh(name)
        return [
            Line(
                title="rehearsed plan: apply / full ingest",
                values=tuple(applies), limit=0.05, unit="x",
            ),
            Line(
                title="plan --rehearse / full ingest",
                values=tuple(rehearsals), limit=1.5, unit="x",
            ),
        ]  # fmt: skip

    def noop(self) -> list[Line]:
        """Measure a plan of one asset to which nothing happened."""
        _, spec, _ = self._workload()
        store = self.fresh("edit")
        self.apply(spec, store=store)
        costs = self.repeat(lambda: self._plan_nothing(spec, store))
        self.fresh("edit")
        return [_wall("no-op plan of one asset", costs, limit=0.4)]

    def documents(self) -> list[Line]:
        """Measure a no-op plan of 10,000 images, each a document of one YAML file."""
        return self._many("documents", "of one YAML file")

    def collection(self) -> list[Line]:
        """Measure a no-op plan of 10,000 images that one rule declares."""
        return self._many("collection", "of one rule")

    def files(self) -> list[Line]:
        """Measure a no-op plan of a collection of 100,000 files, or only its `validate`."""
        count = self.count(100_000)
        folder = self._make_many(count, side=16, distinct=100)
        spec, store = folder / "collection.yaml", self.fresh(f"{folder.name}-files")
        title = f"{count:,} files in one collection"
        lines = [
            _wall(
                f"`validate` of {title}",
                self.repeat(lambda: self.geobatch("validate", spec, store=store)),
                limit=15,
            )
        ]
        try:
            cost = self.geobatch("apply", "--init", spec, store=store, timeout=self.patience)
        except LateError:
            self.notes.append(
                f"The first apply of {title} was stopped after {self.patience:.0f} s, "
                "so no plan of it was measured, only `validate`."
            )
            never = (math.inf,)
            lines.append(Line(title=f"no-op plan of {title}", values=never, limit=5, unit="s"))
        else:
            self.notes.append(f"The first apply of {title} took {cost.wall:.0f} s.")
            costs = self.repeat(lambda: self._plan_nothing(spec, store))
            lines.append(_wall(f"no-op plan of {title}", costs, limit=5))
            memory = tuple(cost.memory for cost in costs)
            lines.append(
                Line(title=f"no-op plan of {title}, peak RSS", values=memory, limit=300, unit="MB")
            )
        self.fresh(store.name)
        return lines

    def index(self) -> list[Line]:
        """Measure the index of an asset of 10**7 simulated tiles."""
        tiles = self.count(10**7)
        folder = self._make_many(10, side=64, distinct=10)
        first = folder / "first.yaml"
        first.write_text((folder / "documents.yaml").read_text().split("---\n")[1])
        store = self.fresh("index")
        self.apply(first, store=store)
        script = HERE / "time_index.py"
        self.run(script, "build", store, "--tiles", str(tiles))
        os.sync()
        commits, diffs = [], []
        for seed in range(1, max(self.runs, 3) + 2):
            commits.append(self.run(script, "commit", store, "--seed", str(seed)))
            diffs.append(self.run(script, "diff", store))
        self.fresh("index")
        title = f"an index of {tiles:,} tiles"
        return [
            Line(title=f"{title}: open and diff", values=_inner_ms(diffs[1:]), limit=50, unit="ms"),
            Line(
                title=f"{title}: commit one tile",
                values=_inner_ms(commits[1:]), limit=200, unit="ms",
            ),
            Line(
                title=f"{title}: commit one tile, peak RSS",
                values=tuple(cost.memory for cost in commits[1:]), limit=200, unit="MB",
            ),
        ]  # fmt: skip

    def resume(self) -> list[Line]:
        """Measure the run after one that was killed at half, against a whole run."""
        small = self._make_many(self.count(1_500), side=256, distinct=self.count(1_500))
        large = self._make_many(self.count(20), side=2448, distinct=self.count(20))
        return [*self._resumed(small), *self._resumed(large)]

    def _resumed(self, folder: Path) -> list[Line]:
        """Nothing is deleted before the end: for minutes after that, new files are made slowly."""
        spec, place = folder / "collection.yaml", self.fresh(f"{folder.name}-resume")
        found: dict[tuple[str, signal.Signals], list[float]] = {}
        for number in range(self.runs + 1):
            store = place / f"{number}-whole"
            whole, summary = self.apply(spec, store=store)
            read, half = _bytes_read(summary), _count_files(store / "objects") // 2
            for one in SIGNALS:
                store = place / f"{number}-{one.name}"
                self._kill_at(half, one, spec, store=store)
                os.sync()
                cost, summary = self.apply(spec, store=store)
                ratios = {
                    "time": cost.wall / whole.wall,
                    "CPU time": cost.cpu / whole.cpu,
                    "bytes read": _bytes_read(summary) / read,
                }
                self._say(
                    f"{folder.name} {number}: whole {whole.wall:.2f} s (CPU {whole.cpu:.2f} s), "
                    f"after {one.name} {cost.wall:.2f} s (CPU {cost.cpu:.2f} s), {summary}"
                )
                for name, ratio in ratios.items() if number else ():
                    found.setdefault((name, one), []).append(ratio)
        self.fresh(place.name)
        count = folder.name.split("-")[1]
        return [
            Line(
                title=f"{int(count):,} images, {one.name} at half: {name} of the rerun / whole run",
                values=tuple(values), limit=0.6, unit="x",
            )
            for (name, one), values in found.items()
        ]  # fmt: skip

    def _kill_at(self, objects: int, number: signal.Signals, spec: Path, *, store: Path) -> None:
        """Run an apply until there are so many objects, and have a signal end it."""
        command = ["-m", "geobatch", "apply", "--init", str(spec), "--store", str(store)]
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            # A shell starts its background jobs with SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        while process.poll() is None and _count_files(store / "objects") < objects:
            time.sleep(0.02)
        process.send_signal(number)
        if process.wait(self.timeout) == 0:
            raise CommandError("the run was over before it was killed")

    def _many(self, name: str, what: str) -> list[Line]:
        count = self.count(10_000)
        folder = self._make_many(count, side=64, distinct=count)
        spec, store = folder / f"{name}.yaml", self.fresh(f"{folder.name}-{name}")
        cost, _ = self.apply(spec, store=store)
        self.notes.append(f"The first apply of {count:,} images {what} took {cost.wall:.0f} s.")
        costs = self.repeat(lambda: self._plan_nothing(spec, store))
        self.fresh(store.name)
        title = f"no-op plan of {count:,} images {what}"
        memory = tuple(cost.memory for cost in costs)
        return [
            _wall(title, costs, limit=2),
            Line(title=f"{title}, peak RSS", values=memory, limit=250, unit="MB"),
        ]

    def _plan_nothing(self, spec: Path, store: Path) -> Cost:
        """Run a plan that exits with 2, and so fails, where there is anything to do."""
        cost = self.geobatch("plan", spec, "--detailed-exitcode", store=store)
        self._say(f"plan: {cost.wall:.2f} s, {cost.memory:.0f} MB")
        return cost

    def _workload(self) -> tuple[Path, Path, Path]:
        """Return a copy of the benchmark raster, its spec, and one with another policy."""
        committed = HERE / "specs" / "big.yaml"
        made = Bench(interleave="pixel", timeout=self.timeout).source(self.size)
        self.folder.mkdir(parents=True, exist_ok=True)
        source = self.folder / "edited.tif"
        shutil.copyfile(made, source)
        text = committed.read_text().replace(f"../work/workload_{FULL_SIZE}.tif", source.name)
        spec, other = self.folder / "edited.yaml", self.folder / "policy.yaml"
        spec.write_text(text)
        band = "tileset_band_index: 3"
        other.write_text(text.replace(band, f"{band}, pyramiding_policy: MAX"))
        return source, spec, other

    def _make_many(self, count: int, *, side: int, distinct: int) -> Path:
        folder = self.folder / f"many-{count}-{side}"
        options = ("--count", count, "--side", side, "--distinct", distinct)
        self.run(HERE / "make_many.py", folder, *map(str, options))
        return folder

    @staticmethod
    def _say(text: str) -> None:
        print(text, file=sys.stderr)


def _wall(title: str, costs: Sequence[Cost], *, limit: float) -> Line:
    return Line(title=title, values=tuple(cost.wall for cost in costs), limit=limit, unit="s")


def _bytes_read(summary: dict[str, object]) -> int:
    counts = summary["bytes"]
    assert isinstance(counts, dict)
    return int(counts["read"])


def _count_files(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def _inner_ms(costs: Sequence[Cost]) -> tuple[float, ...]:
    return tuple(1000 * json.loads(cost.output)["seconds"] for cost in costs)


def describe(increments: Increments, lines: Sequence[Line]) -> str:
    """Return the report."""
    header = ["", "median", "range", "runs", "at most", "met"]
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    size = increments.size
    origin = "Written by `benchmarks/increments.py`; how: [README.md](README.md)."
    raster = (
        f"The raster: 4 bands of {size} x {size} uint16, {8 * size * size / 1e6:.0f} MB of pixels. "
        "Medians, after one warm-up."
    )
    return "\n\n".join(
        [
            "# Increments",
            f"{origin}\n\n{raster}",
            facts,
            table(header, [line.cells() for line in lines]),
            *increments.notes,
        ]
    )


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    parser = argparse.ArgumentParser(description="Measure what small changes cost.")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each")
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="side of the raster in pixels")
    parser.add_argument("--scale", type=float, default=1, help="share of the assets, files, tiles")
    parser.add_argument("--only", nargs="+", choices=NAMES, help="measure just these")
    parser.add_argument(
        "--patience", type=float, default=1800, help="seconds for the first apply of 100,000 files"
    )
    parser.add_argument("--timeout", type=float, default=600, help="seconds for any other process")
    parser.add_argument("--output", type=Path, help="write the report here")
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error("--runs: at least 1")
    if arguments.size < 2 * BLOCK:
        parser.error(f"--size: at least {2 * BLOCK}")
    increments = Increments(
        size=arguments.size,
        scale=arguments.scale,
        runs=arguments.runs,
        patience=arguments.patience,
        timeout=arguments.timeout,
    )
    is_whole = (arguments.only, arguments.size, arguments.scale) == (None, FULL_SIZE, 1)
    output = arguments.output or (HERE / "increments.md" if is_whole else None)
    (WORK / "logs").mkdir(parents=True, exist_ok=True)
    lines: list[Line] = []
    failed: list[str] = []
    for name in arguments.only or NAMES:
        try:
            lines += getattr(increments, name)()
        except CommandError as error:
            # What was measured before is not lost, nor what can be measured after.
            print(f"error: {name}: {error}", file=sys.stderr)
            failed.append(name)
    if failed:
        increments.notes.append(f"Not measured, since a command failed: {', '.join(failed)}.")
    report = describe(increments, lines) + "\n"
    print(report)
    if output:
        output.write_text(report)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
