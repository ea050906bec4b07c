"""A run holds the pixels of its regions, never those of a raster."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from region_workbench import Executor, change_of, resolved
from workbench import image, write_tiff

BANDS = 3


@pytest.mark.parametrize(
    ("side", "layout"),
    [
        (6000, {"tiled": True, "blockxsize": 512, "blockysize": 512}),
        # Threads share up to `STRIP_BYTES` of decoded rows: the raster is five times as large.
        (14000, {"blockysize": 1}),
    ],
)
def test_the_peak_is_far_below_the_size_of_the_raster(
    tmp_path: Path, side: int, layout: dict[str, Any]
) -> None:
    plane = np.zeros((side, side), dtype=np.uint8)
    plane[::7] = np.arange(side, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [plane] * BANDS, nodata=0, layout=layout)
    raster = BANDS * plane.nbytes
    del plane
    asset = resolved(tmp_path, image("a", "a.tif", tile=512))
    executor = Executor()
    tracemalloc.start()
    try:
        _, counts = executor.execute(change_of(asset))
        stored, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts.written > 0
    # Regions are 2048 pixels wide at most: with their masks, a quarter of this raster.
    assert peak - stored < raster / 2, f"{peak / raster:.2f} of the raster"
