"""Progress bars on stderr, drawn by rich; loaded only where there is a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from geobatch.cli.words import byte_text
from geobatch.model.text.shortened import shortened

if TYPE_CHECKING:
    from rich.progress import TaskID

_MOST_BARS = 4
"""Assets that have a line of their own, beside that of the run."""
_MOST_LETTERS = 32
_FEW_LETTERS = 10
"""Letters of a name for which there is always room."""
_TIME = 7
"""Letters of a time that is left, `0:12:34`."""
_BAR = 8
"""Letters of the smallest bar that is drawn."""
_FEW_TILES = 16
"""Tiles of an asset that is done before its line could be read."""


class Bars(Progress):
    """Lines that count up to a total; they are erased at the end.

    What a narrow terminal has no room for is not drawn at all: first the bytes that were read, then
    the rate, then the bar. Counts and the time left are always drawn whole.
    """

    def __init__(self, unit: str, console: Console) -> None:
        """Draw nothing yet.

        Args:
            unit: What is counted.
            console: Where to draw.
        """
        # Before the first lines are made, which the next call does.
        self._unit, self._terminal = unit, console
        super().__init__(console=console, transient=True)

    def make_tasks_table(self, tasks: Iterable[Task]) -> Table:
        """Return the lines, with the columns for which the terminal has room now."""
        drawn = list(tasks)
        self.columns = _columns(drawn, self._unit, width=self._terminal.width)
        return super().make_tasks_table(drawn)


def bars(unit: str) -> Bars:
    """Return bars on stderr.

    Args:
        unit: What is counted.
    """
    return Bars(unit, Console(stderr=True))


def _columns(tasks: list[Task], unit: str, *, width: int) -> tuple[ProgressColumn, ...]:
    """Return the columns that fit into a line, the most important ones first to be kept."""
    # The line of the run says how many assets there are, and is never cut.
    whole = [len(one.description) for one in tasks if one.fields.get("is_whole")]
    least = max([*whole, _FEW_LETTERS])
    counts = max([len(_count_text(one)) for one in tasks] or [0])
    has_unit = width - 1 - _TIME - 1 - counts - 1 - len(unit) >= least
    count = _Field("count", "progress.download", unit=f" {unit}" if has_unit else "")
    left = TimeRemainingColumn(table_column=_whole())
    room = width - 1 - _TIME - 1 - counts - (1 + len(unit)) * has_unit
    found: list[ProgressColumn] = [count, left]
    for name, style in (("rate", "progress.data.speed"), ("read", "")):
        size = max([len(one.fields.get(name, "")) for one in tasks] or [0])
        if size and room - size - 1 >= least + (1 + _BAR) * (name == "read"):
            found.insert(-1, _Field(name, style))
            room -= size + 1
    if room >= least + 1 + _BAR:
        found.insert(0, BarColumn(bar_width=None))
        room -= 1 + _BAR
    return _Name(max(min(room, _MOST_LETTERS), _FEW_LETTERS)), *found


def _count_text(task: Task) -> str:
    total = "?" if task.total is None else f"{task.total:,.0f}"
    return f"{task.completed:,.0f}/{total}"


def _whole() -> Column:
    return Column(no_wrap=True, justify="right")


class _Name(ProgressColumn):
    """What a line is about, its middle left out where it is long."""

    def __init__(self, most: int) -> None:
        super().__init__(Column(no_wrap=True))
        self._most = most

    def render(self, task: Task) -> Text:
        is_cut = not task.fields.get("is_whole")
        return Text(shortened(task.description, self._most) if is_cut else task.description)


class _Field(ProgressColumn):
    """Counts, or a text of the line."""

    def __init__(self, name: str, style: str, *, unit: str = "") -> None:
        super().__init__(_whole())
        self._name, self._style, self._unit = name, style, unit

    def render(self, task: Task) -> Text:
        text = str(task.fields.get(self._name, ""))
        if self._name == "count":
            text = f"{_count_text(task)}{self._unit}"
        return Text(text, style=self._style)


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
            self._total = self._progress.add_task(
                self._title(), total=tiles, read="", rate="", is_whole=True
            )

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Draw a line for an asset, if there is room."""
        # An asset that other processes made is finished as soon as it is reported.
        drawn = sum(bar is not None for bar in self._bars.values())
        self._bars[asset_id] = None
        if self._total is None or (drawn < _MOST_BARS and tiles > _FEW_TILES):
            self._bars[asset_id] = self._progress.add_task(
                _cut(asset_id), total=tiles, read="", rate="", is_whole=False
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
