"""Collections: one rule makes what one document per file would, and says what is wrong where."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.declare import (
    ExternalImageSpec,
    ImageSpec,
    SourceSpec,
    expand,
    load,
    problem,
    validate,
)
from geobatch.declare.collections.template import parse_template
from geobatch.declare.fields.json_schema import schema
from geobatch.declare.text.canonical import fmt_text
from geobatch.errors import Problem, SpecError
from geobatch.model.assets.asset import Policy

RULE = """\
kind: image_collection
id: s2/l2a
for_each:
  files: data/S2_*.tif
  pattern: 'S2_(?P<tile>[A-Z0-9]+)_(?P<date>\\d{8})\\.tif'
  csv: {path: meta.csv}
image:
  id: '{tile}_{date}'
  bands: [{id: b1, pyramiding_policy: MODE}]
  start_time: '{date:%Y%m%d}'
  properties: {tile: '{tile}', cloud: '{cloud}', of: 'S2 {{{tile}}}', sensor: MSI}
"""
NAMES = ["S2_T32TMN_20250101.tif", "S2_T32TMN_20250102.tif", "S2_T33UUP_20250101.tif"]
CSV = "file,cloud\n" + "".join(f"{name},{k * 1.5}\n" for k, name in enumerate(NAMES))


def lay(folder: Path, rule: str = RULE, *, csv: str | None = CSV, names: Any = NAMES) -> Path:
    """Write a rule, its table and its files; return the spec file."""
    (folder / "data").mkdir(exist_ok=True)
    for name in names:
        (folder / "data" / name).touch()
    if csv is not None:
        (folder / "meta.csv").write_text(csv)
    (folder / "a.yaml").write_text(rule)
    return folder / "a.yaml"


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        validate([path])
    return caught.value.problems


def one_problem(path: Path) -> Problem:
    (found,) = problems(path)
    return found


def rule(**image: Any) -> str:
    """Return a rule without table, with some keys of the image other than usual."""
    document = yaml.safe_load(RULE)
    del document["for_each"]["csv"], document["image"]["properties"]
    document["image"] |= image
    return yaml.safe_dump(document, sort_keys=False)


def test_each_file_is_an_image_below_the_collection(tmp_path: Path) -> None:
    specs = load([lay(tmp_path)]).images
    assert [spec.id for spec in specs] == [f"s2/l2a/{name[3:-4]}" for name in NAMES]
    spec = specs[1]
    assert spec.kind == "image"
    assert [tileset.sources for tileset in spec.tilesets] == [
        (SourceSpec(uris=(f"data/{NAMES[1]}",)),)
    ]
    assert (spec.start_time, spec.end_time) == ("2025-01-02T00:00:00Z", None)
    assert spec.properties == (
        ("cloud", 1.5), ("of", "S2 {T32TMN}"), ("sensor", "MSI"), ("tile", "T32TMN")
    )  # fmt: skip
    assert spec.bands is not None
    assert spec.bands[0].pyramiding_policy is Policy.MODE
    (files,) = expand(spec).tilesets
    assert [file.path for file in files] == [tmp_path / "data" / NAMES[1]]


def test_expanded_specs_know_where_their_template_stands(tmp_path: Path) -> None:
    path = lay(tmp_path)
    for spec in load([path]).specs:
        assert spec.path == str(path)
        assert spec.where("bands", 0, "pyramiding_policy") == (str(path), 9, 39)
        assert spec.where("id") == (str(path), 8, 7)
        assert spec.where("properties", "cloud") == (str(path), 11, 39)
        assert spec.where() == (str(path), 7, 1)
        assert spec.where("tilesets", 0, "sources", 0) == (str(path), 4, 10)
        assert problem(spec, ("bands", 0, "id"), "r", "m").line == 9


def written_out(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a document per file, as a patient user would write them."""
    documents = []
    for name, known in files.items():
        tile, day, number, cell = (known[key] for key in ("tile", "date", "n", "cell"))
        properties = {"tile": tile, "n": int(number), "where": f"{tile}/{number}", "same": 5}
        if cell is not None:
            properties["cell"] = cell
        documents.append(
            {
                "id": f"c/{tile}/{day}-{number}",
                "tilesets": [
                    {"id": "m", "crs": "EPSG:326" + tile[1:], "sources": [{"uris": [f"d/{name}"]}]},
                    {"id": "q", "sources": [{"uris": [f"q/{tile}{number}.tif"]}]},
                ],
                "bands": [{"id": "b", "tileset_id": "m", "missing_data": {"values": [0]}}],
                "mask_bands": {"tileset_id": "q"},
                "start_time": f"{day[:4]}-{day[4:6]}-{day[6:]}",
                "end_time": "2100-01-01",
                "memo": f"from {name}",
                "properties": properties,
                "tiling": {"tile": 256},
            }
        )
    return "---\n".join(yaml.safe_dump(one) for one in documents)


GENERAL = """\
kind: image_collection
id: c
for_each:
  files: [d/*.tif, d/?*]
  pattern: ['(?P<tile>T\\d\\d)_(?P<n>\\d+)_(?P<date>\\d{8})\\.tif',
            'A(?P<date>\\d{8})-(?P<n>\\d+)(?P<tile>T..)\\.tif']
  csv: {path: t.csv, key: name of it}
image:
  id: '{tile}/{date}-{n}'
  tilesets:
  - {id: m, crs: 'EPSG:326{zone}', sources: [{uris: ['{file}']}]}
  - {id: q, sources: [{uris: ['q/{tile}{n}.tif']}]}
  bands: [{id: b, tileset_id: m, missing_data: {values: [0]}}]
  mask_bands: {tileset_id: q}
  start_time: '{date:%Y%m%d}'
  end_time: 2100-01-01
  memo: from {name}
  properties: {tile: '{tile}', n: '{n:number}', where: '{tile}/{n}', same: 5, cell: '{cell}'}
  tiling: {tile: 256}
"""
TILES = st.sampled_from(["T32", "T33", "T07"])
DATES = st.dates(min_value=date(1985, 1, 1), max_value=date(2099, 12, 31))
NUMBERS = st.integers(0, 999).map(str)
KEYS = st.tuples(TILES, DATES.map(lambda day: f"{day:%Y%m%d}"), NUMBERS)
WORDS = st.text(string.ascii_letters + " ,;\"'{}é", min_size=1).map(str.strip).filter(bool)


@settings(max_examples=40)
@given(
    keys=st.sets(KEYS, min_size=1, max_size=6),
    cells=st.one_of(
        st.lists(st.none() | WORDS, min_size=6, max_size=6),
        st.lists(
            st.none() | st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9).map(float),
            min_size=6,
            max_size=6,
        ),
    ),
    forms=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_a_rule_says_what_a_document_per_file_would(
    tmp_path_factory: pytest.TempPathFactory,
    keys: set[tuple[str, str, str]],
    cells: list[Any],
    forms: list[bool],
) -> None:
    folder = tmp_path_factory.mktemp("rule")
    (folder / "d").mkdir()
    rows, files = ["cell , zone, name of it"], {}
    for (tile, day, n), cell, form in zip(sorted(keys), cells, forms, strict=False):
        name = f"{tile}_{n}_{day}.tif" if form else f"A{day}-{n}{tile}.tif"
        (folder / "d" / name).touch()
        files[name] = {"tile": tile, "date": day, "n": n, "cell": cell}
        shown = "" if cell is None else json.dumps(cell) if not isinstance(cell, str) else cell
        quoted = '"' + shown.replace('"', '""') + '"'
        rows.append(f"{quoted},{tile[1:]}, {name}")
    (folder / "t.csv").write_text("\r\n".join(rows), encoding="utf-8-sig", newline="")
    (folder / "rule.yaml").write_text(GENERAL)
    (folder / "hand.yaml").write_text(written_out(files))
    assert load([folder / "rule.yaml"]).specs == load([folder / "hand.yaml"]).specs


@pytest.mark.parametrize(
    ("cell", "value"),
    [("3", 3), ("-3", -3), ("3.50", 3.5), ("1e3", 1000.0), ("0", 0), ("007", "007"), ("+5", "+5"),
     ("1_000", "1_000"), ("nan", "nan"), ("inf", "inf"), ("1.", "1."), ("٣", "٣"), ("0x10", "0x10"),
     ('"a,b"', "a,b"), ("  padded ", "padded"), ("true", "true")],
)  # fmt: skip
def test_a_cell_is_a_number_only_where_it_is_written_as_one(
    tmp_path: Path, cell: str, value: Any
) -> None:
    path = lay(tmp_path, csv=f"file,cloud\n{NAMES[0]},{cell}\n", names=NAMES[:1])
    found = dict(load([path]).specs[0].properties)["cloud"]
    assert found == value
    assert type(found) is type(value)


def test_forms_decide_the_type(tmp_path: Path) -> None:
    text = rule(properties={"d": "{date:number}", "t": "{date:%Y%m%d}", "s": "{date}"})
    spec = load([lay(tmp_path, text)]).specs[0]
    assert spec.properties == (("d", 20250101), ("s", "20250101"), ("t", "2025-01-01T00:00:00Z"))
    csv = RULE.replace("'{cloud}'", "'{cloud:text}'")
    (tmp_path / "meta.csv").write_text(CSV)
    (tmp_path / "a.yaml").write_text(csv)
    assert dict(load([tmp_path / "a.yaml"]).specs[1].properties)["cloud"] == "1.5"


def test_properties_keep_one_type(tmp_path: Path) -> None:
    csv = f"file,cloud\n{NAMES[0]},1\n{NAMES[1]},2.5\n{NAMES[2]},cloudy\n"
    found = one_problem(lay(tmp_path, csv=csv))
    assert (found.rule, found.line, found.column) == ("property-type", 11, 39)
    for word in ("`cloudy`, text", "`1`, a number", NAMES[0], NAMES[2], "meta.csv:2", "meta.csv:4"):
        assert word in found.message
    assert "{cloud:text}" in str(found.hint)


def test_images_of_one_id_are_named_both(tmp_path: Path) -> None:
    found = one_problem(lay(tmp_path, rule(id="{tile}"), csv=None))
    assert (found.rule, found.line) == ("duplicate-asset", 7)
    assert NAMES[0] in found.message
    assert NAMES[1] in found.message


def test_an_image_and_a_collection_cannot_share_a_place(tmp_path: Path) -> None:
    path = lay(tmp_path, rule(), csv=None)
    single = "---\nid: s2/l2a\ntilesets: [{sources: [{uris: [data/S2_T33UUP_20250101.tif]}]}]\n"
    path.write_text(path.read_text() + single)
    found = one_problem(path)
    assert found.rule == "asset-in-asset"
    path.write_text(rule() + "---\n" + rule(id="x{tile}{date}"))
    found = one_problem(path)
    assert found.rule == "duplicate-asset"
    assert "list all its `files` there" in str(found.hint)


def test_unmatched_files_are_refused_or_skipped(tmp_path: Path) -> None:
    path = lay(tmp_path, rule(), csv=None, names=[*NAMES, "S2_odd.tif", "S2_T1_20250101.tif.tif"])
    found = problems(path)
    assert {one.rule for one in found} == {"unmatched-file"}
    assert [one.line for one in found] == [5, 5]
    assert "S2_odd.tif" in found[1].message
    path.write_text(rule().replace("image:", "  unmatched: skip\nimage:"))
    assert len(load([path]).specs) == len(NAMES)


def test_many_files_in_one_trouble_make_few_lines(tmp_path: Path) -> None:
    names = [f"S2_x{number}.tif" for number in range(40)]
    found = problems(lay(tmp_path, rule(), csv=None, names=names))
    assert len(found) == 6
    assert "the same problem in 35 more files" in {one.message for one in found}


@pytest.mark.parametrize(
    ("csv", "rule_name", "line", "words"),
    [
        (f"file,cloud\n{NAMES[0]},1\n{NAMES[1]},1\n", "csv-row", 6, ["no row", NAMES[2]]),
        (CSV + f"{NAMES[0]},9\n", "csv-key", 6, ["meta.csv:5", "line 2"]),
        (CSV.replace("1.5", "1.5,6"), "csv", 6, ["meta.csv:3", "3 cells", "has 2"]),
        ("name,cloud\n", "csv-key", 6, ["meta.csv:1", "no column `file`"]),
        ("file;cloud\n", "csv-key", 6, ["no column"]),
        ("file,cloud,cloud\n", "csv", 6, ["columns 2 and 3 have the same name"]),
        (CSV.replace("cloud", "tile"), "csv", 6, ["`tile`"]),
        ("", "csv", 6, ["is empty"]),
        ('file,cloud\n"a\n', "csv", 6, ["meta.csv:2"]),
        (CSV.replace("cloud", "clouds"), "placeholder", 11, ["no field `cloud`"]),
    ],
)
def test_tables_in_trouble(
    tmp_path: Path, csv: str, rule_name: str, line: int, words: list[str]
) -> None:
    found = next(one for one in problems(lay(tmp_path, csv=csv)) if one.rule == rule_name)
    assert found.line == line
    for word in words:
        assert word in found.message


def test_the_column_of_file_names_is_chosen_by_a_key(tmp_path: Path) -> None:
    found = one_problem(lay(tmp_path, csv="name,cloud\n"))
    assert found.hint == "`key` of `csv` names the column of file names, one of 2"
    found = one_problem(lay(tmp_path, csv="File,cloud\n"))
    assert "upper and lower case differ" in str(found.hint)


def test_a_table_that_is_no_text_or_not_there(tmp_path: Path) -> None:
    path = lay(tmp_path)
    (tmp_path / "meta.csv").write_bytes(b"file,cloud\ncaf\xe9,1\n")
    assert one_problem(path).rule == "encoding"
    (tmp_path / "meta.csv").rename(tmp_path / "mata.csv")
    found = one_problem(path)
    assert (found.rule, found.line, found.column) == ("missing-file", 6, 15)
    assert "`mata.csv`" in str(found.hint)


def test_an_empty_cell_leaves_a_property_away_but_nothing_else(tmp_path: Path) -> None:
    csv = CSV.replace("1.5", "")
    specs = load([lay(tmp_path, csv=csv)]).specs
    assert ["cloud" in dict(spec.properties) for spec in specs] == [True, False, True]
    (tmp_path / "a.yaml").write_text(RULE.replace("'{tile}_{date}'", "'{tile}_{date}_{cloud}'"))
    (tmp_path / "meta.csv").write_text(csv.replace(".0", ""))
    found = one_problem(tmp_path / "a.yaml")
    assert (found.rule, found.line) == ("empty-field", 8)
    assert "meta.csv:3" in found.message


def test_a_file_may_be_named_by_its_whole_uri(tmp_path: Path) -> None:
    """Two files of one name, in two folders."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.tif").touch()
    (tmp_path / "m.csv").write_text("file,k\na/x.tif,1\nb/x.tif,2\n")
    (tmp_path / "a.yaml").write_text(
        "kind: image_collection\nid: c\nfor_each: {files: '*/x.tif', csv: {path: m.csv}}\n"
        "image: {id: '{stem}{k}'}\n"
    )
    assert [spec.id for spec in load([tmp_path / "a.yaml"]).specs] == ["c/x1", "c/x2"]


@pytest.mark.parametrize(
    ("image", "rule_name", "words"),
    [
        ({"id": "{tle}"}, "placeholder", "no field `tle`"),
        ({"id": "same"}, "placeholder", "same for every file"),
        ({"id": "{tile"}, "placeholder", "has a brace without its partner"),
        ({"id": "{}"}, "placeholder", "no name"),
        ({"id": "{tile:x}"}, "placeholder", "no form `x`"),
        ({"id": "{tile+1}"}, "property-value", "`T32TMN` is not a whole number, so `+1`"),
        ({"id": "{tle+1}"}, "placeholder", "no field `tle`"),
        ({"start_time": "{tile:ms}"}, "timestamp", "not a whole number of milliseconds"),
        ({"id": "{name}"}, "asset-id", f"for `data/{NAMES[0]}`"),
        ({"id": "{tile}/{date:%Y%m%d}"}, "asset-id", "is not a valid asset id"),
        ({"start_time": "{date:%m%d}"}, "placeholder", "no year"),
        ({"start_time": "{date:%Y%Q}"}, "placeholder", "not a valid time format"),
        ({"start_time": "{date:%Y%m%d}", "end_time": "2025-01-01T12:00:00Z"}, "time-order", "2025"),
        ({"start_time": "{tile:%Y}"}, "timestamp", "`T32TMN` is not a time of the form `%Y`"),
        ({"start_time": "{date}"}, "timestamp", "`20250101` is not a valid RFC 3339 time"),
        ({"properties": {"a": "{tile:number}"}}, "property-value", "`T32TMN` is not a number"),
        ({"properties": {"a": {"tile": None}}}, "property-value", "a mapping"),
        ({"bands": [{"id": "{tile}"}]}, "placeholder", "not allowed here"),
        ({"tilesets": [{"sources": [{"uris": ["a.tif"]}]}]}, "placeholder", "no uri has"),
        ({"tilesets": [{"sources": [{"uris": ["q/{name}"]}]}]}, "missing-file", "no file `q/S2"),
        ({"tilesets": []}, "missing-key", "`tilesets` is missing or empty"),
        ({"uri_prefix": "q"}, "unknown-key", "is not allowed here"),
        ({"kind": "image_collection"}, "unknown-value", "not collections"),
        ({"bnads": []}, "unknown-key", "unknown key `bnads`"),
        ({"pyramiding_policy": "medain"}, "unknown-value", "medain"),
    ],
)
def test_images_in_trouble(
    tmp_path: Path, image: dict[str, Any], rule_name: str, words: str
) -> None:
    path = lay(tmp_path, rule(**image), csv=None)
    (key,) = [key for key in image if key != "start_time"] or ["start_time"]
    lines = path.read_text().splitlines()
    below = lines.index("image:") + 1
    start = next(n for n, line in enumerate(lines[below:], below + 1) if f"  {key}:" in line)
    found = [one for one in problems(path) if one.rule == rule_name and words in one.message]
    assert found
    assert all(start <= one.line <= start + 5 for one in found)


@pytest.mark.parametrize(
    ("old", "new", "rule_name", "place"),
    [
        ("data/S2_*.tif", "data/S3_*.tif", "missing-file", (4, 10)),
        ("data/S2_*.tif", "data", "missing-file", (4, 10)),
        ("data/S2_*.tif", "https://x/*.tif", "unsupported-uri", (4, 10)),
        ("  files: data/S2_*.tif\n", "", "missing-key", (3, 1)),
        ("(?P<tile>", "(?P<tile", "pattern", (5, 12)),
        ("(?P<tile>", "(?P<stem>", "pattern", (5, 12)),
        ("for_each:", "id2: 4\nfor_each:", "unknown-key", (3, 1)),
        ("image:", "bands: []\nimage:", "unknown-key", (7, 1)),
        ("id: s2/l2a", "id: s2//l2a", "asset-id", (2, 5)),
        ("id: s2/l2a\n", "", "missing-key", (1, 1)),
        ("kind: image_collection", "kind: image", "unknown-key", (3, 1)),
    ],
)
def test_rules_in_trouble(
    tmp_path: Path, old: str, new: str, rule_name: str, place: tuple[int, int]
) -> None:
    found = problems(lay(tmp_path, RULE.replace(old, new)))
    places = [(one.line, one.column) for one in found if one.rule == rule_name]
    assert place in places, found


def test_groups_must_be_in_every_pattern(tmp_path: Path) -> None:
    document = yaml.safe_load(rule())
    document["for_each"]["pattern"] = [document["for_each"]["pattern"], r"(?P<tile>\w+)\.tif"]
    found = problems(lay(tmp_path, yaml.safe_dump(document, sort_keys=False), csv=None))
    assert {one.message for one in found} == {"not every pattern has the group `date`"}


def test_canonical_form_keeps_the_meaning(tmp_path: Path) -> None:
    untidy = RULE.replace("for_each", "forEach").replace("start_time", "startTime")
    text = fmt_text(untidy, path="a.yaml")
    assert fmt_text(text, path="a.yaml") == text
    assert "for_each:" in text
    assert text.index("id:") < text.index("for_each:") < text.index("image:")
    before = load([lay(tmp_path, untidy)])
    assert load([lay(tmp_path, text)]) == before


@pytest.mark.parametrize("camel", [False, True])
def test_the_schema_knows_rules(camel: bool) -> None:
    text = RULE.replace("for_each", "forEach").replace("start_time", "startTime") if camel else RULE
    check = jsonschema.Draft202012Validator(schema()).validate
    document = yaml.safe_load(text)
    check(document)
    for broken in (
        {**document, "bands": []},
        {**document, "kind": "image"},
        {**document, "image": {"bands": []}},
        {**document, "image": {"id": "{stem}", "uri_prefix": "x"}},
        {**document, "image": {"id": "{stem}", "start_time": "soon"}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


def test_as_json_too(tmp_path: Path) -> None:
    expected = load([lay(tmp_path)]).specs
    (tmp_path / "a.json").write_text(json.dumps(yaml.safe_load(RULE)))
    assert load([tmp_path / "a.json"]).specs == expected


def test_thousands_of_files_share_what_is_the_same(tmp_path: Path) -> None:
    names = [f"S2_T{number:05}_20250101.tif" for number in range(3000)]
    specs = load([lay(tmp_path, rule(), csv=None, names=names)]).images
    assert len(specs) == 3000
    assert len({id(spec.bands) for spec in specs}) == 1
    assert len({id(spec.positions) for spec in specs}) == 1


# --- arithmetic, milliseconds, colons -------------------------------------------------------------


def made_of(
    folder: Path, names: list[str], pattern: str, csv: str | None = None, **image: Any
) -> list[ImageSpec | ExternalImageSpec]:
    """Return the images that a rule makes of some files."""
    for name in names:
        (folder / name).touch()
    rule: dict[str, Any] = {"files": "*.tif", "pattern": pattern}
    if csv is not None:
        (folder / "m.csv").write_text(csv)
        rule["csv"] = {"path": "m.csv"}
    document = {"kind": "image_collection", "id": "c", "for_each": rule, "image": image}
    (folder / "a.yaml").write_text(yaml.safe_dump(document))
    return list(load([folder / "a.yaml"]).images)


@given(
    number=st.integers(0, 9999), width=st.integers(1, 6), step=st.integers(-20, 20),
    blank=st.sampled_from(["", " "]),
)  # fmt: skip
def test_steps_keep_the_digits_of_the_field(number: int, width: int, step: int, blank: str) -> None:
    text = f"{number:0{width}}"
    template = parse_template(f"<{{n{blank}{'-' if step < 0 else '+'}{blank}{abs(step)}}}>")
    assert template is not None
    want = number + step
    digits = f"{abs(want):0{len(text)}}"
    assert template.text({"n": text}) == f"<{'-' if want < 0 else ''}{digits}>"


def test_the_end_may_be_the_start_of_the_next_year(tmp_path: Path) -> None:
    (one,) = made_of(
        tmp_path, ["lc_2024_09.tif"], r"lc_(?P<year>\d{4})_(?P<month>\d\d)\.tif",
        id="y{year-1}_{month+1}", start_time="{year}-01-01", end_time="{year+1}-01-01",
        properties={"n": "{year+1:number}", "t": "{year+1}"},
    )  # fmt: skip
    assert one.id == "c/y2023_10"
    assert (one.start_time, one.end_time) == ("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
    assert dict(one.properties) == {"n": 2025, "t": "2025"}


def test_columns_may_have_colons_and_signs_and_times_milliseconds(tmp_path: Path) -> None:
    columns = "system:time_start,eo:cloud,day:of:year,band-1,band"
    (one,) = made_of(
        tmp_path, ["x_20250101T101112345.tif"], r"x_(?P<at>.*)\.tif",
        f"file,{columns}\nx_20250101T101112345.tif,1735689600123,3.5,2025-032,7,40\n",
        id="{stem}", start_time="{system:time_start:ms}", end_time="{day:of:year:%Y-%j}",
        properties={
            "cloud": "{eo:cloud}", "text": "{eo:cloud:text}", "own": "{band-1}", "less": "{band-2}",
            "ms": "{system:time_start}", "at": "{at:%Y%m%dT%H%M%S%f}",
        },
    )  # fmt: skip
    assert (one.start_time, one.end_time) == ("2025-01-01T00:00:00.123Z", "2025-02-01T00:00:00Z")
    assert dict(one.properties) == {
        "cloud": 3.5, "text": "3.5", "own": 7, "less": 38, "ms": 1735689600123,
        "at": "2025-01-01T10:11:12.345000Z",
    }  # fmt: skip


def test_the_table_of_a_collection_is_read_from_its_mirror(tmp_path: Path) -> None:
    (tmp_path / "mirror" / "b").mkdir(parents=True)
    (tmp_path / "mirror" / "b" / "x.tif").touch()
    (tmp_path / "mirror" / "b" / "m.csv").write_text("file,k\nx.tif,1\n")
    (tmp_path / "geobatch.yaml").write_text("uri_map: {'data://': mirror/}\n")
    (tmp_path / "a.yaml").write_text(
        "kind: image_collection\nid: c\n"
        "for_each: {files: 'data://b/*.tif', csv: {path: 'data://b/m.csv'}}\n"
        "image: {id: '{stem}', properties: {k: '{k}'}}\n"
    )
    (one,) = load([tmp_path / "a.yaml"]).specs
    assert dict(one.properties) == {"k": 1}
    (file,) = expand(one).tilesets[0]
    assert (file.uri, file.path) == ("data://b/x.tif", tmp_path / "mirror" / "b" / "x.tif")
    (tmp_path / "mirror" / "b" / "m.csv").unlink()
    assert "in the mirror" in one_problem(tmp_path / "a.yaml").message


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("  memo: {stem}", "`'{stem}'`"),
        ("  start_time: {stem}", "`'{stem}'`"),
        ("  properties: {y: {stem}}", "`'{stem}'`"),
        ("  start_time: {stem}-01-01", "in quotes, as in `'{date} {tile}'`"),
        ("  memo: {stem} of {name}  # note", "in quotes, as in `'{date} {tile}'`"),
        ("\tmemo: x", "replace each with two spaces"),
        ("  \tmemo: x", "replace each with two spaces"),
    ],
)
def test_hints_for_placeholders_without_quotes_and_for_tabs(
    tmp_path: Path, line: str, hint: str
) -> None:
    (tmp_path / "2024.tif").touch()
    text = "kind: image_collection\nid: c\nfor_each: {files: '*.tif'}\nimage:\n  id: y{stem}\n"
    (tmp_path / "a.yaml").write_text(f"{text}{line}\n")
    assert any(hint in (one.hint or "") for one in problems(tmp_path / "a.yaml"))


def test_brackets_of_a_folder_that_exists_are_its_own(tmp_path: Path) -> None:
    for folder in ("data [2024]", "data 2", "in [a]/[b] x", "set1", "set2"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.tif").touch()

    def found(*globs: str) -> list[str]:
        document = {
            "kind": "image_collection", "id": "c", "for_each": {"files": [*globs]},
            "image": {"id": "{stem}", "memo": "{file}"},
        }  # fmt: skip
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(document))
        return [spec.memo for spec in load([tmp_path / "a.yaml"]).specs]

    assert found("data [2024]/*.tif") == ["data [2024]/a.tif"]
    assert found("in [a]/[b] x/*.t[i]f") == ["in [a]/[b] x/a.tif"]
    assert found(f"{tmp_path}/data [2024]/*.tif") == [f"{tmp_path}/data [2024]/a.tif"]
    assert found("data [[]2024]/*.tif") == ["data [2024]/a.tif"]
    assert found("set[1]/*.tif") == ["set1/a.tif"]
    (tmp_path / "b.yaml").write_text(
        "id: b\ntilesets: [{sources: [{uris: ['data [2024]/*.tif']}]}]\n"
    )
    (spec,) = load([tmp_path / "b.yaml"]).specs
    assert [file.uri for file in expand(spec).tilesets[0]] == ["data [2024]/a.tif"]
