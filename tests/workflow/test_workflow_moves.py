"""`moved_from`: an asset under another id keeps its tiles and its history, and loses its old id."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from workbench import Document, Workbench, image, write_tiff

from geobatch.errors import ConflictError, ProtectedError
from geobatch.model.plans.plan import AssetChange, Op, Options, Plan, Reason, Risk
from geobatch.model.plans.summary import ApplySummary
from geobatch.model.published import Head, TreeEntry
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan, plan_specs
from geobatch.workflow.request import Request

LAYOUT = {"tiled": True, "blockxsize": 128, "blockysize": 128}


def pixels(seed: int) -> Any:
    return np.random.default_rng(seed).integers(1, 250, (530, 600)).astype(np.uint8)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    for seed, name in enumerate("abc"):
        write_tiff(tmp_path / f"{name}.tif", [pixels(seed)], nodata=0, layout=LAYOUT)
    return Workbench(folder=tmp_path)


def spec(asset_id: str, file: str = "a", **more: Any) -> Document:
    return image(asset_id, f"{file}.tif", tile=128, **more)


def moved(asset_id: str, old: str, file: str = "a", **more: Any) -> Document:
    return spec(asset_id, file, moved_from=old, **more)


def head(bench: Workbench) -> Head:
    store = TileStore.open(bench.store)
    found = store.head()
    store.close()
    return found


def entries(bench: Workbench) -> dict[str, TreeEntry]:
    return {entry.id: entry for entry in head(bench).tree.entries}


def clean_root(bench: Workbench, *documents: Document) -> str:
    """Return the content root of a store that never held anything else."""
    place = bench.folder / "clean"
    root = apply([bench.write_spec(documents, "clean.yaml")], store=place).content_root
    shutil.rmtree(place)
    return root


def planned(bench: Workbench, *documents: Document, **options: Any) -> Plan:
    return plan([bench.write_spec(documents)], store=bench.store, options=Options(**options))


def applied(bench: Workbench, *documents: Document, **options: Any) -> ApplySummary:
    return apply([bench.write_spec(documents)], store=bench.store, options=Options(**options))


def only(made: Plan) -> AssetChange:
    (change,) = [change for change in made.changes if change.op is not Op.KEEP]
    return change


def lose_cache(bench: Workbench) -> None:
    shutil.rmtree(bench.store / "cache")


@pytest.mark.parametrize("new", ["z", "x/y/z", "m/a/deeper", "m"])
def test_a_rename_computes_nothing_and_needs_no_cache(bench: Workbench, new: str) -> None:
    bench.apply(spec("m/a"))
    before = entries(bench)["m/a"]
    arrays = {level: bench.array(f"m/a/{level}/b1") for level in range(3)}
    lose_cache(bench)
    (bench.folder / "a.tif").touch()
    made = planned(bench, moved(new, "m/a"))
    change = only(made)
    assert (change.op, change.id, change.previous_id) == (Op.RENAME, new, "m/a")
    assert [one.reason for one in change.because] == [Reason.RENAMED]
    assert (change.tiles.compute, change.extent) == (0, ())
    assert change.risks == ((Risk.ASSET_RENAMED, "m/a"),)
    done = applied(bench, moved(new, "m/a"))
    assert done.plan == made
    assert (done.tiles.written, done.bytes.read, done.bytes.written) == (0, 0, 0)
    assert entries(bench).keys() == {new}
    assert entries(bench)[new].tiles == before.tiles
    assert head(bench).number == 2
    assert head(bench).name_before(new) == "m/a"
    assert done.content_root == clean_root(bench, spec(new))
    for level, values in arrays.items():
        assert np.array_equal(bench.array(f"{new}/{level}/b1"), values)
    assert not (bench.tree / "m/a/0").exists()


def test_the_claim_may_stay_and_takes_nothing_twice(bench: Workbench) -> None:
    bench.apply(spec("old"))
    applied(bench, moved("new", "old"))
    assert planned(bench, moved("new", "old")).is_empty
    assert applied(bench, moved("new", "old")).commit is None
    # Somebody else publishes another asset under the id that became free: it is theirs.
    other = bench.write_spec([spec("old", "b")], "other.yaml")
    apply([other], store=bench.store)
    assert planned(bench, moved("new", "old")).is_empty
    assert planned(bench, spec("new")).is_empty
    assert entries(bench).keys() == {"new", "old"}


def test_without_the_published_asset_it_is_an_ordinary_one(bench: Workbench) -> None:
    change = only(planned(bench, moved("new", "old")))
    assert (change.op, change.previous_id) == (Op.CREATE, "")
    applied(bench, moved("new", "old"))
    assert entries(bench).keys() == {"new"}


def test_other_changes_of_the_same_edit_cost_what_they_cost(bench: Workbench) -> None:
    bench.apply(spec("old", properties={"v": 1}), spec("other", "b"))
    values = pixels(0)
    values[300:310, 300:310] += 1
    write_tiff(bench.folder / "a.tif", [values], nodata=0, layout=LAYOUT)
    edited = moved("new", "old", properties={"v": 2})
    change = only(planned(bench, edited, spec("other", "b")))
    assert change.op is Op.RENAME
    assert [one.reason for one in change.because] == [
        Reason.RENAMED, Reason.SOURCE_CHANGED, Reason.PROPERTIES_CHANGED,
    ]  # fmt: skip
    (work,) = change.work
    assert set(work.tiles) == {(2, 2)}
    assert change.tiles.by_level == (1, 2, 2)  # one tile of values, and of masks above level 0
    assert (change.tiles.add, change.tiles.remove) == (0, 0)
    done = applied(bench, edited, spec("other", "b"))
    assert done.tiles.written <= 5
    assert done.content_root == clean_root(bench, edited, spec("other", "b"))


def test_a_policy_keeps_level_0_under_another_id(bench: Workbench) -> None:
    bench.apply(spec("old"))
    lose_cache(bench)
    done = applied(bench, moved("new", "old", pyramiding_policy="MIN"))
    assert done.bytes.read == 0
    assert done.plan.changes[0].tiles.by_level[0] == 0
    assert done.content_root == clean_root(bench, spec("new", pyramiding_policy="MIN"))


def test_names_change_again_and_back(bench: Workbench) -> None:
    bench.apply(spec("a"))
    for new, old in (("b", "a"), ("c", "b"), ("a", "c")):
        done = applied(bench, moved(new, old))
        assert done.tiles.written == 0
        assert entries(bench).keys() == {new}
    assert done.content_root == clean_root(bench, spec("a"))


def test_what_is_not_selected_is_not_renamed(bench: Workbench) -> None:
    bench.apply(spec("old"), spec("other", "b"))
    documents = (moved("new", "old"), spec("other", "b", properties={"k": 1}))
    done = applied(bench, *documents, select=("other",), is_pruning=True)
    assert [change.id for change in done.plan.changes] == ["other"]
    assert entries(bench).keys() == {"old", "other"}
    # What is renamed is published already, and changes.
    assert [c.id for c in planned(bench, *documents, select=("state:new",)).changes] == []
    assert [c.id for c in planned(bench, *documents, select=("state:modified",)).changes] == ["new"]


def test_a_rename_is_no_deletion(bench: Workbench) -> None:
    bench.apply(spec("old"), spec("gone", "b"))
    made = planned(bench, moved("new", "old"), is_pruning=True, max_delete="1")
    assert {change.id: change.op for change in made.changes} == {
        "gone": Op.DELETE, "new": Op.RENAME,
    }  # fmt: skip
    assert not made.refusals
    applied(bench, moved("new", "old"), is_pruning=True, max_delete="1")
    assert entries(bench).keys() == {"new"}
    # The new id is of this spec file from here on.
    assert planned(bench, moved("new", "old"), is_pruning=True).is_empty


def test_a_replaced_asset_is_computed_under_its_new_id(bench: Workbench) -> None:
    bench.apply(spec("old"))
    done = applied(bench, moved("new", "old"), replace=("new",))
    (change,) = done.plan.changes
    assert [one.reason for one in change.because] == [Reason.RENAMED, Reason.REPLACE_REQUESTED]
    assert change.tiles.unchanged == 0
    assert done.bytes.read > 0
    assert entries(bench).keys() == {"new"}
    assert done.content_root == clean_root(bench, spec("new"))


def test_protection_moves_along_or_nothing_does(bench: Workbench) -> None:
    protect = {"protect": True}
    bench.apply(spec("old", lifecycle=protect))
    change = only(planned(bench, moved("new", "old")))
    assert "protected" in change.blocked
    assert planned(bench, moved("new", "old")).count(Op.RENAME) == 0
    words = "`new` cannot take the tiles of `old`: it is protected"
    with pytest.raises(ProtectedError, match=words):
        applied(bench, moved("new", "old"))
    assert head(bench).number == 1
    applied(bench, moved("new", "old", lifecycle=protect))
    assert entries(bench)["new"].is_protected
    store = TileStore.open(bench.store)
    assert store.commits.protected_since("new") == store.at("1").digest
    store.close()


def test_an_asset_of_specs_that_were_not_given_is_not_taken(bench: Workbench) -> None:
    other = bench.write_spec([spec("old")], "other.yaml")
    apply([other], store=bench.store)
    with pytest.raises(ProtectedError, match=r"other\.yaml` was not given to this command"):
        applied(bench, moved("new", "old"))
    # With both given, or once the file is gone, it is known that nothing else declares it.
    mine = bench.write_spec([moved("new", "old")])
    other.write_text(other.read_text().replace("id: old", "id: else").replace("a.tif", "b.tif"))
    made = plan([mine, other], store=bench.store)
    assert {change.op for change in made.changes} == {Op.RENAME, Op.CREATE}
    other.unlink()
    assert only(plan([mine], store=bench.store)).blocked == ""


def test_what_is_renamed_is_in_the_id_of_the_plan(bench: Workbench) -> None:
    bench.apply(spec("old"))
    assert planned(bench, moved("new", "old")).plan_id != planned(bench, spec("new")).plan_id
    once = planned(bench, moved("new", "old"))
    assert replace(once, sources_by_stat=0) == replace(
        planned(bench, moved("new", "old", memo="")), sources_by_stat=0
    )


def test_a_source_that_fails_leaves_the_old_id(bench: Workbench) -> None:
    bench.apply(spec("old"), spec("other", "b"))
    (bench.folder / "a.tif").write_bytes(b"no TIFF")
    path = bench.write_spec([moved("new", "old"), spec("other", "b", properties={"k": 1})])
    done = apply([path], store=bench.store, keep_going=True, options=Options(is_pruning=True))
    assert [failure.id for failure in done.failures] == ["new"]
    assert entries(bench).keys() == {"old", "other"}


def test_a_collection_moves_by_its_rule(bench: Workbench) -> None:
    rule: Document = {
        "kind": "image_collection", "id": "old", "for_each": {"files": "*.tif"},
        "image": {"id": "{stem}", "tiling": {"tile": 128}},
    }  # fmt: skip
    bench.apply(rule)
    lose_cache(bench)
    image_part = {**rule["image"], "id": "x_{stem}", "moved_from": "old/{stem}"}
    done = applied(bench, {**rule, "id": "new", "image": image_part})
    assert [(c.op, c.id, c.previous_id) for c in done.plan.changes] == [
        (Op.RENAME, f"new/x_{name}", f"old/{name}") for name in "abc"
    ]
    assert done.tiles.written == 0
    assert entries(bench).keys() == {f"new/x_{name}" for name in "abc"}


@pytest.mark.parametrize("name", ["old", "new"])
def test_either_id_may_have_changed_meanwhile(bench: Workbench, name: str) -> None:
    bench.apply(spec("old"), spec("other", "b"))
    mine = bench.write_spec([moved("new", "old")])
    theirs = bench.write_spec([spec(name, "c")], "theirs.yaml")
    with pytest.raises(ConflictError, match=f"`{name}` was changed"):
        apply([mine], store=bench.store, approve=lambda _: apply([theirs], store=bench.store))
    assert entries(bench).keys() == {"old", "other", name}


def test_a_rename_is_put_upon_what_others_publish_of_other_assets(bench: Workbench) -> None:
    bench.apply(spec("old"), spec("other", "b"))
    (bench.folder / "spec.yaml").unlink()
    mine = bench.write_spec([moved("new", "old")], "mine.yaml")
    theirs = bench.write_spec([spec("other", "b", properties={"k": 1})], "theirs.yaml")
    done = apply([mine], store=bench.store, approve=lambda _: apply([theirs], store=bench.store))
    assert entries(bench).keys() == {"new", "other"}
    assert head(bench).number == 3
    assert done.content_root == clean_root(
        bench, spec("new"), spec("other", "b", properties={"k": 1})
    )


def warnings(bench: Workbench, *documents: Document) -> list[str]:
    request = Request.of([bench.write_spec(documents)], store=bench.store)
    return [w.message for w in plan_specs(request).warnings if w.rule == "moved-from"]


def test_a_former_id_that_nobody_published_is_warned_about(bench: Workbench) -> None:
    """A typo there would make a new asset, and compute everything."""
    assert not warnings(bench, moved("new", "old"))  # a new store, as of a test environment
    apply([bench.write_spec([spec("old")])], store=bench.store)
    assert not warnings(bench, moved("new", "old"))
    found = warnings(bench, moved("new", "odl"))
    assert found == ["no asset `odl` is published, so `new` is a new one"]
    apply([bench.write_spec([moved("new", "old")])], store=bench.store)
    assert not warnings(bench, moved("new", "old"))  # a claim that stays after its rename
    (bench.folder / "geobatch.yaml").write_text("silence: [moved-from]\n")
    assert not warnings(bench, moved("newer", "odl", "b"), moved("new", "old"))
