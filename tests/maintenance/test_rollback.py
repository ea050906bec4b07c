"""`rollback`: any earlier state again, and a plan that says what the specs would change."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from workbench import Document, Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import (
    ConflictError,
    CorruptObjectError,
    NotFoundError,
    PlanError,
    ProtectedError,
)
from geobatch.model.plans.plan import Op, Options
from geobatch.model.published import Head
from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.store.maintenance.gc import collect
from geobatch.store.maintenance.gc_plan import GcOptions
from geobatch.store.maintenance.rollback import RollbackPlan, plan_rollback, publish_rollback
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.rollback import RolledBack, rollback
from geobatch.workflow.plan import plan

IDS = ("a", "x/b", "x/c")
POLICIES = ("MEAN", "MODE", "SAMPLE", "MAX")


def pixels(seed: int) -> Any:
    return np.random.default_rng(seed).integers(1, 250, (140, 150)).astype(np.uint8)


def write(bench: Workbench, asset_id: str, seed: int) -> None:
    write_tiff(bench.folder / f"{asset_id.replace('/', '-')}.tif", [pixels(seed)], nodata=0)


def document(asset_id: str, **more: Any) -> Document:
    return image(asset_id, f"{asset_id.replace('/', '-')}.tif", tile=32, **more)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(folder=tmp_path)
    for seed, asset_id in enumerate(IDS):
        write(made, asset_id, seed)
    return made


def publish(bench: Workbench, *documents: Document) -> str:
    """Apply documents, delete all other assets, and return the content root."""
    spec = bench.write_spec(documents)
    options = Options(is_pruning=True, max_delete="100%")
    return apply([spec], store=bench.store, options=options, workers=1).content_root


def heads(bench: Workbench) -> list[Head]:
    """Return the commits, the first one first."""
    with closing(TileStore.open(bench.store)) as store:
        return [*store.log()][::-1]


def head(bench: Workbench) -> Head:
    return heads(bench)[-1]


def ids(bench: Workbench) -> list[str]:
    return [entry.id for entry in head(bench).tree.entries]


def arrays(group: zarr.Group) -> dict[str, Any]:
    return {
        path: np.asarray(node[...])
        for path, node in group.members(max_depth=None)
        if isinstance(node, zarr.Array)
    }


def state(bench: Workbench, commit: int | None = None) -> dict[str, dict[str, Any]]:
    """Return the pixels of every asset through geobatch's reader, each byte verified."""
    with open_store(bench.store) as opened:
        store = opened if commit is None else opened.at(str(commit))
        return {asset_id: arrays(store.open(asset_id)) for asset_id in store.assets()}


def shown(bench: Workbench) -> dict[str, dict[str, Any]]:
    """Return the pixels that the plain tree shows, through zarr-python alone."""
    tree = bench.store / "zarr"
    roots = [path.parent for path in sorted(tree.rglob("zarr.json"))]
    found = [path for path in roots if (path / "0" / "zarr.json").exists()]
    return {str(p.relative_to(tree)): arrays(zarr.open_group(p, mode="r")) for p in found}


def assert_same(one: dict[str, dict[str, Any]], other: dict[str, dict[str, Any]]) -> None:
    assert one.keys() == other.keys()
    for asset_id, members in one.items():
        assert members.keys() == other[asset_id].keys()
        for path, values in members.items():
            assert np.array_equal(values, other[asset_id][path]), (asset_id, path)


step = st.dictionaries(
    st.sampled_from(IDS),
    st.tuples(st.integers(0, 2), st.sampled_from(POLICIES)),
    min_size=1,
)
"""Which assets there are, each over pixels of a seed and with a policy."""


def publish_step(bench: Workbench, assets: dict[str, tuple[int, str]]) -> list[Document]:
    for asset_id, (seed, _) in assets.items():
        write(bench, asset_id, seed)
    documents = [
        document(asset_id, pyramiding_policy=policy) for asset_id, (_, policy) in assets.items()
    ]
    publish(bench, *documents)
    return documents


@settings(max_examples=examples(5, 60))
@given(steps=st.lists(step, min_size=2, max_size=4), data=st.data())
def test_any_earlier_state_is_published_again(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[dict[str, tuple[int, str]]],
    data: st.DataObject,
) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("history"))
    documents: list[Document] = []
    for assets in steps:
        documents = publish_step(bench, assets)
    before = heads(bench)
    number = data.draw(st.integers(1, len(before)), label="commit")
    old = state(bench, number)
    done = rollback(bench.store, str(number))
    assert done.is_done == (before[number - 1].tree != before[-1].tree)
    now = head(bench)
    assert now.commit is not None
    was = before[number - 1].commit
    assert was is not None
    assert now.commit.content_root == was.content_root
    assert now.tree == before[number - 1].tree
    assert_same(state(bench), old)
    assert_same(shown(bench), old)
    # What the specs would change is exactly what differs from what they declare.
    made = plan([bench.write_spec(documents)], store=bench.store)
    wanted = {entry.id: entry.fingerprint for entry in before[-1].tree.entries}
    found = {entry.id: entry.fingerprint for entry in now.tree.entries}
    differing = {name for name in wanted if wanted[name] != found.get(name)}
    assert {change.id for change in made.changes if change.op is not Op.KEEP} == differing
    assert set(made.undeclared) == found.keys() - wanted.keys()
    assert publish(bench, *documents) == before[-1].commit.content_root  # type: ignore[union-attr]


def test_only_what_is_named_is_rolled_back(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN"), "x/b": (0, "MEAN"), "x/c": (0, "MEAN")})
    publish_step(bench, {"a": (1, "MEAN"), "x/b": (1, "MEAN"), "x/c": (1, "MEAN")})
    first, second = heads(bench)
    for names, changed in ((("x",), {"x/b", "x/c"}), (("a", "*/c"), {"a", "x/c"})):
        done = rollback(bench.store, "1", names)
        assert {change.id for change in done.plan.changes} == changed
        for entry in done.head.tree.entries:
            side = first if entry.id in changed else second
            assert entry == side.tree.entry(entry.id)
        rollback(bench.store, "2")
    with pytest.raises(NotFoundError, match=r"`y` matches no asset"):
        rollback(bench.store, "1", ["a", "y"])
    assert head(bench).number == 6


def test_an_asset_that_did_not_exist_is_deleted_and_a_deleted_one_restored(
    bench: Workbench,
) -> None:
    publish(bench, document("a"))
    publish(bench, document("x/b"))
    done = rollback(bench.store, "HEAD~1")
    assert [(one.op, one.id) for one in done.plan.changes] == [
        (Op.CREATE, "a"),
        (Op.DELETE, "x/b"),
    ]
    assert ids(bench) == ["a"]
    assert not (bench.tree / "x").exists()
    assert done.head.commit is not None
    assert done.head.commit.message == f"rollback to 1 ({heads(bench)[0].digest[:12]})"  # type: ignore[index]


def test_nothing_is_computed_and_no_tile_is_put(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN")})
    publish_step(bench, {"a": (1, "MODE")})
    before = {path for path in (bench.store / "objects").rglob("*") if path.is_file()}
    (bench.folder / "a.tif").unlink()  # no source is needed
    done = rollback(bench.store, "1")
    new = {path for path in (bench.store / "objects").rglob("*") if path.is_file()} - before
    named = {Objects.path(done.head.digest or "")}
    assert {str(path.relative_to(bench.store)) for path in new} == named


def test_a_rollback_undoes_a_rename_under_either_name(bench: Workbench) -> None:
    publish(bench, document("a"), document("x/b"))
    publish(bench, image("n", "a.tif", tile=32, moved_from="a"), document("x/b"))
    assert ids(bench) == ["n", "x/b"]
    for names in (["a"], ["n"], []):
        done = rollback(bench.store, "1", names)
        (change,) = done.plan.changes
        assert (change.op, change.id, change.previous_id) == (Op.RENAME, "a", "n")
        assert ids(bench) == ["a", "x/b"]
        assert done.head.name_before("a") == "n"
        rollback(bench.store, "2")
        assert ids(bench) == ["n", "x/b"]
    rollback(bench.store, "1")
    spec = bench.write_spec([image("n", "a.tif", tile=32, moved_from="a"), document("x/b")])
    made = plan([spec], store=bench.store)
    (planned,) = [one for one in made.changes if one.op is not Op.KEEP]
    assert (planned.op, planned.tiles.compute) == (Op.RENAME, 0)


def test_a_protected_asset_is_not_deleted(bench: Workbench) -> None:
    guarded = document("x/b", lifecycle={"protect": True})
    publish(bench, document("a"))
    publish_step(bench, {"a": (2, "MEAN")})
    publish(bench, document("a"), guarded)
    number = head(bench).number
    with pytest.raises(ProtectedError, match=r"`x/b` did not exist at commit 1.*protected since"):
        rollback(bench.store, "1")
    assert head(bench).number == number
    assert ids(rollback_of(bench, "1", "a")) == ["a", "x/b"]


def rollback_of(bench: Workbench, commit: str, *names: str) -> Workbench:
    rollback(bench.store, commit, names)
    return bench


def test_a_protection_that_is_lifted_is_shown(bench: Workbench) -> None:
    publish(bench, document("a"))
    publish(bench, document("a", lifecycle={"protect": True}))
    done = rollback(bench.store, "1")
    assert [one.lifts_protection for one in done.plan.changes] == [True]
    assert not rollback(bench.store, "2").plan.changes[0].lifts_protection


def test_names_that_differ_by_case_are_refused(bench: Workbench) -> None:
    publish(bench, image("Rome", "a.tif", tile=32))
    publish(bench, document("x/b"))
    publish(bench, image("rome", "a.tif", tile=32))
    with pytest.raises(PlanError, match=r"`Rome` differs only by case from `rome`"):
        rollback(bench.store, "1", ["Rome"])
    assert ids(rollback_of(bench, "1")) == ["Rome"]


def objects_of(bench: Workbench, number: int) -> Iterator[Path]:
    """Yield every object that a commit of one image needs, but for the commit and the tree."""
    with closing(TileStore.open(bench.store)) as store:
        found = store.at(str(number))
        assert found.commit is not None
        names = {found.commit.origins}
        for entry in found.tree.entries:
            record = store.record(entry)
            names.add(entry.stored)
            for key, root in record.arrays:
                asset = record.image
                grid = asset.grid(asset.band(key.band).grid)
                shape = grid.tile_shape(tile=asset.tile, level=key.level)
                names |= set(store.index.pages(shape, root))
                for tile in store.index.entries(shape, root):
                    names.add(tile["stored"].tobytes().hex())
    for name in sorted(name for name in names if name):
        yield bench.store / Objects.path(name)


def test_what_is_missing_is_named_before_anything_is_published(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN")})
    publish_step(bench, {"a": (1, "MEAN")})
    paths = [*objects_of(bench, 1)]
    assert len(paths) > 20
    for path in paths:
        moved = path.rename(bench.folder / "lost")
        with pytest.raises(CorruptObjectError) as caught:
            rollback(bench.store, "1")
        assert path.name in caught.value.message
        assert "nothing was published" in (caught.value.hint or "")
        assert head(bench).number == 2
        moved.rename(path)
    path, other = paths[:2]
    path.unlink()
    other.unlink()
    with pytest.raises(CorruptObjectError, match=path.name) as caught:
        rollback(bench.store, "1")
    assert other.name in caught.value.message or "index page" in caught.value.message


def race(bench: Workbench, names: list[str], other: Document) -> RolledBack:
    """Roll back while another process publishes."""
    place = bench.folder / "other.yaml"

    def agree(_: object) -> bool:
        bench.write_spec([other], place.name)
        apply([place], store=bench.store, workers=1)
        return True

    return rollback(bench.store, "1", names, agree=agree)


def test_a_head_that_moved_is_not_overwritten(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN"), "x/b": (0, "MEAN")})
    publish_step(bench, {"a": (1, "MEAN"), "x/b": (1, "MEAN")})
    with pytest.raises(ConflictError, match=r"commit 3 .* was published since"):
        race(bench, [], document("x/c"))
    with pytest.raises(ConflictError, match="asset `a` was changed by commit 4"):
        race(bench, ["a"], document("a", memo="other"))
    done = race(bench, ["x/b"], document("x/c", memo="more"))
    assert done.head.number == 6
    kept = {entry.id: entry for entry in done.head.tree.entries}
    before = heads(bench)
    assert kept["x/b"] == before[0].tree.entry("x/b")
    assert kept["a"] == before[3].tree.entry("a")
    assert kept["x/c"] == before[4].tree.entry("x/c")


def test_an_interrupted_view_is_completed_by_the_same_command(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN")})
    publish_step(bench, {"a": (1, "MEAN")})
    with closing(TileStore.open(bench.store)) as store:
        publish_rollback(store, plan_rollback(store, "1"), tools={})  # killed before the views
    assert not rollback(bench.store, "1").is_done
    assert_same(shown(bench), state(bench, 1))


def test_a_lost_cache_changes_nothing(bench: Workbench) -> None:
    publish_step(bench, {"a": (0, "MEAN")})
    documents = publish_step(bench, {"a": (1, "MODE")})
    root = rollback(bench.store, "1").head
    shutil.rmtree(bench.store / "cache")
    made = plan([bench.write_spec(documents)], store=bench.store)
    assert not made.is_empty
    assert made.base_commit == root.digest


@pytest.mark.parametrize("is_now", [True, False])
def test_a_gc_while_the_plan_is_shown_takes_nothing(bench: Workbench, *, is_now: bool) -> None:
    first = publish(bench, document("a"))
    publish(bench, document("a", pyramiding_policy="MIN"))
    before = state(bench, 1)
    for path in bench.store.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(time.time_ns() - 3600 * 10**9,) * 2)
    options = GcOptions(
        keep_last=1, keep_within=timedelta(0), grace=timedelta(0), is_now=is_now
    )  # the commit that is rolled back to is dropped

    def agree(_: RollbackPlan) -> bool:
        assert collect(bench.store, options).moved
        return True

    done = rollback(bench.store, "1", agree=agree)
    assert done.head.commit is not None
    assert done.head.commit.content_root == first
    assert fsck(bench.store, subset=EVERYTHING).is_whole
    assert_same(state(bench), before)
    assert_same(shown(bench), before)


def test_a_dry_run_writes_nothing(bench: Workbench) -> None:
    publish(bench, document("a"))
    publish(bench, document("a", pyramiding_policy="MIN"))
    before = {path: path.stat().st_mtime_ns for path in bench.store.rglob("*")}
    done = rollback(bench.store, "1", is_dry_run=True)
    assert not done.is_done
    assert not done.plan.is_empty
    assert before == {path: path.stat().st_mtime_ns for path in bench.store.rglob("*")}
