"""Long names are cut in the middle, fit, and are never cut to the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.text.shortened import all_shortened, shortened


@given(st.text(max_size=300), st.integers(20, 140))
def test_a_name_keeps_both_ends(name: str, most: int) -> None:
    short = shortened(name, most)
    assert len(short) <= most
    head, gap, tail = short.partition("...") if len(name) > most else (name, "", "")
    if len(name) > most and "..." not in name:
        assert gap
        assert name.startswith(head)
        assert name.endswith(tail)
        assert abs(len(head) - len(tail)) <= 1
    if len(name) <= most:
        assert short == name


alike = st.lists(
    st.builds(
        lambda a, b, c: "f" * a + b + "g" * c,
        st.integers(0, 120), st.text("xyz0123", max_size=6), st.integers(0, 120),
    ),
    min_size=1, max_size=8,
)  # fmt: skip


@given(alike)
def test_no_two_names_are_shown_alike(names: list[str]) -> None:
    shown = all_shortened(names, 60)
    assert set(shown) == set(names)
    assert len(set(shown.values())) == len(shown)
    assert all(len(short) <= max(len(name), 60) for name, short in shown.items())


def test_the_part_that_differs_is_kept() -> None:
    names = [f"{'a' * 90}_{day}_{'b' * 90}" for day in ("monday", "sunday")]
    shown = all_shortened(names, 60)
    assert "mon" in shown[names[0]]
    assert "sun" in shown[names[1]]
    assert all(len(short) <= 70 for short in shown.values())
