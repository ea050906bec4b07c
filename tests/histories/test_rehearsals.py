"""A rehearsed plan reaches the content root that it states: after any edits, kills and races."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from edits import EDITS, new_document
from history import World, in_memory
from mortal import KILLED, Mortal
from workbench import Workbench, image, write_tiff

from geobatch.errors import GeobatchError
from geobatch.model.observer import SilentObserver
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.rehearsal.publish import apply_rehearsed
from geobatch.workflow.rehearsal.rehearse import Rehearsed, rehearse_specs
from geobatch.workflow.request import Request


@pytest.fixture(scope="module")
def mortal() -> Iterator[Mortal]:
    with Mortal() as made:
        yield made


def rehearse(spec: Path, store: Path, *, workers: int = 2) -> Rehearsed:
    request = Request.of(spec, store=store, workers=workers)
    return rehearse_specs(request, observer=SilentObserver(), locate=lambda _: None)


def publish(spec: Path, store: Path, done: Rehearsed) -> str:
    """Publish what was rehearsed, and return the content root."""
    assert done.rehearsal is not None
    request = Request.of(spec, store=store)
    root = done.rehearsal.content_root
    summary = apply_rehearsed(request, done.rehearsal.id, stated=root, approve=lambda _: None)
    assert summary.tiles.written == summary.bytes.read == 0
    return summary.content_root


def copied(store: Path) -> Path:
    """Return a copy of a store, beside it, so that origins are the same."""
    target = store.with_name("copy")
    shutil.rmtree(target, ignore_errors=True)
    if store.exists():
        shutil.copytree(store, target)
    return target


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_the_root_is_as_stated(seed: int, mortal: Mortal, is_long: bool) -> None:
    rng = Random(seed)
    with in_memory() as folder:
        world = World(folder=folder, mortal=mortal, clean={})
        world.documents.append(new_document(world, rng, "x/a"))
        published = 0
        for _ in range(12 if is_long else 4):
            for name in rng.sample(sorted(EDITS), 3):
                EDITS[name](world, rng)
            spec = world.spec
            try:
                expected = apply([spec], store=copied(world.store), workers=2).content_root
            except GeobatchError as error:
                with pytest.raises(type(error)):
                    rehearse(spec, world.store)
                continue
            done = rehearse(spec, world.store)
            assert done.rehearsal is not None
            assert done.rehearsal.content_root == expected
            assert publish(spec, world.store, done) == expected
            published += 1
        assert published > 1


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """Return a store with `a`, whose source has changed since; `b` is new."""
    bench = Workbench(folder=tmp_path)
    for seed, name in enumerate(["a.tif", "b.tif"]):
        pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
        write_tiff(tmp_path / name, [pixels], nodata=0)
    bench.apply(image("a", "a.tif"))
    pixels[:150] += 1
    write_tiff(tmp_path / "a.tif", [pixels], nodata=0)
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif", pyramiding_policy="MODE")])
    return bench


def test_a_killed_rehearsal_is_completed_by_the_next(
    bench: Workbench, mortal: Mortal, is_long: bool
) -> None:
    spec = bench.folder / "spec.yaml"
    original = bench.folder / "original"
    shutil.copytree(bench.store, original)
    head = TileStore.open(bench.store).head()
    expected = apply([spec], store=copied(bench.store)).content_root
    killed = 0
    for die_at in range(0, 1000, 5 if is_long else 120):
        shutil.rmtree(bench.store)
        shutil.copytree(original, bench.store)
        job = {"do": "rehearse", "spec": str(spec), "store": str(bench.store), "workers": 2}
        status = mortal.run({**job, "die_at": die_at}).status
        assert status in (0, KILLED)
        killed += status == KILLED
        assert TileStore.open(bench.store).head() == head
        done = rehearse(spec, bench.store)
        assert publish(spec, bench.store, done) == expected
        if status == 0:
            break
    assert killed > 1


def shown(store: Path) -> dict[str, bytes]:
    """Return all files of the Zarr tree, but for the number of the commit that it shows."""
    tree = store / "zarr"
    files = (path for path in tree.rglob("*") if path.is_file() and path != tree / "zarr.json")
    return {str(path.relative_to(tree)): path.read_bytes() for path in files}


def test_a_killed_apply_of_a_rehearsed_plan_is_completed(
    bench: Workbench, mortal: Mortal, is_long: bool
) -> None:
    """The folder of `b` that the rehearsal made is moved, or not yet, or only in part removed."""
    spec = bench.folder / "spec.yaml"
    expected = apply([spec], store=copied(bench.store)).content_root
    wanted = shown(bench.folder / "copy")
    done = rehearse(spec, bench.store)
    assert done.rehearsal is not None
    assert [len(list(path.glob("*.state"))) for path in bench.store.glob("runs/rehearsed/*")] == [1]
    original = bench.folder / "original"
    bench.store.rename(original)
    killed = 0
    for die_at in range(0, 1000, 1 if is_long else 17):
        shutil.rmtree(bench.store, ignore_errors=True)
        # With the links, as the state of the folder knows them.
        subprocess.run(["cp", "-a", original, bench.store], check=True)
        job = {"do": "publish", "spec": str(spec), "store": str(bench.store), "die_at": die_at}
        stated = done.rehearsal.content_root
        ending = mortal.run({**job, "plan": done.rehearsal.id, "stated": stated})
        assert ending.status in (0, KILLED), ending.said
        killed += ending.status == KILLED
        assert publish(spec, bench.store, done) == expected
        assert shown(bench.store) == wanted
        if ending.status == 0:
            break
    assert killed > 1


def test_two_rehearsals_at_once_are_one(bench: Workbench) -> None:
    spec = bench.folder / "spec.yaml"
    expected = apply([spec], store=copied(bench.store)).content_root
    found: list[Rehearsed] = []
    threads = [
        threading.Thread(target=lambda: found.append(rehearse(spec, bench.store))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = (one.rehearsal for one in found)
    assert first is not None
    assert second is not None
    assert first.content_root == second.content_root == expected
    assert len(list(bench.store.glob("rehearsals/*"))) == 1
    assert publish(spec, bench.store, found[0]) == expected


def test_a_commit_during_a_rehearsal_does_not_change_it(bench: Workbench) -> None:
    """Another asset is published after the plan was made, and before the record is."""
    spec, other = bench.folder / "spec.yaml", bench.folder / "other.yaml"
    expected = apply([spec], store=copied(bench.store)).content_root

    class Publishing(SilentObserver):
        is_done = False

        def asset_finished(self, asset_id: str) -> None:
            if not self.is_done:
                self.is_done = True
                bench.write_spec([image("c", "b.tif")], "other.yaml")
                apply([other], store=bench.store)

    request = Request.of(spec, store=bench.store)
    done = rehearse_specs(request, observer=Publishing(), locate=lambda _: None)
    assert done.rehearsal is not None
    assert done.rehearsal.content_root == expected
    root = publish(spec, bench.store, done)
    assert root == apply([spec, other], store=bench.folder / "clean").content_root


@pytest.mark.parametrize("seed", range(4))
def test_the_statistics_are_those_of_numpy(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dtype = ["uint8", "int16", "float32", "uint32"][seed]
    before = rng.integers(0, 200, (300, 280)).astype(dtype)
    after = before.copy()
    after[70:90, 10:200] = rng.integers(0, 200, (20, 190)).astype(dtype)
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [before, before], nodata=0)
    bench.apply(image("a", "a.tif"))
    write_tiff(tmp_path / "a.tif", [after, before], nodata=0)
    write_tiff(tmp_path / "b.tif", [after], nodata=0)
    spec = bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    done = rehearse(spec, bench.store)
    changes: dict[str, Any] = {one["id"]: one for one in done.document["asset_changes"]}
    first, second = changes["a"]["rehearsed"]["bands"]
    assert "values" not in changes["a"]["rehearsed"]
    was, now = before != 0, after != 0
    differs = was & now & (before != after)
    assert_band(first, after[differs].astype(float) - before[differs].astype(float))
    assert first["pixels"] == before.size
    assert first["masked"] == (was & ~now).sum()
    assert first["unmasked"] == (now & ~was).sum()
    assert_band(second, np.empty(0))
    assert (second["masked"], second["unmasked"], second["reweighted"]) == (0, 0, 0)
    levels = changes["a"]["rehearsed"]["levels"]
    tiles = {(row // 64, col // 64) for row, col in np.argwhere(before != after)}
    assert levels[0]["different"] == len(tiles)
    assert levels[0]["different"] <= levels[0]["tiles"]
    assert changes["b"]["rehearsed"]["bands"] == []
    (new,) = changes["b"]["rehearsed"]["values"]
    assert_band(new, after[now].astype(float))
    assert (new["masked"], new["unmasked"]) == ((~now).sum(), 0)


def assert_band(found: dict[str, Any], numbers: Any) -> None:
    """Assert that a band was measured as these numbers say."""
    assert found["changed"] == len(numbers)
    if not len(numbers):
        assert found["minimum"] is found["maximum"] is found["mean"] is found["histogram"] is None
        return
    assert (found["minimum"], found["maximum"]) == (numbers.min(), numbers.max())
    assert found["mean"] == pytest.approx(numbers.mean())
    edges = np.array(found["histogram"]["edges"])
    counts, _ = np.histogram(numbers, bins=np.append(edges[:-1], np.inf))
    assert found["histogram"]["counts"] == counts.tolist()


def test_equal_tiles_do_not_count_and_end_above(tmp_path: Path) -> None:
    """A source that is encoded otherwise is computed again, and nothing differs."""
    bench = Workbench(folder=tmp_path)
    pixels = np.random.default_rng(1).integers(1, 255, (300, 280)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels])
    bench.apply(image("a", "a.tif"))
    pixels[0, 0] += 1
    write_tiff(tmp_path / "a.tif", [pixels], layout={"compress": "deflate", "blockysize": 7})
    done = rehearse(bench.folder / "spec.yaml", bench.store)
    (change,) = done.document["asset_changes"]
    levels = change["rehearsed"]["levels"]
    assert levels[0]["tiles"] > levels[0]["different"] == 1
    assert change["rehearsed"]["bands"][0]["changed"] == 1


def test_a_mask_that_is_added_or_removed_is_compared(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    pixels = np.full((100, 100), 7, dtype=np.uint8)
    alpha = np.full((100, 100), 255, dtype=np.uint8)
    alpha[:10], alpha[10:20] = 0, 100
    write_tiff(tmp_path / "a.tif", [pixels, alpha], has_alpha=True)
    write_tiff(tmp_path / "b.tif", [pixels])
    one, other = (image("a", f"{name}.tif") for name in "ab")
    bench.apply(other)
    for document, masked, unmasked, weighted in ((one, 1000, 0, 1000), (other, 0, 1000, 1000)):
        spec = bench.write_spec([document])
        done = rehearse(spec, bench.store)
        (change,) = done.document["asset_changes"]
        (band,) = [b for b in change["rehearsed"]["bands"] if b["band"] == "b1"]
        found = band["changed"], band["masked"], band["unmasked"], band["reweighted"]
        assert found == (0, masked, unmasked, weighted)
        publish(spec, bench.store, done)


def test_a_sample_measures_its_regions_and_keeps_nothing(tmp_path: Path) -> None:
    """Tiles are 64 pixels and regions 2048: the image has 2 x 2 of them."""
    rng = np.random.default_rng(5)
    before = rng.integers(1, 200, (2100, 2200)).astype(np.uint8)
    after = before.copy()
    after[:, :300] += 1
    after[2060:, 2100:] += 2
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [before], nodata=0)
    bench.apply(image("a", "a.tif"))
    write_tiff(tmp_path / "a.tif", [after], nodata=0)
    write_tiff(tmp_path / "b.tif", [after], nodata=0)
    spec = bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    request = Request.of(spec, store=bench.store)
    expected = apply([spec], store=copied(bench.store)).content_root

    def sample(share: float) -> Rehearsed:
        return rehearse_specs(
            request, observer=SilentObserver(), locate=lambda _: None, share=share
        )

    whole = sample(1.0)
    assert whole.sample is not None
    regions = {"a": 4, "b": 4}
    assert (whole.sample.regions, whole.sample.total) == (8, 8)
    assert whole.sample.different == sum(regions.values()) - 1  # the upper right of `a` is equal
    found = {one["id"]: one["rehearsed"] for one in whole.document["asset_changes"]}
    differs = before != after
    assert_band(
        found["a"]["bands"][0], after[differs].astype(float) - before[differs].astype(float)
    )
    assert_band(found["b"]["values"][0], after.ravel().astype(float))
    part, again = sample(0.3), sample(0.3)
    assert part.sample is not None
    assert part.document == again.document
    assert part.sample.regions == 3
    assert "at most" in part.sample.bound
    sampled = {
        one["id"]: one["rehearsed"] for one in part.document["asset_changes"] if "rehearsed" in one
    }
    for name, one in sampled.items():
        (band,) = one["bands"] or one["values"]
        (all_of_it,) = found[name]["bands"] or found[name]["values"]
        assert band["changed"] <= all_of_it["changed"]
        assert 0 < band["pixels"] <= all_of_it["pixels"]
        assert len(one["levels"]) == 1
    assert not list(bench.store.glob("rehearsals/*"))
    # Nothing of a sample may be taken for a whole region or band.
    assert apply([spec], store=bench.store).content_root == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"missing_data": {"values": [9]}}, {"missing_data": {"values": [6]}}),
        ({"missing_data": {"values": [6]}}, {"missing_data": {"values": [3, 4]}}),
        ({"missing_data": {"values": [6]}}, {}),
        ({}, {"missing_data": {"values": [6]}}),
    ],
    ids=["another value", "more values", "no value", "a value"],
)
def test_what_is_masked_counts_though_the_bytes_are_equal(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Of a tile that is stored as before, other pixels are masked if the fill value is another."""
    bench = Workbench(folder=tmp_path)
    pixels = np.random.default_rng(1).integers(1, 10, (300, 280)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels])
    bench.apply(image("a", "a.tif", tile=64, **before))
    spec = bench.write_spec([image("a", "a.tif", tile=64, **after)])
    (change,) = rehearse(spec, bench.store).document["asset_changes"]
    was, now = (
        np.isin(pixels, one.get("missing_data", {}).get("values", [])) for one in (before, after)
    )
    (band,) = change["rehearsed"]["bands"]
    assert band["masked"] == (now & ~was).sum()
    assert band["unmasked"] == (was & ~now).sum()
    assert band["changed"] == 0
    assert change["rehearsed"]["levels"][0]["different"] == 5 * 5
