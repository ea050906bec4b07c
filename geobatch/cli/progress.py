"""Progress bars on stderr while regions are computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from geobatch.cli.words import byte_text
from geobatch.model.observer import Observer, SilentObserver

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Counted: TypeAlias = Callable[[int, int], object]


@contextmanager
def observing(*, is_quiet: bool, is_json: bool) -> Iterator[Observer]:
    """Yield an observer that draws a bar per asset: on a terminal only, and not when quiet."""
    if is_quiet or is_json or not sys.stderr.isatty():
        yield SilentObserver()
        return
    from rich.console import Console  # noqa: PLC0415 - not needed when silent
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("tiles  {task.fields[read]}  {task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield _Bars(progress)


@contextmanager
def counting(name: str, unit: str, *, is_quiet: bool, is_json: bool) -> Iterator[Counted]:
    """Yield what is told how much of how much is done, and draws a bar of it, likewise."""
    if is_quiet or is_json or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console  # noqa: PLC0415 - not needed when silent
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        bar = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        self._bars[asset_id] = self._progress.add_task(asset_id, total=tiles, read="", rate="")

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        bar = self._bars[asset_id]
        self._progress.advance(bar, tiles)
        speed = self._progress.tasks[self._progress.task_ids.index(bar)].speed or 0
        self._progress.update(
            bar, read=f"{byte_text(bytes_read)} read", rate=f"{speed:,.0f} tiles/s"
        )

    def asset_finished(self, asset_id: str) -> None:
        self._progress.remove_task(self._bars.pop(asset_id))
