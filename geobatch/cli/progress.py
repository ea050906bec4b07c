"""Progress on stderr while long work is done: on a terminal only, and not when quiet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from geobatch.model.observer import Observer, SilentObserver

Counted: TypeAlias = Callable[[int, int | None], object]


@contextmanager
def observing(*, is_quiet: bool, is_json: bool) -> Iterator[Observer]:
    """Yield an observer that draws bars of the run, or one that draws nothing."""
    if is_quiet or is_json or not sys.stderr.isatty():
        yield SilentObserver()
        return
    from geobatch.cli.bars import RunBars, bars  # noqa: PLC0415 - rich is slow to import

    progress = bars("tiles  {task.fields[read]}  {task.fields[rate]}")
    try:
        yield RunBars(progress)
    finally:
        progress.stop()


@contextmanager
def counting(name: str, unit: str, *, is_quiet: bool, is_json: bool) -> Iterator[Counted]:
    """Yield a function that receives (done, total) and draws a bar, under the same conditions."""
    if is_quiet or is_json or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from geobatch.cli.bars import bars  # noqa: PLC0415 - rich is slow to import

    with bars(unit) as progress:
        bar = progress.add_task(name, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
