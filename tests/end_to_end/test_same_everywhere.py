"""The content root depends on specs and pixels, and on nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import Workbench, image, write_tiff


def prepare(folder: Path) -> Workbench:
    """Make the same sources and specs in any folder."""
    folder.mkdir(parents=True)
    bench = Workbench(folder=folder)
    rng = np.random.default_rng(11)
    size = (420, 530)
    for name in ("north", "south"):
        bands = [rng.integers(0, 5, size).astype(np.uint8) for _ in range(3)]
        write_tiff(
            folder / f"{name}.tif", bands, row=0 if name == "north" else 400, nodata=0,
            layout={"tiled": True, "compress": "deflate"},
        )  # fmt: skip
    real = rng.normal(0, 1, size).astype(np.float32)
    real[rng.random(size) < 0.2] = np.nan
    alpha = rng.integers(0, 256, size).astype(np.uint8)
    write_tiff(folder / "real.tif", [real])
    write_tiff(folder / "alpha.tif", [alpha, alpha], has_alpha=True)
    bench.write_spec(
        [
            image(
                "a/mosaic", "*th.tif", tile=128,
                bands=[
                    {"id": "z", "tileset_id": "t", "pyramiding_policy": "MODE"},
                    {"id": "b", "tileset_id": "t", "tileset_band_index": 2},
                    {"id": "m", "tileset_id": "t", "tileset_band_index": 1,
                     "pyramiding_policy": "MEDIAN"},
                ],
                start_time="2025-01-01", end_time="2025-07-01T12:00:00Z",
                properties={"zone": "x", "area": 1.5, "count": 3},
            ),
            image("a/real", "real.tif", tile=64),
            image("alpha", "alpha.tif", tile=256),
        ]
    )  # fmt: skip
    return bench


def apply_in_a_process(bench: Workbench, *, workers: int, **environment: str) -> dict[str, Any]:
    """Run the command line; return its summary line."""
    done = subprocess.run(
        [sys.executable, "-m", "geobatch", "--store", str(bench.store), "--json",
         "-j", str(workers), "apply", str(bench.folder / "spec.yaml")],
        capture_output=True, text=True, check=False, cwd=bench.folder.parent,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"type": "exit", "code": 0}
    (summary,) = [line for line in lines if line["type"] == "summary"]
    return dict(summary)


@pytest.mark.attack
def test_content_root_is_the_same_everywhere(tmp_path: Path) -> None:
    one = prepare(tmp_path / "one")
    first = apply_in_a_process(one, workers=1, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    assert first["commit"]
    assert first["tiles"]["written"] > 0
    two = prepare(tmp_path / "another" / "folder" / "far away")
    second = apply_in_a_process(
        two, workers=4, PYTHONHASHSEED="2", TZ="Asia/Kathmandu", LC_ALL="C.UTF-8"
    )
    assert second["content_root"] == first["content_root"]
    assert second["tiles"] == first["tiles"]
    three = prepare(tmp_path / "three")
    third = three.apply_spec(workers=3)
    assert third.content_root == first["content_root"]


def test_a_second_apply_does_nothing(tmp_path: Path) -> None:
    bench = prepare(tmp_path / "one")
    first = apply_in_a_process(bench, workers=2)
    os.utime(bench.folder / "real.tif")
    again = apply_in_a_process(bench, workers=2)
    assert again["commit"] is None
    assert again["content_root"] == first["content_root"]
    assert again["tiles"]["written"] == 0
    assert again["bytes"]["read"] == 0


def test_content_root_moves_with_a_single_pixel(tmp_path: Path) -> None:
    roots = set()
    for value in (7, 8):
        folder = tmp_path / str(value)
        folder.mkdir()
        pixels = np.zeros((300, 20), dtype=np.int16)
        pixels[299, 19] = value
        write_tiff(folder / "a.tif", [pixels])
        roots.add(Workbench(folder=folder).apply(image("a", "a.tif")).content_root)
    assert len(roots) == 2


@pytest.mark.parametrize("codec", [{"name": "zstd"}, {"name": "gzip"}, {"name": "none"}])
def test_content_root_does_not_know_the_codec(tmp_path: Path, codec: dict[str, Any]) -> None:
    pixels = np.arange(300 * 20, dtype=np.int16).reshape(300, 20)
    roots = []
    options: tuple[dict[str, Any], ...] = ({}, {"codec": codec})
    for number, more in enumerate(options):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_tiff(folder / "a.tif", [pixels])
        bench = Workbench(folder=folder)
        roots.append(bench.apply(image("a", "a.tif", **more)).content_root)
        assert np.array_equal(bench.array("a/0/b1"), pixels)
    assert roots[0] == roots[1]
