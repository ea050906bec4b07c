"""`stac/` of a store: the same bytes whatever was there before, on a disk and in a bucket."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import pystac
import pytest
import rustac
import stac_pydantic
import zarr_workbench as bench
from zarr_workbench import sync

from geobatch.model.published import Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.copying.copy import CopyOptions, copy_commits
from geobatch.store.identity import ZarrView
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, KilledError
from geobatch.views.protocol import ViewChange
from geobatch.views.stac.switch import add_catalog, switch_catalog
from geobatch.views.store_views import StoreViews
from geobatch.workflow.maintenance.fsck import fsck

State = dict[str, tuple[Any, Any]]


def state(*ids: str, **facts: Any) -> State:
    """Return small images of some ids."""
    found = {}
    for asset_id in ids:
        made = bench.asset(asset_id, shape=(20, 20), tile=16, **facts)
        found[asset_id] = (made, bench.pixels(made))
    return found


MIXED = state("f/a", properties=(("_kind", "x"), ("cloud", 3))) | state(
    "f/b", properties=(("cloud", "none"),)
)
STATES: dict[str, State] = {
    "none": {},
    "one": state("f/a"),
    "some": state("f/a", "f/g/b", "top"),
    "others": state("f/a", start_time="2025-01-01T00:00:00Z") | state("h/i/j/k", "top"),
    "mixed": MIXED,
    "within": state("f/a", "f/a/b", "f/collection", "f/catalog", "f/items"),
}


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Return a folder in memory, where there is one: copying a store to a disk costs more."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def store(scratch: Path) -> Iterator[TileStore]:
    with closing(made(scratch / "store")) as found:
        yield found


def made(place: Path) -> TileStore:
    store = TileStore.create(place)
    switch_catalog(store, StoreLocation(folder=place), is_on=True)
    return store


def top(store: TileStore) -> Path:
    assert store.backend.local is not None
    return store.backend.local.path("stac")


def files(store: TileStore) -> dict[str, bytes]:
    root = top(store)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def without_root(found: dict[str, bytes]) -> dict[str, bytes]:
    """Return files without the number of the commit, which depends on history."""
    return {name: data for name, data in found.items() if name != "catalog.json"}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Return the files of each state, made from nothing."""
    found = {}
    for name, wanted in STATES.items():
        with closing(made(tmp_path_factory.mktemp("fresh") / "store")) as store:
            bench.publish(store, wanted)
            sync(store)
            found[name] = without_root(files(store))
    return found


def assert_shows(store: TileStore, head: Head, wanted: dict[str, bytes]) -> None:
    found = files(store)
    assert without_root(found).keys() == wanted.keys()
    assert [name for name, data in wanted.items() if found[name] != data] == []
    document = json.loads(found["catalog.json"])
    assert document["geobatch:commit"] == head.digest
    assert document["geobatch:number"] == head.number
    assert "geobatch:unsettled" not in document
    assert sync(store) == ViewChange()
    seen = bench.look(store, head=head)
    assert seen is not None
    assert (seen.is_current, seen.behind, seen.parts) == (True, (), ())


def test_every_path_leads_to_the_same_bytes(
    store: TileStore, fresh: dict[str, dict[str, bytes]]
) -> None:
    names = [*STATES, *reversed(STATES), "one", "others", "none", "within", "some"]
    for name in names:
        head = bench.publish(store, STATES[name])
        # As after an apply: files that should exist already are not compared.
        sync(store, is_thorough=False)
        assert_shows(store, head, fresh[name])
    report = fsck(store.backend)
    assert report.is_whole


def test_only_what_differs_is_written(store: TileStore) -> None:
    bench.publish(store, STATES["some"])
    sync(store)
    before = {name: (top(store) / name).stat().st_ino for name in files(store)}
    bench.publish(store, STATES["some"] | state("f/g/b", start_time="2025-01-01T00:00:00Z"))
    assert sync(store).assets == ("f/g/b",)
    after = {name: (top(store) / name).stat().st_ino for name in files(store)}
    kept = {name for name in after if before[name] == after[name]}
    assert kept == {"f/a.item.json", "top.item.json"}


def make_folder(path: Path) -> None:
    path.unlink()
    (path / "x").mkdir(parents=True)
    (path / "x/y").write_bytes(b"")


def empty(root: Path) -> None:
    shutil.rmtree(root)
    root.mkdir()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


HARM: dict[str, Callable[[Path], object]] = {
    "item gone": lambda root: (root / "f/a.item.json").unlink(),
    "item cut": lambda root: (root / "f/a.item.json").write_bytes(b"{}"),
    "item is a folder": lambda root: make_folder(root / "f/a.item.json"),
    "collection of another": lambda root: shutil.copy(
        root / "f/g/collection.json", root / "f/collection.json"
    ),
    "catalog gone": lambda root: (root / "catalog.json").unlink(),
    "catalog is no JSON": lambda root: (root / "catalog.json").write_bytes(b"{"),
    "catalog of nothing": lambda root: (root / "catalog.json").write_bytes(b"[]"),
    "items gone": lambda root: (root / "f/items.parquet").unlink(),
    "items flipped": lambda root: flip(root / "f/items.parquet"),
    "items of others": lambda root: shutil.copy(
        root / "f/g/items.parquet", root / "f/items.parquet"
    ),
    "foreign item": lambda root: shutil.copy(root / "f/a.item.json", root / "f/z.item.json"),
    "foreign file": lambda root: (root / "f/g/notes.txt").write_bytes(b"x"),
    "unfinished file": lambda root: (root / "f/a.item.json.aside").write_bytes(b"x"),
    "folder gone": lambda root: shutil.rmtree(root / "f"),
    "everything gone": empty,
}


@pytest.mark.parametrize("has_cache", [False, True])
@pytest.mark.parametrize("harm", sorted(HARM))
def test_what_is_harmed_is_found_and_repaired(
    store: TileStore, fresh: dict[str, dict[str, bytes]], harm: str, has_cache: bool
) -> None:
    head = bench.publish(store, STATES["some"])
    assert store.backend.local is not None
    with SourceCache(store.backend.local.root) as cache:
        used = cache if has_cache else None
        sync(store, cache=used)
        HARM[harm](top(store))
        seen = bench.look(store, head=head, cache=used)
        assert seen is not None
        assert not seen.is_current
        is_root = harm.startswith("catalog")
        assert is_root or seen.parts
        if harm not in {"everything gone", "unfinished file"} and not is_root:
            assert not fsck(store.backend).is_whole
        sync(store, cache=used)
        assert_shows(store, head, fresh["some"])
        assert fsck(store.backend).is_whole


def test_a_cached_folder_is_not_read(store: TileStore) -> None:
    bench.publish(store, STATES["some"])
    assert store.backend.local is not None
    with SourceCache(store.backend.local.root) as cache:
        sync(store, cache=cache)
        reads: list[str] = []

        def note(event: str, args: tuple[Any, ...]) -> None:
            if event == "open" and "/stac/" in str(args[0]):
                reads.append(Path(args[0]).name)

        sys.addaudithook(note)
        assert sync(store, cache=cache) == ViewChange()
        assert reads == ["catalog.json"]


FILE_EVENTS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run an action in a child that dies before its nth file operation; return if it did die."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: tuple[Any, ...]) -> None:
            nonlocal left
            if event in FILE_EVENTS:
                if left == 0:
                    os._exit(9)
                left -= 1

        try:
            sys.addaudithook(count)
            action()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize(("before", "after"), [("some", "others"), ("within", "one")])
def test_killed_at_any_instant_and_run_again_converges(
    scratch: Path, fresh: dict[str, dict[str, bytes]], before: str, after: str, is_long: bool
) -> None:
    with closing(made(scratch / "template" / "store")) as template:
        bench.publish(template, STATES[before])
        sync(template)
        wanted = bench.publish(template, STATES[after])
    step, died = 0, True
    while died:
        place = scratch / str(step) / "store"
        shutil.copytree(scratch / "template" / "store", place)
        with closing(TileStore.open(place)) as store:
            died = killed_at(step, partial(sync, store, is_thorough=False))
            for name, data in files(store).items():
                if name.endswith(".json"):
                    json.loads(data)
            head, shows = wanted, after
            if step % 2:
                # What the dead run had begun is not wanted any more.
                head, shows = bench.publish(store, STATES[before]), before
            sync(store)
            assert_shows(store, head, fresh[shows])
        shutil.rmtree(place.parent)
        step += 1 if is_long else 29
    assert step > 50


def bucket(store: TileStore, views: ZarrView, disk: Backend | None = None) -> Backend:
    """Return a store in a bucket that has what another one has, and a catalog."""
    backend = disk or MemoryBackend()
    copy_commits(store, backend, CopyOptions(views=views), progress=lambda *_: None)
    if backend.size("stac/catalog.json") is None:
        add_catalog(TileStore(backend))
    return backend


def update(backend: Backend) -> ViewChange:
    # One that is to be killed must not renew its lease then.
    seconds = 60 if isinstance(backend, CrashBackend) else 0.1
    return StoreViews(TileStore(backend), seconds=seconds).update()


def shown(backend: Backend) -> dict[str, bytes]:
    return {name.removeprefix("stac/"): backend.get(name) for name in backend.list("stac/")}


def test_a_bucket_has_the_same_bytes(store: TileStore, fresh: dict[str, dict[str, bytes]]) -> None:
    backend: Backend = MemoryBackend()
    for name in (*STATES, *reversed(STATES)):
        bench.publish(store, STATES[name])
        sync(store)
        update(bucket(store, ZarrView.COPY, backend))
        assert shown(backend) == files(store)
        assert fsck(backend).is_whole
        assert update(backend) == ViewChange()


def test_without_a_tree_items_name_references(store: TileStore) -> None:
    bench.publish(store, STATES["one"])
    backend = bucket(store, ZarrView.NONE)
    update(backend)
    item = json.loads(shown(backend)["f/a.item.json"])
    found = item["assets"]["references"]
    assert found["href"] == "../../references/f/a.json"
    assert backend.size("references/f/a.json")


def test_a_bucket_after_a_kill_at_every_write(
    store: TileStore, fresh: dict[str, dict[str, bytes]]
) -> None:
    bench.publish(store, STATES["some"])
    base = bucket(store, ZarrView.COPY)
    update(base)
    bench.publish(store, STATES["others"])
    bucket(store, ZarrView.COPY, base)
    counting = CrashBackend(disk=copy_of(base))
    update(counting)
    for at in range(0, counting.operations, 3):
        mortal = CrashBackend(disk=copy_of(base), crash_at=at, is_done=bool(at % 2))
        with pytest.raises(KilledError):
            update(mortal)
        disk = mortal.reboot()
        update(disk)
        assert without_root(shown(disk)) == fresh["others"], at
    assert counting.operations > 10


def copy_of(backend: Backend) -> MemoryBackend:
    copied = MemoryBackend()
    for name in [*backend.list(""), *backend.list("runs/")]:
        copied.replace(name, backend.get(name))
    return copied


def test_what_is_harmed_in_a_bucket_is_named(store: TileStore) -> None:
    bench.publish(store, STATES["some"])
    backend = bucket(store, ZarrView.COPY)
    update(backend)
    backend.replace("stac/f/a.item.json", b"{}")
    backend.delete("stac/f/g/items.parquet")
    backend.replace("stac/x.txt", b"")
    found = {one.name: one for one in fsck(backend).findings}
    assert set(found) == {"stac/f/a.item.json", "stac/f/g/items.parquet", "stac/x.txt"}
    assert [one.asset for one in found["stac/f/a.item.json"].hurts] == ["f/a"]


def test_readers_walk_it(store: TileStore) -> None:
    bench.publish(store, STATES["within"])
    sync(store)
    root = pystac.Catalog.from_file(str(top(store) / "catalog.json"))
    items = sorted(root.get_items(recursive=True), key=lambda one: one.id)
    assert [one.id for one in items] == ["f.a", "f.a.b", "f.catalog", "f.collection", "f.items"]
    for item in items:
        assert Path(item.assets["zarr"].get_absolute_href() or "", "zarr.json").is_file()
        collection = item.get_collection()
        assert collection is not None
        assert item.collection_id == collection.id
    for path, data in files(store).items():
        document = json.loads(data) if path.endswith(".json") else {"links": []}
        for link in document["links"]:
            assert (top(store) / path).parent.joinpath(link["href"]).exists(), (path, link)


def test_the_items_as_parquet(store: TileStore) -> None:
    """By DuckDB, geopandas and rustac, which returns items that are valid."""
    wanted = state("f/a", start_time="2025-01-01T00:00:00.000001Z") | state("f/b", "g/c")
    bench.publish(store, wanted | MIXED)
    sync(store)
    with duckdb.connect() as db:
        rows = db.sql(
            f"SELECT id, collection, cloud FROM read_parquet('{top(store)}/**/items.parquet',"
            " union_by_name = true) WHERE bbox.xmin < 16 AND bbox.xmax > 14 ORDER BY id"
        ).fetchall()
    assert rows == [("f.a", "f", "3"), ("f.b", "f", "none"), ("g.c", "g", None)]
    frame = geopandas.read_parquet(top(store) / "f/items.parquet", bbox=(14, 44, 16, 46))
    assert list(frame["id"]) == ["f.a", "f.b"]
    assert geopandas.read_parquet(top(store) / "f/items.parquet", bbox=(0, 0, 1, 1)).empty
    item = json.loads((top(store) / "f/a.item.json").read_bytes())
    assert frame.total_bounds.tolist() == pytest.approx(item["bbox"])
    for found in rustac.read_sync(str(top(store) / "f/items.parquet"))["features"]:
        stac_pydantic.Item.model_validate(found)
        original = json.loads(
            (top(store) / f"{found['id'].replace('.', '/')}.item.json").read_text()
        )
        assert found["geometry"] == original["geometry"]
        assert list(found["bbox"]) == original["bbox"]
        assert found["assets"]["zarr"]["href"] == original["assets"]["zarr"]["href"]


def test_the_catalog_is_switched_off_and_on(store: TileStore) -> None:
    bench.publish(store, STATES["some"])
    sync(store)
    assert store.backend.local is not None
    place = StoreLocation(folder=store.backend.local.root)
    before = files(store)
    assert switch_catalog(store, place, is_on=True) == ""
    assert switch_catalog(store, place, is_on=False)
    assert not top(store).exists()
    assert switch_catalog(store, place, is_on=False) == ""
    sync(store)
    assert not top(store).exists()
    assert fsck(store.backend).is_whole
    assert switch_catalog(store, place, is_on=True)
    assert files(store) == before
