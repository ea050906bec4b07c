"""Comparisons of commits and assets against whole arrays that zarr-python reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import Done, geobatch
from workbench import Document, Workbench, bits, image, write_tiff

from geobatch import open_store
from geobatch.explain.diff import AssetDiff, StateDiff, changed_tiles, compare
from geobatch.explain.target import find_targets
from geobatch.model.plans.plan import Op, Reason
from geobatch.model.published import ArrayKey
from geobatch.store.tilestore import TileStore

TILE = 64
Values = np.typing.NDArray[Any]
Places = set[tuple[ArrayKey, int, int]]


def pixels(seed: int, *, height: int = 300, width: int = 280) -> Values:
    return np.random.default_rng(seed).integers(1, 250, (height, width)).astype(np.uint8)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    write_tiff(tmp_path / "a.tif", [pixels(1), pixels(2)], nodata=0)
    return Workbench(folder=tmp_path)


@contextmanager
def compared(
    bench: Workbench, a: str, b: str | None = None
) -> Iterator[tuple[TileStore, StateDiff]]:
    with closing(TileStore.open(bench.store)) as store:
        yield store, compare(store, *find_targets(store, a, b))


def diffed(bench: Workbench, a: str, b: str | None = None) -> StateDiff:
    with compared(bench, a, b) as (_, found):
        return found


def only(found: StateDiff) -> AssetDiff:
    (asset,) = found.assets
    return asset


def run(bench: Workbench, *argv: str) -> Done:
    return geobatch("--store", bench.store, "diff", *argv)


def arrays(group: zarr.Group) -> dict[ArrayKey, Values]:
    """Return every array of an asset of one grid, as zarr-python reads it."""
    found = {}
    for path, array in group.members(max_depth=None):
        *above, level, name = path.split("/") if "/" in path else ("", path)
        if isinstance(array, zarr.Array) and name not in ("x", "y", "spatial_ref"):
            key = ArrayKey(band=name, level=int(level), is_mask=above == ["masks"])
            found[key] = np.asarray(array[...])
    return found


def different(old: dict[ArrayKey, Values], new: dict[ArrayKey, Values]) -> Places:
    """Return the tiles of arrays that both have in which any pixel differs bit for bit."""
    places = set()
    for key in old.keys() & new.keys():
        where = np.argwhere(bits(old[key]) != bits(new[key])) // TILE
        places |= {(key, int(row), int(col)) for row, col in np.unique(where, axis=0)}
    return places


def read(bench: Workbench, asset: str, at: str) -> dict[ArrayKey, Values]:
    return arrays(open_store(bench.store).open(asset, at=at))


def tiles(bench: Workbench, a: str, b: str | None = None) -> Places:
    with compared(bench, a, b) as (store, found):
        return {
            (tile.key.array, tile.key.row, tile.key.col)
            for asset in found.assets
            for tile in changed_tiles(store, asset)
        }


@settings(max_examples=8, deadline=None)
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 299), st.integers(0, 279), st.integers(1, 90), st.integers(0, 1)),
        max_size=3,
    ),
    holes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=2),
    policy=st.sampled_from(["MEAN", "MAX"]),
)
def test_tiles_are_those_whose_pixels_differ(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[tuple[int, int, int, int]],
    holes: list[tuple[int, int]],
    policy: str,
) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("diff"))
    before = [pixels(1), pixels(2)]
    before[1][:TILE, :TILE] = 0  # a tile that is not stored
    after = [band.copy() for band in before]
    for row, col, size, band in edits:
        after[band][row : row + size, col : col + size] += 1
    for row, col in holes:
        after[0][row * TILE : (row + 1) * TILE, col * TILE : (col + 1) * TILE] = 0
    write_tiff(bench.folder / "a.tif", before, nodata=0)
    bench.apply(image("a", "a.tif"), image("b", "a.tif", memo="stays"))
    (bench.folder / "a.tif").rename(bench.folder / "b.tif")
    write_tiff(bench.folder / "a.tif", after, nodata=0)
    summary = bench.apply(image("a", "a.tif", pyramiding_policy=policy))
    if summary.commit is None:
        assert policy == "MEAN"
        return
    old, new = read(bench, "a", "1"), read(bench, "a", "2")
    expected = different(old, new)
    assert tiles(bench, "1") == tiles(bench, "1", "2") == tiles(bench, "a@1") == expected
    assert tiles(bench, "2", "1") == expected, "the other way round"
    found = diffed(bench, "1")
    assert found.unchanged == 1
    asset = only(found)
    assert (asset.id, asset.op) == ("a", Op.UPDATE)
    counts = {array.key: array.added + array.changed + array.removed for array in asset.arrays}
    assert counts == {
        key: sum(place[0] == key for place in expected) for key, _, _ in sorted(expected)
    }
    # Between two assets, the same: the other one still is what the first was.
    assert tiles(bench, "b", "a") == expected
    with compared(bench, "1") as (store, state):
        for tile in changed_tiles(store, only(state)):
            place = (
                slice(tile.key.row * TILE, (tile.key.row + 1) * TILE),
                slice(tile.key.col * TILE, (tile.key.col + 1) * TILE),
            )
            was, now = old[tile.key.array][place], new[tile.key.array][place]
            assert tile.op is (
                Op.CREATE if not was.any() else Op.DELETE if not now.any() else Op.UPDATE
            ), "all are fill, 0, where a tile is not stored"


def test_assets_come_and_go(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    bench.apply(image("b", "a.tif"))
    found = diffed(bench, "1")
    assert [(asset.id, asset.op) for asset in found.assets] == [("b", Op.CREATE)]
    assert [(asset.id, asset.op) for asset in diffed(bench, "2", "1").assets] == [("b", Op.DELETE)]
    entry = only(found).after
    assert entry is not None
    assert len(tiles(bench, "1")) == sum(array.added for array in only(found).arrays) == entry.tiles
    assert len(tiles(bench, "2", "1")) == entry.tiles
    assert diffed(bench, "HEAD").is_empty
    assert diffed(bench, "a", "b").is_empty, "two names for the same"
    assert diffed(bench, "a", "b").unchanged == 1


def test_what_was_decided_otherwise_is_said_and_costs_no_tile(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif", properties={"n": 1}, start_time="2025-01-01"))
    bench.apply(
        image("a", "a.tif", properties={"n": 2, "m": "x"}, start_time="2025-01-02",
              lifecycle={"protect": True}, memo="new")
    )  # fmt: skip
    asset = only(diffed(bench, "1"))
    assert asset.arrays == ()
    assert [(because.reason, because.path, because.detail) for because in asset.because] == [
        (Reason.PROPERTIES_CHANGED, "properties.m", "none -> x"),
        (Reason.PROPERTIES_CHANGED, "properties.n", "1 -> 2"),
        (Reason.TIME_CHANGED, "start_time", "2025-01-01T00:00:00Z -> 2025-01-02T00:00:00Z"),
        (Reason.TIME_CHANGED, "end_time", "2025-01-01T00:00:00Z -> 2025-01-02T00:00:00Z"),
        (Reason.LIFECYCLE_CHANGED, "lifecycle.protect", "false -> true"),
        (Reason.METADATA_CHANGED, "memo", ""),
    ]


def test_a_codec_changes_no_tile(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    bench.apply(image("a", "a.tif", codec={"name": "gzip", "level": 5}))
    asset = only(diffed(bench, "1"))
    assert asset.arrays == ()
    assert [because.reason for because in asset.because] == [Reason.CODEC_CHANGED]
    done = run(bench, "1", "--stats", "--json").record("diff")
    assert [value["tiles"] for value in done["assets"][0]["values"]] == [0, 0]


def test_a_band_that_comes_brings_all_its_tiles(bench: Workbench) -> None:
    one = [{"id": "p", "tileset_id": "t", "tileset_band_index": 0}]
    two = [*one, {"id": "q", "tileset_id": "t", "tileset_band_index": 1}]
    bench.apply(image("a", "a.tif", bands=one))
    bench.apply(image("a", "a.tif", bands=two))
    asset = only(diffed(bench, "1"))
    assert {array.key.band for array in asset.arrays} == {"q"}
    assert all(not array.changed and not array.removed for array in asset.arrays)
    assert all(array.is_comparable for array in asset.arrays)
    assert tiles(bench, "1") == {
        (key, row, col)
        for key, values in read(bench, "a", "2").items()
        if key.band == "q"
        for row in range(-(-values.shape[0] // TILE))
        for col in range(-(-values.shape[1] // TILE))
    }


def test_another_plane_replaces_every_tile(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    bench.apply(image("a", "a.tif", tile=128))
    asset = only(diffed(bench, "1"))
    assert not any(array.is_comparable for array in asset.arrays)
    values = {array.key: array for array in asset.arrays}
    first = values[ArrayKey(band="b1", level=0)]
    assert (first.removed, first.changed, first.added) == (25, 0, 9)
    text = run(bench, "1").out
    assert "tiling.tile 64 -> 128" in text
    assert "L0 +9 -25 (another grid of tiles)" in text
    assert run(bench, "1", "--stats", "--json").record("diff")["assets"][0]["values"] == []


def second(bench: Workbench, **more: object) -> Document:
    write_tiff(bench.folder / "b.tif", [pixels(3, **more)])  # type: ignore[arg-type]
    return image("long/name", "b.tif")


def test_two_assets_on_other_planes_are_refused(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), second(bench, height=301))
    done = run(bench, "a", "long/name")
    assert done.code == 1
    assert "band `b1` has 300 x 280 pixels in `a` and 301 x 280 in `long/name`" in done.err
    bench.apply(image("long/name", "a.tif", tile=128))
    done = run(bench, "a", "long/name")
    assert done.code == 1
    assert "`a` has tiles of 64 pixels and `long/name` of 128" in done.err
    bands = [{"id": "other", "tileset_id": "t"}]
    bench.apply(image("long/name", "a.tif", bands=bands))
    done = run(bench, "a", "long/name")
    assert done.code == 1
    assert "no band of the same name: `b1`, `b2` and `other`" in done.err


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["nam"], "`nam` is neither a commit nor an asset", "did you mean `name`?"),
        (["xyz"], "`xyz` is neither a commit nor an asset", "`geobatch log` lists the commits"),
        (["9"], "there is no commit `9`", "`geobatch log`"),
        (["HEAD~9"], "there is no commit `HEAD~9`", "`geobatch log`"),
        (["name@9"], "there is no commit `9`", "`geobatch log`"),
        (["nmae@1"], "there is no asset `nmae` in commit 1", "did you mean `name`?"),
        (["name"], "nothing to compare it with", "`geobatch diff name@HEAD~1`"),
        (["1", "name"], "`name` is an asset and `1` a commit", "`name@1`"),
        (["name", "HEAD"], "`name` is an asset and `HEAD` a commit", "`name@HEAD`"),
        (["2"], "`2` is both the id of an asset and the number of commit 2", "`2@HEAD`"),
        (
            ["1", "--stats", "--level", "2"],
            "the arrays that differ have no level `2`",
            "0, the finest, to 1",
        ),
    ],
)
def test_what_cannot_be_compared_is_said(
    bench: Workbench, argv: list[str], message: str, hint: str
) -> None:
    bench.apply(image("name", "a.tif"))
    bench.apply(image("2", "a.tif"))
    done = run(bench, *argv)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert hint in done.err.partition("hint: ")[2]


def test_a_level_without_stats_is_misuse(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    assert run(bench, "1", "--level", "0").code == 64
    assert geobatch("--store", bench.folder / "none", "diff", "1").code == 10


def test_forms_and_exit_codes(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), image("b", "a.tif"))
    later = pixels(1)
    later[0, 0] += 4
    write_tiff(bench.folder / "c.tif", [later, pixels(2)], nodata=0)
    bench.apply(image("a", "c.tif", properties={"n": 1}))
    assert run(bench, "1").code == 0
    assert run(bench, "1", "--exit-code").code == 1
    assert run(bench, "2", "--exit-code").code == 0
    done = run(bench, "1", "--stats", "--tiles")
    assert [line.rstrip() for line in done.out.splitlines()[1:]] == [
        "",
        "  ~ a  2 of 86 tiles  changed",
        "      reason   c.tif added",
        "      reason   a.tif removed",
        "      reason   properties.n none -> 1",
        "      tiles    b1  L0..L1 ~1 each",
        "      values   b1 L0  1 pixel changed by +4 to +4, mean +4",
        "",
        "Diff: 0 added, 1 changed, 0 removed.  1 unchanged.",
        "~ a  0/0/0  b1",
        "~ a  1/0/0  b1",
    ]
    done = run(bench, "1", "--stats", "--tiles", "--json")
    record = done.record("diff")
    assert record["summary"] == {
        "added": 0, "changed": 1, "renamed": 0, "removed": 0, "unchanged": 1,
    }  # fmt: skip
    assert (record["a"]["number"], record["b"]["number"]) == (1, 2)
    (asset,) = record["assets"]
    assert asset["tiles"] == {"added": 0, "changed": 2, "removed": 0}
    assert asset["values"][0]["difference"] == {"min": 4, "max": 4, "mean": 4.0, "sum": 4}
    rows = [line for line in done.lines if line["type"] == "tile"]
    assert rows == [
        {"type": "tile", "asset": "a", "band": "b1", "level": level, "is_mask": False, "row": 0,
         "col": 0, "change": "changed"}
        for level in (0, 1)
    ]  # fmt: skip
    assert run(bench, "b", "a", "--json").record("diff")["assets"][0]["previous_id"] == "b"


def test_equal_subtrees_are_not_read(bench: Workbench) -> None:
    """The pages that two states share may even be gone."""
    bench.apply(image("a", "a.tif"))
    bench.apply(image("b", "a.tif"))
    later = pixels(1)
    later[0, 0] += 4
    write_tiff(bench.folder / "a.tif", [later, pixels(2)], nodata=0)
    bench.apply(image("a", "a.tif"))
    with closing(TileStore.open(bench.store)) as store:
        entry = store.head().tree.entry("a")
        assert entry is not None
        root = store.record(entry).root(ArrayKey(band="b2", level=0))
        assert root is not None
        store.backend.delete(store.objects.path(root.stored))
    assert len(tiles(bench, "2")) == 2


def renamed(bench: Workbench) -> None:
    """Publish `a`, then the same as `b`, then that as `c` with other properties, and a new `a`."""
    bench.apply(image("a", "a.tif"), image("still", "a.tif"))
    bench.apply(image("b", "a.tif", moved_from="a"))
    bench.apply(image("c", "a.tif", moved_from="b", properties={"k": 1}))
    bench.apply(image("a", "a.tif", pyramiding_policy="MIN"))


def test_a_renamed_asset_is_one_asset_in_both_directions(bench: Workbench) -> None:
    renamed(bench)
    asset = only(diffed(bench, "1", "2"))
    assert (asset.id, asset.op, asset.arrays) == ("b", Op.RENAME, ())
    assert [because.reason for because in asset.because] == [Reason.RENAMED]
    forth = {one.id: one for one in diffed(bench, "1", "4").assets}
    assert {name: one.op for name, one in forth.items()} == {"a": Op.CREATE, "c": Op.RENAME}
    assert [one.reason for one in forth["c"].because] == [
        Reason.RENAMED, Reason.PROPERTIES_CHANGED,
    ]  # fmt: skip
    assert diffed(bench, "1", "4").unchanged == 1
    back = {one.id: one for one in diffed(bench, "4", "1").assets}
    # What was created last goes, and `c` is what it was: both are called `a`.
    assert sorted(one.op for one in diffed(bench, "4", "1").assets) == [Op.DELETE, Op.RENAME]
    assert back.keys() == {"a"}
    assert diffed(bench, "2", "2").is_empty


def test_an_asset_of_an_old_commit_is_compared_with_what_it_is_called_now(
    bench: Workbench,
) -> None:
    renamed(bench)
    found = diffed(bench, "b@2")
    assert (found.b.asset, found.b.head.number) == ("c", 4)
    assert [one.reason for one in only(found).because] == [Reason.PROPERTIES_CHANGED]
    # Of two heirs, the one that bears the name.
    assert diffed(bench, "a@1").b.asset == "a"


def test_a_rename_as_people_and_machines_see_it(bench: Workbench) -> None:
    renamed(bench)
    done = run(bench, "2", "3")
    assert "  > c  (was b)  0 of " in done.out
    assert "      reason   properties.k none -> 1" in done.out
    assert "Diff: 0 added, 0 changed, 1 renamed, 0 removed.  1 unchanged." in done.out
    (asset,) = geobatch("--store", bench.store, "--json", "diff", "2", "3").record("diff")["assets"]
    assert (asset["id"], asset["previous_id"], asset["change"]) == ("c", "b", "renamed")
