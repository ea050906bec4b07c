"""Plans: every difference is charged to what it touches, with its reason, and to nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.model.assets.asset import (
    AnyImage,
    Band,
    Codec,
    ExternalImage,
    FileStat,
    Footprint,
    Grid,
    Image,
    Masking,
    MaskSource,
    Policy,
    Resolution,
    Source,
    Table,
    Tileset,
)
from geobatch.model.assets.fingerprint import asset_fingerprint, band_fingerprint
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.plans.plan import AssetChange, BandWork, Op, Plan, Reason, Start
from geobatch.model.published import AssetRecord, Head, Tree, TreeEntry
from geobatch.model.tiles import TileSet
from geobatch.planner import fingerprints_of, needed_records, plan
from geobatch.planner.changes import count_tiles
from geobatch.testing.assets import assets

Change: TypeAlias = Callable[[AnyImage], AnyImage]

GEOBOX = GeoBox(
    crs=Crs(code="EPSG:32618", wkt="PROJCRS[...]"),
    transform=(10.0, 0.0, 500000.0, 0.0, -10.0, 4500000.0),
    height=1000,
    width=2000,
)


def source(name: str, **changes: object) -> Source:
    made = Source(
        uri=f"{name}.tif", digest=name * 64, row=0, col=0, height=1000, width=1000,
        stat=FileStat(device=0, inode=0, size=int(name) * 1000, mtime_ns=0, ctime_ns=0),
    )  # fmt: skip
    return replace(made, **changes)


def band(name: str, index: int, masking: Masking, **changes: object) -> Band:
    made = Band(
        id=name, grid="g", tileset="t", index=index, dtype="uint8", policy=Policy.MEAN, fill=0,
        masking=masking,
    )  # fmt: skip
    return replace(made, **changes)


BY_BAND = Masking(source=MaskSource.BAND, tileset="m", is_partial=True)
BY_VALUES = Masking(source=MaskSource.VALUES, values=(0,), is_fill_free=True)

ASSET = Image(
    id="a",
    grids=(Grid(name="g", geobox=GEOBOX),),
    bands=(band("b1", 0, BY_BAND), band("b2", 1, BY_VALUES, policy=Policy.MODE)),
    tilesets=(
        Tileset(
            id="t",
            grid="g",
            dtypes=("uint8", "uint8", "uint8"),
            sources=(source("1"), source("2", col=1000)),
        ),
        Tileset(id="m", grid="g", dtypes=("uint8",), sources=(source("3", width=2000),)),
    ),
)
SHAPE = GEOBOX.tile_shape(tile=512)


def recorded(asset: AnyImage) -> AssetRecord:
    fingerprints = sorted((b.id, band_fingerprint(asset, b.id)) for b in asset.bands)
    return AssetRecord(asset=asset, arrays=(), fingerprints=tuple(fingerprints))


def published(*found: AnyImage) -> tuple[Head, dict[str, AssetRecord]]:
    entries = tuple(
        TreeEntry(
            id=asset.id, kind=asset.kind.value, content="c" * 64, stored="d" * 64,
            fingerprint=asset_fingerprint(asset),
        )
        for asset in found
    )  # fmt: skip
    head = Head(number=3, digest="e" * 64, tree=Tree(entries=entries))
    return head, {asset.id: recorded(asset) for asset in found}


def planned(*after: AnyImage, before: tuple[AnyImage, ...] = ()) -> Plan:
    head, records = published(*before)
    return plan(Resolution(assets=after), base=head, records=records, store_id="store")


def update(after: AnyImage, before: AnyImage = ASSET) -> AssetChange:
    (change,) = planned(after, before=(before,)).changes
    assert change.op is Op.UPDATE
    return change


# --- edits ---------------------------------------------------------------------------------------


def of_band(at: int, **changes: object) -> Change:
    def do(asset: AnyImage) -> AnyImage:
        bands = list(asset.bands)
        bands[at] = replace(bands[at], **changes)
        return replace(asset, bands=tuple(bands))

    return do


def of_asset(**changes: object) -> Change:
    return lambda asset: replace(asset, **changes)


def of_kind(image: type[Image | ExternalImage]) -> Change:
    return lambda asset: image(**{name: getattr(asset, name) for name in image.__struct_fields__})


def of_geobox(**changes: object) -> Change:
    moved = replace(GEOBOX, **changes)
    return of_asset(grids=(Grid(name="g", geobox=moved),))


def of_sources(at: int, change: Callable[[tuple[Source, ...]], tuple[Source, ...]]) -> Change:
    def do(asset: AnyImage) -> AnyImage:
        tilesets = list(asset.tilesets)
        tilesets[at] = replace(tilesets[at], sources=change(tilesets[at].sources))
        return replace(asset, tilesets=tuple(tilesets))

    return do


def first(**changes: object) -> Callable[[tuple[Source, ...]], tuple[Source, ...]]:
    return lambda sources: (replace(sources[0], **changes), *sources[1:])


def both(*changes: Change) -> Change:
    def do(asset: AnyImage) -> AnyImage:
        for change in changes:
            asset = change(asset)
        return asset

    return do


S, L, R = Start.SOURCES, Start.LEVEL_0, Start.RECODE
KEPT: Mapping[str, Start] = {}
GZIP = Codec(name="gzip", level=5, compressor="", shuffle="")
RING = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 0.0))
OTHER_CRS = Crs(code="EPSG:32619", wkt="PROJCRS[19]")

EDITS: dict[str, tuple[Change, set[Reason], Mapping[str, Start]]] = {
    "property": (of_asset(properties=(("k", 1),)), {Reason.PROPERTIES_CHANGED}, KEPT),
    "start": (of_asset(start_time="2025-01-01T00:00:00Z"), {Reason.TIME_CHANGED}, KEPT),
    "end": (of_asset(end_time="2025-01-01T00:00:00Z"), {Reason.TIME_CHANGED}, KEPT),
    "array bands": (
        of_asset(array_bands=(("series", (ASSET.bands[0].id,)),)), {Reason.METADATA_CHANGED}, KEPT,
    ),
    "memo": (of_asset(memo="note"), {Reason.METADATA_CHANGED}, KEPT),
    "kind": (of_kind(ExternalImage), {Reason.KIND_CHANGED}, KEPT),
    "protection": (of_asset(is_protected=True), {Reason.LIFECYCLE_CHANGED}, KEPT),
    "description": (of_band(0, description="red"), {Reason.METADATA_CHANGED}, KEPT),
    "unit": (of_band(0, unit="K"), {Reason.METADATA_CHANGED}, KEPT),
    "scale": (of_band(0, scale=0.1), {Reason.METADATA_CHANGED}, KEPT),
    "offset": (of_band(0, offset=1.0), {Reason.METADATA_CHANGED}, KEPT),
    "palette": (of_band(0, palette=((0, 0, 0, 255),)), {Reason.METADATA_CHANGED}, KEPT),
    "uri": (of_sources(0, first(uri="moved.tif")), {Reason.METADATA_CHANGED}, KEPT),
    "band order": (of_asset(bands=ASSET.bands[::-1]), {Reason.BANDS_REORDERED}, KEPT),
    "band name": (of_band(0, id="red"), {Reason.BAND_ADDED, Reason.BAND_REMOVED}, KEPT),
    "band gone": (of_asset(bands=ASSET.bands[:1]), {Reason.BAND_REMOVED}, KEPT),
    "twin band": (
        of_asset(bands=(*ASSET.bands, replace(ASSET.bands[0], id="twin"))),
        {Reason.BAND_ADDED},
        KEPT,
    ),
    "new band": (
        of_asset(bands=(*ASSET.bands, band("b3", 2, BY_VALUES))), {Reason.BAND_ADDED}, {"b3": S},
    ),
    "new band of other policy": (
        of_asset(bands=(*ASSET.bands, replace(ASSET.bands[0], id="b3", policy=Policy.MAX))),
        {Reason.BAND_ADDED},
        {"b3": L},
    ),
    "policy": (of_band(0, policy=Policy.MAX), {Reason.POLICY_CHANGED}, {"b1": L}),
    "codec": (of_asset(codec=GZIP), {Reason.CODEC_CHANGED}, {"b1": R, "b2": R}),
    "policy and codec": (
        both(of_band(0, policy=Policy.MAX), of_asset(codec=GZIP)),
        {Reason.POLICY_CHANGED, Reason.CODEC_CHANGED},
        {"b1": S, "b2": R},
    ),
    "source": (
        of_sources(0, first(digest="9" * 64)), {Reason.SOURCE_CHANGED}, {"b1": S, "b2": S},
    ),
    "mask source": (of_sources(1, first(digest="9" * 64)), {Reason.SOURCE_CHANGED}, {"b1": S}),
    "place": (of_sources(0, first(col=7)), {Reason.SOURCE_MOVED}, {"b1": S, "b2": S}),
    "own mask": (of_sources(1, first(mask="alpha")), {Reason.MASKING_CHANGED}, {"b1": S}),
    "source added": (of_sources(1, lambda s: (*s, source("4"))), {Reason.SOURCE_ADDED}, {"b1": S}),
    "source removed": (
        of_sources(0, lambda s: s[:1]), {Reason.SOURCE_REMOVED}, {"b1": S, "b2": S},
    ),
    "source order": (of_sources(0, lambda s: s[::-1]), {Reason.SOURCE_MOVED}, {"b1": S, "b2": S}),
    "source twice": (
        of_sources(0, lambda s: (*s, s[0])), {Reason.SOURCE_ADDED}, {"b1": S, "b2": S},
    ),
    "band index": (of_band(0, index=2), {Reason.BAND_SOURCE_CHANGED}, {"b1": S}),
    "dtype": (of_band(0, dtype="int16"), {Reason.DTYPE_CHANGED}, {"b1": S}),
    "fill": (of_band(0, fill=9), {Reason.MASKING_CHANGED}, {"b1": S}),
    "missing": (
        of_band(1, masking=replace(BY_VALUES, values=(0, 1))),
        {Reason.MASKING_CHANGED},
        {"b2": S},
    ),
    "footprint": (
        of_asset(footprint=Footprint(grid="g", points=RING)),
        {Reason.MASKING_CHANGED},
        {"b1": S, "b2": S},
    ),
    "tile": (of_asset(tile=256), {Reason.TILING_CHANGED}, {"b1": S, "b2": S}),
    "shape": (of_geobox(height=1001), {Reason.GRID_CHANGED}, {"b1": S, "b2": S}),
    "crs": (of_geobox(crs=OTHER_CRS), {Reason.GRID_CHANGED}, {"b1": S, "b2": S}),
    "transform": (
        of_geobox(transform=(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)),
        {Reason.GRID_CHANGED},
        {"b1": S, "b2": S},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_charged_to_what_it_touches(name: str) -> None:
    edit, reasons, starts = EDITS[name]
    after = edit(ASSET)
    change = update(after)
    assert {because.reason for because in change.because} == reasons
    assert all(because.path for because in change.because)
    assert {work.band: work.start for work in change.work} == starts
    shape = after.grids[0].geobox.tile_shape(tile=after.tile)
    if reasons <= {Reason.SOURCE_CHANGED, Reason.SOURCE_ADDED, Reason.SOURCE_REMOVED,
                   Reason.SOURCE_MOVED}:  # fmt: skip
        # Exact: tests/planner/test_plan_dirty.py.
        assert all(work.tiles and work.can_stop for work in change.work)
    else:
        assert all(work.tiles == TileSet.full(shape) for work in change.work)
    kept = dict(change.carried)
    bands = () if after.is_external else after.bands
    assert sorted([*kept, *starts]) == sorted(b.id for b in bands)
    assert change.tiles.compute == 0 or starts
    assert change.asset == after
    assert change.fingerprint == asset_fingerprint(after)


@pytest.mark.parametrize(
    ("before", "after", "detail"),
    [
        ({"masking": BY_VALUES}, {"masking": replace(BY_VALUES, values=(6, 7))}, "0 -> 6, 7"),
        ({"fill": 0}, {"fill": 9}, "fill 0 -> 9"),
        (
            {"masking": Masking(source=MaskSource.FILE)},
            {"masking": Masking(source=MaskSource.BAND, tileset="m")},
            "mask of the file -> mask of m",
        ),
        (
            {"masking": BY_VALUES},
            {"masking": Masking(source=MaskSource.NONE), "fill": 9},
            "0 -> none",
        ),
        ({"masking": BY_VALUES}, {"masking": replace(BY_VALUES, has_gaps=True)}, ""),
    ],
)
def test_what_masks_is_said_before_and_after(
    before: dict[str, Any], after: dict[str, Any], detail: str
) -> None:
    was, now = (of_band(0, **one)(ASSET) for one in (before, after))
    (change,) = planned(now, before=(was,)).changes
    (because,) = (one for one in change.because if one.reason is Reason.MASKING_CHANGED)
    assert (because.path, because.detail) == (f"bands.{ASSET.bands[0].id}", detail)


@pytest.mark.parametrize("name", EDITS)
def test_after_an_apply_the_plan_is_empty_and_back_is_an_edit_again(name: str) -> None:
    after = EDITS[name][0](ASSET)
    again = planned(after, before=(after,))
    assert again.is_empty
    assert again.changes == (AssetChange(id="a", op=Op.KEEP),)
    assert not planned(ASSET, before=(after,)).is_empty


def test_what_a_band_takes_over() -> None:
    renamed = update(EDITS["band name"][0](ASSET))
    assert renamed.carried == (("red", ("a", "b1")), ("b2", ("a", "b2")))
    twin = update(EDITS["twin band"][0](ASSET))
    assert dict(twin.carried)["twin"] == ("a", "b1")
    level_0 = update(EDITS["new band of other policy"][0](ASSET))
    assert level_0.work[0].base == ("a", "b1")


def test_bands_that_swap_their_names_swap_their_tiles() -> None:
    one, two = ASSET.bands
    swapped = replace(ASSET, bands=(replace(one, id="b2"), replace(two, id="b1")))
    change = update(swapped)
    assert dict(change.carried) == {"b1": ("a", "b2"), "b2": ("a", "b1")}


@pytest.mark.parametrize(
    ("name", "has_base"),
    [("source", True), ("transform", True), ("missing", True), ("dtype", False), ("fill", False),
     ("tile", False), ("shape", False), ("policy and codec", False)],
)  # fmt: skip
def test_stored_tiles_are_compared_with_where_they_can_be_equal(
    name: str, *, has_base: bool
) -> None:
    for work in update(EDITS[name][0](ASSET)).work:
        if work.start is Start.SOURCES:
            assert work.base == (("a", work.band) if has_base else None)


# --- new assets, kept assets, order --------------------------------------------------------------


def test_a_new_asset_is_computed_whole() -> None:
    (change,) = planned(ASSET).changes
    assert change.op is Op.CREATE
    assert [because.reason for because in change.because] == [Reason.NEW_ASSET]
    assert [(work.band, work.start, work.base) for work in change.work] == [
        ("b1", Start.SOURCES, None), ("b2", Start.SOURCES, None),
    ]  # fmt: skip
    assert change.tiles.compute == change.tiles.total


def test_assets_that_no_spec_names_any_more_stay() -> None:
    other = replace(ASSET, id="other")
    assert [change.id for change in planned(ASSET, before=(ASSET, other)).changes] == ["a"]


def test_a_plan_does_not_depend_on_the_order_of_assets() -> None:
    several = [replace(ASSET, id=name) for name in ("c", "a", "b")]
    before = (replace(several[1], memo="x"), several[2])
    one = planned(*several, before=before)
    other = planned(*several[::-1], before=before[::-1])
    assert one == other
    assert [(change.id, change.op) for change in one.changes] == [
        ("a", Op.UPDATE), ("b", Op.KEEP), ("c", Op.CREATE),
    ]  # fmt: skip
    assert (one.count(Op.UPDATE), one.count(Op.KEEP), one.count(Op.DELETE)) == (1, 1, 0)


def test_only_records_of_changed_assets_are_needed() -> None:
    same, new = replace(ASSET, id="same"), replace(ASSET, id="new")
    head, records = published(replace(ASSET, memo="x"), same)
    resolution = Resolution(assets=(ASSET, new, same))
    assert [entry.id for entry in needed_records(fingerprints_of(resolution), base=head)] == ["a"]
    del records["same"]
    plan(resolution, base=head, records=records, store_id="")
    with pytest.raises(KeyError):
        plan(resolution, base=head, records={}, store_id="")


def test_the_plan_id_tells_all_inputs_apart() -> None:
    head, records = published(ASSET)
    ids = [
        plan(Resolution(assets=found), base=base, records=records, store_id=store).plan_id
        for found in ((ASSET,), (), *((edit(ASSET),) for edit, _, _ in EDITS.values()))
        for base in (head, replace(head, digest="f" * 64))
        for store in ("store", "")
    ]
    assert len(set(ids)) == len(ids)
    # What only the machine at hand says does not count.
    stat = of_sources(0, first(path="/elsewhere", block=(512, 512), stat=None))(ASSET)
    assert planned(stat).plan_id == planned(ASSET).plan_id


# --- any assets ----------------------------------------------------------------------------------


@given(assets())
def test_what_was_published_is_kept(asset: AnyImage) -> None:
    assert planned(asset, before=(asset,)).is_empty


@given(before=assets(), after=assets())
def test_every_band_is_carried_or_computed_and_every_change_has_a_reason(
    before: AnyImage, after: AnyImage
) -> None:
    after = replace(after, id=before.id)
    (change,) = planned(after, before=(before,)).changes
    if change.op is Op.KEEP:
        assert asset_fingerprint(after) == asset_fingerprint(before)
        return
    assert change.because
    names = [name for name, _ in change.carried] + [work.band for work in change.work]
    # The pixels of an external image are nowhere to be carried to, nor from.
    assert sorted(names) == sorted(b.id for b in after.bands if not after.is_external)
    assert not (before.is_external and change.carried)
    old = {b.id: band_fingerprint(before, b.id) for b in before.bands}
    for name, (asset_id, base) in change.carried:
        assert asset_id == before.id
        assert before.codec == after.codec
        assert old[base] == band_fingerprint(after, name)
    for work in change.work:
        new = band_fingerprint(after, work.band)
        if work.start is Start.SOURCES:
            can_keep = before.codec == after.codec and new.base in {f.base for f in old.values()}
            assert not can_keep
            assert new not in old.values()
        else:
            assert work.base is not None
            assert old[work.base[1]].base == new.base
            assert (old[work.base[1]] == new) == (work.start is Start.RECODE)


FACETS = (
    "properties", "start_time", "end_time", "memo", "is_protected", "codec", "tile", "kind",
)  # fmt: skip


@given(asset=assets(), other=assets(), facet=st.sampled_from(FACETS))
def test_one_facet_gives_reasons_of_its_own_kind_only(
    asset: AnyImage, other: AnyImage, facet: str
) -> None:
    assert not isinstance(other, Table)
    is_kind = facet == "kind"
    change_of = of_kind(type(other)) if is_kind else of_asset(**{facet: getattr(other, facet)})
    after = change_of(asset)
    (change,) = planned(after, before=(asset,)).changes
    if repr(getattr(asset, facet)) == repr(getattr(after, facet)):
        assert change.op is Op.KEEP
        return
    reason = {
        "properties": Reason.PROPERTIES_CHANGED,
        "start_time": Reason.TIME_CHANGED,
        "end_time": Reason.TIME_CHANGED,
        "is_protected": Reason.LIFECYCLE_CHANGED,
        "checks": Reason.CHECKS_CHANGED,
        "codec": Reason.CODEC_CHANGED,
        "tile": Reason.TILING_CHANGED,
        "kind": Reason.KIND_CHANGED,
    }.get(facet, Reason.METADATA_CHANGED)
    assert {because.reason for because in change.because} == {reason}
    expected = {"codec": Start.RECODE, "tile": Start.SOURCES}.get(facet)
    if asset.is_external and not after.is_external:
        expected = Start.SOURCES
    if after.is_external:
        expected = None
    assert {work.start for work in change.work} == (
        {expected} if expected and asset.bands else set()
    )


# --- counts --------------------------------------------------------------------------------------


@given(data=st.data(), height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_counts_are_those_of_tiles_one_by_one(data: st.DataObject, height: int, width: int) -> None:
    plane = replace(GEOBOX, height=height, width=width)
    asset = replace(ASSET, tile=256, grids=(Grid(name="g", geobox=plane),))
    shape = plane.tile_shape(tile=256)
    count = shape[0] * shape[1]
    mask = np.zeros(count, dtype=np.bool_)
    mask[data.draw(st.lists(st.integers(0, count - 1), max_size=9))] = True
    tiles = TileSet.from_mask(mask.reshape(shape))
    start = data.draw(st.sampled_from(Start))
    work = [BandWork(band=b.id, start=start, tiles=tiles) for b in asset.bands]
    by_level = [0] * plane.level_count
    total = 0
    for level in range(plane.level_count):
        rows, cols = plane.tile_shape(tile=256, level=level)
        dirty = {(row >> level, col >> level) for row, col in tiles}
        # `b1` has masks at all levels, `b2` at those above 0.
        arrays = 2 + (2 if level else 1)
        total += rows * cols * arrays
        if level or start is not Start.LEVEL_0:
            by_level[level] = len(dirty) * arrays
    found = count_tiles(asset, work)
    assert found.by_level == tuple(by_level)
    assert (found.compute, found.total) == (sum(by_level), total)


def test_bytes_are_those_of_the_sources_that_are_read() -> None:
    assert planned(ASSET).changes[0].bytes_read == 1000 + 2000 + 3000
    assert update(EDITS["missing"][0](ASSET)).bytes_read == 1000 + 2000
    assert update(EDITS["policy"][0](ASSET)).bytes_read == 0
    pixels = 512 * 512
    level_0, above = 2 * 4, 2 + 1 + 1
    assert GEOBOX.level_count == 4
    assert planned(ASSET).changes[0].bytes_write_max == pixels * (3 * level_0 + 4 * above)
    assert update(EDITS["policy"][0](ASSET)).bytes_write_max == pixels * 2 * above


# --- purity --------------------------------------------------------------------------------------

_PURE = """
import sys
import geobatch.planner
heavy = {"rasterio", "zarr", "imagecodecs", "yaml", "pydantic", "pyproj", "typer", "rich"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from geobatch.model.assets.asset import Resolution
from geobatch.model.published import Head
def make():
    head = Head(number=0, digest=None)
    return geobatch.planner.plan(Resolution(assets=()), base=head, records={}, store_id="")
make()
def refuse(event, args):
    if event.split(".")[0] in {"open", "os", "socket", "subprocess"}:
        raise AssertionError(event)
sys.addaudithook(refuse)
make()
"""


def test_planning_loads_no_heavy_library_and_touches_no_disk() -> None:
    subprocess.run([sys.executable, "-c", _PURE], check=True)
