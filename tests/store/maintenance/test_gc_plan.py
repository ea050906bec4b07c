"""Which commits `gc` keeps, against a statement of the rules one by one; and clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import ProtectedError
from geobatch.store.maintenance.gc_plan import (
    CommitFact,
    GcOptions,
    check_clock,
    kept_commits,
)

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def fact(number: int, hours_ago: int) -> CommitFact:
    time = NOW - hours_ago * HOUR
    return CommitFact(
        number=number, digest=f"{number:064x}", parent=None, tree="", time=time, published=time,
        message="",
    )  # fmt: skip


@given(
    st.lists(st.integers(0, 400), max_size=12),
    st.integers(1, 14),
    st.integers(0, 400),
    st.dictionaries(st.sampled_from("xyz"), st.integers(1, 12)),
    st.sets(st.integers(1, 12)),
    st.none() | st.integers(0, 400),
    st.none() | st.integers(0, 14),
)
def test_each_rule_keeps_its_commits_and_nothing_else_does(  # noqa: PLR0917
    ages: list[int],
    last: int,
    within: int,
    pins: dict[str, int],
    dropped: set[int],
    live: int | None,
    shown: int | None,
) -> None:
    ages = sorted(ages, reverse=True)
    count = len(ages)
    dropped -= {count}
    commits = [fact(number, age) for number, age in enumerate(ages, start=1)]
    found = kept_commits(
        commits,
        options=GcOptions(keep_last=last, keep_within=within * HOUR),
        now=NOW,
        pins=pins,
        dropped=dropped,
        live_since=None if live is None else NOW - live * HOUR,
        shown=shown,
    )
    expected = set(range(max(1, count - last + 1), count + 1)) | ({count} - {0})
    if within:
        expected |= {number for number, age in enumerate(ages, start=1) if age <= within}
    expected |= set(pins.values()) | ({shown} if shown else set())
    if live is not None:  # the head at any time since: every one whose successor is not older
        expected |= {number for number in range(1, count) if ages[number] <= live}
    expected = {number for number in expected if 1 <= number <= count} - dropped
    assert set(found) == expected
    if count:
        assert "head" in found[count]


def test_clocks() -> None:
    check_clock(NOW, [])
    check_clock(NOW, [("a", NOW), ("b", NOW - 300 * 24 * HOUR), ("c", NOW + HOUR / 10)])
    with pytest.raises(ProtectedError, match=r"b is from `2026-06-01T01:00:00Z`, but the clock"):
        check_clock(NOW, [("a", NOW), ("b", NOW + HOUR)], trusts_clock=True)
    old = [("a", NOW - 500 * 24 * HOUR), ("b", NOW - 400 * 24 * HOUR)]
    with pytest.raises(ProtectedError, match=r"nothing was written .* \(b\)"):
        check_clock(NOW, old)
    check_clock(NOW, old, trusts_clock=True)
