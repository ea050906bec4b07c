"""Measures commands that find nothing to do, of 100,000 and of a million images.

    uv run python benchmarks/million_plans.py [--images N ...] [--folder DIR] [--output FILE]
    uv run python benchmarks/million_plans.py --images N ... --folder DIR --steps prove make measure

Real are: the files, the spec (one collection over folders of 10,000 files), the resolved images,
their fingerprints, their asset documents, the entries and pages of the tree, the origins, the
commit, the cache that the first plan fills, and every command, a process of its own.

Not real are: the files are hard links to 100 TIFFs of 16 x 16 pixels, so they share inodes; only
the first 100 images are ingested by `apply`, and the documents of all others name the tiles of the
one of these that has the same fingerprint; all documents are put by one process, in pages; and
the Zarr tree, which a plan does not read, shows the first 100 images alone.

The step `prove` applies 1,000 images for real into a second store, and compares the trees. What
makes and proves are processes of their own, since a command's peak memory is at least that of the
process which started it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from machine import machine_facts
from measure import CommandError, Cost, measure

LIMITS = {100_000: (4.0, 300.0), 1_000_000: (60.0, 1000.0)}
"""Seconds and MB that a plan of so many images may take."""
COMMANDS = {"plan": ("plan",), "plan --json": ("--json", "plan"), "status": ("status",)}
PROVED = 1_000
_LARGE = 1_000_000
"""Images from which only `plan` is measured, once."""
STEPS = ("prove", "make", "measure", "remove")
_FIRST = "many/i00000[0-9][0-9]"
"""The images that are ingested: those of the first file of each content."""
_HERE = Path(__file__).parent


def geobatch(folder: Path, *command: str, store: str = "store") -> Cost:
    """Run a command on the spec."""
    words = [sys.executable, "-m", "geobatch", *command]
    words += [str(folder / "collection.yaml"), "--store", str(folder / store)]
    return measure(words, logs=folder, timeout=3600)


def run(step: str, *words: object, logs: Path) -> None:
    """Run a step of `make_plans.py`, in a process of its own."""
    script = str(_HERE / "make_plans.py")
    measure([sys.executable, script, step, *map(str, words)], logs=logs, timeout=7200)


def make(folder: Path, images: int) -> Cost:
    """Make files and a store in which all are published; return the cost of the first plan."""
    folder.mkdir(parents=True)
    run("files", folder, images, logs=folder)
    geobatch(folder, "apply", "--init", "--select", _FIRST)
    run("fill", folder, images, logs=folder)
    return geobatch(folder, "plan")


def command(folder: Path, images: int, name: str) -> Cost:
    """Return the cost of a command that has nothing to do.

    Raises:
        CommandError: It has.
    """
    cost = geobatch(folder, *COMMANDS[name])
    wanted = {
        "plan": f"0 update, 0 create, 0 delete.  {images:,} unchanged",
        "plan --json": f'"unchanged": {images}',
        "status": f"Assets: {images:,} up to date.",
    }[name]
    if wanted not in cost.output:
        raise CommandError(f"expected `{wanted}`, got `{cost.output[-2000:]}`")
    return cost


def main(argv: list[str]) -> None:
    """Do the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=sorted(LIMITS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args(argv)
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="million-plans-"))
    if "prove" in chosen.steps:
        proved = folder / "proved"
        make(proved, PROVED)
        geobatch(proved, "apply", "--init", store="applied")
        run("compare", proved, logs=proved)
        print(f"{PROVED:,} images: the tree is that of an apply, document by document")
    if "make" in chosen.steps:
        for images in chosen.images:
            cost = make(folder / str(images), images)
            print(f"{images:,} images: the first plan took {_words(cost)}")
    if "measure" in chosen.steps:
        costs = {
            (images, name): [command(folder / str(images), images, name) for _ in range(times)]
            for images in chosen.images
            for name in (chosen.commands if images < _LARGE else ["plan"])
            for times in [chosen.runs if images < _LARGE else 1]
        }
        page = report(costs)
        print(page)
        if chosen.output:
            chosen.output.write_text(page)
    if "remove" in chosen.steps:
        for name in ("proved", *map(str, chosen.images)):
            shutil.rmtree(folder / name, ignore_errors=True)


def _words(cost: Cost) -> str:
    return f"{cost.wall:.1f} s, {cost.cpu:.1f} s of CPU, {cost.memory:.0f} MB"


def report(costs: Mapping[tuple[int, str], list[Cost]]) -> str:
    """Return the page."""
    rows = []
    for (images, name), runs in costs.items():
        wall, cpu, memory = (
            median(getattr(run, name) for run in runs) for name in ("wall", "cpu", "memory")
        )
        limits, is_met = "-", "-"
        if images in LIMITS and name == "plan":
            seconds, megabytes = LIMITS[images]
            limits = f"{seconds:g} s, {megabytes:,.0f} MB"
            is_met = "yes" if wall <= seconds and memory <= megabytes else "NO"
        rows.append(
            f"| {images:,} | `{name}` | {len(runs)} | {wall:.1f} s | {cpu:.1f} s |"
            f" {memory:,.0f} MB | {limits} | {is_met} |"
        )
    return "\n".join(
        [
            "# Plans of a million images",
            "",
            "Written by `benchmarks/million_plans.py`, which says what is real and what is not.",
            "",
            *(f"- {name}: {value}" for name, value in machine_facts()),
            "",
            "| images | command | runs | time | CPU | peak RSS | limit | met |",
            "| -: | - | -: | -: | -: | -: | -: | - |",
            *rows,
            "",
            "Nothing is to be done, after a plan that filled the cache; medians of processes. Run",
            "with `GEOBATCH_MAX_GLOB_ENTRIES=2000000`, `GEOBATCH_MAX_GLOB_SECONDS=600` and",
            "`GEOBATCH_MAX_PATTERN_SECONDS=600`, which a million files need.",
            "All files and documents are in the memory of the system: a plan reads each document.",
            "",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
