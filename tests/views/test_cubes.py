"""A cube is the stack of its images along time, in files that are the tiles themselves."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import xarray as xr
import zarr
import zarr_workbench as bench
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from zarr_workbench import Pixels, killed_at, look, sync

from geobatch.model.assets.asset import AnyImage, Codec
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.identity import ZarrView
from geobatch.store.location import StoreLocation
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes import metadata
from geobatch.views.protocol import ViewChange
from geobatch.views.remote.cubes import CubeReferences
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import repair

State: TypeAlias = dict[str, tuple[AnyImage, Pixels]]
CUBES = {"s2": True}
LARGE = 0
"""Chunks of a cube that is made as a whole: none is, all are changed in place."""
SMALL = 1_000


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


def root(store: TileStore) -> Path:
    found: Path = store.backend.root  # type: ignore[attr-defined]
    return found


def day(
    name: str, time: int = 0, *, seed: int | None = None, end: bool = False, **rest: Any
) -> State:
    """Return an image at a day of 2025, with pixels of its own."""
    options: dict[str, Any] = {"shape": (40, 50), "tile": 16, **rest}
    bands = options.pop("bands", (bench.band(),))
    start = datetime(2025, 1, 1) + timedelta(days=time)  # noqa: DTZ001
    made = bench.asset(name, *bands, **options)
    made = replace(made, start_time=f"{start.isoformat()}Z")
    if end:
        made = replace(made, end_time=f"{(start + timedelta(hours=1)).isoformat()}Z")
    return {name: (made, bench.pixels(made, seed=time if seed is None else seed))}


def days(*times: int, **rest: Any) -> State:
    """Return images of a folder, at days of 2025."""
    found: State = {}
    for time in times:
        found |= day(f"s2/{time:03}", time, **rest)
    return found


def publish(store: TileStore, state: State) -> Head:
    return bench.publish(store, state, cubes=CUBES)


def stacked(state: State, folder: str) -> list[tuple[AnyImage, Pixels]]:
    """Return the images of a folder in the order of time: an oracle that reads no store."""
    inside = [one for name, one in state.items() if name.rpartition("/")[0] == folder]
    return sorted(inside, key=lambda one: str(one[0].start_time))


def assert_shows(store: TileStore, state: State, *, is_settled: bool = True) -> None:
    """Each cube is the stack of its images; each of its chunks is a tile; there is nothing else."""
    top = root(store) / "cubes"
    folders = {name.rpartition("/")[0] for name in state}
    if not folders:
        # Of a run that was killed at its very end, the empty folder may be left.
        assert not top.exists() or not any(top.iterdir())
        return
    shown = json.loads((top / ".shown.json").read_text())["attributes"]["geobatch"]
    assert shown["commit"] == store.head().digest
    assert ("unsettled" not in shown) is is_settled
    files = {path for path in top.rglob("*") if path.is_file()} - {top / ".shown.json"}
    for folder in folders:
        images = stacked(state, folder)
        cube = top / f"{folder}.zarr"
        document = json.loads((cube / "zarr.json").read_text())
        told = document["attributes"]["geobatch"]
        assert [one[:2] for one in told["images"]] == [[i.id, i.start_time] for i, _ in images]
        for path in cube.rglob("*"):
            if path.name == "zarr.json":
                files.remove(path)
                below = path.parent.relative_to(cube).as_posix()
                text = {k: v for k, v in json.loads(path.read_text()).items() if "consol" not in k}
                nested = document["consolidated_metadata"]["metadata"]
                assert below == "." or nested[below] == text | (
                    {"consolidated_metadata": nested[below]["consolidated_metadata"]}
                    if "consolidated_metadata" in nested[below]
                    else {}
                )
        for key in bench.keys(images[0][0]):
            name = f"{'masks/' if key.is_mask else ''}{key.level}/{key.band}"
            array = zarr.open_array(cube / name, mode="r")
            np.testing.assert_array_equal(array[:], np.stack([planes[key] for _, planes in images]))
            for chunk in [one for one in files if one.is_relative_to(cube / name / "c")]:
                files.remove(chunk)
                digest = digest_bytes(chunk.read_bytes())
                assert chunk.samefile(root(store) / Objects.path(digest)), "bytes of its own"
        with xr.open_zarr(cube / "0", consolidated=True) as dataset:
            starts = [np.datetime64(str(i.start_time).removesuffix("Z"), "ns") for i, _ in images]
            assert dataset.time.values.tolist() == np.array(starts).tolist()
    coordinates = {"x/c/0", "y/c/0", "time/c/0", "time/c/1", "time/c/2"} | {
        f"time_bnds/c/{number}/0" for number in range(3)
    }
    assert not [one for one in files if not one.as_posix().endswith(tuple(coordinates))]
    empty = [path for path in top.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert not empty


def test_xarray_opens_the_stack_unaided(store: TileStore) -> None:
    state = days(3, 1, 2, end=True)
    publish(store, state)
    sync(store)
    images = stacked(state, "s2")
    with xr.open_zarr(root(store) / "cubes/s2.zarr/0") as found:
        assert set(found.data_vars) == {"b1"} & set(found.data_vars)
        assert found.b1.dims == ("time", "y", "x")
        assert found.b1.chunks is not None
        assert found.b1.chunks[0] == (1, 1, 1), "a chunk of dask is no day"
        values = found.b1.sel(time=np.datetime64("2025-01-03")).values
        wanted = images[1][1][bench.keys(images[1][0])[0]].astype("float32")
        wanted[wanted == -9999] = np.nan
        np.testing.assert_array_equal(values, wanted)
        assert found.indexes["time"].is_monotonic_increasing
        assert found.time.attrs["standard_name"] == "time"
        bounds = found[found.time.attrs["bounds"]].values
        assert (bounds[:, 0] == found.time.values).all()
        assert (bounds[:, 1] - bounds[:, 0] == np.timedelta64(1, "h")).all()
        assert "time_bnds" in found.coords
        assert found.x.shape == (50,)


def test_every_level_is_there_and_rioxarray_knows_the_crs(store: TileStore) -> None:
    pytest.importorskip("rioxarray")
    state = days(1, 2, shape=(70, 600), tile=128)
    publish(store, state)
    sync(store)
    tree = xr.open_datatree(root(store) / "cubes/s2.zarr", engine="zarr")
    assert [name for name in tree.groups if "masks" not in name] == ["/", "/0", "/1", "/2"]
    levels = ["/0", "/1", "/2"]
    for level, name in enumerate(levels):
        one = tree[name].to_dataset()
        assert one.rio.crs.to_epsg() == 32633
        assert one.b1.shape == (2, -(-70 // 2**level), -(-600 // 2**level))
    assert_shows(store, state)
    layout = tree.attrs["multiscales"]["layout"]
    assert [len(one["transform"]["scale"]) for one in layout] == [3, 3, 3]


@pytest.mark.parametrize(
    "form",
    [
        {"codec": Codec(name="none", level=0, compressor="", shuffle="")},
        {"codec": bench.GZIP},
        {"codec": Codec(chunk=8)},
        {"bands": (bench.band(dtype="float64", fill=float("nan")), bench.band("time2"))},
        {"bands": (bench.band(dtype="uint8", fill=0),)},
        {"grids": {"main": bench.geobox((40, 50), transform=bench.SHEARED)}},
    ],
)
def test_codecs_types_shards_and_rotated_grids(store: TileStore, form: dict[str, Any]) -> None:
    state = days(4, 2, 9, **form)
    publish(store, state)
    sync(store)
    assert_shows(store, state)
    more = state | days(5, **form)
    publish(store, more)
    sync(store, most_swapped=LARGE)
    assert_shows(store, more)


def test_bands_on_several_grids_are_groups_as_in_an_image(store: TileStore) -> None:
    boxes = {"10m": bench.geobox((40, 50)), "20m": bench.geobox((20, 25))}
    bands = (bench.band("b2", grid="10m"), bench.band("b5", grid="20m"))
    state = days(1, 2, grids=boxes, bands=bands)
    publish(store, state)
    sync(store)
    cube = root(store) / "cubes/s2.zarr"
    for grid, name in (("10m", "b2"), ("20m", "b5")):
        planes = [
            next(plane for key, plane in planes.items() if key.band == name and not key.is_mask)
            for _, planes in stacked(state, "s2")
        ]
        with xr.open_zarr(cube / grid / "0", mask_and_scale=False) as found:
            np.testing.assert_array_equal(found[name].values, np.stack(planes))


def test_each_folder_is_a_cube(store: TileStore) -> None:
    state = days(1, 2) | day("s2/31UFT/a", 1) | day("s2/31UFT/b", 7, shape=(40, 50))
    state |= day("s2/0/a", 3) | day("s2/cube/x", 4) | day("s2/cube/cube", 5)
    publish(store, state | day("other/a", 1))
    sync(store)
    assert_shows(store, state)


def test_times_of_any_fraction(store: TileStore) -> None:
    for fraction in ("", ".5", ".250001", ".123456789"):
        state = days(1, 2)
        for name, second in (("s2/001", 1), ("s2/002", 2)):
            made, planes = state[name]
            start = f"2025-01-01T00:00:0{second}{fraction}Z"
            state[name] = replace(made, start_time=start), planes
        publish(store, state)
        sync(store)
        assert_shows(store, state)


def test_more_days_than_one_chunk_of_times(
    store: TileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "TIMES", 4)
    for count in (4, 5, 9):
        state = days(*range(count), end=True)
        publish(store, state)
        sync(store, most_swapped=LARGE)
        assert_shows(store, state)


HISTORIES: dict[str, Sequence[State]] = {
    "appended": [days(1, 2), days(1, 2, 3), days(1, 2, 3, 4, 5)],
    "inserted": [days(1, 5), days(1, 3, 5), days(0, 1, 3, 5)],
    "removed": [days(1, 2, 3, 4), days(1, 3, 4), days(3), days(3, 4)],
    "changed": [days(1, 2, 3), days(1, 3) | days(2, seed=9), days(1, 2, 3, seed=4)],
    "reordered": [
        days(1, 2, 3),
        day("s2/001", 3, seed=1) | day("s2/002", 2) | day("s2/003", 1, seed=3),
        day("s2/001", 9, seed=1) | day("s2/002", 2) | day("s2/003", 1, seed=7),
    ],
    "of another form": [
        days(1, 2),
        days(1, 2, bands=(bench.band(dtype="uint8", fill=0),)),
        days(1, 2, shape=(60, 40)),
        days(1, 2, tile=32),
    ],
    "gone": [days(1, 2), {}, days(2)],
}


@pytest.mark.parametrize("most_swapped", [LARGE, SMALL])
@pytest.mark.parametrize("history", HISTORIES)
def test_a_history(store: TileStore, history: str, most_swapped: int) -> None:
    for state in HISTORIES[history]:
        publish(store, state)
        for is_thorough in (False, True):
            sync(store, most_swapped=most_swapped, is_thorough=is_thorough)
            assert_shows(store, state)
        found = look(store, head=store.head())
        assert found is not None
        assert found.is_current
        assert sync(store, most_swapped=most_swapped) == ViewChange()


Edit: TypeAlias = tuple[str, int, int]
EDITS = st.tuples(
    st.sampled_from(["add", "add", "remove", "pixels", "time", "form"]),
    st.integers(0, 6),
    st.integers(0, 20),
)


@settings(max_examples=examples(12, 200))
@given(edits=st.lists(st.lists(EDITS, max_size=3), max_size=5), swaps=st.integers(0, 60))
def test_any_history(edits: list[list[Edit]], swaps: int) -> None:
    """Days are added, removed, changed and moved; now and then the store is read by a cache."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        place = Path(folder) / "store"
        made = TileStore.create(place)
        state: State = {}
        form: dict[str, Any] = {}
        with SourceCache(StoreLocation.of(str(place))) as cache:
            for step, several in enumerate(edits):
                for kind, number, value in several:
                    state, form = _edited(state, form, kind, number, value)
                publish(made, state)
                sync(made, most_swapped=swaps, is_thorough=bool(step % 2), cache=cache)
                assert_shows(made, state)
                again = sync(made, most_swapped=swaps, cache=cache)
                assert not again.assets
        made.close()


def _edited(
    state: State, form: dict[str, Any], kind: str, number: int, value: int
) -> tuple[State, dict[str, Any]]:
    taken = {made.start_time for made, _ in state.values()}
    names = sorted(state)
    name = names[number % len(names)] if names else ""
    if kind == "form":
        form = {"shape": (20 + value, 30)}
        return {
            one: day(one, _time(made), seed=value, **form)[one] for one, (made, _) in state.items()
        }, form
    state = dict(state)
    (new,) = day(name or f"s2/{number}", value, **form).values()
    is_free = new[0].start_time not in taken
    if kind == "add" and is_free:
        state |= day(f"s2/{number}", value, **form)
    elif kind == "remove":
        state.pop(name, None)
    elif kind == "pixels" and name:
        state[name] = state[name][0], bench.pixels(state[name][0], seed=value)
    elif kind == "time" and name and is_free:
        state[name] = replace(state[name][0], start_time=new[0].start_time), state[name][1]
    return state, form


def _time(made: AnyImage) -> int:
    start = datetime.fromisoformat(str(made.start_time).removesuffix("Z"))
    return (start - datetime(2025, 1, 1)).days  # noqa: DTZ001


TINY: dict[str, Any] = {"shape": (12, 20), "tile": 16}
KILLED: dict[str, tuple[State, State]] = {
    "appended": (days(1, 2, **TINY), days(1, 2, 3, **TINY)),
    "inserted": (days(1, 5, **TINY), days(1, 3, 5, **TINY)),
    "removed": (days(1, 2, 4, **TINY), days(1, 4, **TINY)),
    "reordered": (
        days(1, 2, 3, **TINY),
        day("s2/001", 3, seed=1, **TINY) | day("s2/003", 1, **TINY),
    ),
    "gone": (days(1, 2, **TINY), {}),
}


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("most_swapped", [LARGE, SMALL])
@pytest.mark.parametrize(
    "history",
    [
        "appended",
        "inserted",
        *(
            pytest.param(name, marks=pytest.mark.attack)
            for name in ("removed", "reordered", "gone")
        ),
    ],
)
def test_killed_at_any_instant_and_run_again(
    scratch: Path, history: str, most_swapped: int, is_long: bool
) -> None:
    before, after = KILLED[history]
    template = TileStore.create(scratch / "template" / "store")
    publish(template, before)
    sync(template)
    publish(template, after)
    template.close()
    step, died = 0, True
    while died:
        place = scratch / str(step) / "store"
        shutil.copytree(scratch / "template" / "store", place, copy_function=os.link)
        store = TileStore.open(place)
        died = killed_at(step, partial(sync, store, most_swapped=most_swapped))
        _assert_never_mixed(store, before, after)
        state = after
        if step % 2:  # what the dead run had begun is not wanted any more
            state = before
            publish(store, state)
        sync(store, most_swapped=most_swapped, is_thorough=bool(step % 3))
        assert_shows(store, state)
        store.close()
        shutil.rmtree(place.parent)
        step += 1 if is_long else 19
    assert step > 10


def _assert_never_mixed(store: TileStore, before: State, after: State) -> None:
    """Whoever opens a cube after a kill gets one state of it, or nothing."""
    level = root(store) / "cubes/s2.zarr/0"
    if not (level / "zarr.json").exists():
        return
    array: Any = zarr.open_group(level, mode="r")["b1"]
    found = array[:]
    states = [
        np.stack([planes[bench.keys(made)[0]] for made, planes in stacked(state, "s2")])
        for state in (before, after)
        if state
    ]
    assert any(np.array_equal(found, one) for one in states)


def test_a_reader_that_opened_a_cube_keeps_it_when_days_are_appended(store: TileStore) -> None:
    publish(store, days(1, 2))
    sync(store, most_swapped=LARGE)
    with xr.open_zarr(root(store) / "cubes/s2.zarr/0", mask_and_scale=False) as opened:
        before = opened.b1.values.copy()
        publish(store, days(1, 2, 3))
        sync(store, most_swapped=LARGE)
        np.testing.assert_array_equal(opened.b1.values, before)


def operations(action: Callable[[], object]) -> int:
    """Return how many operations on files an action makes."""
    count = 0
    is_on = True

    def note(event: str, _: tuple[Any, ...]) -> None:
        nonlocal count
        count += is_on and event in {"open", "os.link", "os.rename", "os.remove", "os.mkdir"}

    sys.addaudithook(note)
    action()
    is_on = False
    return count


def test_a_day_more_costs_the_same_whatever_is_there(tmp_path: Path) -> None:
    counts = []
    for number in (3, 60):
        place = tmp_path / str(number)
        store = TileStore.create(place)
        with SourceCache(StoreLocation.of(str(place))) as cache:
            publish(store, days(*range(number)))
            sync(store, cache=cache, most_swapped=LARGE)
            publish(store, days(*range(number + 1)))
            views = partial(sync, store, cache=cache, most_swapped=LARGE, is_thorough=False)
            counts.append(operations(views))
        store.close()
    # The tree of the head is decoded in both; what is linked and written is that of one day.
    assert abs(counts[1] - counts[0]) <= 4, counts


def test_an_insertion_moves_folders_and_no_chunk(store: TileStore) -> None:
    publish(store, days(1, *range(3, 20)))
    sync(store, most_swapped=LARGE)
    publish(store, days(*range(1, 20)))
    change = sync(store, most_swapped=LARGE)
    tiles = {entry.id: entry.tiles for entry in store.head().tree.entries}
    # Once in the tree of images, once in the cube.
    assert change.linked == 2 * tiles["s2/002"]


@pytest.mark.parametrize("most_swapped", [LARGE, SMALL])
def test_whatever_is_harmed_is_repaired(store: TileStore, most_swapped: int) -> None:
    state = days(1, 2, 3)
    head = publish(store, state)
    sync(store)
    cube = root(store) / "cubes/s2.zarr"
    chunk = cube / "0/b1/c/1/2/3"
    harms: list[Callable[[], object]] = [
        chunk.unlink,
        lambda: shutil.rmtree(cube / "0/b1/c/1"),
        lambda: (cube / "0/b1/c/1").rename(cube / "0/b1/c/7"),
        lambda: shutil.rmtree(cube),
        (cube / "zarr.json").unlink,
        (cube / "0/zarr.json").unlink,
        lambda: _write(cube / "0/time/c/0", b"x"),
        lambda: _write(cube / "0/b1/zarr.json", b"{}"),
        lambda: _write(chunk, chunk.read_bytes()[:-1] + b"x"),
        lambda: _write(cube / "0/b1/c/9/0/0", b"x"),
        lambda: _write(cube.parent / "strange/file", b"x"),
        lambda: _write(cube / "zarr.json", b'{"attributes": {"geobatch": {"images": [[1]]}}}'),
        (cube.parent / ".shown.json").unlink,
        lambda: _write(cube.parent / ".shown.json", b"{}"),
        lambda: shutil.rmtree(cube.parent),
    ]
    for harm in harms:
        harm()
        found = look(store, head=head)
        assert found is not None
        assert not found.is_current
        sync(store, most_swapped=most_swapped)
        assert_shows(store, state)
        assert sync(store, most_swapped=most_swapped) == ViewChange()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def test_what_does_not_fit_is_not_shown_and_is_named(store: TileStore) -> None:
    """Two runs may each publish what fits, and not fit together."""
    for other, words in (
        (day("s2/002", 1), "same `start_time`"),
        (day("s2/002", 2, tile=32), "tiles of 16 pixels and 32 pixels"),
        (day("s2/002", 2, bands=(bench.band(dtype="float32"),)), "type int16 and float32"),
        (day("s2/002", 2, bands=(bench.band("b2"),)), "only one has a band `b1`"),
        (day("s2/002", 2, codec=bench.GZIP), "codecs `blosc` and `gzip`"),
        (day("s2/002", 2, shape=(40, 51)), "(40, 50) and (40, 51) rows and columns"),
        (day("s2/002", 2, bands=(bench.band(scale=2.0),)), "scale"),
    ):
        publish(store, days(1))
        sync(store)
        publish(store, days(1) | other)
        change = sync(store)
        (why,) = change.refused.values()
        assert "`s2/001`" in why
        assert "`s2/002`" in why
        assert words in why
        assert not (root(store) / "cubes/s2.zarr").exists()
        assert sync(store).refused == change.refused
        found = look(store, head=store.head())
        assert found is not None
        assert found.refused == change.refused
        assert found.is_current


@pytest.mark.parametrize("views", [ZarrView.NONE, ZarrView.COPY])
def test_in_a_bucket_references_lead_to_the_same_bytes(store: TileStore, views: ZarrView) -> None:
    backend = MemoryBackend()
    bucket = TileStore.create(backend, views=views)
    states = [days(1, 2), days(1, 2, 4), days(0, 2, 4), days(2, seed=5) | days(3), {}, days(7)]
    for state in states:
        publish(store, state)
        sync(store)
        publish(bucket, state)
        change = sync(bucket)
        assert bool(change.assets)
        names = list(backend.list("cubes/"))
        if not state:
            assert not names
            continue
        assert names == ["cubes/.shown.json", "cubes/s2.json"]
        found = json.loads(backend.get("cubes/s2.json"))
        assert found["version"] == 1
        cube = root(store) / "cubes/s2.zarr"
        wanted = {
            path.relative_to(cube).as_posix(): path.read_bytes()
            for path in cube.rglob("*")
            if path.is_file()
        }
        assert {key: _resolved(backend, one) for key, one in found["refs"].items()} == wanted
        assert fsck(backend).is_whole
        assert sync(bucket) == ViewChange()
    backend.replace("cubes/s2.json", b"{}")
    backend.replace("cubes/other.json", b"{}")
    assert {(one.name, one.kind.value) for one in fsck(backend).findings} == {
        ("cubes/s2.json", "damaged"),
        ("cubes/other.json", "foreign"),
    }
    assert repair(backend).after.is_whole


class Watched(MemoryBackend):
    """A backend that notes what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.read.append(name)
        return super().get(name, start=start, length=length)


def test_a_day_more_in_a_bucket_reads_no_pages_of_the_others() -> None:
    backend = Watched()
    bucket = TileStore.create(backend, views=ZarrView.NONE)
    publish(bucket, days(*range(9)))
    sync(bucket)
    publish(bucket, days(*range(10)))
    pages = {
        ref.stored
        for entry in bucket.head().tree.entries[:9]
        for _, ref in bucket.record(entry).arrays
        if ref is not None
    }
    backend.read.clear()
    CubeReferences(bucket).update(bucket.head())
    assert backend.read
    assert not {Objects.path(one) for one in pages} & set(backend.read)


def _resolved(backend: MemoryBackend, reference: str | list[Any]) -> bytes:
    if isinstance(reference, str):
        start = "base64:"
        is_coded = reference.startswith(start)
        return base64.b64decode(reference.removeprefix(start)) if is_coded else reference.encode()
    url, offset, size = reference
    data = backend.get(url.removeprefix(f"{backend.location}/"))
    assert (offset, size) == (0, len(data))
    return data


def test_a_store_without_cubes_has_no_folder_of_them(store: TileStore) -> None:
    bench.publish(store, days(1, 2))
    sync(store)
    assert not (root(store) / "cubes").exists()
