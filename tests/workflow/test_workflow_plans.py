"""P8: what was shown is what is done, or nothing; and what may be deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from listener import Listener
from msgspec.structs import replace
from workbench import Document, Workbench, image, write_tiff

from geobatch.errors import PlanError, ProtectedError, SourceError, StalePlanError
from geobatch.model.plans.inputs import AssetInput, Inputs, SourceInput, differences
from geobatch.model.plans.plan import Op, Options, Reason
from geobatch.model.plans.plan_json import inputs_from_json, inputs_json, plan_json, tile_rows
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan, plan_specs
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request

PRUNE = Options(is_pruning=True, max_delete="9")


def write(folder: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
    write_tiff(folder / name, [pixels], nodata=0)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    for seed, name in enumerate(["a.tif", "b.tif", "c.tif"]):
        write(tmp_path, name, seed)
    return Workbench(folder=tmp_path)


def spec(name: str, **more: Any) -> Document:
    return image(name, f"{name}.tif", tile=128, **more)


def published(bench: Workbench) -> set[str]:
    store = TileStore.open(bench.store)
    ids = {entry.id for entry in store.head().tree.entries}
    store.close()
    return ids


def commits(bench: Workbench) -> int:
    store = TileStore.open(bench.store)
    number = store.head().number
    store.close()
    return number


def test_a_plan_without_a_store_is_the_plan_that_makes_it(bench: Workbench) -> None:
    path = bench.write_spec([spec("a")])
    shown = plan([path], store=bench.store)
    assert not bench.store.exists()
    assert apply([path], store=bench.store).plan.plan_id == shown.plan_id


def test_what_decides_what_is_done_is_in_the_id(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b"), spec("c"))
    path = bench.write_spec([spec("a"), spec("b")])
    options = [
        Options(),
        Options(select=("a",)),
        Options(select=("b",)),
        Options(replace=("a",)),
        Options(replace=("*",)),
        Options(is_pruning=True),
    ]
    ids = [plan([path], store=bench.store, options=each).plan_id for each in options]
    assert len(set(ids)) == len(ids)
    again = [plan([path], store=bench.store, options=each).plan_id for each in options]
    assert ids == again


def test_nothing_is_done_that_was_not_approved(bench: Workbench) -> None:
    path = bench.write_spec([spec("a")])

    def refuse(shown: PlannedSpecs) -> None:
        assert shown.plan.count(Op.CREATE) == 1
        raise StalePlanError("no")

    with pytest.raises(StalePlanError):
        apply([path], store=bench.store, approve=refuse)
    assert not bench.store.exists()
    apply([path], store=bench.store)
    bench.write_spec([spec("a", properties={"k": 1})])
    with pytest.raises(StalePlanError):
        apply([path], store=bench.store, approve=lambda _: refuse_update())
    assert commits(bench) == 1


def refuse_update() -> None:
    raise StalePlanError("no")


def test_what_is_not_selected_is_left_alone(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b"))
    changed = [spec(name, properties={"k": 1}) for name in "abc"]
    path = bench.write_spec(changed)
    done = apply([path], store=bench.store, options=Options(select=("b",)))
    assert [(change.id, change.op) for change in done.plan.changes] == [("b", Op.UPDATE)]
    assert done.plan.not_selected == 2
    assert done.plan.count(Op.KEEP) == 0
    assert [change.id for change in plan([path], store=bench.store).changes] == ["a", "b", "c"]
    states = plan([path], store=bench.store, options=Options(select=("state:new",)))
    assert [change.id for change in states.changes] == ["c"]


def test_a_replaced_asset_is_read_from_its_sources_whole(bench: Workbench) -> None:
    before = bench.apply(spec("a"), spec("b"))
    path = bench.write_spec([spec("a"), spec("b")])
    done = apply([path], store=bench.store, options=Options(replace=("a",)))
    (change,) = [change for change in done.plan.changes if change.op is not Op.KEEP]
    assert [because.reason for because in change.because] == [Reason.REPLACE_REQUESTED]
    assert change.tiles.compute == change.tiles.total == change.tiles.change
    assert all(not work.can_stop and work.base is None for work in change.work)
    assert done.bytes.read > 0
    assert done.commit is None
    assert done.content_root == before.content_root


def test_nothing_goes_because_a_spec_vanished(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b"))
    path = bench.write_spec([spec("a")])
    assert plan([path], store=bench.store).is_empty
    done = apply([path], store=bench.store, options=PRUNE)
    assert published(bench) == {"a"}
    (gone,) = [change for change in done.plan.changes if change.op is Op.DELETE]
    assert gone.tiles.remove > 0
    assert not (bench.tree / "b").exists()
    assert (bench.tree / "a").exists()
    clean = Workbench(folder=bench.folder / "clean")
    clean.folder.mkdir()
    other = apply([path], store=clean.store)
    assert other.content_root == done.content_root
    assert apply([path], store=bench.store, options=PRUNE).commit is None


def test_only_what_came_from_these_specs_is_pruned(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "one_more", "two"):
        (bench.folder / name).mkdir()
    for place, name in (("one", "a"), ("one_more", "b"), ("two", "c")):
        text = json.dumps(image(name, f"../{name}.tif", tile=128))
        (bench.folder / place / f"{name}.json").write_text(text)
    monkeypatch.chdir(bench.folder)
    apply([Path("one"), Path("one_more"), Path("two")], store=bench.store)
    (bench.folder / "one/a.json").rename(bench.folder / "one/other.json")
    text = json.dumps(image("d", "../a.tif", tile=128))
    (bench.folder / "one/other.json").write_text(text)
    monkeypatch.chdir(bench.folder / "one")
    # From within a folder, `.` is that folder and no other.
    done = apply([Path()], store=Path("../store"), options=PRUNE)
    assert {change.id for change in done.plan.changes if change.op is Op.DELETE} == {"a"}
    assert published(bench) == {"b", "c", "d"}


def test_more_than_a_fifth_needs_to_be_allowed(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b"), spec("c"))
    path = bench.write_spec([spec("a")])
    for options in (Options(is_pruning=True), Options(is_pruning=True, max_delete="1")):
        shown = plan([path], store=bench.store, options=options)
        assert shown.count(Op.DELETE) == 2
        assert shown.refusals
        with pytest.raises(ProtectedError, match="--max-delete 2"):
            apply([path], store=bench.store, options=options)
    assert published(bench) == {"a", "b", "c"}
    apply([path], store=bench.store, options=Options(is_pruning=True, max_delete="67%"))
    assert published(bench) == {"a"}


def test_protection_outlives_its_spec_and_ends_in_two_applies(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b", lifecycle={"protect": True}))
    first = commits_digest(bench)
    bench.apply(spec("a", properties={"k": 1}))
    path = bench.write_spec([spec("a", properties={"k": 2})])
    shown = plan([path], store=bench.store, options=PRUNE)
    blocked = {change.id: change.blocked for change in shown.changes if change.blocked}
    assert blocked == {"b": f"protected since {first[:12]}"}
    assert shown.count(Op.DELETE) == 0
    with pytest.raises(ProtectedError, match="`b` is protected since"):
        apply([path], store=bench.store, options=PRUNE)
    assert commits(bench) == 2
    bench.apply(spec("a"), spec("b", lifecycle={"protect": False}))
    assert published(bench) == {"a", "b"}
    bench.write_spec([spec("a")])
    apply([path], store=bench.store, options=PRUNE)
    assert published(bench) == {"a"}


def commits_digest(bench: Workbench) -> str:
    store = TileStore.open(bench.store)
    digest = store.head().digest
    store.close()
    assert digest is not None
    return digest


@pytest.mark.parametrize("damage", ["cut", "missing", "no raster"])
def test_one_bad_source_does_not_stop_the_others(bench: Workbench, damage: str) -> None:
    bench.apply(spec("b", properties={"old": 1}))
    bad = bench.folder / "b.tif"
    if damage == "missing":
        bad.unlink()
    else:
        data = bad.read_bytes()
        bad.write_bytes(data[: len(data) // 2] if damage == "cut" else b"no raster")
    path = bench.write_spec([spec("a"), spec("b"), spec("c")])
    with pytest.raises(Exception, match=r"b\.tif"):
        apply([path], store=bench.store)
    assert published(bench) == {"b"}
    options = replace(PRUNE, max_delete=None)
    done = apply([path], store=bench.store, keep_going=True, options=options)
    assert [failure.id for failure in done.failures] == ["b"]
    assert "b.tif" in done.failures[0].message
    assert published(bench) == {"a", "b", "c"}, "what failed is neither changed nor pruned"
    write(bench.folder, "b.tif", 1)
    assert not apply([path], store=bench.store, keep_going=True).failures


def test_a_source_that_changes_meanwhile_fails_alone(bench: Workbench) -> None:
    path = bench.write_spec([spec("a"), spec("b")])
    listener = Listener(0, lambda: write(bench.folder, "b.tif", 9))
    done = apply([path], store=bench.store, keep_going=True, workers=1, observer=listener)
    assert [failure.id for failure in done.failures] == ["b"]
    assert done.failures[0].code == "source"
    finished = [event for event in listener.events if event.endswith("finished")]
    assert finished == ["a finished", "b finished"], "so that those that are done add up to all"
    assert published(bench) == {"a"}
    assert done.tiles.reused >= 0
    clean = bench.folder / "clean"
    only = bench.write_spec([spec("a")], name="only.yaml")
    assert apply([only], store=clean).content_root == done.content_root
    listener = Listener(0, lambda: write(bench.folder, "b.tif", 10))
    with pytest.raises(SourceError):
        apply([path], store=bench.store, workers=1, observer=listener)


def test_a_pattern_without_a_match_does_nothing(bench: Workbench) -> None:
    path = bench.write_spec([spec("a")])
    with pytest.raises(PlanError, match="matches none"):
        apply([path], store=bench.store, options=Options(select=("A",)))
    assert not bench.store.exists()


def test_rows_are_as_many_as_the_counts_say(bench: Workbench) -> None:
    bench.apply(spec("a"), spec("b"))
    write(bench.folder, "a.tif", 8)
    path = bench.write_spec([spec("a"), spec("b", pyramiding_policy="MAX"), spec("c")])
    shown = plan([path], store=bench.store)
    rows = [tuple(row.values()) for row in tile_rows(shown)]
    assert len(set(rows)) == len(rows)
    for change in shown.changes:
        counts = change.tiles
        mine = [row for row in tile_rows(shown) if row["asset"] == change.id]
        assert len(mine) == counts.compute > 0
        for level, count in enumerate(counts.by_level):
            assert sum(1 for row in mine if row["level"] == level) == count
        assert counts.add == (counts.compute if change.id == "c" else 0)
        assert counts.add + counts.change + counts.unchanged == counts.total


def _touch_store(bench: Workbench) -> None:
    other = bench.write_spec([spec("c")], name="other.yaml")
    apply([other], store=bench.store)


CHANGES: dict[str, tuple[Callable[[Workbench], object], str]] = {
    "source changed": (lambda b: write(b.folder, "a1.tif", 99), "source `a1.tif` of `a` changed"),
    "source added": (lambda b: write(b.folder, "a3.tif", 3), "source `a3.tif` of `a` added"),
    "source removed": (lambda b: (b.folder / "a2.tif").unlink(), "source `a2.tif` of `a` removed"),
    "spec": (
        lambda b: b.write_spec([image("a", "a?.tif", tile=128, properties={"k": 2}), spec("b")]),
        "spec.yaml` changed: `a`",
    ),
    "asset gone": (
        lambda b: b.write_spec([image("a", "a?.tif", tile=128, properties={"k": 1})]),
        "`b` (`",
    ),
    "head": (_touch_store, "the head moved from"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_of_all_inputs_the_one_that_differs_is_named(bench: Workbench, name: str) -> None:
    for seed in (1, 2):
        write(bench.folder, f"a{seed}.tif", seed)
    path = bench.write_spec([image("a", "a?.tif", tile=128), spec("b")])
    apply([path], store=bench.store)
    bench.write_spec([image("a", "a?.tif", tile=128, properties={"k": 1}), spec("b")])
    before = plan_specs(Request.of([path], store=bench.store))
    saved = json.loads(
        json.dumps({**plan_json(before.plan), **inputs_json(before.plan, before.inputs())})
    )
    assert inputs_from_json(saved) == before.inputs()
    text = path.read_text()
    path.write_text(f"# a remark\n{text}")
    same = plan_specs(Request.of([path], store=bench.store))
    assert same.plan.plan_id == before.plan.plan_id
    assert not list(differences(before.inputs(), same.inputs()))
    act, expected = CHANGES[name]
    act(bench)
    after = plan_specs(Request.of([path], store=bench.store))
    assert after.plan.plan_id != before.plan.plan_id
    (found,) = differences(before.inputs(), after.inputs())
    assert expected in found


DIGESTS = st.sampled_from(["1" * 64, "2" * 64, "3" * 64])
SOURCES = st.builds(
    SourceInput, uri=st.sampled_from(["x", "y"]), digest=DIGESTS, size=st.none() | st.just(5)
)
ASSETS = st.builds(
    AssetInput,
    id=st.sampled_from(["a", "b", "c"]),
    path=st.just("s.yaml"),
    spec=DIGESTS,
    fingerprint=DIGESTS,
    sources=st.lists(SOURCES, max_size=2).map(tuple),
)
INPUTS = st.builds(
    Inputs,
    store_id=st.sampled_from(["", "u1", "u2"]),
    base_commit=st.none() | DIGESTS,
    tool=st.just("1"),
    assets=st.lists(ASSETS, unique_by=lambda asset: asset.id).map(
        lambda found: tuple(sorted(found, key=lambda asset: asset.id))
    ),
    deleted=st.sets(st.sampled_from(["d", "e"])).map(lambda found: tuple(sorted(found))),
)


@hypothesis_settings(max_examples=examples(100, 300))
@given(INPUTS, INPUTS)
def test_a_difference_is_never_without_a_name(before: Inputs, now: Inputs) -> None:
    assert not list(differences(before, before))
    decides = [
        (one.store_id, one.base_commit, one.deleted, [(a.id, a.fingerprint) for a in one.assets])
        for one in (before, now)
    ]
    if decides[0] != decides[1]:
        assert list(differences(before, now))
