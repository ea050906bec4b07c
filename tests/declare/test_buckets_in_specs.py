"""Uris of buckets in specs: what they name, what is requested for it, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_s3 import FakeBucket, fake_buckets
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from shell import geobatch
from workbench import write_tiff

from geobatch.declare import ImageSpec, expand, validate
from geobatch.declare.files import objects
from geobatch.declare.files.find import matches
from geobatch.declare.files.objects import Objects
from geobatch.declare.projects.project import Location
from geobatch.errors import Problem, SpecError
from geobatch.model.limits import GLOB_ENTRIES
from geobatch.store.caches.cache import SourceCache


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    with fake_buckets(monkeypatch, "scenes") as [made]:
        yield made


def spec(folder: Path, uris: str, name: str = "a") -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(f"id: {name}\ntilesets: [{{sources: [{{uris: [{uris}]}}]}}]\n")
    return file


def problems_of(file: Path) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        validate([file])
    return caught.value.problems


def test_a_literal_uri_is_one_head_and_its_state_is_passed_on(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    bucket.put("a/x.tif", b"123", version="7")
    [found] = validate([spec(tmp_path, f"'{bucket.url}a/x.tif'")]).specs
    [[file]] = expand(found).tilesets
    assert (file.uri, file.url) == (f"{bucket.url}a/x.tif",) * 2
    assert file.state is not None
    assert (file.state.size, file.state.version) == (3, "7")
    assert bucket.counted() == {"head": 1}


def test_a_glob_is_one_list_in_pages_and_nothing_else(bucket: FakeBucket, tmp_path: Path) -> None:
    for number in range(2500):
        bucket.put(f"a/x_{number}.tif", b"%d" % number)
    bucket.put("a/deep/x_1.tif", b"")
    [found] = validate([spec(tmp_path, f"'{bucket.url}a/x_*.tif'")]).specs
    [files] = expand(found).tilesets
    assert [file.uri for file in files] == [f"{bucket.url}a/x_{n}.tif" for n in range(2500)]
    assert all(file.state is not None and file.state.etag for file in files)
    assert bucket.counted() == {"list": 3}


def test_many_literal_uris_of_a_folder_are_listed(bucket: FakeBucket, tmp_path: Path) -> None:
    for number in range(1500):
        bucket.put(f"a/x_{number}.tif", b"%d" % number)
        spec(tmp_path, f"'{bucket.url}a/x_{number}.tif'", f"i{number}")
    specs = validate([tmp_path]).specs
    assert all(file.state for one in specs for [file] in expand(one).tilesets)
    assert bucket.counted() == {"list": 2}


def test_few_of_a_large_folder_are_asked_for_one_by_one(bucket: FakeBucket, tmp_path: Path) -> None:
    """A list that brings little is given up: it costs as much as the heads would, at most."""
    for number in range(9000):
        bucket.put(f"a/{number}.tif", b"1")
    for number in range(120):
        spec(tmp_path, f"'{bucket.url}a/{number * 70}.tif'", f"i{number}")
    assert len(validate([tmp_path]).specs) == 120
    counts = bucket.counted()
    assert counts["list"] <= 3
    assert counts["head"] <= 120


def test_who_may_read_but_not_list_still_can(bucket: FakeBucket, tmp_path: Path) -> None:
    bucket.denied.add("list")
    for number in range(150):
        bucket.put(f"a/{number}.tif", b"1")
        spec(tmp_path, f"'{bucket.url}a/{number}.tif'", f"i{number}")
    assert len(validate([tmp_path]).specs) == 150
    assert bucket.counted()["head"] == 150


def test_what_is_missing_or_refused_is_a_problem_at_its_line(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    bucket.put("a/x.tif", b"1")
    for uri, rule, words in [
        (f"{bucket.url}a/y.tif", "missing-file", "no object"),
        (f"{bucket.url}a/*.png", "missing-file", "no object matches"),
        (f"{bucket.url}a/../x.tif", "unsupported-uri", "`/../`"),
        (f"{bucket.url}a//x.tif", "unsupported-uri", "`//`"),
        (f"{bucket.url}a/", "unsupported-uri", "names no object"),
        ("s3://", "unsupported-uri", "names no bucket"),
        ("s3://user:word@b/x.tif", "unsupported-uri", "passwords"),
        ("https://h/*.tif", "unsupported-uri", "cannot be searched"),
        ("ftp://h/x.tif", "unsupported-uri", "`ftp://`"),
        ("file://host/x.tif", "unsupported-uri", "`file://`"),
    ]:
        [problem] = problems_of(spec(tmp_path, f"'{uri}'"))
        assert (problem.rule, problem.line) == (rule, 2), uri
        assert words in problem.message, uri
        assert problem.hint, uri
    bucket.denied |= {"head", "list"}
    for uri in ("a/x.tif", "a/*.tif"):
        [problem] = problems_of(spec(tmp_path, f"'{bucket.url}{uri}'"))
        assert problem.rule == "unreadable-source"
        assert f"`{bucket.url}{uri}`" in problem.message


@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("gcs://buc/x.tif", "gs://buc/x.tif"),
        ("s3a://buc/x y.tif", "s3://buc/x y.tif"),
        ("S3N://buc/x.tif", "s3://buc/x.tif"),
        (
            "wasbs://con@acc.blob.core.windows.net/x.tif",
            "abfs://con@acc.dfs.core.windows.net/x.tif",
        ),
        ("/vsis3/buc/a/x.tif", "s3://buc/a/x.tif"),
        ("/vsigs_streaming/buc/x.tif", "gs://buc/x.tif"),
        ("/vsiaz/con/x.tif", "az://con/x.tif"),
        ("/vsicurl/https://h.example/x.tif", "https://h.example/x.tif"),
    ],
)
def test_names_of_other_programs_are_translated(tmp_path: Path, uri: str, instead: str) -> None:
    [problem] = problems_of(spec(tmp_path, f"'{uri}'"))
    assert problem.rule == "unsupported-uri"
    assert (problem.hint or "").startswith(f"write `{instead}`")
    # What the hint says is accepted where it stands.
    validate([spec(tmp_path, f"'{instead}'")], is_offline=True)


@pytest.mark.parametrize(
    "start", ["s3://me:pa55@bucket", "gs://pa55@bucket", "abfs://c:pa55@acc", "https://me:pa55@h"]
)
def test_a_login_in_a_url_is_refused_and_not_shown(tmp_path: Path, start: str) -> None:
    [problem] = problems_of(spec(tmp_path, f"'{start}/x.tif'"))
    assert problem.rule == "unsupported-uri"
    assert "***@" in problem.message
    assert "pa55" not in f"{problem.message} {problem.hint}"


def test_a_bucket_that_does_not_exist_is_a_problem(bucket: FakeBucket, tmp_path: Path) -> None:
    del bucket
    for uri in ("s3://nobody/x.tif", "s3://nobody/*.tif"):
        [problem] = problems_of(spec(tmp_path, f"'{uri}'"))
        assert problem.line == 2
        assert uri in problem.message


def test_uri_map_goes_first(bucket: FakeBucket, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/x.tif").write_bytes(b"")
    (tmp_path / "geobatch.yaml").write_text(f'uri_map: {{"{bucket.url}": mirror/}}\n')
    [found] = validate([spec(tmp_path, f"'{bucket.url}x.tif', '{bucket.url}*.tif'")]).specs
    assert {file.path for file in expand(found).tilesets[0]} == {tmp_path / "mirror/x.tif"}
    assert not bucket.requests


def test_a_prefix_of_uris_may_be_in_a_bucket(bucket: FakeBucket, tmp_path: Path) -> None:
    bucket.put("a/x.tif", b"1")
    file = tmp_path / "a.yaml"
    file.write_text(
        f"id: a\nuri_prefix: '{bucket.url}a/'\ntilesets: [{{sources: [{{uris: [x.tif]}}]}}]\n"
    )
    [[found]] = expand(validate([file]).specs[0]).tilesets
    assert found.url == f"{bucket.url}a/x.tif"


NAMES = st.lists(
    st.sampled_from(["a", "b", ".h", "x1.tif", "x10.tif", "x9.tif", "[a]", "d [1]"]),
    min_size=1,
    max_size=4,
).map("/".join)
PARTS = st.sampled_from(
    ["a", "*", "**", "x*", "x?.tif", "[ab]", "[!a]", ".*", "*.tif", "[a]", "d [1]", "x1.tif", "?"]
)


@given(st.sets(NAMES, max_size=12), st.lists(PARTS, min_size=1, max_size=4).map("/".join))
def test_a_glob_matches_in_a_bucket_what_it_matches_in_a_folder(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], pattern: str
) -> None:
    """The same names, in the same order; a bucket may have an object with the name of a folder."""
    names = {one for one in names if not any(other.startswith(f"{one}/") for other in names)}
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch, fake_buckets(patch, "globs") as [bucket]:
        for name in names:
            bucket.put(name, b"1")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"1")
        here = matches(Location(pattern, folder, pattern))
        uri = bucket.url + pattern
        there = matches(Location(uri, folder, uri, None, Objects()))
        assert [name.removeprefix(bucket.url) for name in there.files] == here.files
        assert (there.problem is None) is (here.problem is None)


def test_marks_of_folders_are_no_files(bucket: FakeBucket) -> None:
    for key, data in {"a/": b"", "a/b/": b"", "a/b/x.tif": b"1", "a/y.tif": b"1"}.items():
        bucket.put(key, data)
    for pattern, found in {"a/*": ["a/y.tif"], "a/**": ["a/b/x.tif", "a/y.tif"]}.items():
        uri = bucket.url + pattern
        made = matches(Location(uri, Path(), uri, None, Objects()))
        assert made.files == [bucket.url + one for one in found]


def test_a_list_that_is_too_long_is_given_up(
    bucket: FakeBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(GLOB_ENTRIES, default=1100)
    monkeypatch.setattr(objects, "GLOB_ENTRIES", small)
    for number in range(3200):
        bucket.put(f"{number}/x.tif", b"1")
    [problem] = problems_of(spec(tmp_path, f"'{bucket.url}*/x.tif'"))
    assert problem.rule == "glob-limit"
    assert "1,100" in problem.message
    assert bucket.counted()["list"] <= 3


COLLECTION = """\
kind: image_collection
id: c
for_each:
  files: ['{url}scenes/*.tif']
  pattern: '(?P<day>[0-9]+)_.*'
  csv: {{path: '{url}rows.csv', key: name}}
image:
  id: '{{stem}}'
  properties: {{cloud: '{{cloud}}'}}
  tilesets:
    - {{id: t, sources: [{{uris: ['{{file}}']}}]}}
    - {{id: m, optional: true, sources: [{{uris: ['{url}masks/{{stem}}.tif']}}]}}
  mask_bands: {{tileset_id: m}}
"""


def collection(bucket: FakeBucket, folder: Path, count: int) -> Path:
    rows = "".join(f"{n}_x.tif,{n}\n" for n in range(count))
    bucket.put("rows.csv", b"name,cloud\n" + rows.encode())
    for number in range(count):
        bucket.put(f"scenes/{number}_x.tif", b"1")
        if number % 2:
            bucket.put(f"masks/{number}_x.tif", b"1")
    file = folder / "c.yaml"
    file.write_text(COLLECTION.format(url=bucket.url))
    return file


def test_a_collection_over_a_bucket_is_lists_and_its_table(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    """Files, a table of properties and optional masks: no request per image."""
    specs = validate([collection(bucket, tmp_path, 300)]).specs
    assert len(specs) == 300
    assert sum(one.absent == ("m",) for one in specs if isinstance(one, ImageSpec)) == 150
    assert {dict(one.properties)["cloud"] for one in specs} == set(range(300))
    assert bucket.counted() == {"list": 2, "head": 1, "get": 1}


def test_a_mask_that_cannot_be_read_is_not_absent(bucket: FakeBucket, tmp_path: Path) -> None:
    file = collection(bucket, tmp_path, 3)
    bucket.denied_prefixes.add("masks/")
    with pytest.raises(SpecError) as caught:
        validate([file])
    assert {one.rule for one in caught.value.problems} == {"unreadable-source"}
    assert "masks/" in str(caught.value)


def test_offline_nothing_is_requested_and_said_so(bucket: FakeBucket, tmp_path: Path) -> None:
    collection(bucket, tmp_path, 3)
    spec(tmp_path, f"'{bucket.url}a/y.tif'")
    spec(tmp_path, f"'{bucket.url}a/*.tif'", "b")
    found = validate([tmp_path], is_offline=True)
    assert [one.id for one in found.specs] == ["a", "b"]
    assert not bucket.requests
    assert found.seen.objects.unchecked == {
        bucket.url + name for name in ("a/y.tif", "a/*.tif", "scenes/*.tif", "rows.csv")
    }


def test_what_is_wrong_without_a_request_is_found_offline(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match="names no object"):
        validate([spec(tmp_path, f"'{bucket.url}a/'")], is_offline=True)


def test_the_cache_of_specs_keeps_no_list(bucket: FakeBucket, tmp_path: Path) -> None:
    cache = SourceCache.memory()
    file = spec(tmp_path, f"'{bucket.url}a/*.tif'")
    for count in (1, 2, 3):
        bucket.put(f"a/{count}.tif", b"1")
        [found] = validate([file], cache=cache).specs
        assert len(expand(found).tilesets[0]) == count
        assert bucket.counted() == {"list": 1}


def test_the_command_says_what_it_did_not_check(bucket: FakeBucket, tmp_path: Path) -> None:
    file = spec(tmp_path, f"'{bucket.url}a/y.tif'")
    done = geobatch("validate", file, "--offline")
    assert done.code == 0
    assert "1 uri in buckets not checked" in done.err
    valid = geobatch("--json", "validate", file, "--offline").record("valid")
    assert valid["unchecked"] == [f"{bucket.url}a/y.tif"]
    assert not bucket.requests
    assert geobatch("validate", file).code == 7
    bucket.put("a/y.tif", b"1")
    assert geobatch("validate", file).code == 0


def test_a_file_of_which_no_image_was_made_is_counted(bucket: FakeBucket, tmp_path: Path) -> None:
    file = collection(bucket, tmp_path, 3)
    done = geobatch("validate", file, "--offline")
    assert done.code == 0
    assert "0 assets in 1 file: no problems found" in done.out


def test_a_generation_names_a_state(bucket: FakeBucket, tmp_path: Path) -> None:
    """The newest one by its version or its tag, an older one of a bucket that keeps versions."""
    bucket.put("a/x.tif", b"123", version="7")
    bucket.put("a/x.tif", b"45678", version="8")
    tag = bucket.objects["a/x.tif"].etag.strip('"')
    for generation, size in (("8", 5), (tag, 5), ("7", 3)):
        uri = f"{bucket.url}a/x.tif#{generation}"
        [[file]] = expand(validate([spec(tmp_path, f"'{uri}'")]).specs[0]).tilesets
        assert (file.uri, file.url) == (uri, f"{bucket.url}a/x.tif")
        assert file.state is not None
        assert (file.state.size, file.generation) == (size, generation)
    [problem] = problems_of(spec(tmp_path, f"'{bucket.url}a/x.tif#6'"))
    assert "`6`" in problem.message
    assert "`8`" in (problem.hint or "")
    [problem] = problems_of(spec(tmp_path, f"'{bucket.url}a/y.tif#6'"))
    assert "no object" in problem.message


def test_a_key_may_contain_a_hash(bucket: FakeBucket, tmp_path: Path) -> None:
    bucket.put("a/x.tif#1", b"1")
    bucket.put("a/x.tif", b"12")
    [[file]] = expand(validate([spec(tmp_path, f"'{bucket.url}a/x.tif#1'")]).specs[0]).tilesets
    assert (file.url, file.generation) == (f"{bucket.url}a/x.tif#1", "")
    [files] = expand(validate([spec(tmp_path, f"'{bucket.url}a/*'")]).specs[0]).tilesets
    assert {one.url for one in files} == {f"{bucket.url}a/x.tif", f"{bucket.url}a/x.tif#1"}


def test_records_may_name_generations(bucket: FakeBucket, tmp_path: Path) -> None:
    bucket.put("p.tfrecord.gz", b"1", version="3")
    bucket.put("p.json", b"{}", version="4")
    uris = f"'{bucket.url}p.tfrecord.gz#3', '{bucket.url}p.json#4'"
    [[mixer]] = expand(validate([spec(tmp_path, uris)]).specs[0]).tilesets
    assert (mixer.url, mixer.shards[0].url) == (f"{bucket.url}p.json", f"{bucket.url}p.tfrecord.gz")


@pytest.mark.parametrize("odd", ["a//y.tif", "a/../y.tif", "a/b\nc.tif"])
def test_a_key_that_cannot_be_listed_is_named(bucket: FakeBucket, tmp_path: Path, odd: str) -> None:
    bucket.put("a/x.tif", b"1")
    bucket.put(odd, b"1")
    [problem] = problems_of(spec(tmp_path, f"'{bucket.url}a/*.tif'"))
    assert problem.rule == "unreadable-source"
    assert "invalid path" in problem.message
    assert "\n" not in problem.message
    assert "rename that object" in (problem.hint or "")
    assert validate([spec(tmp_path, f"'{bucket.url}a/x.tif'")]).specs


def test_others_go_on_where_one_object_is_missing(bucket: FakeBucket, tmp_path: Path) -> None:
    write_tiff(tmp_path / "x.tif", [np.ones((4, 4), np.uint8)])
    bucket.put("x.tif", (tmp_path / "x.tif").read_bytes())
    spec(tmp_path, f"'{bucket.url}x.tif'", "a")
    spec(tmp_path, f"'{bucket.url}y.tif'", "b")
    argv = ("--store", tmp_path / "store", "--json")
    done = geobatch(*argv, "apply", tmp_path, "--init", "--keep-going")
    assert done.code == 3
    assert f"no object `{bucket.url}y.tif`" in done.out + done.err
    assert [one["id"] for one in geobatch(*argv, "ls").lines if one["type"] == "asset"] == ["a"]
