"""When an asset is, as STAC has it: three times in UTC, to the microsecond, the end inclusive."""

from __future__ import annotations

from datetime import datetime, timedelta

UNKNOWN = ("1700-01-01T00:00:00Z", "2199-12-31T23:59:59.999999Z")
"""Interval of an asset without a time. STAC asks for one, and any instant would be invented.

It is within what 64 bits of nanoseconds since 1970 can hold, as readers of arrays count.
"""


def item_times(start: str | None, end: str | None) -> dict[str, str | None]:
    """Return `datetime`, and `start_datetime` with `end_datetime` of an interval.

    Args:
        start: RFC 3339 in UTC; None if the asset has no time.
        end: Likewise, exclusive; None for an instant.
    """
    if start is None:
        return {"datetime": None, "start_datetime": UNKNOWN[0], "end_datetime": UNKNOWN[1]}
    first = instant(start)
    if end is None:
        return {"datetime": first}
    return {"datetime": first, "start_datetime": first, "end_datetime": last_instant(start, end)}


def instant(time: str) -> str:
    """Return a time in RFC 3339 with no fraction, or six digits of it."""
    fraction = time[19:].strip(".Z")[:6].ljust(6, "0")
    return f"{time[:19]}{'' if fraction == '000000' else f'.{fraction}'}Z"


def last_instant(start: str, end: str) -> str:
    """Return the last microsecond of an interval whose end is exclusive; not before its start."""
    first, after = (datetime.fromisoformat(instant(time)) for time in (start, end))
    last = max(first, after - timedelta(microseconds=1))
    return last.isoformat().replace("+00:00", "Z")
