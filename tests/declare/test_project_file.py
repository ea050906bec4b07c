"""The project file: which specs it holds for, where it leads uris, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from geobatch.declare import expand, lint, load, spec_files, validate
from geobatch.declare.text.canonical import fmt_text
from geobatch.errors import Problem, SpecError

MANIFEST = """\
{
  "name": "projects/some-project/assets/a/b",
  "uriPrefix": "gs://bucket/d/",
  "tilesets": [{"sources": [{"uris": ["x.tif"]}, {"uris": ["t_*.tif"]}]}]
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("mirror[1]/d/x.tif", "mirror[1]/d/t_2.tif", "mirror[1]/d/t_1.tif"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    specs = tmp_path / "specs" / "deep"
    specs.mkdir(parents=True)
    (specs / "m.json").write_text(MANIFEST)
    return tmp_path


def project(folder: Path, text: str, at: str = "geobatch.yaml") -> Path:
    file = folder / at
    file.write_text(text)
    return file


def problems_of(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        validate([folder / "specs"])
    return caught.value.problems


def test_uris_are_read_from_the_mirror_and_keep_their_names(folder: Path) -> None:
    project(folder, 'uri_map: {"gs://bucket/": "mirror[1]"}\n')
    (spec,) = validate([folder / "specs"]).specs
    files = expand(spec).tilesets[0]
    assert [(file.uri, file.path) for file in files] == [
        (f"gs://bucket/d/{name}", folder / "mirror[1]" / "d" / name)
        for name in ("x.tif", "t_1.tif", "t_2.tif")
    ]


@pytest.mark.parametrize("at", ["geobatch.yaml", "specs/geobatch.yaml", "specs/deep/geobatch.yaml"])
def test_the_nearest_file_up_the_tree_holds(folder: Path, at: str) -> None:
    project(folder, "keep_project_prefix: true\n")
    up = "../" * at.count("/")
    project(folder, f'uri_map: {{"gs://bucket/": "{up}mirror[1]/"}}\n', at)
    (spec,) = validate([folder / "specs"]).specs
    assert spec.id == "a/b"


def test_the_longest_beginning_wins(folder: Path) -> None:
    text = 'uri_map: {"gs://bucket/": nowhere, "gs://bucket/d/": "mirror[1]/d", "gs://b/": no}\n'
    project(folder, text)
    assert len(expand(validate([folder / "specs"]).specs[0]).tilesets[0]) == 3


def test_without_a_map_the_error_shows_how_to_write_one(folder: Path) -> None:
    manifest = folder / "specs/deep/m.json"
    manifest.write_text(MANIFEST.replace("gs://", "ftp://"))
    found = problems_of(folder)
    assert [(one.rule, one.line) for one in found] == [("unsupported-uri", 4)] * 2
    hint = found[0].hint or ""
    assert '`uri_map: {"ftp://bucket/": data/}`' in hint
    line = hint.partition(": `")[2].partition("`")[0].replace("data/", '"mirror[1]"')
    project(folder, line)
    validate([folder / "specs"])


def test_what_the_mirror_lacks_is_named_with_its_path(folder: Path) -> None:
    (folder / "mirror[1]/d/x.tif").unlink()
    project(folder, 'uri_map: {"gs://bucket/": "mirror[1]"}\n')
    (found,) = problems_of(folder)
    assert found.rule == "missing-file"
    assert "`gs://bucket/d/x.tif`" in found.message
    assert str(folder / "mirror[1]/d/x.tif") in found.message


def test_a_collection_takes_its_files_from_the_mirror(folder: Path) -> None:
    project(folder, 'uri_map: {"gs://bucket/": "mirror[1]"}\n')
    (folder / "specs/deep/m.json").unlink()
    (folder / "specs/c.yaml").write_text(
        "kind: image_collection\nid: c\nfor_each: {files: 'gs://bucket/d/t_*.tif'}\n"
        "image: {id: '{stem}', properties: {uri: '{file}'}}\n"
    )
    specs = validate([folder / "specs"]).specs
    assert [(spec.id, dict(spec.properties)["uri"]) for spec in specs] == [
        ("c/t_1", "gs://bucket/d/t_1.tif"), ("c/t_2", "gs://bucket/d/t_2.tif"),
    ]  # fmt: skip
    assert expand(specs[0]).tilesets[0][0].path == folder / "mirror[1]/d/t_1.tif"


def test_the_prefix_of_a_name_is_kept_where_asked(folder: Path) -> None:
    assert [one.id for one in load([folder / "specs"]).specs] == ["a/b"]
    kept = load([folder / "specs"], keep_project_prefix=True).specs
    assert [one.id for one in kept] == ["projects/some-project/assets/a/b"]
    project(folder, "keepProjectPrefix: true\n")
    assert load([folder / "specs"]).specs == kept


def test_a_prefix_that_is_no_part_of_an_id_cannot_be_kept(folder: Path) -> None:
    text = MANIFEST.replace("some-project", "example.com:p")
    (folder / "specs/deep/m.json").write_text(text)
    assert load([folder / "specs"]).specs[0].id == "a/b"
    with pytest.raises(SpecError) as caught:
        load([folder / "specs"], keep_project_prefix=True)
    (found,) = caught.value.problems
    assert (found.rule, found.line) == ("asset-id", 2)
    assert "`id: a/b`" in (found.hint or "")


def test_alike_documents_of_two_projects_are_told_apart(tmp_path: Path) -> None:
    for name, keeps in (("one", "false"), ("two", "true")):
        (tmp_path / name).mkdir()
        project(tmp_path, f"keep_project_prefix: {keeps}\n", f"{name}/geobatch.yaml")
        text = "name: projects/p-1/assets/a\ntilesets: [{sources: [{uris: [x.tif]}]}]\n"
        (tmp_path / name / "a.yaml").write_text(text)
    assert [one.id for one in load([tmp_path]).specs] == ["a", "projects/p-1/assets/a"]


def test_it_is_no_spec_itself(folder: Path) -> None:
    project(folder, "", "specs/geobatch.yaml")
    assert [file.name for file in spec_files([folder / "specs"])] == ["m.json"]
    assert len(load([folder / "specs"]).specs) == 1
    # As a shell's `*.yaml` would name it.
    named = [folder / "specs/geobatch.yaml", folder / "specs/deep/m.json"]
    assert len(load(named).specs) == 1
    with pytest.raises(SpecError, match="no asset is declared"):
        load(named[:1])


@pytest.mark.parametrize(
    ("text", "rule", "at", "word"),
    [
        ("uri_mapp: {}\n", "unknown-key", (1, 1), "`uri_map`"),
        ("uri_map: {gs://bucket: data}\n", "uri-map", (1, 11), "ends with `/`"),
        ("uri_map: {data/: data}\n", "uri-map", (1, 11), "`data/`"),
        ('uri_map: {"gs://b/": "gs://c/"}\n', "uri-map", (1, 22), "not a local folder"),
        ('uri_map: {"gs://b/": ""}\n', "empty-value", (1, 22), "empty"),
        ("uri_map: data\n", "wrong-type", (1, 10), "a mapping"),
        ("silence: [lossy]\n", "unknown-value", (1, 11), "`lossy-source`"),
        ("silence: lossy-source\n", "wrong-type", (1, 10), "a list"),
        ("keep_project_prefix: 1\n", "wrong-type", (1, 22), "`true`"),
        ("- 1\n", "wrong-type", (1, 1), "a mapping"),
        ("a: b: c\n", "yaml-syntax", (1, 5), "mapping values"),
        ("silence: []\n---\nsilence: []\n", "project-file", (1, 1), "one document"),
    ],
)
def test_what_is_wrong_with_it(
    folder: Path, text: str, rule: str, at: tuple[int, int], word: str
) -> None:
    file = project(folder, text)
    with pytest.raises(SpecError) as caught:
        load([folder / "specs"])
    (found,) = caught.value.problems
    assert (found.rule, (found.line, found.column)) == (rule, at)
    assert (Path.cwd() / found.path).resolve() == file
    assert word in f"{found.message} {found.hint}"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "uri_map: {}\nsilence: []\n"])
def test_it_may_say_nothing(folder: Path, text: str) -> None:
    project(folder, text)
    assert len(load([folder / "specs"]).specs) == 1


def test_the_typo_of_googles_guide_is_read_and_mended(tmp_path: Path) -> None:
    text = (
        "id: a\npyramindingPolicy: MODE\ntilesets: [{sources: [{uris: [x.tif]}]}]\n"
        "bands: [{id: b, pyramindingPolicy: MIN}]\n"
    )
    file = tmp_path / "a.yaml"
    file.write_text(text)
    (spec,) = load([file]).images
    assert spec.pyramiding_policy == "MODE"
    assert spec.bands is not None
    assert spec.bands[0].pyramiding_policy == "MIN"
    mended = fmt_text(text, path="a.yaml")
    assert "pyraminding" not in mended
    assert mended.count("pyramiding_policy") == 2
    assert lint([spec]) == ()
