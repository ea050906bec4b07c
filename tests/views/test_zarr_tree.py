"""The Zarr tree shows the head, whatever came before, and costs no more than what changed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import zarr
import zarr_workbench as bench
from depth import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from zarr_workbench import Pixels, killed_at, look, sync

from geobatch.errors import CorruptObjectError
from geobatch.model.assets.asset import AnyImage
from geobatch.model.digest import digest_bytes
from geobatch.model.published import ArrayKey, Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewChange
from geobatch.views.zarr.keys import Keys

State: TypeAlias = dict[str, tuple[AnyImage, Pixels]]

KEY = ArrayKey(band="b1", level=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TileStore]:
    made = TileStore.create(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder in memory where there is one: many small stores wait long for a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


def folder(store: TileStore) -> Path:
    root: Path = store.backend.root  # type: ignore[attr-defined]
    return root / "zarr"


def state(*assets: AnyImage, seed: int = 0) -> State:
    return {made.id: (made, bench.pixels(made, seed=seed)) for made in assets}


def files(store: TileStore) -> dict[str, bytes]:
    top = folder(store)
    return {
        path.relative_to(top).as_posix(): path.read_bytes()
        for path in top.rglob("*")
        if path.is_file()
    }


def assert_shows(store: TileStore, head: Head) -> None:
    """The tree holds every key of the commit, byte for byte, and not one file or folder more."""
    found = files(store)
    announced = json.loads(found.pop("zarr.json"))["attributes"]["geobatch"]
    assert announced["commit"] == head.digest
    assert "unsettled" not in announced
    keys = Keys(store, head)
    wanted = {key: keys.read(key) for key in keys.starting_with("") if key != "zarr.json"}
    assert found == wanted
    empty = [path for path in folder(store).rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert not empty


def test_zarr_python_reads_every_pixel_of_the_tree(store: TileStore) -> None:
    made = bench.asset("a/b", bench.band(), bench.band("b2", dtype="float32", fill=float("nan")))
    planes = bench.pixels(made)
    bench.publish(store, {"a/b": (made, planes)})
    sync(store)
    for key, plane in planes.items():
        name = f"a/b/{'masks/' if key.is_mask else ''}{key.level}/{key.band}"
        array = zarr.open_array(folder(store) / name, mode="r")
        np.testing.assert_array_equal(array[:], plane)
    assert len(planes) == 6


def test_the_tree_can_be_walked_from_its_root(store: TileStore) -> None:
    bench.publish(store, state(bench.asset("a/b"), bench.asset("c")))
    sync(store)
    names = {name for name, _ in zarr.open_group(folder(store), mode="r").members(max_depth=None)}
    assert {"a", "a/b", "a/b/0/b1", "c/0/b1", "c/0/spatial_ref"} <= names


def test_a_chunk_is_its_object(store: TileStore) -> None:
    head = bench.publish(store, state(bench.asset("a")))
    change = sync(store, head=head)
    chunk = folder(store) / "a/0/b1/c/4/4"
    digest = digest_bytes(chunk.read_bytes())
    assert chunk.samefile(folder(store).parent / Objects.path(digest))
    assert change == ViewChange(assets=("a",), linked=len(list(chunks(store))), copied=0, removed=0)


def chunks(store: TileStore) -> Iterator[str]:
    coordinates = ("/x/c/0", "/y/c/0")
    return (name for name in files(store) if "/c/" in name and not name.endswith(coordinates))


def test_nothing_to_do_does_nothing(store: TileStore) -> None:
    assert sync(store) == ViewChange()
    assert not folder(store).exists()
    bench.publish(store, state(bench.asset("a")))
    sync(store)
    before = {path: path.stat() for path in folder(store).rglob("*")}
    assert sync(store) == ViewChange()
    assert {path: path.stat() for path in folder(store).rglob("*")} == before


@pytest.mark.parametrize("is_thorough", [False, True])
def test_one_changed_tile_of_a_large_asset_costs_one_link_and_no_metadata(
    store: TileStore, is_thorough: bool
) -> None:
    first = state(bench.asset("a"), bench.asset("other"))
    bench.publish(store, first)
    sync(store)
    before = {path: path.stat().st_ino for path in folder(store).rglob("*") if path.is_file()}
    made, planes = first["a"]
    changed = planes | {KEY: planes[KEY].copy()}
    changed[KEY][200, 200] += 1
    head = bench.publish(store, first | {"a": (made, changed)})
    change = sync(store, is_thorough=is_thorough, most_swapped=0)
    assert change == ViewChange(assets=("a",), linked=1, copied=0, removed=0)
    after = {path: path.stat().st_ino for path in folder(store).rglob("*") if path.is_file()}
    moved = {path for path in after if after[path] != before[path]}
    # The inode of the tree's own document, written twice, may come back.
    assert moved - {folder(store) / "zarr.json"} == {folder(store) / "a/0/b1/c/3/3"}
    assert_shows(store, head)


def test_new_properties_of_a_large_asset_cost_one_document(store: TileStore) -> None:
    made = bench.asset("a")
    bench.publish(store, state(made))
    sync(store)
    before = {path: path.stat().st_ino for path in folder(store).rglob("*") if path.is_file()}
    head = bench.publish(store, state(replace(made, properties=(("k", 1),))))
    assert sync(store, is_thorough=False, most_swapped=0).linked == 0
    assert_shows(store, head)
    after = {path: path.stat().st_ino for path in folder(store).rglob("*") if path.is_file()}
    moved = {
        path.relative_to(folder(store)).as_posix() for path in after if after[path] != before[path]
    }
    assert moved - {"zarr.json"} == {"a/zarr.json"}


TWO_GRIDS = {"fine": bench.geobox((300, 260)), "coarse": bench.geobox((150, 130))}
VARIANTS: dict[str, Callable[[str], State]] = {
    "absent": lambda _: {},
    "plain": lambda name: state(bench.asset(name)),
    "other pixels": lambda name: state(bench.asset(name), seed=1),
    "grown": lambda name: state(bench.asset(name, shape=(300, 520))),
    "shrunk": lambda name: state(bench.asset(name, shape=(20, 30))),
    "two bands": lambda name: state(bench.asset(name, bench.band(), bench.band("b2"))),
    "uint8": lambda name: state(bench.asset(name, bench.band(dtype="uint8", fill=255))),
    "gzip": lambda name: state(bench.asset(name, codec=bench.GZIP)),
    "tile 128": lambda name: state(bench.asset(name, tile=128)),
    "sheared": lambda name: state(
        bench.asset(name, grids={"main": bench.geobox((300, 260), transform=bench.SHEARED)})
    ),
    "two grids": lambda name: state(
        bench.asset(name, bench.band(grid="fine"), bench.band("b2", grid="coarse"), grids=TWO_GRIDS)
    ),
    "below": lambda name: state(bench.asset(f"{name}/b1")),
    "deeper": lambda name: state(bench.asset(f"{name}/0/b1"), bench.asset(f"{name}/1")),
}


@example(history=[("absent", "below"), ("absent", "absent")], skipped={0})
@settings(
    deadline=None,
    max_examples=examples(12, 40),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    history=st.lists(
        st.tuples(st.sampled_from(sorted(VARIANTS)), st.sampled_from(sorted(VARIANTS))),
        min_size=2,
        max_size=4,
    ),
    skipped=st.sets(st.integers(0, 3)),
)
def test_any_history_ends_in_the_tree_of_the_head(
    scratch: Path, history: list[tuple[str, str]], skipped: set[int]
) -> None:
    store = TileStore.create(scratch / "store")
    for step, (first, second) in enumerate(history):
        head = bench.publish(store, VARIANTS[first]("a") | VARIANTS[second]("f/b"))
        if step not in skipped:
            sync(store, head=head)
            if head.number:
                assert_shows(store, head)
    store.close()
    shutil.rmtree(scratch / "store")


def test_what_a_user_broke_is_repaired(store: TileStore) -> None:
    head = bench.publish(store, state(bench.asset("a/b"), bench.asset("c")))
    sync(store)
    top = folder(store)

    def stray() -> None:
        (top / "zarr.json").unlink()
        (top / "old/0/b1/c/0").mkdir(parents=True)
        (top / "old/zarr.json").write_text("{}")
        (top / "c/0/b1/c/0/77").write_text("not a tile")
        (top / "c/0/b1/c/4/4").unlink()
        (top / "c/0/b1/c/4/4").write_text("not this tile")
        (top / "a/zarr.json").write_text("{}")

    for damage in (
        lambda: shutil.rmtree(top),
        lambda: shutil.rmtree(top / "a"),
        (top / "a/b/zarr.json").unlink,
        lambda: (top / "zarr.json").write_text("["),
        stray,
    ):
        damage()
        sync(store)
        assert_shows(store, head)


def test_a_store_that_forgot_what_the_tree_shows_repairs_it(store: TileStore) -> None:
    bench.publish(store, state(bench.asset("a"), bench.asset("gone")))
    sync(store)
    head = bench.publish(store, state(bench.asset("a"), seed=1))
    store.backend.delete("refs/main/0000000000000001")
    sync(store)
    assert_shows(store, head)


def test_the_newest_commit_wins_over_a_late_caller(store: TileStore) -> None:
    old = bench.publish(store, state(bench.asset("a")))
    new = bench.publish(store, state(bench.asset("a"), seed=1))
    sync(store, head=old)
    assert_shows(store, new)


def test_many_syncs_at_once_end_in_the_tree_of_the_head(store: TileStore) -> None:
    for seed in range(3):
        head = bench.publish(store, state(bench.asset("a"), seed=seed))
        threads = [threading.Thread(target=sync, args=(store,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert_shows(store, head)


def test_a_missing_object_is_named(store: TileStore) -> None:
    bench.publish(store, state(bench.asset("a")))
    sync(store)
    digest = digest_bytes((folder(store) / "a/0/b1/c/4/4").read_bytes())
    store.backend.delete(Objects.path(digest))
    shutil.rmtree(folder(store))
    with pytest.raises(CorruptObjectError, match=f"{Objects.path(digest)}.*a/0/b1/c/4/4"):
        sync(store)


def test_a_store_in_memory_has_no_tree() -> None:
    store = TileStore.create(MemoryBackend())
    bench.publish(store, state(bench.asset("a")))
    assert sync(store) == ViewChange()


def test_across_file_systems_chunks_are_copies(store: TileStore, tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    target = elsewhere / f"geobatch-{os.getpid()}"
    target.mkdir()
    try:
        folder(store).symlink_to(target)
        head = bench.publish(store, state(bench.asset("a")))
        change = sync(store)
        assert (change.linked, change.copied) == (0, len(list(chunks(store))))
        assert_shows(store, head)
        assert not os.access(target / "a/0/b1/c/4/4", os.W_OK) or os.getuid() == 0
        head = bench.publish(store, state(bench.asset("a"), seed=1))
        sync(store)
        assert_shows(store, head)
    finally:
        shutil.rmtree(target)


def test_past_the_link_limit_chunks_are_copies(
    store: TileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, count = os.link, 0

    def limited(source: str, target: str, **rest: Any) -> None:
        nonlocal count
        count += 1
        if "/zarr/" in target and count % 3 == 0:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), source)
        link(source, target, **rest)

    monkeypatch.setattr(os, "link", limited)
    for seed in range(2):
        head = bench.publish(store, state(bench.asset("a"), seed=seed))
        change = sync(store)
        assert change.linked > 0
        assert change.copied > 0
        assert_shows(store, head)


SMALL: dict[str, State] = {
    "absent": {},
    "plain": state(bench.asset("f/a", shape=(40, 30), tile=16)),
    "other pixels": state(bench.asset("f/a", shape=(40, 30), tile=16), seed=1),
    "grown": state(bench.asset("f/a", shape=(20, 60), tile=16)),
    "two levels": state(bench.asset("f/a", shape=(40, 260), tile=128)),
    "uint8": state(bench.asset("f/a", bench.band(dtype="uint8", fill=0), shape=(20, 20), tile=16)),
    "below": state(bench.asset("f/a/0", shape=(20, 20), tile=16)),
}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("absent", "two levels"),
        ("plain", "other pixels"),
        ("plain", "grown"),
        ("two levels", "plain"),
        ("plain", "uint8"),
        ("below", "uint8"),
        ("uint8", "below"),
        ("uint8", "absent"),
    ],
)
def test_killed_at_any_instant_and_run_again_converges(
    scratch: Path, before: str, after: str, is_long: bool
) -> None:
    other = state(bench.asset("other", shape=(10, 10), tile=16))
    template = TileStore.create(scratch / "template" / "store")
    bench.publish(template, SMALL[before] | other)
    sync(template)
    template_head = bench.publish(template, SMALL[after] | other)
    template.close()
    step, died = 0, True
    while died:
        place = scratch / str(step) / "store"
        shutil.copytree(scratch / "template" / "store", place, copy_function=os.link)
        store = TileStore.open(place)
        died = killed_at(step, partial(sync, store))
        for name, data in files(store).items():
            if name.endswith("zarr.json"):
                json.loads(data)
            elif "b1/c/" in name and not name.endswith(".aside"):
                assert store.objects.has(digest_bytes(data)), name
        head = template_head
        if step % 2:
            # What the dead run had begun is not wanted any more.
            head = bench.publish(store, SMALL[before] | other)
        sync(store)
        assert_shows(store, head)
        store.close()
        shutil.rmtree(place.parent)
        step += 1 if is_long else 7
    assert step > 10


def test_a_tree_of_another_derivation_is_made_current(store: TileStore) -> None:
    """No asset changed, but an older geobatch wrote its documents otherwise."""
    made = bench.asset("a/b", shape=(100, 90))
    bench.publish(store, {made.id: (made, bench.pixels(made))})
    sync(store)
    place = folder(store) / "a/b/0/b1/zarr.json"
    current, chunk = place.read_bytes(), (folder(store) / "a/b/0/b1/c/1/1").stat()
    for view in (None, 1, 999):
        place.unlink()
        place.write_text(current.decode().replace("long_name", "older_name"))
        top = folder(store) / "zarr.json"
        document = json.loads(top.read_bytes())
        document["attributes"]["geobatch"].pop("view")
        if view is not None:
            document["attributes"]["geobatch"]["view"] = view
        top.unlink()
        top.write_text(json.dumps(document))
        assert look(store, head=store.head()).behind == ("a/b",)  # type: ignore[union-attr]
        assert sync(store).assets == ("a/b",)
        assert place.read_bytes() == current
        assert (folder(store) / "a/b/0/b1/c/1/1").stat().st_ino == chunk.st_ino
        assert sync(store) == ViewChange()
