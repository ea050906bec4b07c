"""Times `geobatch export --format tfrecord` against TensorFlow's own writer, process by process.

    uv run python benchmarks/exports.py [--size 8192] [--runs 3] [--output FILE]

The raster is that of `make_workload.py`. Both sides read it, geobatch from a store that was made
before, and write the same 256 x 256 patches of float32, with GZIP and without. A line says what the
import of TensorFlow costs alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from statistics import median

from machine import machine_facts
from measure import CommandError, Cost, measure

HERE = Path(__file__).resolve().parent
WORK = HERE / "work"
FULL_SIZE = 8192
TARGET = 0.8
ROOM = 600
"""MB beyond TensorFlow's own that an export may take."""
SPEC = """\
id: workload
tilesets:
  - sources: [{{uris: [{name}]}}]
"""


class Bench:
    """The commands that are measured."""

    def __init__(self, *, size: int, timeout: float) -> None:
        self.timeout = timeout
        self.logs = WORK / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.store = WORK / f"export_store_{size}"
        self.output = WORK / "output"
        said = self.run(str(HERE / "make_workload.py"), "--size", str(size)).output
        self.source = WORK / said.split(":")[0]
        spec = WORK / f"export_{size}.yaml"
        spec.write_text(SPEC.format(name=self.source.name))
        self.run("-m", "geobatch", "apply", "--init", str(spec), "--store", str(self.store))

    def run(self, *command: str) -> Cost:
        """Measure one command of this interpreter."""
        return measure([sys.executable, *command], logs=self.logs, timeout=self.timeout)

    def export(self, compression: str) -> Cost:
        """Measure geobatch."""
        shutil.rmtree(self.output, ignore_errors=True)
        flag = "--compressed" if compression == "GZIP" else "--uncompressed"
        return self.run(
            "-m", "geobatch", "export", "workload", f"{self.output}/", "--format", "tfrecord", flag,
            "--store", str(self.store), "-q",
        )  # fmt: skip

    def rival(self, compression: str) -> Cost:
        """Measure TensorFlow's writer in a plain script."""
        shutil.rmtree(self.output, ignore_errors=True)
        script = str(HERE / "rivals" / "tfrecord_writer.py")
        return self.run(script, str(self.source), str(self.output), compression)


def report(bench: Bench, *, runs: int) -> str:
    """Return the tables."""
    bare = [bench.run("-c", "import tensorflow") for _ in range(runs)]
    lines = [
        "| | wall s | CPU s | peak RSS MB | ratio | at most | met |",
        "|---|---:|---:|---:|---:|---:|---|",
        f"| `import tensorflow` | {row(bare)} | | | |",
    ]
    floor = max(cost.memory for cost in bare)
    for compression in ("GZIP", "NONE"):
        pairs = [(bench.export(compression), bench.rival(compression)) for _ in range(runs + 1)][1:]
        ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ratio = median(own.wall / other.wall for own, other in pairs)
        peak = max(cost.memory for cost in ours)
        met = "yes" if ratio <= TARGET and peak <= floor + ROOM else "NO"
        lines += [
            f"| TensorFlow's writer, {compression} | {row(theirs)} | | | |",
            f"| **geobatch**, {compression} | {row(ours)} | {ratio:.2f} | {TARGET} | {met} |",
        ]
    return "\n".join(lines)


def row(costs: list[Cost]) -> str:
    """Return the cells of what some runs cost: medians, and the worst peak memory."""
    wall, cpu = median(cost.wall for cost in costs), median(cost.cpu for cost in costs)
    return f"{wall:.2f} | {cpu:.2f} | {max(cost.memory for cost in costs):.0f}"


def main() -> int:
    """Measure what the options ask for; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare exports with TensorFlow's writer.")
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="side of the raster in pixels")
    parser.add_argument("--runs", type=int, default=3, help="measured runs of each pair")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each process")
    parser.add_argument("--output", type=Path, help="write the report here")
    arguments = parser.parse_args()
    size = arguments.size
    try:
        table = report(Bench(size=size, timeout=arguments.timeout), runs=arguments.runs)
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    text = (
        "# Exports\n\nWritten by `benchmarks/exports.py`; what is compared: "
        f"[README.md](README.md).\n\nWorkload: 4 bands of {size} x {size} uint16, "
        f"{(size // 256) ** 2 * 4 * 256 * 256 * 4 / 1e6:.0f} MB as float32. Medians of "
        f"{arguments.runs} runs after a warm-up, geobatch and its rival in turn.\n\n{facts}\n\n"
        f"{table}\n"
    )
    print(text)
    output = arguments.output or (HERE / "exports.md" if size == FULL_SIZE else None)
    if output:
        output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
