"""Views of a store in a bucket: the same names and bytes as on a disk, whatever happens."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import Document, Workbench, image, write_tiff

from geobatch.model.plans.plan import Options
from geobatch.model.published import Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.copying.copy import CopyOptions, copy_commits
from geobatch.store.identity import ZarrView
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, KilledError
from geobatch.views.protocol import ViewChange
from geobatch.views.remote import long_text, references
from geobatch.views.remote.lease import LEASES
from geobatch.views.store_views import StoreViews
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.fsck import fsck

SECONDS = 0.1


def documents(step: int) -> list[Document]:
    """Return what a step declares: changes, renames of kinds, assets within assets, deletions."""
    table: Document = {
        "id": "t",
        "kind": "table",
        "sources": [
            {
                "uris": ["plots.tfrecord"],
                "crs": "EPSG:32627",
                "x_column": "easting",
                "y_column": "northing",
            }
        ],
    }
    zstd = {"name": "zstd", "level": 3}
    steps: list[list[Document]] = [
        [image("x/a", "a.tif"), image("b", "b.tif")],
        [image("x/a", "b.tif"), image("b", "b.tif"), image("x/c/d", "a.tif"), table],
        [image("x/a", "b.tif", pyramiding_policy="MODE"), image("b", "b.tif", codec=zstd), table],
        [image("x/a/z", "a.tif"), image("b", "small.tif"), table | {"memo": "again"}],
        [image("b", "small.tif"), table | {"id": "x/y"}],
        [image("x", "a.tif"), image("b", "a.tif", memo="again")],
    ]
    return steps[step]


STEPS = 6
PRUNE = Options(is_pruning=True, max_delete="9")


@pytest.fixture(scope="module")
def states(
    tmp_path_factory: pytest.TempPathFactory,
) -> list[tuple[MemoryBackend, dict[str, bytes]]]:
    """Return after each step: the store without views, and the files of its views on a disk."""
    bench = Workbench(folder=tmp_path_factory.mktemp("remote"))
    values = np.arange(200 * 150, dtype=np.uint16).reshape(200, 150)
    write_tiff(bench.folder / "a.tif", [values])
    changed = values.copy()
    changed[:10, :10] = 7
    write_tiff(bench.folder / "b.tif", [changed])
    write_tiff(bench.folder / "small.tif", [values[:40, :40]])
    shutil.copy(Path(__file__).parents[2] / "specs/data/plots.tfrecord", bench.folder)
    found = []
    for step in range(STEPS):
        spec = bench.write_spec(documents(step))
        apply([spec], store=bench.store, workers=2, options=PRUNE)
        bare = MemoryBackend()
        with closing(TileStore.open(bench.store)) as store:
            copy_commits(store, bare, CopyOptions(views=ZarrView.COPY), progress=lambda *_: None)
        found.append((bare, dict(files(bench.store))))
    return found


def files(store: Path) -> Iterator[tuple[str, bytes]]:
    for folder in ("zarr", "parquet"):
        for path in sorted((store / folder).rglob("*")):
            if path.is_file():
                yield str(path.relative_to(store)), path.read_bytes()


def shown(backend: Backend) -> dict[str, bytes]:
    names = [*backend.list("zarr/"), *backend.list("parquet/")]
    return {name: backend.get(name) for name in names}


def with_store_of(backend: Backend, state: MemoryBackend, views: ZarrView = ZarrView.COPY) -> None:
    """Publish in a store what another one has."""
    how = CopyOptions(views=views)
    copy_commits(TileStore(state), backend, how, progress=lambda *_: None)


def update(backend: Backend, head: Head | None = None, **changes: Any) -> ViewChange:
    # One that is to be killed must not renew its lease then.
    seconds = 60 if isinstance(backend, CrashBackend) else SECONDS
    return StoreViews(TileStore(backend), seconds=seconds).update(head, **changes)


def assert_shown(backend: Backend, wanted: Mapping[str, bytes]) -> None:
    found = shown(backend)
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []
    assert fsck(backend).is_whole


def test_the_same_files_as_on_a_disk(states: list[tuple[MemoryBackend, dict[str, bytes]]]) -> None:
    backend = MemoryBackend()
    for state, wanted in states:
        with_store_of(backend, state)
        done = update(backend)
        assert done.assets
        assert [backend.get(name) for name in backend.list(LEASES)] == [b"free\n"]
        assert_shown(backend, wanted)
        assert update(backend) == ViewChange()
    # From nothing, and from anything to anything.
    for state, wanted in states:
        fresh = MemoryBackend()
        with_store_of(fresh, state)
        update(fresh)
        assert_shown(fresh, wanted)


def test_only_what_changed_is_copied(states: list[tuple[MemoryBackend, dict[str, bytes]]]) -> None:
    backend = MemoryBackend()
    with_store_of(backend, states[0][0])
    first = update(backend)
    assert first.copied == sum("/c/" in name and not name.split("/c/")[0].endswith(("/x", "/y"))
                               for name in states[0][1])  # fmt: skip
    before = shown(backend)
    with_store_of(backend, states[1][0])
    writes: list[str] = []
    backend.replace = _noting(backend.replace, writes)  # type: ignore[method-assign]
    backend.put = _noting(backend.put, writes)  # type: ignore[method-assign]
    done = update(backend)
    differing = {name for name, data in states[1][1].items() if before.get(name) != data}
    assert set(writes) - {"zarr/zarr.json"} - {n for n in writes if n.startswith("runs/")} == (
        differing - {"zarr/zarr.json"}
    )
    assert done.assets == ("t", "x/a", "x/c/d")


def _noting(function: Any, names: list[str]) -> Any:
    def noted(name: str, data: Any) -> Any:
        names.append(name)
        return function(name, data)

    return noted


def test_two_requests_if_nothing_changed(
    states: list[tuple[MemoryBackend, dict[str, bytes]]],
) -> None:
    backend = MemoryBackend()
    with_store_of(backend, states[1][0])
    update(backend)
    store = TileStore(backend)
    views, head = StoreViews(store), store.head()
    store.head = lambda: head  # type: ignore[method-assign]
    requests: list[str] = []
    for name in ("get", "put", "create", "replace", "state", "list", "delete"):
        function = getattr(backend, name)

        def noted(*args: Any, function: Any = function, name: str = name, **kwargs: Any) -> Any:
            requests.append(f"{name} {args[0]}")
            return function(*args, **kwargs)

        setattr(backend, name, noted)
    views.update(head)
    assert requests == ["get zarr/zarr.json", "get cubes/.shown.json"]


@pytest.mark.parametrize(
    "step", [1, *(pytest.param(n, marks=pytest.mark.attack) for n in (0, 2, 3, 5))]
)
def test_a_kill_at_every_write(
    states: list[tuple[MemoryBackend, dict[str, bytes]]], step: int
) -> None:
    base = MemoryBackend()
    if step:
        with_store_of(base, states[step - 1][0])
        update(base)
    with_store_of(base, states[step][0])
    count = _operations(base)
    assert count > 10
    for at in sorted({*range(0, count, max(1, count // 20)), *range(count - 4, count)}):
        disk = _copy_of(base)
        mortal = CrashBackend(disk=disk, crash_at=at, is_done=bool(at % 2))
        with pytest.raises(KilledError):
            update(mortal)
        disk = mortal.reboot()
        document = json.loads(disk.get("zarr/zarr.json")) if disk.size("zarr/zarr.json") else {}
        told = document.get("attributes", {}).get("geobatch", {})
        unsettled = told.get("unsettled", [])
        before = shown(base)
        for name, data in shown(disk).items():
            if data != before.get(name) and name != "zarr/zarr.json":
                is_named = any(f"/{one}/" in f"/{name}" or f"{one}.p" in name for one in unsettled)
                is_group = name.endswith("/zarr.json")
                assert is_named or is_group or told.get("number") == step + 1, name
        update(disk)
        assert_shown(disk, states[step][1])


def test_a_kill_and_then_another_commit(
    states: list[tuple[MemoryBackend, dict[str, bytes]]],
) -> None:
    """What a killed update changed is not taken for what the commit before showed."""
    base = MemoryBackend()
    with_store_of(base, states[0][0])
    update(base)
    with_store_of(base, states[1][0])
    count = _operations(base)
    for at in {*range(1, count, 7), *range(count - 8, count)}:
        disk = _copy_of(base)
        mortal = CrashBackend(disk=disk, crash_at=at)
        with pytest.raises(KilledError):
            update(mortal)
        disk = mortal.reboot()
        # A rollback: the tiles of `x/a` are what they were in the commit that the view names.
        store = TileStore(disk)
        first = store.at("1")
        changes = {e.id: first.tree.entry(e.id) for e in store.head().tree.entries}
        store.publish(base=store.head(), changes=changes, message="back", tools={})
        update(disk)
        found = shown(disk)
        wanted = states[0][1]
        assert found.keys() == wanted.keys()
        assert {n for n in wanted if found[n] != wanted[n]} == {"zarr/zarr.json"}


def _operations(base: MemoryBackend) -> int:
    counting = CrashBackend(disk=_copy_of(base))
    update(counting)
    return counting.operations


def _copy_of(backend: MemoryBackend) -> MemoryBackend:
    made = MemoryBackend()
    for name in [*backend.list(""), *backend.list("runs/")]:
        made.replace(name, backend.get(name))
    return made


def test_two_updates_at_once(states: list[tuple[MemoryBackend, dict[str, bytes]]]) -> None:
    backend = MemoryBackend()
    with_store_of(backend, states[0][0])
    heads = []
    for step in (0, 1, 2):
        with_store_of(backend, states[step][0])
        heads.append(TileStore(backend).head())
    with ThreadPoolExecutor(6) as pool:
        for _ in pool.map(lambda head: update(backend, head), (*heads, *heads)):
            pass
    assert_shown(backend, states[2][1])


def test_a_stopped_process_that_wakes_up_repairs_what_it_did(
    states: list[tuple[MemoryBackend, dict[str, bytes]]],
) -> None:
    """Its lease is taken over; it changes names after the other has ended, and notices."""
    backend = MemoryBackend()
    with_store_of(backend, states[0][0])
    update(backend)
    with_store_of(backend, states[1][0])
    stopped, may_go_on = threading.Event(), threading.Event()
    copy_all, renew = backend.copy_all, backend.replace

    def slow(pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        if not stopped.is_set():
            stopped.set()
            may_go_on.wait()
        return copy_all(pairs)

    def unless_stopped(name: str, data: Any) -> None:
        if not (name.startswith(LEASES) and stopped.is_set() and not may_go_on.is_set()):
            renew(name, data)

    backend.copy_all = slow  # type: ignore[method-assign]
    backend.replace = unless_stopped  # type: ignore[method-assign]
    first = threading.Thread(target=update, args=(backend,))
    first.start()
    assert stopped.wait(10)
    with_store_of(backend, states[2][0])
    update(backend)
    assert_shown_files(backend, states[2][1])
    may_go_on.set()
    first.join()
    assert_shown(backend, states[2][1])


def assert_shown_files(backend: Backend, wanted: Mapping[str, bytes]) -> None:
    assert shown(backend) == dict(wanted)


def test_an_object_that_is_missing_leaves_its_asset_unsettled(
    states: list[tuple[MemoryBackend, dict[str, bytes]]],
) -> None:
    backend = MemoryBackend()
    with_store_of(backend, states[0][0])
    store = TileStore(backend)
    record = store.record(store.head().tree.entries[0])
    root = record.arrays[0][1]
    assert root is not None
    entry = store.index.entries((3, 2), root)[0]
    name = Objects.path(entry["stored"].tobytes().hex())
    data = backend.get(name)
    backend.delete(name)
    done = update(backend, is_lenient=True)
    assert [*done.damaged] == ["b"]
    assert f"`{name}` is missing" in done.damaged["b"].message
    assert backend.size("zarr/x/a/zarr.json")
    assert not backend.size("zarr/b/zarr.json")
    backend.put(name, data)
    update(backend)
    assert_shown(backend, states[0][1])


def test_fsck_names_what_is_wrong(states: list[tuple[MemoryBackend, dict[str, bytes]]]) -> None:
    backend = MemoryBackend()
    with_store_of(backend, states[1][0])
    update(backend)
    chunk = next(name for name in backend.list("zarr/x/a/0/b1/c/"))
    backend.delete(chunk)
    backend.replace("zarr/b/zarr.json", backend.get("zarr/b/zarr.json") + b" ")
    backend.replace("zarr/b/mine", b"")
    backend.delete("parquet/t.parquet")
    report = fsck(backend)
    assert {(one.name, one.kind.value) for one in report.findings} == {
        (chunk, "missing"),
        ("zarr/b/zarr.json", "damaged"),
        ("zarr/b/mine", "foreign"),
        ("parquet/t.parquet", "missing"),
    }


@pytest.mark.parametrize("is_mapped", [False, True])
def test_references_lead_to_the_bytes_of_each_key(
    states: list[tuple[MemoryBackend, dict[str, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    is_mapped: bool,
) -> None:
    """Also if a document is too long for memory, and is put together in a file."""
    if is_mapped:
        monkeypatch.setattr(long_text, "MOST_BYTES", 100)
        monkeypatch.setattr(references, "_AT_ONCE", 3)
    backend = MemoryBackend()
    for step, (state, wanted) in enumerate(states):
        with_store_of(backend, state, ZarrView.NONE)
        update(backend)
        keys = {name.removeprefix("zarr/") for name in wanted if name.startswith("zarr/")}
        images = {one["id"] for one in documents(step) if one["kind"] == "image"}
        found = {}
        for name in backend.list("references/"):
            if name == "references/.shown.json":
                continue
            asset = name.removeprefix("references/").removesuffix(".json")
            document = json.loads(backend.get(name))
            assert document["version"] == 1
            assert backend.get(name) == json.dumps(document, separators=(",", ":")).encode()
            for key, reference in document["refs"].items():
                found[f"{asset}/{key}"] = _resolved(backend, reference)
        assert {one for one in images if f"{one}/zarr.json" in found} == images
        assert found == {
            key: wanted[f"zarr/{key}"]
            for key in keys
            if any(key.startswith(f"{asset}/") for asset in images)
        }
        assert not [*backend.list("zarr/"), *backend.list("parquet/")]
        assert fsck(backend).is_whole
        assert update(backend) == ViewChange()
    backend.replace("references/b.json", b"{}")
    backend.delete("references/x.json")
    backend.replace("references/y.json", b"")
    assert {(one.name, one.kind.value) for one in fsck(backend).findings} == {
        ("references/b.json", "damaged"),
        ("references/x.json", "missing"),
        ("references/y.json", "foreign"),
    }


def _resolved(backend: Backend, reference: str | list[Any]) -> bytes:
    if isinstance(reference, str):
        start = "base64:"
        is_coded = reference.startswith(start)
        return base64.b64decode(reference.removeprefix(start)) if is_coded else reference.encode()
    url, offset, size = reference
    data = backend.get(url.removeprefix(f"{backend.location}/"))
    assert (offset, size) == (0, len(data))
    return data
