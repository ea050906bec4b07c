"""Options of a listing, as the filter that they spell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from geobatch.reading.filters import (
    Filter,
    is_empty,
    parse_bounds,
    parse_test,
    parse_time,
    time_order,
)

if TYPE_CHECKING:
    from geobatch.model.geobox import Bounds


def parse_filter(
    *,
    since: str | None,
    until: str | None,
    properties: Sequence[str],
    bounds: str | None,
    crs: str,
) -> Filter:
    """Return the filter that some options spell.

    Raises:
        typer.BadParameter: One of them is malformed.
    """
    first = None if since is None else _time(since, "--since")
    last = None if until is None else _time(until, "--until")
    if first is not None and last is not None and time_order(first) >= time_order(last):
        raise typer.BadParameter(f"`--until {until}` is not after `--since {since}`")
    try:
        tests = tuple(map(parse_test, properties))
    except ValueError as error:
        raise typer.BadParameter(f"--property: {error}") from None
    box = None if bounds is None else _bounds(bounds, crs)
    return Filter(since=first, until=last, tests=tests, bounds=box, crs=crs)


def _time(text: str, option: str) -> str:
    try:
        return parse_time(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def _bounds(text: str, crs: str) -> Bounds:
    try:
        box = parse_bounds(text)
    except ValueError as error:
        raise typer.BadParameter(f"--bounds: {error}") from None
    try:
        is_wrong = is_empty(box, crs)
    except ValueError as error:
        raise typer.BadParameter(f"--bounds-crs: {error}; write for example `EPSG:32633`") from None
    if is_wrong:
        raise typer.BadParameter(f"--bounds: `{text}` is empty; expected left,bottom,right,top")
    return box
