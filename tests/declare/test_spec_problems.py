"""Every mistake is named by its rule, at its place, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from geobatch.declare import load, validate
from geobatch.errors import Problem, SpecError

T = "tilesets: [{id: main, sources: [{uris: [x.tif]}]}]\n"
A = "id: a\n" + T


def problems_of(folder: Path, text: str | bytes, name: str = "a.yaml") -> tuple[Problem, ...]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        load([file])
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "rule", "at", "word"),
    [
        (A + "pyramindgPolicy: MEAN\n", "unknown-key", (3, 1), "`pyramiding_policy`"),
        (A + "pyramindingPolicy: MEAN\npyramiding_policy: MEAN\n", "duplicate-key", (4, 1), "3"),
        (A + "skip_metadata_read: true\n", "missing-key", (2, 12), "`crs` is missing"),
        (A + "skip_metadata_read: true\n", "missing-key", (2, 33), "`affine_transform` is"),
        (A + "missing_data: {value: -9999}\n", "unknown-key", (3, 16), "`values`"),
        ("name: projects/p/assets/a\ncsvColumnDataTypeOverrides: {a: CSV_COLUMN_DATA_TYPE_LONG}\n",
         "unknown-key", (2, 1), "`kind: table`"),
        ("id: a\nsources: [{uris: [a.tif]}]\n", "unknown-key", (2, 1), "`tilesets`"),
        ("imageManifest:\n  id: a\n", "request", (1, 1), "only what is under `imageManifest`"),
        (A + "tilesetz: 1\n", "unknown-key", (3, 1), "`tilesets`"),
        (A + "crs: EPSG:4326\n", "unknown-key", (3, 1), "write it inside `tilesets`"),
        (A + "protect: true\n", "unknown-key", (3, 1), "write it inside `lifecycle`"),
        (A + "uris: [a]\n", "unknown-key", (3, 1), "write it inside `sources`, inside `tilesets`"),
        ("id: a\ntilesets: [{uris: [x.tif]}]\n", "unknown-key", (2, 13), "inside `sources`"),
        (A + "tiling: {tile: '256'}\n", "wrong-type", (3, 16), "`256`, without quotes"),
        ("id: a\ntilesets: [{sources: [{uris: [x.tif]}]}]\nbands: [{id: b, tileset_id: u}]\n",
         "unknown-tileset", (3, 29), "give it `id: u`, or omit `tileset_id`"),
        (A + "bands: [{id: b}\ntiling: {tile: 256}]\n", "yaml-syntax", (4, 1), "quote text that"),
        (A + "bands: [{id: {stem}_x}]\n", "yaml-syntax", (3, 20), "in quotes, as in"),
        ("id: a\ntilesets: [{sources: [{uris: [d [24]/a.tif]}]}]\n", "yaml-syntax", (2, 33),
         "one of `[]{},`"),
        (A + "bands: [{id: b, tilsetId: main}]\n", "unknown-key", (3, 17), "`tileset_id`"),
        (A + "bands: {id: b}\n", "wrong-type", (3, 1), "expected a list"),
        (A + "bands: [b]\n", "wrong-type", (3, 9), "expected a mapping"),
        (A + "memo: 5\n", "wrong-type", (3, 7), "`'5'`"),
        (A + "memo:\n", "wrong-type", (3, 6), "nothing"),
        (A + "bands: [{id: b, tileset_band_index: yes}]\n", "wrong-type", (3, 37), "whole"),
        (A + "bands: [{id: b, tileset_band_index: true}]\n", "wrong-type", (3, 37), "whole"),
        (A + "bands: [{id: b, tileset_band_index: -1}]\n", "out-of-range", (3, 37), "0"),
        (A + "bands: [{tileset_id: main}]\n", "missing-key", (3, 9), "`id`"),
        (A + "skip_metadata_read: 1\n", "wrong-type", (3, 21), "true"),
        (A + "missing_data: {values: [a]}\n", "wrong-type", (3, 25), "number"),
        (A + "missing_data: {values: [true]}\n", "wrong-type", (3, 25), "number"),
        (A + "missing_data: [1]\n", "wrong-type", (3, 1), "{values:"),
        (A + "pyramiding_policy: medain\n", "unknown-value", (3, 20), "`MEDIAN`"),
        (A + "bands: [{id: b, tileset_id: mian}]\n", "unknown-tileset", (3, 29), "`main`"),
        (A + "bands: [{id: x}]\n", "band-id", (3, 14), "coordinate"),
        (A + "bands: [{id: 'a b'}]\n", "band-id", (3, 14), "`a_b`"),
        (A + "bands: [{id: b}, {id: b}]\n", "duplicate-band", (3, 23), "line 3"),
        (A + "bands: [{id: b}]\nmask_bands: {tileset_id: main, band_ids: [c]}\n", "unknown-band",
         (4, 43), "`b`"),
        (A + "bands: [{id: b}]\nmask_bands: {tileset_id: nain}\n", "unknown-tileset", (4, 26),
         "`main`"),
        (A + "bands: [{id: b}]\nmask_bands: [{band_ids: [b]}, {}]\n", "mask-band", (4, 31), "b"),
        (A + "bands: [{id: b}]\narray_bands: {s: [b, c]}\n", "unknown-band", (4, 22), "`b`"),
        (A + "bands: [{id: b}]\narray_bands: {b: [b]}\n", "duplicate-band", (4, 15), "a band"),
        (A + "array_bands: {s: [b, c, b]}\n", "duplicate-band", (3, 25), "twice"),
        (A + "array_bands: {s: []}\n", "out-of-range", (3, 15), "1"),
        (A + "array_bands: {'a b': [b]}\n", "band-id", (3, 15), "`a_b`"),
        (A + "mask_bands: [{}, {}]\n", "mask-band", (3, 18), "every band"),
        (A + "start_time: 2025-13-01\n", "timestamp", (3, 13), "month"),
        (A + "start_time: 2025-01-01T00:00:00\n", "timestamp", (3, 13), "`Z`"),
        (A + "start_time: {seconds: 99999999999999999}\n", "timestamp", (3, 1), "not a valid time"),
        (A + "start_time: 2025\n", "timestamp", (3, 13), "RFC 3339"),
        (A + "start_time: 2025\n", "timestamp", (3, 13), "write `2025-01-01`"),
        (A + "start_time: 20250131\n", "timestamp", (3, 13), "write `2025-01-31`; in a"),
        (A + "start_time: 1738324800\n", "timestamp", (3, 13), "write `{seconds: 1738324800}`"),
        (A + "start_time: 1738324800000\n", "timestamp", (3, 13), "`{seconds: 1738324800}`; in"),
        (A + "start_time: 2025-01-31 12:30\n", "timestamp", (3, 13), "`2025-01-31T12:30:00Z`"),
        (A + "start_time: 31.01.2025\n", "timestamp", (3, 13), "`2025-01-31T12:00:00Z`"),
        (A + "start_time: 9999-12-31T23:00:00-05:00\n", "timestamp", (3, 13), "not a valid time"),
        (A + "start_time: 2025-01-02\nend_time: 2025-01-01\n", "time-order", (4, 11), "before"),
        (A + "properties: {a: [1]}\n", "property-value", (3, 14), "list"),
        (A + "properties: {a: true}\n", "property-value", (3, 17), "`true`"),
        (A + "properties: {a: null}\n", "property-value", (3, 17), "nothing"),
        (A + "properties: {a: .nan}\n", "property-value", (3, 17), "finite"),
        (A + f"properties: {{a: {2**64}}}\n", "property-value", (3, 17), "64 bits"),
        (A + "properties: {'a b': 1}\n", "property-key", (3, 14), "`a b`"),
        (A + f"properties: {{{'k' * 111}: 1}}\n", "property-key", (3, 14), "110"),
        (A + "properties: {system:Time: 1}\n", "property-key", (3, 14), "system"),
        (A + "tiling: {tile: 100}\n", "out-of-range", (3, 16), "multiple of 16"),
        (A + "tiling: {tile: 8192}\n", "out-of-range", (3, 16), "4096"),
        (A + "tiling: {shard: 2}\n", "out-of-range", (3, 17), "32"),
        (A + "tiling: {shard: 512}\n", "tiling", (3, 1), "multiple of 512"),
        (A + "tiling: {tile: 64, shard: 96}\n", "tiling", (3, 1), "multiple of 64"),
        (A + "min_tile_area_ratio: 0.5\n", "unsupported", (3, 1), "not supported here, because"),
        (A + "codec: zlib\n", "unknown-value", (3, 8), "`zstd`"),
        (A + "codec: {name: zstd, shuffle: shuffle}\n", "codec", (3, 1), "blosc"),
        (A + "codec: {name: gzip, level: 10}\n", "codec", (3, 1), "levels are 0 to 9"),
        (A + "grid: {bounds: [0, 0, 0, 1]}\n", "bounds", (3, 1), "left < right"),
        (A + "grid: {bounds: [0, 0, 1]}\n", "out-of-range", (3, 8), "4"),
        (A + "footprint: {points: [{x: 0, y: 0}, {x: 1, y: 1}, {x: 2, y: 0}, {x: 3, y: 3}]}\n",
         "footprint", (3, 1), "open"),
        (A + "id: b\n", "duplicate-key", (3, 1), "line 1"),
        (A + "uri_prefix: a\nuriPrefix: b\n", "duplicate-key", (4, 1), "line 3"),
        (A + "name: b\n", "duplicate-key", (3, 7), "`id`"),
        (T, "missing-key", (1, 1), "`id`"),
        (T + f"id: {'a' * 201}\n", "asset-id", (2, 5), "at most 200"),
        (T + f"id: a/{'b' * 201}/c\n", "asset-id", (2, 5), "a part of 201 characters"),
        (A + f"bands: [{{id: {'b' * 201}}}]\n", "band-id", (3, 14), "at most 200"),
        ("id: a\n", "missing-key", (1, 1), "`tilesets`"),
        ("id: a\ntilesets: []\n", "missing-key", (2, 1), "`tilesets`"),
        ("id: a b\n" + T, "asset-id", (1, 5), "`a_b`"),
        ("id: a//b\n" + T, "asset-id", (1, 5), "`a/b`"),
        ("id: a/b/c/d/e/f/g/h/i/j/k\n" + T, "asset-id", (1, 5), "10"),
        ("name: projects/p/assets/a.b\n" + T, "asset-id", (1, 7), "a_b"),
        ("kind: folder\nid: a\nsources: []\n", "unsupported-kind", (1, 7), "not supported yet"),
        ("kind: imag\n" + A, "unknown-value", (1, 7), "`image`"),
        ("id: a\ntilesets: [{sources: [{uris: []}]}]\n", "out-of-range", (2, 24), "at least 1"),
        ("id: a\ntilesets: [{sources: [{uris: x}]}]\n", "wrong-type", (2, 30), "`[x]`"),
        ("id: a\ntilesets: [{id: q}]\n", "missing-key", (2, 12), "`sources`"),
        ("id: a\ntilesets: [{crs: 4326, sources: [{uris: [x]}]}]\n", "wrong-type", (2, 18), "text"),
        ("id: a\ntilesets: [{data_type: UINT9, sources: [{uris: [x]}]}]\n", "unknown-value",
         (2, 24), "`UINT8`"),
        ("id: a\ntilesets: [{sources: [{uris: [x], affine_transform: {scale_x: 0, scale_y: 1}}]}]",
         "affine", (2, 35), "area"),
        ("id: a\ntilesets: [{sources: [{uris: [x]}]}, {sources: [{uris: [y]}]}]\n",
         "duplicate-tileset", (2, 38), "twice"),
        ("id: a\ntilesets: [{sources: [{uris: [x]}]}, {id: b,sources: [{uris: [y]}]}]\nbands: [{}]",
         "missing-key", (3, 9), "2 tile"),
        ("- 1\n", "wrong-type", (1, 1), "a list"),
        ("hello\n", "wrong-type", (1, 1), "mapping"),
        ("", "empty-file", (1, 1), "no document"),
        ("# only a comment\n---\n", "empty-file", (1, 1), "no document"),
        ("a: b: c\n", "yaml-syntax", (1, 5), "mapping values"),
        ("a: [1, 2\nb: 3\n", "yaml-syntax", (2, 2), "flow"),
        ("a: *x\n", "yaml-alias", (1, 4), "no anchor"),
        ("a: &x [*x]\n", "yaml-alias", (1, 8), "inside"),
        ("a: !!python/object:os.system 1\n" + A.replace("id: a", "id: b"), "yaml-tag", (1, 4),
         "unknown tag"),
        (A + "? [1]\n: 2\n", "wrong-type", (3, 3), "key"),
        ("[" * 500, "too-deep", (1, 65), "64"),
        ("a:\n" + "".join(f"{' ' * i}- \n" for i in range(70)), "too-deep", (65, 64), "64"),
        (b"id: \xff\n", "encoding", (1, 5), "not UTF-8"),
        ("é: é\nid: ".encode() + b"\xe9\n", "encoding", (2, 5), "UTF-8"),
        ("id: a".encode("utf-16"), "encoding", (1, 1), "UTF-8"),
        ("id: a\nmemo: \0\n", "encoding", (2, 7), "U+0000"),
    ],
)  # fmt: skip
def test_rule_place_and_words(
    tmp_path: Path, text: str | bytes, rule: str, at: tuple[int, int], word: str
) -> None:
    found = problems_of(tmp_path, text)
    assert (rule, at) in [(one.rule, (one.line, one.column)) for one in found], found
    mine = [one for one in found if one.rule == rule and (one.line, one.column) == at]
    assert any(word in f"{one.message} {one.hint}" for one in mine)
    assert {one.path for one in found} == {str(tmp_path / "a.yaml")}


def test_what_is_nested_beyond_reason_is_named(tmp_path: Path) -> None:
    # Where it is noticed depends on the version of libyaml, which reads ahead.
    assert [one.rule for one in problems_of(tmp_path, "[" * 5000)] == ["too-deep"]


@pytest.mark.parametrize(
    ("text", "rule", "at"),
    [
        ("", "empty-file", (1, 1)),
        ('{"id": "a",,}', "json-syntax", (1, 12)),
        ('{\n\t"id": "a"\n\t"b": 1}', "json-syntax", (3, 2)),
        ('{"id": "\\ud800"}', "json-syntax", (1, 8)),
        ("[" * 100_000, "too-deep", (1, 1)),
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", "too-deep", (1, 70)),
        ('{\n\t"id": "a",\n\t"id": "b"}', "duplicate-key", (3, 2)),
        ('{\r\n\t"id": 5}', "wrong-type", (2, 8)),
        ("[1]", "wrong-type", (1, 1)),
    ],
)
def test_json(tmp_path: Path, text: str, rule: str, at: tuple[int, int]) -> None:
    found = problems_of(tmp_path, text, "a.json")
    assert (rule, at) in [(one.rule, (one.line, one.column)) for one in found], found


def test_one_mistake_hides_no_other(tmp_path: Path) -> None:
    text = """\
id: land cover
tileset: 1
tilesets:
  - {id: main, crs: 4326, sources: [{uris: [no.tif]}, {uris: a.tif}]}
bands:
  - {id: x, tileset_id: mian, pyramidingPolicy: mdoe}
  - {id: q, tileset_id: nain, tilesetBandIndex: 0.5, tileset_band_index: 1}
start_time: yesterday
tiling: {tile: 100}
"""
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("id: c\n" + T)
    with pytest.raises(SpecError) as caught:
        validate([tmp_path / "b.yaml", tmp_path / "a.yaml"])
    found = [(Path(p.path).name, p.line, p.column, p.rule) for p in caught.value.problems]
    assert found == sorted(found)
    assert found == [
        ("a.yaml", 1, 5, "asset-id"),
        ("a.yaml", 2, 1, "unknown-key"),
        ("a.yaml", 4, 21, "wrong-type"),
        ("a.yaml", 4, 45, "missing-file"),
        ("a.yaml", 4, 62, "wrong-type"),
        ("a.yaml", 6, 10, "band-id"),
        ("a.yaml", 6, 25, "unknown-tileset"),
        ("a.yaml", 6, 49, "unknown-value"),
        ("a.yaml", 7, 25, "unknown-tileset"),
        ("a.yaml", 7, 49, "wrong-type"),
        ("a.yaml", 7, 54, "duplicate-key"),
        ("a.yaml", 8, 13, "timestamp"),
        ("a.yaml", 9, 16, "out-of-range"),
        ("b.yaml", 2, 41, "missing-file"),
    ]


def test_a_broken_part_makes_no_echo(tmp_path: Path) -> None:
    text = "id: a\ntilesets: [7]\nbands: [{id: b, tileset_id: main}]\nmask_bands: {tileset_id: m}\n"
    assert [one.rule for one in problems_of(tmp_path, text)] == ["wrong-type"]
    text = A + "bands: [{id: 7}]\nmask_bands: {tileset_id: main, band_ids: [b]}\n"
    assert [one.rule for one in problems_of(tmp_path, text)] == ["wrong-type"]


def test_ids_clash_across_files(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text(f"id: a/b\n{T}---\nid: c\n{T}")
    (tmp_path / "2.yaml").write_text(f"# two\nid: a/b\n{T}")
    (tmp_path / "3.yaml").write_text(f"name: projects/p/assets/c/d\n{T}")
    with pytest.raises(SpecError) as caught:
        load([tmp_path])
    double, inner = caught.value.problems
    assert (double.path, double.line, double.column) == (str(tmp_path / "2.yaml"), 2, 5)
    assert double.rule == "duplicate-asset"
    assert str(double.hint).startswith(f"{tmp_path / '1.yaml'}:1:5 already declares it")
    assert (inner.path, inner.line, inner.column) == (str(tmp_path / "3.yaml"), 1, 7)
    assert inner.rule == "asset-in-asset"
    assert f"{tmp_path / '1.yaml'}:4:5" in str(inner.hint)


def test_whole_ids_that_differ_by_case_are_named_once(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, f"id: a/b\n{T}---\nid: a/B\n{T}")
    assert "`a/B` and `a/b` differ only by case: on many disks" in found.message


def test_alias_bomb_is_refused_fast(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
    assert [one.rule for one in problems_of(tmp_path, "\n".join(rows))] == ["too-large"]


def test_too_large_a_file(tmp_path: Path) -> None:
    text = A + "memo: " + "x" * (10 * 1024 * 1024) + "\n"
    assert [one.rule for one in problems_of(tmp_path, text)] == ["too-large"]


def test_a_long_number_stays_text(tmp_path: Path) -> None:
    text = A + f"missing_data: {{values: [{'9' * 5000}, {'9' * 390}]}}\n"
    assert [one.rule for one in problems_of(tmp_path, text)] == ["wrong-type", "out-of-range"]


def test_documents_before_a_syntax_error_are_judged(tmp_path: Path) -> None:
    text = f"id: a\nx: 1\n{T}---\na: b: c\n"
    found = [(one.rule, one.line) for one in problems_of(tmp_path, text)]
    assert found == [("unknown-key", 2), ("yaml-syntax", 5)]


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + A.encode())
    assert load([tmp_path / "a.yaml"]).specs[0].where("id") == (str(tmp_path / "a.yaml"), 1, 5)


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(SpecError, match="unreadable-file"):
        load([tmp_path / "loop.yaml"])


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://[::1", "not an IPv6 address"),
        ("http://[::1]x/a.tif", "not an IPv6 address"),
        ("http:///x", "it has no host"),
        ("http://h:99999/x.tif", "1 to 65535"),
        ("http://h:0/x.tif", "1 to 65535"),
        ("http://h: 80/x.tif", "1 to 65535"),
        ("http://my host/x.tif", "not a valid server name"),
        ("http:// h/x.tif", "not a valid server name"),
        (f"http://{'a' * 400}/x.tif", "not a valid server name"),
        ("http://h/a\\tb.tif", "control character"),
        ("http://h/a\\r\\nHost: other", "control character"),
        ("http://h/\\x7F", "control character"),
        ("http://user:word@h/x.tif", "user names and passwords"),
        ("HTTPS://h:x/x.tif", "1 to 65535"),
        ("http://h:99999/x.tif#17", "1 to 65535"),
    ],
)
def test_addresses_that_lead_nowhere(tmp_path: Path, uri: str, why: str) -> None:
    """They are said with all else that is wrong with a spec, before a server is asked."""
    (tmp_path / "a.yaml").write_text(
        f'kind: external_image\nid: a\ntilesets:\n- sources:\n  - uris: ["{uri}"]\nmem: x\n'
    )
    with pytest.raises(SpecError) as caught:
        validate([tmp_path / "a.yaml"])
    assert {found.rule for found in caught.value.problems} >= {"unknown-key"}
    (tmp_path / "a.yaml").write_text(
        f'kind: external_image\nid: a\ntilesets:\n- sources:\n  - uris: ["{uri}"]\n'
    )
    with pytest.raises(SpecError) as caught:
        validate([tmp_path / "a.yaml"])
    (found,) = caught.value.problems
    assert (found.path, found.line, found.column) == (str(tmp_path / "a.yaml"), 5, 12)
    assert why in found.message
    assert "is not a valid URL" in found.message
    assert "https://host/file.tif" in (found.hint or "")


def test_what_need_not_be_pinned_is_external(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, A + "allow_unpinned: true\n")
    assert (found.rule, found.line, found.column) == ("external-image", 3, 17)
    assert "has no effect on an image that is ingested" in found.message
    (found,) = problems_of(tmp_path, A + "kind: external_image\nallow_unpinned: perhaps\n")
    assert (found.rule, found.line) == ("wrong-type", 4)
