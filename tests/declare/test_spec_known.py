"""What a spec file came to is remembered; what is recalled is what reading would give."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from test_spec_alike import documents

from geobatch.declare import (
    AssetSpec,
    ExternalImageSpec,
    ImageSpec,
    Positions,
    TableSpec,
    lint,
    load,
    validate,
)
from geobatch.declare.loading.load import drafts
from geobatch.declare.projects.project import Project
from geobatch.errors import SpecError
from geobatch.store.caches.cache import SourceCache

RICH = """\
kind: image
id: a/b
tilesets:
- {id: x, data_type: FLOAT, crs: 'EPSG:32633', sources: [{uris: [a.tif],
   affine_transform: {scale_x: 10, scale_y: -10.5, translate_x: 5},
   dimensions: {width: 7, height: 9}}]}
- {id: m, sources: [{uris: [m.tif]}]}
bands:
- {id: r, tileset_id: x, missing_data: {values: [.nan, -1, 2.0, .inf]}, pyramiding_policy: MODE}
- {id: g, tileset_id: x, tileset_band_index: 1}
mask_bands: [{tileset_id: m, band_ids: [r]}]
footprint: {points: [{x: 0, y: 0}, {x: 1, y: 0}, {x: 1.5, y: 1}, {x: 0, y: 0}], band_id: r}
missing_data: {values: []}
grid: {bounds: [0, 1, 2, 3.5]}
properties: {n: 1, f: 1.0, t: text, big: 9007199254740993}
start_time: 2025-01-01
end_time: '2025-02-01T00:00:00.5Z'
codec: {name: zstd, level: 9}
tiling: {tile: 256}
lifecycle: {protect: true}
moved_from: old
memo: "é ☃"
"""


EVERY_TYPE = """\
id: a
tilesets: [{sources: [{uris: [x.tif]}]}]
tiling: {tile: 256, shard: 512}
---
kind: external_image
id: b
tilesets: [{sources: [{uris: [x.tif]}]}]
allow_unpinned: true
---
kind: table
id: c
sources: [{uris: [x.tfrecord], x_column: e, y_column: n, crs: 'EPSG:32633', charset: latin-1}]
column_data_type_overrides: {id: STRING, n: LONG}
"""


def shown(specs: Iterable[AssetSpec]) -> list[tuple[str, Positions, Project]]:
    """Return all that specs hold: `repr` tells 1 from 1.0, `==` leaves places out."""
    return [(repr(spec), spec.positions, spec.project) for spec in specs]


@settings(max_examples=100)
@given(texts=st.lists(documents(), min_size=1, max_size=4), as_one=st.booleans())
def test_recalled_is_as_read(
    texts: list[str], as_one: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("known")
    parts = ["---\n".join(texts)] if as_one else texts
    for number, text in enumerate(parts):
        (folder / f"{number}.yaml").write_text(text)
    cache = SourceCache.memory()
    specs, problems, _ = drafts([folder])
    first, _, _ = drafts([folder], cache=cache)
    again, problems_again, _ = drafts([folder], cache=cache)
    assert shown(again) == shown(first) == shown(specs)
    assert problems_again == problems


def test_every_key_is_recalled(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RICH)
    cache = SourceCache.memory()
    first = load([tmp_path], cache=cache).specs
    again = load([tmp_path], cache=cache).specs
    assert shown(again) == shown(first)


def test_every_type_is_recalled(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(EVERY_TYPE)
    cache = SourceCache.memory()
    first = load([tmp_path], cache=cache).specs
    again = load([tmp_path], cache=cache).specs
    assert [type(spec) for spec in again] == [ImageSpec, ExternalImageSpec, TableSpec]
    assert shown(again) == shown(first)
    assert again == first
    assert {spec.kind for spec in again} == {"image", "external_image", "table"}


def test_what_is_recalled_stands_where_the_file_is_named(tmp_path: Path) -> None:
    """The name that messages give a file is the user's of that run, not of an earlier one."""
    (tmp_path / "a.yaml").write_text(RICH)
    cache = SourceCache.memory()
    load([tmp_path / "a.yaml"], cache=cache)
    other = tmp_path / "x" / ".." / "a.yaml"
    (tmp_path / "x").mkdir()
    assert load([other], cache=cache).specs[0].where("bands", 1) == (str(other), 10, 3)


def test_an_edit_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    cache = SourceCache.memory()
    for memo in ("one", "two", "one"):
        file.write_text(RICH.replace("é ☃", memo))
        assert load([file], cache=cache).specs[0].memo == memo


def test_problems_are_found_again_and_again(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RICH + "nonsense: 5\n")
    cache = SourceCache.memory()
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            load([tmp_path], cache=cache)
        assert [one.rule for one in caught.value.problems] == ["unknown-key"]


def test_problems_between_recalled_files_are_found(tmp_path: Path) -> None:
    cache = SourceCache.memory()
    (tmp_path / "a.yaml").write_text(RICH)
    load([tmp_path], cache=cache)
    (tmp_path / "b.yaml").write_text(RICH)
    load([tmp_path / "b.yaml"], cache=cache)
    with pytest.raises(SpecError) as caught:
        load([tmp_path], cache=cache)
    assert {one.rule for one in caught.value.problems} == {"duplicate-asset", "moved-from"}


def test_missing_files_of_recalled_specs_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RICH)
    cache = SourceCache.memory()
    load([tmp_path], cache=cache)
    with pytest.raises(SpecError) as caught:
        validate([tmp_path], cache=cache)
    assert [(one.rule, one.line) for one in caught.value.problems] == [
        ("missing-file", 4), ("missing-file", 7)
    ]  # fmt: skip


def test_a_file_is_json_by_its_name_only(tmp_path: Path) -> None:
    """The same bytes may mean two things, or be wrong in one of them."""
    text = json.dumps({"id": "a", "tilesets": [{"sources": [{"uris": ["a.tif"]}]}]}) + " # c\n"
    cache = SourceCache.memory()
    (tmp_path / "a.yaml").write_text(text)
    assert load([tmp_path / "a.yaml"], cache=cache).specs[0].id == "a"
    (tmp_path / "a.yaml").rename(tmp_path / "a.json")
    with pytest.raises(SpecError):
        load([tmp_path / "a.json"], cache=cache)


def test_the_prefix_is_kept_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RICH.replace("id: a/b", "name: projects/p/assets/a"))
    cache = SourceCache.memory()
    for keeps, name in ((False, "a"), (True, "projects/p/assets/a"), (False, "a")):
        specs = load([tmp_path], keep_project_prefix=keeps, cache=cache).specs
        assert [spec.id for spec in specs] == [name]


def test_project_files_are_recalled_and_edits_of_them_seen(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(RICH.replace("[a.tif]", "['gs://b/a.tif']"))
    cache = SourceCache.memory()
    for folder in ("data", "data", "other"):
        said = {"uri_map": {"gs://b/": f"{folder}/"}, "silence": ["categorical-mean"]}
        (tmp_path / "geobatch.yaml").write_text(yaml.safe_dump(said))
        found = [load([tmp_path / "specs"], cache=one).specs[0] for one in (cache, None)]
        assert found[0].project == found[1].project
        assert found[0].project.mirrors == (("gs://b/", tmp_path / folder),)
        assert lint(found) == ()
    (tmp_path / "geobatch.yaml").write_text("uri_map: 5\n")
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            load([tmp_path / "specs"], cache=cache)
        assert [one.rule for one in caught.value.problems] == ["wrong-type"]


def test_collections_look_at_their_folder_again(tmp_path: Path) -> None:
    said = {
        "kind": "image_collection", "id": "c",
        "for_each": {"files": "*.tif", "pattern": "(?P<n>.+)[.]tif"}, "image": {"id": "{n}"},
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(said))
    cache = SourceCache.memory()
    for name, ids in (("a.tif", ["c/a"]), ("b.tif", ["c/a", "c/b"])):
        (tmp_path / name).touch()
        assert [spec.id for spec in load([tmp_path], cache=cache).specs] == ids
        assert drafts([tmp_path], cache=cache) == drafts([tmp_path])


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x92", b"\x91\x80", b"\x90" * 3])
def test_a_damaged_entry_is_read_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.yaml").write_text(RICH)
    cache = SourceCache.memory()
    first = load([tmp_path], cache=cache)
    name = str(tmp_path / "a.yaml")
    entry = cache.get_spec(name)
    assert entry is not None
    cache.put_spec(name, entry[:32] + damage)
    assert load([tmp_path], cache=cache) == first


def test_what_cannot_be_kept_is_read_every_time(tmp_path: Path) -> None:
    text = RICH.replace("values: []", "values: [1" + "0" * 30 + "]")
    (tmp_path / "a.yaml").write_text(text)
    cache = SourceCache.memory()
    for _ in range(2):
        assert load([tmp_path], cache=cache).images[0].missing_data == (10**30,)
