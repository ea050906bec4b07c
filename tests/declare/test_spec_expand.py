"""Uris become files; what cannot be found is named with what is near."""

from __future__ import annotations

from pathlib import Path

import pytest

from geobatch.declare import Expansion, expand, load, validate
from geobatch.errors import Problem, SpecError


def written(folder: Path, sources: str, extra: str = "") -> Path:
    file = folder / "specs" / "a.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"id: a\n{extra}tilesets: [{{sources: {sources}}}]\n")
    return file


def files_of(folder: Path, sources: str, extra: str = "") -> Expansion:
    return expand(validate([written(folder, sources, extra)]).specs[0])


def problems_of(folder: Path, sources: str, extra: str = "") -> tuple[Problem, ...]:
    file = written(folder, sources, extra)
    with pytest.raises(SpecError) as caught:
        validate([file])
    with pytest.raises(SpecError) as again:
        expand(load([file]).specs[0])
    assert again.value.problems == caught.value.problems
    return caught.value.problems


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.tif", "B.tif", "t10.tif", "deep/er/c.tif", "odd[1].tif", ".hid.tif"):
        file = tmp_path / "specs" / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "specs" / "data" / "folder.tif").mkdir()
    return tmp_path


def uris(expansion: Expansion) -> list[tuple[str, int]]:
    return [(file.uri, file.source) for file in expansion.tilesets[0]]


def test_a_glob_gives_a_source_per_file_sorted(data: Path) -> None:
    found = files_of(data, "[{uris: [data/t*.tif]}, {uris: [data/?.tif]}]")
    assert uris(found) == [
        ("data/t10.tif", 0), ("data/B.tif", 1), ("data/a.tif", 1), ("data/b.tif", 1),
    ]  # fmt: skip
    for file in found.tilesets[0]:
        assert file.path.is_absolute()
        assert file.path == data / "specs" / file.uri


@pytest.fixture
def sidecars(data: Path) -> Path:
    for suffix in ("tfw", "TFW", "prj", "msk", "tif.aux.xml", "tif.ovr", "dbf"):
        (data / f"specs/data/a.{suffix}").touch()
    return data


@pytest.mark.parametrize("world", ["tfw", "TFW"])
def test_sidecars_that_place_a_raster_are_no_rasters(sidecars: Path, world: str) -> None:
    ((first, second),) = files_of(
        sidecars, f"[{{uris: [data/a.tif, data/a.prj, data/a.{world}]}}, {{uris: [data/b.tif]}}]"
    ).tilesets
    assert (first.uri, second.uri) == ("data/a.tif", "data/b.tif")
    assert first.world is not None
    assert first.projection is not None
    assert first.world.path == sidecars / f"specs/data/a.{world}"
    assert first.projection.path == sidecars / "specs/data/a.prj"
    assert (second.world, second.projection) == (None, None)


@pytest.mark.parametrize(
    ("uris", "at", "words"),
    [
        ("data/a.tif, data/a.msk", 1, "`mask_bands`"),
        ("data/a.tif, data/a.tfw, data/a.tif.aux.xml", 2, "because it could change pixels"),
        ("data/a.tif, data/a.tif.ovr", 1, "every level from level 0"),
        ("data/a.tif, data/a.dbf", 1, "is not a `.tfw` or `.prj`"),
        ("data/a.tif, data/b.tif", 1, "one source per file"),
        ("data/?.tif, data/a.tfw", 1, "listed with a glob"),
    ],
)
def test_other_files_beside_a_raster_are_refused_with_the_reason(
    sidecars: Path, uris: str, at: int, words: str
) -> None:
    (found,) = problems_of(sidecars, f"[{{uris: [{uris}]}}]")
    assert found.rule == "sidecar-unsupported"
    place = len("tilesets: [{sources: [{uris: [") + uris.index(uris.split(", ")[at])
    assert (found.line, found.column) == (2, place + 1)
    assert words in f"{found.message} {found.hint}"


def test_a_sidecar_must_be_there(sidecars: Path) -> None:
    (found,) = problems_of(sidecars, "[{uris: [data/b.tif, data/b.tfw]}]")
    assert found.rule == "missing-file"
    assert "`data/b.tfw`" in found.message


def test_recursive_and_parent_globs(data: Path) -> None:
    assert uris(files_of(data, "[{uris: ['**/c.tif']}]")) == [("data/deep/er/c.tif", 0)]
    assert uris(files_of(data, "[{uris: [../specs/*/a.tif]}]")) == [("../specs/data/a.tif", 0)]
    absolute = str(data / "specs" / "data" / "a.tif")
    assert uris(files_of(data, f"[{{uris: ['{absolute[:-5]}[a].tif']}}]")) == [(absolute, 0)]


def test_a_literal_name_with_brackets(data: Path) -> None:
    assert uris(files_of(data, "[{uris: ['data/odd[1].tif']}]")) == [("data/odd[1].tif", 0)]


def test_prefix_is_put_literally(data: Path) -> None:
    found = files_of(data, "[{uris: ['0.tif']}, {uris: ['?.tif']}]", "uri_prefix: data/t1\n")
    assert uris(found) == [("data/t10.tif", 0), ("data/t10.tif", 1)]


def test_several_globs_in_one_source(data: Path) -> None:
    found = files_of(data, "[{uris: ['data/b.t*', 'data/a.t*']}]")
    assert uris(found) == [("data/b.tif", 0), ("data/a.tif", 0)]


def test_the_working_folder_plays_no_part(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(data, "[{uris: [data/a.tif]}]")
    monkeypatch.chdir(data)
    (spec,) = validate([Path("specs")]).specs
    assert spec.path == "specs/a.yaml"
    files = expand(spec).tilesets[0]
    assert [file.path for file in files] == [data / "specs" / "data" / "a.tif"]


@pytest.mark.parametrize(
    ("sources", "rule", "column", "words"),
    [
        ("[{uris: [data/aa.tif]}]", "missing-file", 31, "`data/a.tif`"),
        ("[{uris: [dta/a.tif]}]", "missing-file", 31, "`data`"),
        ("[{uris: ['data/z*.tif']}]", "missing-file", 31, "no file matches"),
        ("[{uris: [data/folder.tif]}]", "missing-file", 31, "is a folder"),
        ("[{uris: ['ftp://b/a.tif']}]", "unsupported-uri", 31, "uri_map"),
        ("[{uris: ['file:///a.tif']}]", "unsupported-uri", 31, "`/a.tif`"),
        ("[{uris: ['https://b/*.tif']}]", "unsupported-uri", 31, "gs://bucket/*.tif"),
        ("[{uris: [/vsicurl/x]}]", "unsupported-uri", 31, "virtual"),
        ("[{uris: [data/a.tif, data/b.tif]}]", "sidecar-unsupported", 43, "one source per file"),
        ("[{uris: ['data/*.tif', data/b.tif]}]", "sidecar-unsupported", 45, "one source per file"),
        ('[{uris: ["a\\0.tif"]}]', "unsupported-uri", 31, "U+0000"),
        (f"[{{uris: [{'n' * 5000}.tif]}}]", "missing-file", 31, "no file"),
        ("[{uris: ['data/[z-a].tif']}]", "missing-file", 31, "no file matches"),
        ("[{uris: ['data/?.tif'], dimensions: {width: 1, height: 1}}]", "glob-placement", 46, "3"),
        ("[{uris: ['data/?.tif'], affine_transform: {scale_x: 1, scale_y: 1}}]",
         "glob-placement", 46, "3"),
    ],
)  # fmt: skip
def test_problems(data: Path, sources: str, rule: str, column: int, words: str) -> None:
    found = problems_of(data, sources)
    assert [(one.rule, one.line, one.column) for one in found] == [(rule, 2, column)]
    assert words in f"{found[0].message} {found[0].hint}"


def test_a_glob_of_one_file_may_be_placed(data: Path) -> None:
    sources = "[{uris: ['data/t*.tif'], affine_transform: {scale_x: 1, scale_y: 1}}]"
    assert uris(files_of(data, sources)) == [("data/t10.tif", 0)]


def test_a_dangling_link(data: Path) -> None:
    (data / "specs" / "data" / "link.tif").symlink_to("nowhere")
    (found,) = problems_of(data, "[{uris: [data/link.tif]}]")
    assert "broken link" in found.message


def test_links_that_lead_nowhere_are_no_gaps_of_a_mosaic(data: Path) -> None:
    before = uris(files_of(data, "[{uris: ['data/t*.tif']}]"))
    (data / "specs" / "data" / "t99.tif").symlink_to("nowhere")
    (data / "specs" / "data" / "t98.tif").symlink_to("nowhere")
    (found,) = problems_of(data, "[{uris: ['data/t*.tif']}]")
    assert (found.rule, found.line) == ("missing-file", 2)
    assert "`data/t98.tif`, and 1 more: the link is broken" in found.message
    for name in ("t98.tif", "t99.tif"):
        (data / "specs" / "data" / name).unlink()
    (data / "specs" / "data" / "t98.tif").mkdir()
    assert uris(files_of(data, "[{uris: ['data/t*.tif']}]")) == before


def test_shards_and_their_mixer_are_one_source(data: Path) -> None:
    for name in ("p-00001.tfrecord.gz", "p-00000.tfrecord.gz", "q", "p-mixer.json"):
        (data / "specs" / name).touch()
    ((mixer,),) = files_of(data, "[{uris: [q, p-*]}]").tilesets
    assert (mixer.uri, mixer.path) == ("p-mixer.json", data / "specs" / "p-mixer.json")
    assert [shard.uri for shard in mixer.shards] == [
        "q", "p-00000.tfrecord.gz", "p-00001.tfrecord.gz",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("[p.tfrecord]", "TFRecord files without a mixer: `p.tfrecord`"),
        ("[p.tfrecord, p.TFRecord.gz]", "without a mixer: `p.tfrecord`, `p.TFRecord.gz`"),
        ("[m.json]", "a mixer without TFRecord files: `m.json`"),
        ("[m.json, n.json, p.tfrecord]", "2 mixers: `m.json`, `n.json`"),
        ("['*.tfrecord']", "without a mixer: `p.tfrecord`"),
    ],
)
def test_shards_want_one_mixer_and_a_mixer_wants_shards(data: Path, names: str, words: str) -> None:
    for name in ("p.tfrecord", "p.TFRecord.gz", "m.json", "n.json"):
        (data / "specs" / name).touch()
    (problem,) = problems_of(data, f"[{{uris: {names}}}]")
    assert problem.rule == "mixer"
    assert words in problem.message
    assert problem.hint


def test_a_missing_shard_is_all_that_is_said(data: Path) -> None:
    (data / "specs" / "m.json").touch()
    (problem,) = problems_of(data, "[{uris: ['p-*.tfrecord', m.json]}]")
    assert (problem.rule, problem.message) == ("missing-file", "no file matches `p-*.tfrecord`")
