"""What is suggested for a wrong name is one of the known names, spelled as it is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.text.suggest import closest, suggestion

NAMES = st.text(st.characters(codec="ascii"), max_size=12)


@given(NAMES, st.lists(NAMES, max_size=8), st.integers(1, 3))
def test_only_known_names_are_suggested_each_once(name: str, known: list[str], most: int) -> None:
    found = closest(name, known, most=most)
    assert set(found) <= set(known)
    assert len(found) == len(set(found)) <= most


@given(NAMES.filter(bool), st.lists(NAMES, max_size=8))
def test_a_name_in_another_case_comes_first(name: str, others: list[str]) -> None:
    others = [one for one in others if one.lower() != name.lower()]
    assert closest(name.swapcase(), [*others, name])[0] == name


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("nam", ["name", "other"], "did you mean `name`?"),
        ("PROB", ["probs", "qa"], "did you mean `probs`?"),
        ("tile", ["titles", "tiles"], "did you mean `tiles` or `titles`?"),
        ("xyz", ["name"], None),
        ("xyz", [], None),
        ("x" * 100_000, ["name", "x" * 200], f"did you mean `{'x' * 200}`?"),
    ],
)
def test_the_hint(name: str, known: list[str], hint: str | None) -> None:
    assert suggestion(name, known, most=2) == hint
