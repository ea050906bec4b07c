"""Boxes of longitudes and latitudes: the narrowest around some, over the antimeridian or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.geobox import Bounds
from geobatch.sources.projections.bounds import box_around

LONGITUDES = st.integers(-180, 180)


@st.composite
def boxes(draw: st.DrawFn) -> Bounds:
    left, right = draw(LONGITUDES), draw(LONGITUDES)
    bottom = draw(st.integers(-90, 89))
    return (left, bottom, right, draw(st.integers(bottom, 90)))


def meridians(box: Bounds) -> set[int]:
    """Return the whole degrees that a box covers, those between two given by the lower."""
    left, _, right, _ = box
    width = right - left if right >= left else right - left + 360
    return {(int(left) + step) % 360 for step in range(int(width))}


@given(st.lists(boxes(), min_size=1, max_size=5))
def test_it_holds_all_and_is_the_narrowest(found: list[Bounds]) -> None:
    around = box_around(found)
    assert around is not None
    covered = meridians(around)
    wanted = set[int]().union(*map(meridians, found))
    assert wanted <= covered
    assert (around[1], around[3]) == (min(b[1] for b in found), max(b[3] for b in found))
    assert -180 <= around[0] <= 180
    assert -180 <= around[2] <= 180
    # Nothing narrower holds them: the widest gap between what they cover is left out.
    if all(meridians(box) for box in found) and covered != set(range(360)):
        gaps, run = [0], 0
        for degree in range(720):
            run = 0 if degree % 360 in wanted else run + 1
            gaps.append(run)
        assert len(covered) == 360 - min(max(gaps), 360)


def test_of_none_and_of_what_cannot_be_placed() -> None:
    assert box_around([]) is None
    assert box_around([(0, 0, 1, 1), (0, 0, float("inf"), 1)]) is None


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(170, 0, 175, 1), (-175, 0, -170, 2)], (170, 0, -170, 2)),
        ([(170, 0, -179, 1), (175, 0, 178, 2)], (170, 0, -179, 2)),
        ([(-180, -90, 180, 90), (0, 0, 1, 1)], (-180, -90, 180, 90)),
        ([(0.1, 0, 0.3, 1)], (0.1, 0, 0.3, 1)),
    ],
)
def test_over_the_antimeridian(found: list[Bounds], expected: Bounds) -> None:
    assert box_around(found) == expected
