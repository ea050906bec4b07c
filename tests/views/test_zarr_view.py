"""A commit is a zarr store: zarr's own store tests, and what only a view promises."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
import zarr_workbench as bench
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.buffer.cpu import Buffer as CpuBuffer
from zarr.core.sync import _collect_aiterator
from zarr.testing.store import StoreTests

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.commit_store import ZarrView, open_group

PROTOTYPE = default_buffer_prototype()
REFUSALS = {"test_read_only_store_raises", "test_with_read_only_store"}
NEEDS_WRITES = pytest.mark.skip(reason="tests a method that writes; a view never does")


class TestAsZarrStore(StoreTests[ZarrView, CpuBuffer]):
    """zarr's shipped tests, over the view of an empty store.

    They put keys of their own into the store; here each becomes a document above the assets, the
    only keys that a view holds in memory. The store's own `set` is replaced to do so, but where a
    test is about its refusal.
    """

    store_cls = ZarrView
    buffer_cls = CpuBuffer

    async def set(self, store: ZarrView, key: str, value: Buffer) -> None:
        store._keys.plain[key] = value.to_bytes()

    async def get(self, store: ZarrView, key: str) -> Buffer:
        return CpuBuffer.from_bytes(store._keys.plain[key])

    @pytest.fixture
    def store_kwargs(self) -> dict[str, Any]:
        store = TileStore.create(MemoryBackend())
        return {"store": store, "head": store.head()}

    @pytest.fixture(autouse=True)
    def seeded(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        async def put(store: ZarrView, key: str, value: Buffer) -> None:
            await self.set(store, key, value)

        if request.node.originalname not in REFUSALS:
            monkeypatch.setattr(ZarrView, "set", put)

    def test_store_repr(self, store: ZarrView) -> None:
        assert repr(store) == f"ZarrView('{store}')"
        assert str(store).startswith("geobatch://")

    def test_store_supports_writes(self, store: ZarrView) -> None:
        assert not store.supports_writes
        assert not store.supports_deletes

    def test_store_supports_listing(self, store: ZarrView) -> None:
        assert store.supports_listing

    def test_store_read_only(self, store: ZarrView) -> None:
        assert store.read_only
        with pytest.raises(AttributeError):
            store.read_only = False  # type: ignore[misc]

    @pytest.mark.parametrize("read_only", [True, False])
    async def test_store_open_read_only(self, open_kwargs: dict[str, Any], read_only: bool) -> None:
        if read_only:
            await super().test_store_open_read_only(open_kwargs, read_only=True)
        else:
            with pytest.raises(ValueError, match="read-only"):
                await ZarrView.open(**open_kwargs, read_only=False)

    @pytest.mark.skip(reason="puts a key into the copy; see test_a_pickled_view_reads_the_same")
    async def test_serializable_store(self, store: ZarrView) -> None: ...

    @NEEDS_WRITES
    async def test_set(self, store: ZarrView, key: str, data: bytes) -> None: ...

    @NEEDS_WRITES
    async def test_set_not_open(self, store_not_open: ZarrView) -> None: ...

    @NEEDS_WRITES
    async def test_set_many(self, store: ZarrView) -> None: ...

    @NEEDS_WRITES
    async def test_set_if_not_exists(self, store: ZarrView) -> None: ...

    @NEEDS_WRITES
    async def test_clear(self, store: ZarrView) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TileStore]:
    made = TileStore.create(tmp_path / "store")
    yield made
    made.close()


MADE = bench.asset("f/a", bench.band(), bench.band("b2", dtype="float32", fill=float("nan")))


@pytest.fixture
def head(store: TileStore) -> Head:
    planes = bench.pixels(MADE)
    return bench.publish(store, {"f/a": (MADE, planes), **other("c")})


def other(name: str) -> dict[str, tuple[Any, Any]]:
    made = bench.asset(name, shape=(20, 20), tile=16)
    return {name: (made, bench.pixels(made))}


def test_every_array_reads_back(store: TileStore, head: Head) -> None:
    group = zarr.open_group(ZarrView(store, head), path="f/a", mode="r")
    for key, plane in bench.pixels(MADE).items():
        array = group[f"{'masks/' if key.is_mask else ''}{key.level}/{key.band}"]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[:], plane)


@pytest.mark.usefixtures("head")
def test_xarray_opens_a_level_of_a_commit(store: TileStore) -> None:
    group = open_group(store, "f/a")
    dataset = xr.open_zarr(group["0"].store_path)
    key = bench.keys(MADE)[0]
    np.testing.assert_array_equal(
        dataset["b1"].fillna(-9999).astype("int16"), bench.pixels(MADE)[key]
    )


async def test_listing_agrees_with_reading(store: TileStore, head: Head) -> None:
    view = ZarrView(store, head)
    keys = await _collect_aiterator(view.list())
    assert len(set(keys)) == len(keys) > 40
    assert {"zarr.json", "f/zarr.json", "f/a/zarr.json", "f/a/0/b1/c/4/4", "c/0/x/c/0"} <= {*keys}
    for key in keys:
        value = await view.get(key, PROTOTYPE)
        assert value is not None
        assert await view.getsize(key) == len(value)
        assert await view.exists(key)
    folders = {key[:at] for key in keys for at, letter in enumerate(key) if letter == "/"}
    for folder in ("", *folders):
        start = f"{folder}/" if folder else ""
        below = sorted({key[len(start) :].split("/")[0] for key in keys if key.startswith(start)})
        assert list(await _collect_aiterator(view.list_dir(folder))) == below
        assert not await view.exists(folder)
    for prefix in ("", "f", "f/a/0/b", "f/a/0/b1/c/4", "f/a/0/b1/c/4/4", "c/", "c/0/b1/c", "zz"):
        found = sorted(await _collect_aiterator(view.list_prefix(prefix)))
        assert found == sorted(key for key in keys if key.startswith(prefix))


async def test_a_band_may_be_called_as_the_folder_of_chunks(store: TileStore) -> None:
    made = bench.asset("c/c", *map(bench.band, ("c", "cloud", "c_c")), shape=(20, 20), tile=16)
    planes = bench.pixels(made)
    view = ZarrView(store, bench.publish(store, {"c/c": (made, planes)}))
    group = zarr.open_group(view, path="c/c", mode="r")
    keys = await _collect_aiterator(view.list())
    for key, plane in planes.items():
        folder = f"{'masks/' if key.is_mask else ''}{key.level}/{key.band}"
        array = group[folder]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[:], plane)
        for path in (f"c/c/{folder}", f"c/c/{folder}/c", f"c/c/{folder}/c/0"):
            below = {
                one[len(path) + 1 :].split("/")[0] for one in keys if one.startswith(f"{path}/")
            }
            assert set(await _collect_aiterator(view.list_dir(path))) == below
            assert below


@pytest.mark.parametrize(
    "key",
    [
        "", "f", "f/a", "f/a/", "/zarr.json", "f/a/0/b1/c/0/0", "f/a/0/b1/c/04/4", "f/a/0/b1/c/4",
        "f/a/0/b1/c/-1/4", "f/a/0/b1/c/4/99", "f/a/0/b1/c/4/4/4", "f/a/9/b1/c/0/0", "f/b/zarr.json",
        "f/a/0/nobody/zarr.json", "f/a/0/b1/c/4/4 ", "c/zarr.json/zarr.json",
    ],
)  # fmt: skip
async def test_other_keys_do_not_exist(store: TileStore, head: Head, key: str) -> None:
    view = ZarrView(store, head)
    assert await view.get(key, PROTOTYPE) is None
    assert not await view.exists(key)
    with pytest.raises(FileNotFoundError):
        await view.getsize(key)


@pytest.mark.parametrize("key", ["f/a/zarr.json", "f/a/0/b1/c/4/4", "f/a/0/x/c/0"])
@pytest.mark.parametrize(
    ("byte_range", "part"),
    [
        (None, slice(None)),
        (RangeByteRequest(2, 9), slice(2, 9)),
        (RangeByteRequest(3, 3), slice(3, 3)),
        (OffsetByteRequest(5), slice(5, None)),
        (SuffixByteRequest(4), slice(-4, None)),
        (SuffixByteRequest(10**9), slice(None)),
        (SuffixByteRequest(0), slice(0, 0)),
    ],
)
async def test_ranges(
    store: TileStore, head: Head, key: str, byte_range: ByteRequest | None, part: slice
) -> None:
    view = ZarrView(store, head)
    whole = await view.get(key, PROTOTYPE)
    assert whole is not None
    for found in (
        await view.get(key, PROTOTYPE, byte_range),
        view.get_sync(key, byte_range=byte_range),
        *await view.get_partial_values(PROTOTYPE, [(key, byte_range)]),
    ):
        assert found is not None
        assert found.to_bytes() == whole.to_bytes()[part]


async def test_a_pickled_view_reads_the_same(store: TileStore, head: Head) -> None:
    view = await ZarrView.open(store=store, head=head)
    bench.publish(store, other("c"))
    copy = pickle.loads(pickle.dumps(view))
    assert copy == view
    assert hash(copy) == hash(view)
    assert copy.read_only
    assert copy._is_open
    for key in ("f/a/zarr.json", "f/a/0/b1/c/4/4"):
        assert copy.get_sync(key) == view.get_sync(key)
    assert ZarrView(store, store.head()) != view
    assert view != zarr.storage.MemoryStore()


def test_a_view_of_a_commit_that_is_gone_does_not_open(store: TileStore, head: Head) -> None:
    text = pickle.dumps(ZarrView(store, head))
    store.backend.delete("refs/main/0000000000000001")
    with pytest.raises(NotFoundError):
        pickle.loads(text)
    bench.publish(store, other("d"))
    with pytest.raises(NotFoundError):
        pickle.loads(text)


def test_a_view_stays_what_it_is_while_the_store_moves_on(store: TileStore, head: Head) -> None:
    array = zarr.open_array(ZarrView(store, head), path="f/a/0/b1", mode="r")
    before = array[:]
    bench.publish(store, {"f/a": (MADE, bench.pixels(MADE, seed=1))})
    np.testing.assert_array_equal(array[:], before)


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_tile_is_an_error_and_never_pixels(
    store: TileStore, head: Head, damage: str
) -> None:
    view = ZarrView(store, head)
    chunk = view.get_sync("f/a/0/b1/c/4/4")
    assert chunk is not None
    root: Path = store.backend.root  # type: ignore[attr-defined]
    path = root / Objects.path(digest_bytes(chunk.to_bytes()))
    data = path.read_bytes()
    path.unlink()
    if damage == "flip":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    array = zarr.open_array(view, path="f/a/0/b1", mode="r")
    assert np.asarray(array[:64, 64:128]).shape == (64, 64)
    with pytest.raises(CorruptObjectError, match=Objects.path(digest_bytes(data))):
        array[:]


def test_a_view_cannot_be_written(store: TileStore, head: Head) -> None:
    group = zarr.open_group(ZarrView(store, head), path="f/a", mode="r")
    with pytest.raises(ValueError, match="read-only"):
        group["0/b1"][0, 0] = 1  # type: ignore[index]
    with pytest.raises(ValueError, match="read-only"):
        zarr.create_group(ZarrView(store, head), path="new")


def test_open_group_opens_any_commit(store: TileStore, head: Head) -> None:
    later = bench.publish(store, {"f/a": (MADE, bench.pixels(MADE, seed=1))})
    for at, seed in ((None, 1), ("HEAD~1", 0), (str(head.number), 0), (later.digest, 1)):
        group = open_group(store, "f/a", at=at)
        assert group.read_only
        key = bench.keys(MADE)[0]
        np.testing.assert_array_equal(group["0/b1"][:], bench.pixels(MADE, seed=seed)[key])  # type: ignore[index]
    assert {name for name, _ in open_group(store, "f").members()} == {"a"}


@pytest.mark.parametrize(("name", "hint"), [("f/A", "f/a"), ("fa", "f/a"), ("f/a/0", "f/a")])
def test_open_group_suggests_a_near_name(
    store: TileStore, head: Head, name: str, hint: str
) -> None:
    with pytest.raises(NotFoundError, match=f"`{name}` in commit {head.number}") as caught:
        open_group(store, name)
    assert caught.value.hint == f"did you mean `{hint}`?"


def test_open_group_without_commits_says_so() -> None:
    with pytest.raises(NotFoundError, match="no commits"):
        open_group(TileStore.create(MemoryBackend()), "a")
