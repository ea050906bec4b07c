"""P7: whatever byte of a store is flipped or missing, what is read is right or an error."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import CorruptObjectError, FormatError, NoStoreError, StoreError
from geobatch.model.plans.plan import Options
from geobatch.model.published import ArrayKey
from geobatch.store.backends.local import LocalBackend
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply

TILE = 128


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A store of two commits, two assets, masks, and a tile that is not stored."""
    bench = Workbench(folder=tmp_path_factory.mktemp("damage"))
    rng = np.random.default_rng(9)
    values = rng.integers(1, 200, (300, 260)).astype(np.uint8)
    values[:128, :128] = 0
    write_tiff(bench.folder / "a.tif", [values], nodata=0)
    write_tiff(bench.folder / "b.tif", [values.astype(np.float32) / 7, values.astype(np.float32)])
    bench.apply(image("one", "a.tif", tile=TILE))
    bench.apply(
        image("one", "a.tif", tile=TILE, pyramiding_policy="MAX"), image("two", "b.tif", tile=TILE)
    )
    # Copies instead of links: damage shall stay where it is done.
    shutil.rmtree(bench.tree)
    return bench


Found = dict[str, bytes]


def readings(bench: Workbench) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield all ways to read the store, each by a name."""

    def pixels(asset_id: str, path: str) -> bytes:
        return np.asarray(open_store(bench.store).open(asset_id)[path][...]).tobytes()  # type: ignore[index]

    def printed(*argv: str) -> bytes:
        done = geobatch("--store", bench.store, *argv)
        if done.code == 6:
            raise CorruptObjectError(done.err)
        assert done.code == 0, done
        return done.out.encode()

    def array(asset_id: str, path: str) -> Callable[[], bytes]:
        return lambda: pixels(asset_id, path)

    def text(*argv: str) -> Callable[[], bytes]:
        return lambda: printed(*argv)

    for asset_id, bands in (("one", ("b1",)), ("two", ("b1", "b2"))):
        for level in ("0", "1"):
            for band in bands:
                yield f"{asset_id}/{level}/{band}", array(asset_id, f"{level}/{band}")
                if level == "1" or asset_id == "one":
                    name = f"masks/{level}/{band}"
                    group = open_store(bench.store).open(asset_id)
                    if name in group:
                        yield f"{asset_id}/{name}", array(asset_id, name)
    for argv in (["ls"], ["ls", "--at", "1"], ["info"], ["info", "one"], ["show", "two"], ["log"]):
        yield " ".join(argv), text(*argv)


@pytest.fixture(scope="module")
def ways(bench: Workbench) -> dict[str, Callable[[], bytes]]:
    return dict(readings(bench))


@pytest.fixture(scope="module")
def whole(ways: dict[str, Callable[[], bytes]]) -> Found:
    return {name: read() for name, read in ways.items()}


def objects(bench: Workbench) -> list[Path]:
    found = [path for path in (bench.store / "objects").rglob("*") if path.is_file()]
    return sorted(found)


def test_every_object_is_reached_by_a_reading(
    bench: Workbench, ways: dict[str, Callable[[], bytes]], whole: Found
) -> None:
    """Damage to any object is noticed by somebody; nobody reads wrong."""
    rng = random.Random(4)
    unnoticed = []
    for path in objects(bench):
        data = path.read_bytes()
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with damaged(path, bytes(changed)):
            if not errors_of(ways, whole):
                unnoticed.append(path)
    # Of the first commit only levels above 0 differ, whose policy was changed: nobody reads them.
    # Where specs stand is read by publishing and pruning alone.
    assert len(unnoticed) <= count_of_first_commit_only(bench)
    assert len(objects(bench)) > 30


def count_of_first_commit_only(bench: Workbench) -> int:
    """Return how many tiles and pages of level 1 and 2 the first commit alone refers to.

    With the one document of origins.
    """
    group = open_store(bench.store).open("one", at="1")
    tiles = 0
    for level in ("1", "2"):
        if level in group:
            rows, cols = group[f"{level}/b1"].shape  # type: ignore[union-attr]
            tiles += -(-rows // TILE) * -(-cols // TILE)
    return tiles + 2 + 1


def errors_of(ways: dict[str, Callable[[], bytes]], whole: Found) -> list[str]:
    """Read the store in all ways; return those that raise, for the others must read right."""
    raised = []
    for name, read in ways.items():
        try:
            found = read()
        except CorruptObjectError:
            raised.append(name)
        else:
            assert found == whole[name], name
    return raised


class damaged:  # noqa: N801 - a context, used as a verb
    """Another content in a file of the store, for a while; None removes the file."""

    def __init__(self, path: Path, data: bytes | None) -> None:
        self._path = path
        self._data = data

    def __enter__(self) -> None:
        self._kept = self._path.read_bytes()
        self._put(self._data)

    def __exit__(self, *_: object) -> None:
        self._put(self._kept)

    def _put(self, data: bytes | None) -> None:
        self._path.unlink(missing_ok=True)
        if data is not None:
            self._path.write_bytes(data)


@pytest.mark.parametrize("how", ["cut", "longer", "empty", "missing", "swapped"])
def test_other_damage(
    bench: Workbench, ways: dict[str, Callable[[], bytes]], whole: Found, how: str
) -> None:
    paths = objects(bench)
    for number, path in enumerate(paths[::5]):
        data = path.read_bytes()
        other: dict[str, bytes | None] = {
            "cut": data[:-1], "longer": data + b"\0", "empty": b"", "missing": None,
            "swapped": paths[(5 * number + 1) % len(paths)].read_bytes(),
        }  # fmt: skip
        with damaged(path, other[how]):
            errors_of(ways, whole)


def test_every_byte_of_refs_and_identity(
    bench: Workbench, ways: dict[str, Callable[[], bytes]], whole: Found
) -> None:
    refs = sorted((bench.store / "refs" / "main").iterdir())
    assert len(refs) == 2
    for path in [*refs, bench.store / "geobatch.json"]:
        data = path.read_bytes()
        for place in range(0, len(data), 3):
            changed = bytearray(data)
            changed[place] ^= 1
            with damaged(path, bytes(changed)):
                for name in ("one/0/b1", "two/1/b2"):
                    try:
                        found = ways[name]()
                    except (CorruptObjectError, FormatError, NoStoreError):
                        continue
                    # The first ref is not on the way, nor is the id; a final newline says nothing.
                    assert found == whole[name]
                    assert path != refs[1] or place == len(data) - 1


def level_0(bench: Workbench, asset_id: str) -> list[Path]:
    """Return the objects of the tiles of a band at level 0."""
    store = TileStore.open(bench.store)
    entry = store.head().tree.entry(asset_id)
    assert entry is not None
    root = store.record(entry).root(ArrayKey(band="b1", level=0))
    found = store.index.entries((3, 3), root)
    store.close()
    return [bench.store / Objects.path(one["stored"].tobytes().hex()) for one in found]


def test_an_apply_upon_damage_publishes_nothing(bench: Workbench, tmp_path: Path) -> None:
    """A policy is changed: level 0 is read from the store, where a tile is damaged."""
    other = Workbench(folder=tmp_path)
    shutil.copytree(bench.folder, tmp_path, dirs_exist_ok=True)
    spec = other.write_spec([image("one", "a.tif", tile=TILE, pyramiding_policy="MIN")])
    needed, unneeded = level_0(other, "one"), level_0(other, "two")
    assert len(needed) == 8, "one tile of nine holds no valid pixel"
    for path in needed:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        with damaged(path, bytes(data)):
            done = geobatch("--store", other.store, "apply", spec)
            assert done.code == 6
            assert str(path.relative_to(other.store)) in done.err
            assert f"hint: `geobatch apply {spec} --select one --replace one" in done.err
            assert len(list((other.store / "refs" / "main").iterdir())) == 2
        # Regions that such a run finished are remembered, and would not be read another time.
        shutil.rmtree(other.store / "cache")
    with damaged(unneeded[0], b"another asset's"):
        done = geobatch("--store", other.store, "apply", spec)
        assert done.code == 6, "the next commit could not be read whole either"
        assert "`two`, level 0, band `b1`, tile 0/0: object" in done.err
        assert len(list((other.store / "refs" / "main").iterdir())) == 2
    assert geobatch("--store", other.store, "apply", spec).code == 0


def flip_tiles(bench: Workbench, asset_id: str) -> None:
    """Flip a byte in every tile of an asset, where its length, its time and its links stay.

    As a disk does it: what a process wrote has a time that tells.
    """
    for chunk in (bench.tree / asset_id).rglob("b*/c/*/*"):
        found = chunk.stat()
        data = bytearray(chunk.read_bytes())
        data[-1] ^= 1
        chunk.chmod(0o644)
        chunk.write_bytes(data)
        os.utime(chunk, ns=(found.st_atime_ns, found.st_mtime_ns))
        chunk.chmod(0o444)


def read_all(bench: Workbench, asset_id: str) -> list[bytes]:
    """Read every array, verified, and through the plain tree."""
    group = open_store(bench.store).open(asset_id)
    arrays = group.members(max_depth=None)
    names = [name for name, found in arrays if isinstance(found, zarr.Array) and "b1" in name]
    verified = [np.asarray(group[name][...]).tobytes() for name in names]  # type: ignore[index]
    assert len(names) >= 3
    assert verified == [bench.array(f"{asset_id}/{name}").tobytes() for name in names]
    return verified


@pytest.mark.parametrize("is_shared", [False, True])
def test_what_is_computed_anew_mends_damaged_tiles(tmp_path: Path, is_shared: bool) -> None:
    """By request, or because another asset has equal tiles; the plain tree is mended, too."""
    bench = Workbench(folder=tmp_path)
    values = np.random.default_rng(3).integers(1, 200, (300, 260)).astype(np.uint8)
    values[:50] = 0
    write_tiff(tmp_path / "a.tif", [values], nodata=0)
    write_tiff(tmp_path / "again.tif", [values], nodata=0, layout={"compress": "lzw"})
    first = bench.apply(image("one", "a.tif", tile=TILE))
    expected = read_all(bench, "one")
    flip_tiles(bench, "one")
    with pytest.raises(CorruptObjectError, match="is damaged"):
        read_all(bench, "one")
    assert bench.apply(image("one", "a.tif", tile=TILE)).commit is None
    if is_shared:
        summary = bench.apply(
            image("two", "again.tif", tile=TILE), image("one", "a.tif", tile=TILE)
        )
        assert read_all(bench, "two") == expected
    else:
        spec = bench.write_spec([image("one", "a.tif", tile=TILE)])
        summary = apply([spec], store=bench.store, options=Options(replace=("one",)))
        assert summary.commit is None
    assert summary.tiles.written == first.tiles.written
    assert read_all(bench, "one") == expected


def test_what_a_run_mended_that_came_to_nothing_stays_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the plain tree, too, whatever else is damaged there; another asset is left alone."""
    bench = Workbench(folder=tmp_path)
    values = np.random.default_rng(3).integers(1, 200, (300, 260)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [values], nodata=0)
    write_tiff(tmp_path / "b.tif", [values[::-1].copy()], nodata=0)
    documents = [image("one", "a.tif", tile=TILE), image("two", "b.tif", tile=TILE)]
    bench.apply(*documents)
    expected = read_all(bench, "one")
    flip_tiles(bench, "one")
    flip_tiles(bench, "two")

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    spec = bench.write_spec(documents)
    with monkeypatch.context() as patch:
        patch.setattr(TileStore, "put_record", dies)
        with pytest.raises(KeyboardInterrupt):
            apply([spec], store=bench.store, options=Options(replace=("one",)))
    assert read_all(bench, "one") == expected
    with pytest.raises(CorruptObjectError):
        read_all(bench, "two")
    assert apply([spec], store=bench.store).commit is None


def test_an_object_that_cannot_be_read_is_written_anew(tmp_path: Path) -> None:
    """As a bad sector cannot: the name is there, its bytes are not."""
    backend = LocalBackend(tmp_path)
    assert backend.put("objects/ab/cd", b"whole")
    path = tmp_path / "objects" / "ab" / "cd"
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError):
        backend.put("objects/ab/cd", b"whole")
    path.rmdir()
    path.symlink_to("nowhere")
    assert backend.put("objects/ab/cd", b"whole")
    assert backend.get("objects/ab/cd") == b"whole"
    backend.close()
