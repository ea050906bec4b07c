"""What is selected, and what may be deleted: the numbers on both sides of every limit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Asset, Image, Resolution
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.plans.plan import Op, Options
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.planner.selection import choose, deletions, is_selected, refusals

IDS = st.sets(st.sampled_from(["a", "a/b", "a/c", "b/c", "lc/x_1", "lc/x_2"]), min_size=1)


def asset(asset_id: str, memo: str = "") -> Asset:
    return Image(id=asset_id, grids=(), bands=(), tilesets=(), memo=memo)


def resolution(*assets: Asset) -> Resolution:
    return Resolution(assets=assets)


def head(*assets: Asset, protected: frozenset[str] = frozenset()) -> Head:
    entries = tuple(
        TreeEntry(
            id=one.id,
            kind="image",
            content="0" * 64,
            stored="0" * 64,
            fingerprint=asset_fingerprint(one),
            is_protected=one.id in protected,
            tiles=7,
        )
        for one in sorted(assets, key=lambda one: one.id)
    )
    return Head(number=1, digest="1" * 64, tree=Tree(entries=entries))


def chosen(names: list[str], *patterns: str, base: Head | None = None) -> list[str]:
    choice = choose(
        resolution(*map(asset, names)),
        base=base or Head(number=0, digest=None),
        options=Options(select=patterns),
        declared=names,
    )
    assert choice.not_selected == len(names) - len(choice.resolution.assets)
    return [one.id for one in choice.resolution.assets]


def test_patterns_add_up_and_parts_must_all_match() -> None:
    names = ["a", "a/b", "a/c", "b/c"]
    assert chosen(names) == names
    assert chosen(names, "a/*") == ["a/b", "a/c"]
    assert chosen(names, "a", "b/*") == ["a", "b/c"]
    assert chosen(names, "a/*,*c") == ["a/c"]
    assert chosen(["a/b/c"], "a*") == ["a/b/c"]


def test_states_compare_with_what_is_published() -> None:
    base = head(asset("same"), asset("other", memo="before"))
    names = ["new", "other", "same"]
    assert chosen(names, "state:new", base=base) == ["new"]
    assert chosen(names, "state:modified", base=base) == ["other"]
    assert chosen(names, "state:new", "state:modified", base=base) == ["new", "other"]
    assert chosen(names, "o*,state:new", base=base) == []


@pytest.mark.parametrize("pattern", ["lc", "lc/y*", "LC/x", "state:odd", ""])
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(PlanError):
        chosen(["lc/x"], pattern)


def test_what_is_replaced_is_not_compared() -> None:
    base = head(asset("a"), asset("b"))
    both = resolution(asset("a"), asset("b"), asset("c"))
    options = Options(replace=("a", "c"))
    choice = choose(both, base=base, options=options, declared=["a", "b", "c"])
    assert choice.replaced == {"a"}
    assert [entry.id for entry in choice.base.tree.entries] == ["b"]
    with pytest.raises(PlanError, match="--replace nothing"):
        choose(both, base=base, options=Options(replace=("nothing",)), declared=["a", "b", "c"])


@given(IDS, IDS, st.booleans())
def test_only_what_these_specs_published_is_pruned(
    published: set[str], declared: set[str], is_pruning: bool
) -> None:
    origins = {name: f"/p/{'one' if name < 'b' else 'one2'}/x.yaml" for name in published}
    origins.pop("a/c", None)
    gone = deletions(
        base=head(*map(asset, published)),
        declared=declared,
        origins=origins,
        places=["/p/one"],
        options=Options(is_pruning=is_pruning),
    )
    expected = {"a", "a/b"} & (published - declared) if is_pruning else set()
    assert {change.id for change in gone} == expected
    assert all(change.op is Op.DELETE and change.tiles.remove == 7 for change in gone)


def test_pruning_keeps_to_what_is_selected() -> None:
    gone = deletions(
        base=head(asset("a"), asset("b")),
        declared=[],
        origins={"a": "/p/x.yaml", "b": "/p/x.yaml"},
        places=["/p/x.yaml"],
        options=Options(is_pruning=True, select=("b",)),
    )
    assert [change.id for change in gone] == ["b"]


@given(st.integers(1, 30), st.data())
def test_the_breaker_opens_at_a_fifth_and_at_all(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    names = [f"a{number:02}" for number in range(total)]
    base = head(*map(asset, names))
    gone = deletions(
        base=base,
        declared=names[count:],
        origins=dict.fromkeys(names, "/p/x.yaml"),
        places=["/p"],
        options=Options(is_pruning=True),
    )
    assert len(gone) == count
    share = Fraction(count, total)
    assert (not refusals(gone, base=base, max_delete=None)) == (share <= Fraction(1, 5))
    limit = data.draw(st.integers(0, 30))
    assert (not refusals(gone, base=base, max_delete=str(limit))) == (count <= limit)
    percent = data.draw(st.integers(0, 100))
    allowed = not refusals(gone, base=base, max_delete=f"{percent}%")
    assert allowed == (share <= Fraction(percent, 100))


def test_a_protected_asset_is_blocked_and_does_not_count() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    base = head(*map(asset, names), protected=frozenset({"a"}))
    gone = deletions(
        base=base,
        declared=names[2:],
        origins=dict.fromkeys(names, "/p/x.yaml"),
        places=["/p"],
        options=Options(is_pruning=True),
    )
    assert [(change.id, bool(change.blocked)) for change in gone] == [("a", True), ("b", False)]
    (refusal,) = refusals(gone, base=base, max_delete=None)
    assert "`a` is protected" in refusal


@given(IDS, st.lists(st.sampled_from(["*", "a*", "b/?", "nothing"]), max_size=3))
def test_more_patterns_never_select_less(names: set[str], patterns: list[str]) -> None:
    for name in names:
        for count in range(1, len(patterns)):
            before = is_selected(name, patterns[:count])
            assert not before or is_selected(name, patterns)
