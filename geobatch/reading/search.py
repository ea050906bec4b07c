"""Assets that meet conditions on place, time and properties."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta

from geobatch.model.geobox import Bounds
from geobatch.model.published import Head
from geobatch.reading.filters import Filter, is_empty, locate, parse_test, parse_time, time_order
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.tilestore import TileStore

Times = str | tuple[str | None, str | None] | None
"""A time, `START/END`, or a pair; None for all."""


def parse_query(*, bbox: Bounds | None, datetime: Times, properties: Sequence[str]) -> Filter:
    """Return the filter that some conditions spell.

    Raises:
        ValueError: One is malformed; the message names it.
        TypeError: The properties are one text.
    """
    if isinstance(properties, str):
        raise TypeError("`properties`: expected a list of conditions, such as `['cloud<20']`")
    since, until = _span(datetime)
    if since is not None and until is not None and time_order(since) > time_order(until):
        raise ValueError(f"`datetime`: `{until}` is before `{since}`")
    query = Filter(
        since=since,
        until=until,
        tests=tuple(parse_test(text) for text in properties),
        bounds=None if bbox is None else (bbox[0], bbox[1], bbox[2], bbox[3]),
    )
    if query.bounds is not None and is_empty(query.bounds, query.crs):
        raise ValueError(
            f"`bbox`: {tuple(query.bounds)} is empty; expected left, bottom, right, top"
        )
    return query


def find_assets(store: TileStore, head: Head, prefix: str, query: Filter) -> tuple[str, ...]:
    """Return the ids of the assets of a commit that pass a filter, sorted.

    Raises:
        CorruptObjectError: The document of an asset is damaged.
    """
    if query.is_open:
        return tuple(entry.id for entry in head.tree.below(prefix))
    rows = rows_of(store, head, prefix=prefix, wanted=query.wanted, locate=locate)
    return tuple(entry.id for entry, row in rows if query.passes(row))


def _span(datetime: Times) -> tuple[str | None, str | None]:
    """Return the start and the exclusive end of a time, in RFC 3339."""
    if datetime is None:
        return None, None
    if isinstance(datetime, str):
        first, slash, last = datetime.partition("/")
        if not slash:
            last = first
        ends = (_start(first), _end(last))
    else:
        first, last = (one or ".." for one in datetime)
        ends = (_start(first), _start(last))
    return ends


def _start(text: str) -> str | None:
    """Return when a time begins; None for an open one."""
    if text in ("", ".."):
        return None
    return parse_time(_day(text) or text)


def _end(text: str) -> str | None:
    """Return when a year, month or day is over, or the instant after a time; None if open."""
    if text in ("", ".."):
        return None
    parts = text.split("-")
    if _day(text) is None:
        return _after(parse_time(text))
    year, month, day = [*map(int, parts), *([0] * (3 - len(parts)))][:3]
    last = date(year, month or 12, day or monthrange(year, month or 12)[1])
    return parse_time((last + timedelta(days=1)).isoformat())


def _after(time: str) -> str:
    """Return the nanosecond after a time: the end of a filter is exclusive, STAC's is not."""
    seconds, fraction = time_order(time)
    return f"{seconds}.{min(int(fraction) + 1, 999_999_999):09}Z"


def _day(text: str) -> str | None:
    """Return the first day of a year, month or day; None if the text has a time of day."""
    parts = text.split("-")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return "-".join([*parts, *["01"] * (3 - len(parts))])
