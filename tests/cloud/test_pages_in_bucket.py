"""A large image in a bucket: the run after a killed one asks for no tile of a finished square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from buckets import Before, Enter
from page_rasters import Bench, set_squares
from servers import Bucket

from geobatch.errors import InterruptedRunError
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.model.observer import SilentObserver
from geobatch.workflow.apply import apply

SQUARES, FINISHED = 16, 12


class StopsAfter(SilentObserver):
    """Interrupts a run after some tasks."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        del asset_id, tiles, bytes_read
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_finished_squares_are_not_asked_for(
    s3: Bucket, before: Before, enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_squares(monkeypatch, paged=20, squares=SQUARES)
    bench = Bench(tmp_path)
    # Of each 2 x 2 tiles, one has pixels, and no two of them are alike.
    rng = np.random.default_rng(1)
    for row in range(0, bench.pixels.shape[0] - 16, 32):
        for col in range(0, bench.pixels.shape[1] - 16, 32):
            bench.pixels[row : row + 16, col : col + 16] = rng.integers(1, 255, (16, 16))
    bench.write()
    bench.declare()
    clean = apply([bench.spec], store=tmp_path / "clean")
    proxy, there = before(s3)
    enter(there)
    with pytest.raises(InterruptedRunError):
        apply(
            [bench.spec],
            store=there.url,
            executor=ThreadExecutor(1),
            observer=StopsAfter(FINISHED),
        )
    put = {one.target for one in proxy.requests if one.kind == "PUT" and "/objects/" in one.target}
    proxy.forget()
    resumed = apply([bench.spec], store=there.url, executor=ThreadExecutor(1))
    assert resumed.content_root == clean.content_root
    again = [one.target for one in proxy.requests if one.target in put]
    assert len(put) > 1000
    # Pages are read to be joined and to be shown; tiles only of squares that were not finished.
    assert len(again) < 0.3 * len(put)
    assert resumed.bytes.read < 0.6 * clean.bytes.read
