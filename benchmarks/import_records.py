"""Measures the import of TFRecord patches against `tf.data`, and writes the table of it.

    uv run --group bench python benchmarks/import_records.py [--runs 3] [--side 37] [--shards 4]

Whole processes that follow each other: `tf.data` parses the patches; `geobatch apply` imports the
same pixels from a TIFF that is not compressed, which is what encoding costs; `geobatch apply`
imports the patches. The last may take the second, and 0.6 times the first (0.9 of its CPU time).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from machine import machine_facts
from measure import Cost
from run import FULL_SIZE, HERE, WORK, Bench, table

SIDE, PATCH = 37, 256
"""As in make_records.py, which is not imported: the parent of what is measured stays small."""
LIMITS = {"wall": 0.6, "CPU": 0.9}
MEMORY = 600
"""MB beyond those of a process that has TensorFlow imported and nothing else."""
SPEC = """\
id: records
tilesets:
  - sources:
      - uris: [{uris}]
{options}
"""
FEATURES = "    tfrecord: {features: [red, green, blue]}"


def main(*, runs: int, side: int, shards: int, output: Path | None) -> int:
    """Measure, print the table, and return how many limits were not met."""
    bench = Bench(interleave="pixel", timeout=900)
    raster = bench.source(FULL_SIZE if side == SIDE else side * PATCH)
    name = f"records-{side}"
    options = ("--side", str(side), "--shards", str(shards), "--directory", str(WORK))
    bench.run(str(HERE / "make_records.py"), str(raster), *options)
    specs = {
        "tiff": SPEC.format(uris=f"{name}.tif", options=""),
        "records": SPEC.format(uris=f"{name}-*.tfrecord.gz, {name}-mixer.json", options=FEATURES),
    }
    for kind, text in specs.items():
        (WORK / f"{kind}.yaml").write_text(text)
    parse = str(HERE / "rivals/tf_parse.py")
    found: dict[str, list[Cost]] = {"import": [], "parse": [], "tiff": [], "records": []}
    for number in range(runs + 1):
        costs = {
            "import": bench.run("-c", "import tensorflow"),
            "parse": bench.run(parse, *map(str, sorted(WORK.glob(f"{name}-*gz")))),
            "tiff": bench.apply(WORK / "tiff.yaml").cost,
            "records": bench.apply(WORK / "records.yaml").cost,
        }
        if number:  # the first round warms up
            for kind, cost in costs.items():
                found[kind].append(cost)
    text, missed = report(found, side=side, shards=shards)
    print(text)
    if output is not None:
        output.write_text(text)
    return missed


def report(found: dict[str, list[Cost]], *, side: int, shards: int) -> tuple[str, int]:
    """Return the page, and how many limits were not met."""
    titles = {
        "import": "`import tensorflow`",
        "parse": "`tf.data`, parsing alone",
        "tiff": "`geobatch apply`, the same pixels from an uncompressed TIFF",
        "records": "**`geobatch apply`, TFRecord**",
    }
    rows = [
        [
            titles[kind],
            f"{median(cost.wall for cost in costs):.2f}",
            f"{min(cost.wall for cost in costs):.2f} .. {max(cost.wall for cost in costs):.2f}",
            f"{median(cost.cpu for cost in costs):.2f}",
            f"{max(cost.memory for cost in costs):.0f}",
        ]
        for kind, costs in found.items()
    ]
    rounds = list(zip(*found.values(), strict=True))
    ratios = {
        "wall": [(d.wall - c.wall) / b.wall for _, b, c, d in rounds],
        "CPU": [(d.cpu - c.cpu) / b.cpu for _, b, c, d in rounds],
    }
    more = max(c.memory for c in found["records"]) - max(c.memory for c in found["import"])
    lines = [
        [
            f"(TFRecord - TIFF) / `tf.data`, {kind} seconds",
            f"{median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})",
            f"{LIMITS[kind]}",
            "yes" if median(values) <= LIMITS[kind] else "NO",
        ]
        for kind, values in ratios.items()
    ]
    lines.append(
        ["peak RSS beyond TensorFlow's own", f"{more:.0f} MB", f"{MEMORY} MB",
         "yes" if more <= MEMORY else "NO"]
    )  # fmt: skip
    size = side * side * PATCH * PATCH * 3 * 4 / 1e6
    facts = "\n".join(f"- {name}: {value}" for name, value in machine_facts())
    text = f"""# Import of TFRecord patches

Written by `benchmarks/import_records.py`; what is compared, and how: [README.md](README.md).

Workload: {side * side:,} patches of {PATCH} x {PATCH}, 3 float features, GZIP, {shards} shards,
{size:,.0f} MB of pixels. Medians; measured runs of each: {len(rounds)}, after one warm-up.

{facts}

{table(["", "wall s", "range s", "CPU s", "peak RSS MB"], rows)}

{table(["", "measured", "at most", "met"], lines)}
"""
    return text, sum(line[-1] == "NO" for line in lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sys.exit(
        main(runs=options.runs, side=options.side, shards=options.shards, output=options.output) > 0
    )
