"""A raster of several index pages in small tiles, its spec, edits of it, and how it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from msgspec import Struct

from geobatch.execute import Executor, TaskContext, passes
from geobatch.execute.executors.protocol import Outcome, RunningTasks
from geobatch.execute.tasks.task import Task, TaskResult

SIDE = 66 * 16 + 5
"""Pixels on a side: 2 x 2 pages of 64 x 64 tiles of 16 x 16 pixels."""
CHECKS = "checks: [{range: [1, 200]}, {max_masked: 100%}, {max_changed: 100%}]\n"

Pixels = npt.NDArray[np.uint8]


def set_squares(patch: pytest.MonkeyPatch, *, paged: int, squares: int, pixels: int = 128) -> None:
    """Have images of so many tiles computed by squares, of which there are at least so many."""
    patch.setattr(passes, "REGION_PIXELS", pixels)
    patch.setattr(passes, "PAGED_TILES", paged)
    patch.setattr(passes, "SQUARES", squares)


class Bench:
    """The raster and its spec in a folder."""

    def __init__(self, folder: Path, *, tiled: bool = True) -> None:
        self.folder = folder
        self.spec = folder / "a.yaml"
        self._tiled = tiled
        rng = np.random.default_rng(5)
        # Most of it is masked, so that little time goes by; where pages meet, it is not.
        self.pixels: Pixels = np.zeros((SIDE, SIDE), dtype=np.uint8)
        self.pixels[960:, 960:] = rng.integers(1, 9, (SIDE - 960, SIDE - 960))
        self.pixels[500:560, 1000:1050] = 3
        self.pixels[:20, :20] = 4

    def histories(self) -> Iterator[str]:
        """Change the raster or its spec step by step; yield the name of each step."""
        self.write()
        self.declare()
        yield "new"
        self.pixels[1010:1030, 1010:1030] = 9  # in four pages
        self.pixels[500:560, 1000:1050] = 0  # tiles are removed
        self.write()
        yield "pixels"
        self.declare(policy="SAMPLE")
        yield "policy"
        self.declare(policy="SAMPLE", codec=1)
        yield "codec"
        self.pixels[:] = 0
        self.pixels[1040:, 1040:] = 2
        self.write()
        yield "pages removed"
        self.pixels[:30, 500:1000] = 7
        self.write()
        self.declare()
        yield "both"

    def write(self) -> None:
        """Write the raster."""
        layout: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64}
        with rasterio.open(
            self.folder / "a.tif", "w", driver="GTiff", height=SIDE, width=SIDE, count=1,
            dtype="uint8", nodata=0, crs="EPSG:32627", transform=Affine(10, 0, 0, 0, -10, 0),
            compress="deflate", **(layout if self._tiled else {}),
        ) as target:  # fmt: skip
            target.write(self.pixels, 1)

    def declare(self, *, policy: str = "MEAN", codec: int = 5, more: str = "") -> None:
        """Write the spec."""
        self.spec.write_text(
            "id: a\ntilesets: [{id: t, sources: [{uris: [a.tif]}]}]\n"
            f"bands: [{{id: b, tileset_id: t, pyramiding_policy: {policy}}}]\n"
            f"tiling: {{tile: 16}}\ncodec: {{name: blosc, level: {codec}}}\n{more}"
        )


class Noting(Struct, frozen=True, eq=False):
    """Another executor; notes each task with its result."""

    executor: Executor
    done: list[tuple[Task, TaskResult]]

    def start(self, context: TaskContext) -> NotingTasks:
        return NotingTasks(self.executor.start(context), self.done)


class NotingTasks:
    """The tasks of one run."""

    def __init__(self, running: RunningTasks, done: list[tuple[Task, TaskResult]]) -> None:
        self._running, self._done = running, done
        self._tasks: dict[int, Task] = {}
        self.capacity = running.capacity

    def __enter__(self) -> Self:
        self._running.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.__exit__(kind, error, trace)

    def submit(self, number: int, task: Task) -> None:
        self._tasks[number] = task
        self._running.submit(number, task)

    def completed(self) -> list[Outcome]:
        found = list(self._running.completed())
        for one in found:
            if one.result is not None:
                self._done.append((self._tasks[one.number], one.result))
        return found
