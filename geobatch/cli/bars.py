"""Progress bars on stderr, drawn by rich; loaded only where there is a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from geobatch.cli.words import byte_text
from geobatch.model.text.shortened import shortened

if TYPE_CHECKING:
    from rich.progress import TaskID

_MOST_BARS = 4
"""Assets that have a line of their own, beside that of the run."""
_MOST_LETTERS = 32
_FEW_TILES = 16
"""Tiles of an asset that is done before its line could be read."""


def bars(unit: str) -> Progress:
    """Return bars that count up to a total; they are erased at the end.

    Args:
        unit: What follows the counts; a template of rich.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


class RunBars:
    """A line for the whole run, and below it one for each asset at work, of the first few."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID | None] = {}
        self._total: TaskID | None = None
        self._done = self._assets = 0

    def run_started(self, *, assets: int, tiles: int) -> None:
        """Draw the line of the run, if it has several assets; before, a question may be asked."""
        self._progress.start()
        self._assets = assets
        if assets > 1:
            self._total = self._progress.add_task(self._title(), total=tiles, read="", rate="")

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Draw a line for an asset, if there is room."""
        # An asset that other processes made is finished as soon as it is reported.
        drawn = sum(bar is not None for bar in self._bars.values())
        self._bars[asset_id] = None
        if self._total is None or (drawn < _MOST_BARS and tiles > _FEW_TILES):
            self._bars[asset_id] = self._progress.add_task(
                _cut(asset_id), total=tiles, read="", rate=""
            )

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Move the lines on."""
        read = f"{byte_text(bytes_read)} read"
        bar = self._bars[asset_id]
        if bar is not None:
            self._advance(bar, tiles, "" if self._total is not None else read)
        if self._total is not None:
            self._advance(self._total, tiles, read)

    def asset_finished(self, asset_id: str) -> None:
        """Remove the line of an asset."""
        bar = self._bars.pop(asset_id)
        if bar is not None:
            self._progress.remove_task(bar)
        self._done += 1
        if self._total is not None:
            self._progress.update(self._total, description=self._title())

    def _title(self) -> str:
        return f"{self._done:,} of {self._assets:,} assets"

    def _advance(self, bar: TaskID, tiles: int, read: str) -> None:
        self._progress.advance(bar, tiles)
        speed = self._progress.tasks[self._progress.task_ids.index(bar)].speed or 0
        self._progress.update(bar, read=read, rate=f"{speed:,.0f} tiles/s")


def _cut(asset_id: str) -> str:
    """Return an id that leaves room for a bar: its middle is left out where it is long."""
    return shortened(asset_id, _MOST_LETTERS)
