"""Which assets are found: by time, property and location."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from geobatch.model.assets.documents.listed import LONGITUDE_LATITUDE, Row
from geobatch.model.geobox import Bounds
from geobatch.sources.projections.bounds import is_geographic, transform_bounds
from geobatch.store.caches.page_rows import Wanted

_TEST = re.compile(r"\s*([A-Za-z0-9_:]+)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge,
}  # fmt: skip


class Test(Struct, frozen=True, kw_only=True):
    """A condition on a property."""

    key: str
    """Property."""
    sign: str
    """One of `= != < <= > >=`."""
    text: str
    """What it is compared with, as text."""

    def holds(self, row: Row) -> bool:
        """Return whether an asset has the property and it compares so.

        Numbers compare with numbers, text with text by its characters; a number never equals
        what is no number.
        """
        return self.takes(dict(row.properties).get(self.key))

    def takes(self, value: str | int | float | None) -> bool:  # noqa: PYI041
        """Return whether a value compares so; None if an asset has none."""
        if value is None:
            return False
        if isinstance(value, str):
            return _OPERATORS[self.sign](value, self.text)
        if not _NUMBER.fullmatch(self.text):
            return self.sign == "!="
        is_whole = self.text.lstrip("+-").isdigit()
        return _OPERATORS[self.sign](value, int(self.text) if is_whole else float(self.text))


class Filter(Struct, frozen=True, kw_only=True):
    """What an asset must be to be found."""

    since: str | None = None
    """RFC 3339 in UTC."""
    until: str | None = None
    """RFC 3339 in UTC, exclusive."""
    tests: tuple[Test, ...] = ()
    """Conditions on properties."""
    bounds: Bounds | None = None
    """Box that the asset meets."""
    crs: str = LONGITUDE_LATITUDE
    """What the box is in."""

    @property
    def is_open(self) -> bool:
        """Whether every asset passes."""
        return self == Filter(crs=self.crs)

    @property
    def wanted(self) -> Wanted | None:
        """What a row must have to pass, as far as a cache of rows can tell; None without any."""
        if self.is_open:
            return None
        return Wanted(
            since=self.since or "",
            until=self.until or "",
            box=self.bounds if self.crs == LONGITUDE_LATITUDE else None,
            tests=tuple((test.key, test.takes) for test in self.tests),
        )

    def passes(self, row: Row) -> bool:
        """Return whether an asset is found."""
        return (
            self._is_in_time(row)
            and all(test.holds(row) for test in self.tests)
            and (self.bounds is None or _meets(row, self.bounds, self.crs))
        )

    def _is_in_time(self, row: Row) -> bool:
        if self.since is None and self.until is None:
            return True
        if row.start_time is None:
            return False
        start, end = time_order(row.start_time), time_order(row.end_time or row.start_time)
        if self.until is not None and start >= time_order(self.until):
            return False
        # The end is exclusive; an asset without duration is in the instant where it starts.
        return self.since is None or end > time_order(self.since) or start >= time_order(self.since)


def parse_time(text: str) -> str:
    """Return a time as RFC 3339 in UTC; one without a zone is in UTC.

    Raises:
        ValueError: It is not a time; the message says how to write one.
    """
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"`{text}` is not a valid time; write `2025-01-31` or `2025-01-31T12:00:00Z`"
        ) from None
    return found.isoformat().replace("+00:00", "Z")


def time_order(time: str) -> tuple[str, str]:
    """Return the key by which times in RFC 3339 are compared, whatever their digits."""
    return (time[:19], time[19:].strip(".Z").ljust(9, "0"))


def parse_test(text: str) -> Test:
    """Return the condition that a text spells, such as `cloud<20`.

    Raises:
        ValueError: It is malformed; the message says how to write one.
    """
    match = _TEST.fullmatch(text)
    if match is None or (not match[3].strip() and match[2] not in ("=", "!=")):
        raise ValueError(f"`{text}` is not a valid condition; write `cloud<20` or `tile=T32TMN`")
    return Test(key=match[1], sign=match[2], text=match[3])


def parse_bounds(text: str) -> Bounds:
    """Return the box that four numbers spell.

    Raises:
        ValueError: They are not four numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(map(_NUMBER.fullmatch, parts)):
        raise ValueError(f"`{text}` is not four numbers `left,bottom,right,top`")
    left, bottom, right, top = map(float, parts)
    return (left, bottom, right, top)


def is_empty(bounds: Bounds, crs: str) -> bool:
    """Return whether nothing can be in a box; in degrees, one may cross the antimeridian.

    Raises:
        ValueError: The text is not a CRS.
    """
    left, bottom, right, top = bounds
    may_turn = _is_geographic(crs)
    return bottom > top or (left > right and not may_turn)


def locate(bounds: Bounds, source: str, target: str) -> Bounds | None:
    """Return a box in another CRS; the library for it is slow to import, and rarely needed."""
    return transform_bounds(bounds, source, target)


def _is_geographic(crs: str) -> bool:
    return crs == LONGITUDE_LATITUDE or is_geographic(crs)


def _meets(row: Row, box: Bounds, crs: str) -> bool:
    turns = (-360.0, 0.0, 360.0) if _is_geographic(crs) else (0.0,)
    for spot in row.spots:
        found = spot.lonlat if crs == LONGITUDE_LATITUDE else locate(spot.bounds, spot.crs, crs)
        if found is None or not all(map(math.isfinite, found)):
            continue
        if found[1] > box[3] or box[1] > found[3]:
            continue
        # Past the antimeridian the right edge is below the left one: it is a turn further.
        right = found[2] if found[2] >= found[0] else found[2] + 360
        box_right = box[2] if box[2] >= box[0] else box[2] + 360
        if any(found[0] + turn <= box_right and box[0] <= right + turn for turn in turns):
            return True
    return False
