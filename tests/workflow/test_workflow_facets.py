"""P3, P4: a change is charged to what it touches, and no history of edits shows in the result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbench import Document, Workbench, image, write_tiff

from geobatch.model.assets import fingerprint
from geobatch.model.plans.plan import Op, Reason
from geobatch.model.plans.summary import ApplySummary
from geobatch.model.published import ArrayKey, PageRef
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

LEVELS = 3
POLICIES = ["MEAN", "MIN", "MAX", "MODE", "MEDIAN", "SAMPLE"]


def write_sources(folder: Path) -> None:
    rng = np.random.default_rng(3)
    bands = [rng.integers(0, 9, (530, 600)).astype(np.uint8) for _ in range(3)]
    bands[0][:200, :200] = 0
    layout = {"tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band"}
    write_tiff(folder / "a.tif", bands, nodata=0, layout=layout)
    write_tiff(folder / "b.tif", [band[::-1].copy() for band in bands], nodata=0, layout=layout)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    write_sources(tmp_path)
    return Workbench(folder=tmp_path)


def band(name: str, index: int, policy: str = "MEAN") -> Document:
    return {"id": name, "tileset_id": "t", "tileset_band_index": index, "pyramiding_policy": policy}


BANDS = [band("one", 0), band("two", 1, "MODE")]


def spec(**more: Any) -> Document:
    return image("x", "a.tif", **{"bands": BANDS, "tile": 128, **more})


def roots(bench: Workbench, asset_id: str = "x") -> dict[ArrayKey, PageRef | None]:
    """Return the index root of each array of the published asset."""
    store = TileStore.open(bench.store)
    entry = store.head().tree.entry(asset_id)
    assert entry is not None
    record = store.record(entry)
    store.close()
    return dict(record.arrays)


def of(found: Mapping[ArrayKey, PageRef | None], band_id: str, *levels: int) -> list[Any]:
    """Return the roots of a band's values and masks at some levels."""
    return [
        (key.level, key.is_mask, root)
        for key, root in sorted(found.items())
        if key.band == band_id and key.level in levels
    ]


def reasons(summary: ApplySummary) -> list[Reason]:
    (change,) = summary.plan.changes
    return [because.reason for because in change.because]


def assert_settled(bench: Workbench, *documents: Document) -> None:
    """Assert that the plan is empty, and that another apply makes no commit."""
    path = bench.write_spec(documents)
    assert plan([path], store=bench.store).is_empty
    again = apply([path], store=bench.store)
    assert again.commit is None
    assert (again.tiles.written, again.bytes.read, again.bytes.written) == (0, 0, 0)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"properties": {"a": 2}}, Reason.PROPERTIES_CHANGED),
        ({"properties": {"a": "1"}}, Reason.PROPERTIES_CHANGED),
        ({"properties": {}}, Reason.PROPERTIES_CHANGED),
        ({"memo": "new"}, Reason.METADATA_CHANGED),
        ({"start_time": "2025-01-02"}, Reason.TIME_CHANGED),
        ({"end_time": "2026-01-01"}, Reason.TIME_CHANGED),
        ({"lifecycle": {"protect": True}}, Reason.LIFECYCLE_CHANGED),
        ({"checks": [{"max_masked": "100%"}]}, Reason.CHECKS_CHANGED),
        ({"bands": BANDS[::-1]}, Reason.BANDS_REORDERED),
    ],
)
def test_no_tile_for_what_touches_no_pixel(
    bench: Workbench, more: dict[str, Any], reason: Reason
) -> None:
    before: dict[str, Any] = {"properties": {"a": 1}, "start_time": "2025-01-01"}
    bench.apply(spec(**before))
    old = roots(bench)
    summary = bench.apply(spec(**{**before, **more}))
    assert summary.commit
    assert set(reasons(summary)) == {reason}
    assert summary.plan.changes[0].tiles.compute == 0
    assert (summary.tiles.written, summary.bytes.read, summary.bytes.written) == (0, 0, 0)
    assert roots(bench) == old
    assert_settled(bench, spec(**{**before, **more}))


def test_a_policy_leaves_level_0_and_the_source_alone(bench: Workbench) -> None:
    bench.apply(spec())
    old = roots(bench)
    bands = [band("one", 0, "MAX"), BANDS[1]]
    (bench.folder / "a.tif").stat()
    summary = bench.apply(spec(bands=bands))
    new = roots(bench)
    assert reasons(summary) == [Reason.POLICY_CHANGED]
    assert summary.bytes.read == 0
    assert summary.tiles.written > 0
    (change,) = summary.plan.changes
    assert change.tiles.by_level[0] == 0
    assert of(new, "one", 0) == of(old, "one", 0)
    assert of(new, "two", 0, 1, 2) == of(old, "two", 0, 1, 2)
    for level in range(1, LEVELS):
        values = [root for _, is_mask, root in of(new, "one", level) if not is_mask]
        assert values != [root for _, is_mask, root in of(old, "one", level) if not is_mask]
    assert_settled(bench, spec(bands=bands))


def test_a_codec_changes_bytes_and_no_content(bench: Workbench) -> None:
    first = bench.apply(spec())
    old = roots(bench)
    summary = bench.apply(spec(codec={"name": "gzip", "level": 1}))
    new = roots(bench)
    assert reasons(summary) == [Reason.CODEC_CHANGED]
    assert summary.commit
    assert summary.content_root == first.content_root
    assert summary.bytes.read == 0
    assert summary.tiles.written == first.tiles.written
    assert new.keys() == old.keys()
    for key, root in new.items():
        before = old[key]
        assert root is not None
        assert before is not None
        assert root.content == before.content
        assert root.stored != before.stored
    assert_settled(bench, spec(codec={"name": "gzip", "level": 1}))


def test_a_renamed_band_is_carried_over(bench: Workbench) -> None:
    bench.apply(spec())
    old = roots(bench)
    bands = [{**BANDS[0], "id": "uno"}, BANDS[1]]
    summary = bench.apply(spec(bands=bands))
    assert (summary.tiles.written, summary.bytes.read) == (0, 0)
    assert set(reasons(summary)) == {Reason.BAND_ADDED, Reason.BAND_REMOVED}
    assert of(roots(bench), "uno", 0, 1, 2) == of(old, "one", 0, 1, 2)
    assert bench.names("x/0") == {"uno", "two"}
    assert_settled(bench, spec(bands=bands))


def test_bands_that_swap_names_swap_tiles(bench: Workbench) -> None:
    bench.apply(spec())
    old = roots(bench)
    bands = [{**BANDS[0], "id": "two"}, {**BANDS[1], "id": "one"}]
    summary = bench.apply(spec(bands=bands))
    assert (summary.tiles.written, summary.bytes.read) == (0, 0)
    new = roots(bench)
    assert of(new, "two", 0, 1, 2) == of(old, "one", 0, 1, 2)
    assert of(new, "one", 0, 1, 2) == of(old, "two", 0, 1, 2)


def test_a_removed_band_takes_nothing_along(bench: Workbench) -> None:
    bench.apply(spec())
    old = roots(bench)
    summary = bench.apply(spec(bands=BANDS[1:]))
    assert (summary.tiles.written, summary.bytes.read) == (0, 0)
    assert reasons(summary) == [Reason.BAND_REMOVED]
    assert of(roots(bench), "two", 0, 1, 2) == of(old, "two", 0, 1, 2)
    assert bench.names("x/0") == {"two"}
    back = bench.apply(spec())
    assert roots(bench) == old
    assert back.tiles.written == 0, "its objects are still there"


def test_an_added_band_costs_itself_only(bench: Workbench) -> None:
    bench.apply(spec())
    old = roots(bench)
    summary = bench.apply(spec(bands=[*BANDS, band("three", 2, "MIN")]))
    (change,) = summary.plan.changes
    assert [work.band for work in change.work] == ["three"]
    size = (bench.folder / "a.tif").stat().st_size
    assert 0 < summary.bytes.read < 0.5 * size, "the bands lie apart in the file"
    new = roots(bench)
    assert {key: root for key, root in new.items() if key.band != "three"} == old


def test_specs_of_other_assets_are_left_alone(bench: Workbench) -> None:
    bench.apply(spec())
    first = roots(bench)
    summary = bench.apply(image("y", "b.tif"))
    assert [change.id for change in summary.plan.changes] == ["y"]
    assert roots(bench) == first
    (bench.folder / "spec.yaml").unlink()
    summary = bench.apply(image("z", "b.tif"))
    assert all(change.op is not Op.DELETE for change in summary.plan.changes)
    store = TileStore.open(bench.store)
    assert [entry.id for entry in store.head().tree.entries] == ["x", "y", "z"]
    store.close()
    assert {path.name for path in bench.tree.iterdir()} == {"x", "y", "z", "zarr.json"}


def test_neither_spelling_nor_place_of_a_spec_counts(bench: Workbench) -> None:
    bench.apply(spec())
    camel = json.dumps(spec())
    for word in ("tileset_id", "tileset_band_index", "pyramiding_policy"):
        first, *others = word.split("_")
        camel = camel.replace(word, first + "".join(other.title() for other in others))
    assert "_" not in camel
    folder = bench.folder / "elsewhere"
    folder.mkdir()
    text = camel.replace('"a.tif"', '"../elsewhere/../a.tif"')
    (folder / "manifest.json").write_text(camel)
    (folder / "a.tif").write_bytes((bench.folder / "a.tif").read_bytes())
    assert plan([folder / "manifest.json"], store=bench.store).is_empty
    (folder / "manifest.json").write_text(text)
    moved = apply([folder / "manifest.json"], store=bench.store)
    assert (moved.tiles.written, moved.bytes.read) == (0, 0)


MISSING = [{}, {}, {"missing_data": {"values": []}}, {"missing_data": {"values": [3]}}]
BAND = st.builds(
    lambda index, policy, missing: {**band("", index, policy), **missing},
    st.integers(0, 2),
    st.sampled_from(POLICIES),
    st.sampled_from(MISSING),
)
SPECS = st.fixed_dictionaries(
    {
        "bands": st.dictionaries(st.sampled_from("pqr"), BAND, min_size=1, max_size=3).map(
            lambda found: [{**value, "id": key} for key, value in found.items()]
        ),
        "source": st.sampled_from(["a.tif", "b.tif"]),
        "tile": st.sampled_from([128, 128, 256]),
    },
    optional={
        "codec": st.sampled_from([{"name": "zstd"}, {"name": "none"}]),
        "properties": st.sampled_from([{"a": 1}, {"a": "1"}]),
        "memo": st.sampled_from(["x", "y"]),
    },
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_sources(folder)
    return folder


@settings(
    max_examples=examples(5, 12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(history=st.lists(SPECS, min_size=2, max_size=4))
def test_no_history_of_edits_shows(
    history: list[dict[str, Any]], sources: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("history"))
    clean = Workbench(folder=tmp_path_factory.mktemp("clean"))
    for made in (bench, clean):
        for name in ("a.tif", "b.tif"):
            (made.folder / name).symlink_to(sources / name)
    documents = [image("x", more.pop("source"), **more) for more in map(dict, history)]
    for document in documents:
        summary = bench.apply(document)
    assert_settled(bench, documents[-1])
    fresh = clean.apply(documents[-1])
    assert summary.content_root == fresh.content_root
    assert roots(bench) == roots(clean), "stored bytes as well"
    assert tree(bench) == tree(clean)


def tree(bench: Workbench) -> dict[str, bytes]:
    """Return the plain tree of the asset: file names and bytes."""
    folder = bench.tree / "x"
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_older_rules_made_is_computed_anew(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, is_changed: bool
) -> None:
    """Of a whole asset: tiles by two rules are never mixed, nor early cut-off by the older one."""
    spec = bench.write_spec([image("a", "a.tif")])
    first = apply([spec], store=bench.store)
    if is_changed:
        with rasterio.open(bench.folder / "a.tif", "r+") as file:
            window = ((0, 16), (0, 16))
            file.write(file.read(window=window) ^ 1, window=window)
    monkeypatch.setattr(fingerprint, "ALGORITHM_EPOCH", fingerprint.ALGORITHM_EPOCH + 1)
    (change,) = plan([spec], store=bench.store).changes
    assert change.tiles.compute == change.tiles.total > 0
    assert not any(work.can_stop for work in change.work)
    second = apply([spec], store=bench.store)
    assert second.commit is not None
    assert second.bytes.read > 0
    assert (second.content_root == first.content_root) == (not is_changed)
    assert plan([spec], store=bench.store).is_empty
