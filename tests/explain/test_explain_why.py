"""What `why` says of tiles: held against the specs, the history, and what apply then does."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import Done, geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.explain.answer import BandWhy, Verdict, Why
from geobatch.explain.diff import changed_tiles, compare
from geobatch.explain.target import find_targets
from geobatch.explain.why import why
from geobatch.model.plans.plan import Reason
from geobatch.model.tile import TilePosition
from geobatch.model.window import Box, Window
from geobatch.store.tilestore import TileStore

TILE = 64
LAYOUT = {"tiled": True, "blockxsize": 64, "blockysize": 32}
Values = np.typing.NDArray[Any]


def pixels(seed: int) -> Values:
    return np.random.default_rng(seed).integers(1, 250, (300, 280)).astype(np.uint8)


def write(bench: Workbench, name: str, values: Values, **more: Any) -> None:
    write_tiff(bench.folder / f"{name}.tif", [values, values], nodata=0, layout=LAYOUT, **more)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(folder=tmp_path)
    write(made, "a", pixels(1))
    write(made, "b", pixels(2), col=280)
    return made


def at(text: str) -> TilePosition:
    level, row, col = map(int, text.split("/"))
    return TilePosition(level=level, row=row, col=col)


def asked(bench: Workbench, tile: str | None, *documents: Document, band: str = "b1") -> BandWhy:
    (one,) = whole(bench, tile, *documents, band=band).bands
    return one


def whole(bench: Workbench, tile: str | None, *documents: Document, band: str | None = None) -> Why:
    place = None if tile is None else at(tile)
    paths = [bench.write_spec(documents)] if documents else []
    return why(bench.store, "m/a", place=place, band=band, paths=paths, workers=2)


def run(bench: Workbench, *argv: str | Path) -> Done:
    return geobatch("--store", bench.store, "why", *argv)


def mosaic(**more: Any) -> Document:
    return image("m/a", "a.tif", "b.tif", **more)


def test_sources_and_blocks_under_a_tile(bench: Workbench) -> None:
    bench.apply(mosaic())
    one = asked(bench, "0/1/4")  # pixels 64 to 127 by 256 to 319: both sources
    assert one.window == Window(row=64, col=256, height=64, width=64)
    assert [(s.uri, s.window, s.blocks, s.block) for s in one.sources] == [
        ("a.tif", Window(row=64, col=256, height=64, width=24),
         Box(row=2, col=4, height=2, width=1), (32, 64)),
        ("b.tif", Window(row=64, col=0, height=64, width=40),
         Box(row=2, col=0, height=2, width=1), (32, 64)),
    ]  # fmt: skip
    assert {s.index for s in one.sources} == {0}
    assert {s.index for s in asked(bench, "0/1/4", band="b2").sources} == {1}
    assert one.children == ()
    (bench.store / "cache" / "sources.sqlite").unlink()
    assert [s.blocks for s in asked(bench, "0/1/4").sources] == [None, None]
    assert [s.window for s in asked(bench, "0/1/4").sources] == [s.window for s in one.sources]


def test_a_tile_above_covers_what_it_is_built_from(bench: Workbench) -> None:
    bench.apply(mosaic())
    one = asked(bench, "1/2/4")  # the corner of 5 x 9 tiles
    assert one.window == Window(row=256, col=512, height=44, width=48)
    assert one.children == (at("0/4/8"),)
    assert [s.uri for s in one.sources] == ["b.tif"]
    one = asked(bench, "2/0/1")
    assert one.window == Window(row=0, col=256, height=256, width=256)
    assert one.children == tuple(map(at, ("1/0/2", "1/0/3", "1/1/2", "1/1/3")))
    for child in one.children:
        under = asked(bench, str(child)).window
        assert under.intersect(one.window) == under
    assert asked(bench, None).window == Window(row=0, col=0, height=300, width=560)


def test_masks_have_sources_too(bench: Workbench) -> None:
    write_tiff(bench.folder / "m.tif", [np.full((300, 280), 255, dtype=np.uint8)])
    bench.apply(
        image("m/a", "a.tif", mask_bands=[{"tileset_id": "m"}],
              more_tilesets=[{"id": "m", "sources": [{"uris": ["m.tif"]}]}])
    )  # fmt: skip
    one = asked(bench, "0/0/0")
    assert [(s.uri, s.index, s.is_mask) for s in one.sources] == [
        ("a.tif", 0, False), ("m.tif", 0, True),
    ]  # fmt: skip


def test_since_when(bench: Workbench) -> None:
    bench.apply(mosaic())  # 1
    later = pixels(1)
    later[10, 10] += 4
    write(bench, "a", later)
    bench.apply(mosaic())  # 2: 0/0/0 and above
    bench.apply(mosaic(properties={"n": 1}))  # 3: nothing
    bench.apply(mosaic(pyramiding_policy="MAX"))  # 4: levels above 0
    bench.apply(mosaic(pyramiding_policy="MAX"), image("other", "a.tif"))  # 5: nothing
    for tile, number, reasons in (
        ("0/0/0", 2, [(Reason.SOURCE_CHANGED, "a.tif", "(1 of 50 blocks)")]),
        ("0/1/1", 1, [(Reason.NEW_ASSET, "m/a", "")]),
        ("0/0/8", 1, [(Reason.NEW_ASSET, "m/a", "")]),
        ("1/0/0", 4, [(Reason.POLICY_CHANGED, "bands.b1.pyramiding_policy", "MEAN -> MAX")]),
        (None, 4, [(Reason.POLICY_CHANGED, "bands.b1.pyramiding_policy", "MEAN -> MAX")]),
    ):
        last = asked(bench, tile).last
        assert last.head.number == number, tile
        assert [(one.reason, one.path, one.detail) for one in last.because] == reasons, tile
    (bench.store / "cache" / "sources.sqlite").unlink()
    (because,) = asked(bench, "0/0/0").last.because
    assert because.detail == "", "how many blocks is not known any more"


def test_a_tile_that_went_and_came_again_is_as_old_as_its_return(bench: Workbench) -> None:
    first, second = pixels(1), pixels(1)
    second[:TILE, :TILE] = 0
    for values in (first, second, first):
        write(bench, "a", values)
        bench.apply(mosaic())
    assert asked(bench, "0/0/0").last.head.number == 3
    write(bench, "a", second)
    bench.apply(mosaic())
    one = asked(bench, "0/0/0")
    assert (one.last.head.number, one.values, one.size) == (4, None, 0)
    assert "none stored: all pixels are masked" in run(bench, "m/a", "--tile", "0/0/0").out


@settings(max_examples=5, deadline=None)
@given(st.lists(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=2), max_size=4))
def test_since_agrees_with_diff(
    tmp_path_factory: pytest.TempPathFactory, edits: list[set[tuple[int, int]]]
) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("why"))
    values = np.ones((140, 140), dtype=np.uint8)
    write(bench, "a", values)
    bench.apply(image("m/a", "a.tif"))
    for number, places in enumerate(edits):
        for row, col in places:
            values[row * TILE, col * TILE] += number + 1
        write(bench, "a", values)
        bench.apply(image("m/a", "a.tif"))
    with closing(TileStore.open(bench.store)) as store:
        newest = store.head().number
        changed = [set[tuple[int, int]]() for _ in range(newest + 1)]
        for number in range(2, newest + 1):
            found = compare(store, *find_targets(store, str(number - 1), str(number)))
            changed[number] = {
                (tile.key.row, tile.key.col)
                for asset in found.assets
                for tile in changed_tiles(store, asset)
                if tile.key.array.band == "b1" and tile.key.array.level == 0
            }
    for row in range(3):
        for col in range(3):
            expected = max((n for n in range(newest + 1) if (row, col) in changed[n]), default=1)
            assert asked(bench, f"0/{row}/{col}").last.head.number == expected


EVERY = [
    f"{level}/{row}/{col}"
    for level, rows, cols in ((0, 5, 9), (1, 3, 5), (2, 2, 3))
    for row in range(rows)
    for col in range(cols)
]
SOME = ["0/0/0", "0/0/4", "0/0/5", "0/4/8", "1/0/0", "1/2/4", "2/1/2"]


def verdicts(
    bench: Workbench, *documents: Document, band: str = "b1", tiles: list[str] = SOME
) -> dict[str, Verdict]:
    """Return what the next apply does with tiles of a band."""
    found = {}
    for tile in tiles:
        one = asked(bench, tile, *documents, band=band)
        assert one.next is not None
        found[tile] = one.next.verdict
    return found


def redone(bench: Workbench, *documents: Document, tiles: list[str] = SOME) -> set[str]:
    found = verdicts(bench, *documents, tiles=tiles)
    return {tile for tile, verdict in found.items() if verdict is Verdict.REDO}


def test_the_next_apply_redoes_the_tiles_under_a_changed_block_and_no_other(
    bench: Workbench,
) -> None:
    bench.apply(mosaic())
    assert set(verdicts(bench, mosaic()).values()) == {Verdict.KEEP}
    later = pixels(2)
    later[100, 30] += 4  # canvas column 310, in the block of columns 280 to 343: two tiles
    write(bench, "b", later, col=280)
    expected = {"0/1/4", "0/1/5", "1/0/2", "2/0/1"}
    assert redone(bench, mosaic(), tiles=EVERY) == expected
    one = asked(bench, "1/0/2", mosaic()).next
    assert one is not None
    assert one.can_stop
    assert [(reason.path, reason.detail) for reason in one.because] == [
        ("b.tif", "(1 of 50 blocks)")
    ]
    assert one.tiles == 4
    bench.apply(mosaic())
    with closing(TileStore.open(bench.store)) as store:
        (asset,) = compare(store, *find_targets(store, "1")).assets
        really = {
            f"{tile.key.array.level}/{tile.key.row}/{tile.key.col}"
            for tile in changed_tiles(store, asset)
        }
    assert really <= expected
    assert "0/1/4" in really
    assert set(verdicts(bench, mosaic()).values()) == {Verdict.KEEP}


def test_facets_and_what_the_next_apply_does(bench: Workbench) -> None:
    bench.apply(mosaic())
    assert set(verdicts(bench, mosaic(properties={"n": 1})).values()) == {Verdict.KEEP}
    higher = mosaic(pyramiding_policy="MIN")
    assert redone(bench, higher) == {tile for tile in SOME if not tile.startswith("0/")}
    recoded = mosaic(codec={"name": "gzip", "level": 4})
    assert set(verdicts(bench, recoded).values()) == {Verdict.RECODE}
    only = mosaic(bands=[{"id": "b2", "tileset_id": "t", "tileset_band_index": 1}])
    assert set(verdicts(bench, only).values()) == {Verdict.GONE}
    assert set(verdicts(bench, only, band="b2").values()) == {Verdict.KEEP}
    smaller = image("m/a", "a.tif")
    found = verdicts(bench, smaller)
    assert found["0/0/4"] is Verdict.REDO
    assert found["0/0/5"] is Verdict.GONE, "beyond the 280 columns that remain"
    assert set(verdicts(bench, image("other", "a.tif")).values()) == {Verdict.UNDECLARED}
    assert set(verdicts(bench, image("m/a", "gone.tif")).values()) == {Verdict.UNKNOWN}
    (bench.folder / "a.tif").write_bytes(b"no TIFF")
    one = asked(bench, "0/0/0", mosaic()).next
    assert one is not None
    assert one.verdict is Verdict.UNKNOWN
    assert "`a.tif`" in one.problems[0]


def test_what_was_made_before_is_taken_over(bench: Workbench) -> None:
    bench.apply(mosaic())
    later = pixels(1)
    later[10, 10] += 4
    write(bench, "a", later)
    bench.apply(mosaic())
    write(bench, "a", pixels(1))
    one = asked(bench, "0/0/0", mosaic()).next
    assert one is not None
    assert one.verdict is Verdict.TAKEN
    assert [because.path for because in one.because] == ["a.tif"]
    assert "reused: it was computed before" in run(bench, "m/a", bench.folder / "spec.yaml").out
    assert bench.apply(mosaic()).tiles.written == 0


def test_trouble_of_another_asset_is_no_matter(bench: Workbench) -> None:
    bench.apply(mosaic())
    one = asked(bench, "0/0/0", mosaic(), image("other", "gone.tif")).next
    assert one is not None
    assert one.verdict is Verdict.KEEP


def test_reasons_are_those_of_the_tile(bench: Workbench) -> None:
    bench.apply(mosaic())
    write(bench, "a", pixels(3))
    write(bench, "b", pixels(4), col=280)
    document = mosaic(
        properties={"n": 1},
        bands=[
            {"id": "b1", "tileset_id": "t"},
            {"id": "b2", "tileset_id": "t", "tileset_band_index": 1, "pyramiding_policy": "MAX"},
        ],
    )
    for tile, band, paths in (
        ("0/0/0", "b1", ["a.tif"]),
        ("0/0/8", "b1", ["b.tif"]),
        ("0/0/4", "b2", ["a.tif", "b.tif"]),
        ("1/0/0", "b1", ["a.tif"]),
        ("1/0/0", "b2", ["a.tif", "bands.b2.pyramiding_policy"]),
        (None, "b2", ["a.tif", "b.tif", "bands.b2.pyramiding_policy"]),
    ):
        one = asked(bench, tile, document, band=band).next
        assert one is not None
        assert [because.path for because in one.because] == paths, (tile, band)


def test_bands_without_the_tile_are_passed_over(bench: Workbench) -> None:
    write_tiff(bench.folder / "small.tif", [np.ones((150, 140), dtype=np.uint8)])
    bench.apply(
        image("m/a", "a.tif", more_tilesets=[{"id": "s", "sources": [{"uris": ["small.tif"]}]}])
    )
    assert [one.band.id for one in whole(bench, "0/0/0").bands] == ["b1", "b2", "b3"]
    assert [one.band.id for one in whole(bench, "0/4/0").bands] == ["b1", "b2"]
    assert [one.band.id for one in whole(bench, "1/0/0").bands] == ["b1", "b2"]


@pytest.mark.parametrize(
    ("argv", "code", "message", "hint"),
    [
        (["m/b"], 1, "there is no asset `m/b` in commit 1", "did you mean `m/a`?"),
        (["m/a", "--band", "b11"], 1, "`m/a` has no band `b11`", "did you mean `b1`?"),
        (["m/a", "--band", "zz"], 1, "`m/a` has no band `zz`", "it has `b1`, `b2`"),
        (["m/a", "--tile", "3/0/0"], 1, "no level `3`", "from 0, the finest, to 2"),
        (["m/a", "--tile", "1/3/0"], 1, "no tile `1/3/0`", "rows 0 to 2 and columns 0 to 4"),
        (["m/a", "--tile", "0/0"], 64, "needs LEVEL/ROW/COL", ""),
        (["m/a", "--tile", "0/-1/0"], 64, "needs LEVEL/ROW/COL", ""),
    ],
)
def test_what_is_not_there_is_said(
    bench: Workbench, argv: list[str], code: int, message: str, hint: str
) -> None:
    bench.apply(mosaic())
    done = run(bench, *argv)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert hint in done.err


def test_forms(bench: Workbench) -> None:
    bench.apply(mosaic())
    write(bench, "a", pixels(1) + np.uint8(1))
    path = bench.write_spec([mosaic()])
    before = sorted(bench.folder.rglob("*"))
    done = run(bench, "m/a", path, "--tile", "1/0/2", "--band", "b1")
    assert sorted(bench.folder.rglob("*")) == before
    lines = done.out.splitlines()
    assert lines[0] == "geobatch why m/a  tile 1/0/2  commit 1"
    text = "\n".join(line.strip() for line in lines)
    for part in (
        "because  m/a new",
        "covers   level 0 rows 0 to 127, columns 256 to 383; bounds 502560, 4998720, 503840, 50000",
        "built    MEAN of 0/0/4, 0/0/5, 0/1/4, 0/1/5",
        "decided  dtype uint8; fill 0; masking by the value 0; policy MEAN; grid r10m, EPSG:32633;",
        "band 1, rows 0 to 127, columns 256 to 279; 4 blocks of 32 x 64, 0/4 to 3/4",
        "next     recomputed, unless the tiles below turn out unchanged",
        "a.tif changed (50 of 50 blocks)",
    ):
        assert part in text, part
    (one,) = run(bench, "--json", "m/a", path, "--tile", "1/0/2", "--band", "b1").record("why")[
        "bands"
    ]
    assert one["since"]["number"] == 1
    assert one["next"]["verdict"] == "redo"
    assert one["window"] == {"row": 0, "col": 256, "height": 128, "width": 128}
    assert [source["block"] for source in one["sources"]] == [[32, 64], [32, 64]]
    assert "next" not in run(bench, "--json", "m/a").record("why")["bands"][0]


def test_a_tile_has_its_history_under_all_its_names(bench: Workbench) -> None:
    bench.apply(mosaic())
    bench.apply(mosaic(properties={"k": 1}))
    renamed = mosaic(moved_from="m/a") | {"id": "m/b"}
    # Before: by either name, and what becomes of it.
    for name in ("m/a", "m/b"):
        found = why(
            bench.store, name, place=at("0/1/4"), paths=[bench.write_spec([renamed])], workers=2
        )
        assert found.asset.id == "m/a"
        for one in found.bands:
            assert one.next is not None
            assert one.next.verdict is Verdict.KEEP
            assert [because.reason for because in one.next.because] == [Reason.RENAMED]
    bench.apply(renamed)
    for place in (at("0/1/4"), None):
        for one in why(bench.store, "m/b", place=place).bands:
            assert one.last.head.number == 1
    edited = {**renamed, "pyramiding_policy": "MIN"}
    bench.apply(edited)
    (one, _) = why(bench.store, "m/b", place=at("1/0/0")).bands
    assert one.last.head.number == 4
    assert [because.reason for because in one.last.because] == [Reason.POLICY_CHANGED]
    (one, _) = why(bench.store, "m/b", place=at("0/0/0")).bands
    assert one.last.head.number == 1


def test_a_rename_with_a_change_is_told_with_it(bench: Workbench) -> None:
    bench.apply(mosaic())
    renamed = mosaic(moved_from="m/a", pyramiding_policy="MIN") | {"id": "m/b"}
    path = bench.write_spec([renamed])
    done = run(bench, "m/a", path, "--tile", "1/0/0", "--band", "b1")
    assert "next     recomputed" in done.out
    assert "m/b renamed from m/a" in done.out
    assert "pyramiding_policy MEAN -> MIN" in done.out
