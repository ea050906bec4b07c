"""Make the picture of the README: the report of a plan, as a browser shows it.

    uv run python scripts/make_picture.py [FILE]        (default: docs/pictures/review.png)

It needs Chromium (`apt-get install chromium`). In a temporary copy of the examples, the land
cover is changed inside a circle, the plan is rehearsed, and the report is photographed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio

ROOT = Path(__file__).parents[1]
SIZE = (1060, 1200)
"""Columns and rows of the picture."""
RADIUS = 120
"""Of the change, in pixels."""
GEOBATCH = [sys.executable, "-m", "geobatch"]


def draw_change(path: Path) -> None:
    """Give all land inside a circle its most frequent class."""
    with rasterio.open(path, "r+") as raster:
        classes = raster.read(1)
        row, col = np.mgrid[: raster.height, : raster.width]
        is_near = np.hypot(row - 0.42 * raster.height, col - 0.5 * raster.width) < RADIUS
        is_land = is_near & (classes != raster.nodata)
        values, counts = np.unique(classes[is_land], return_counts=True)
        classes[is_land] = values[counts.argmax()]
        raster.write(classes, 1)


def main() -> None:
    """Write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures" / "review.png"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "specs", folder / "specs")
        spec = "specs/landcover.yaml"

        def run(*arguments: str) -> None:
            subprocess.run([*GEOBATCH, *arguments], cwd=folder, check=True)

        run("apply", spec)
        draw_change(folder / "specs" / "data" / "landcover.tif")
        run("plan", spec, "--rehearse", "-o", "plan.json")
        run("review", "plan.json", "-o", "report")
        target.parent.mkdir(exist_ok=True)
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync",
                "--hide-scrollbars", f"--user-data-dir={folder / 'browser'}",
                f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={target.absolute()}",
                f"file://{folder / 'report' / 'review.html'}",
            ],
            check=True,
            capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
