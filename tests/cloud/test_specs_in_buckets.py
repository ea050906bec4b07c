"""Specs of buckets on each service: globs, states, records and tables are as from a disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import obstore
import pytest
from buckets import Enter
from record_workbench import Export, numbered
from servers import Bucket
from table_workbench import Row, floats, longs, write_split
from workbench import Workbench, image

from geobatch.buckets.objects import fetch, head, list_objects
from geobatch.buckets.url import parse_bucket_url
from geobatch.declare import expand, validate
from geobatch.errors import SourceError, SpecError
from geobatch.model.plans.plan import Op
from geobatch.model.sources.pin import PinnedObject
from geobatch.sources.naming import Named
from geobatch.sources.remote.pinned import pieces_of
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

KEYS = ("a/x_1.tif", "a/x_9.tif", "a/x_10.tif", "a/.x_2.tif", "a/b/x_3.tif", "a/d [1]/x_4.tif")


def upload(bucket: Bucket, files: dict[str, bytes]) -> None:
    store = bucket.store()
    for key, data in files.items():
        obstore.put(store, key, data)


def spec(folder: Path, uri: str) -> Path:
    file = folder / "s.yaml"
    file.write_text(f"id: a\ntilesets: [{{sources: [{{uris: ['{uri}']}}]}}]\n")
    return file


def apply_to(folder: Path, name: str, document: dict[str, Any]) -> Any:
    path = Workbench(folder=folder).write_spec([document], f"{name}.yaml")
    return apply([path], store=folder / f"store-{name}", workers=2)


@pytest.mark.parametrize(
    "pattern", ["a/*.tif", "a/x_[19].tif", "a/**/*.tif", "a/d [1]/*.tif", "a/.*", "*/x_1*", "a/**"]
)
def test_a_glob_matches_what_it_matches_in_a_folder(
    bucket: Bucket, enter: Enter, tmp_path: Path, pattern: str
) -> None:
    enter(bucket)
    upload(bucket, dict.fromkeys(KEYS, b"1"))
    for key in KEYS:
        (tmp_path / "f" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / key).write_bytes(b"1")
    [here] = validate([spec(tmp_path, f"f/{pattern}")]).specs
    local = [file.uri.removeprefix("f/") for file in expand(here).tilesets[0]]
    [there] = validate([spec(tmp_path, f"{bucket.url}/{pattern}")]).specs
    files = expand(there).tilesets[0]
    assert [file.uri.removeprefix(f"{bucket.url}/") for file in files] == local
    assert all(file.state is not None and file.state.has_strong_tag for file in files)


ODD_KEYS = (
    "ü b.tif",
    "z%20y.tif",
    "p+q&r=s.tif",
    "[1].tif",
    "a#1.tif",
    "~.tif",
    "what?.tif",
    "x*.tif",
)


def test_keys_are_taken_literally(bucket: Bucket, enter: Enter, tmp_path: Path) -> None:
    """In lists, heads and reads, whatever a url would make of them."""
    enter(bucket)
    upload(bucket, {f"a/{key}": key.encode() for key in ODD_KEYS})
    [found] = validate([spec(tmp_path, f"{bucket.url}/a/*")]).specs
    listed = {file.uri: file.state for file in expand(found).tilesets[0]}
    assert listed.keys() == {f"{bucket.url}/a/{key}" for key in ODD_KEYS}
    for key in ODD_KEYS:
        uri = f"{bucket.url}/a/{key}"
        [[file]] = expand(validate([spec(tmp_path, uri)]).specs[0]).tilesets
        assert (file.uri, file.url, file.generation) == (uri, uri, "")
        assert file.state is not None
        size = len(key.encode())
        assert fetch(parse_bucket_url(uri), [(0, size)], file.state) == [key.encode()]


def test_a_list_and_a_head_name_one_state(bucket: Bucket, enter: Enter) -> None:
    """The identity of an object does not depend on how many are asked for."""
    enter(bucket)
    upload(bucket, {"a/x.tif": b"12345"})
    url = parse_bucket_url(f"{bucket.url}/a/x.tif")
    [(key, listed)] = list_objects(parse_bucket_url(f"{bucket.url}/a/"))
    asked = head(url)
    assert key == url.key
    assert listed.is_same(asked)
    assert asked.is_same(listed)
    assert listed.object_identity("u") == asked.object_identity("u")
    for state in (listed, asked):
        assert fetch(url, [(1, 4)], state) == [b"234"]


def test_a_version_that_never_was_is_not_the_newest(
    bucket: Bucket, enter: Enter, tmp_path: Path
) -> None:
    """Services without versions ignore the request for one, and answer with what they have."""
    enter(bucket)
    upload(bucket, {"a/x.tif": b"12345"})
    uri = f"{bucket.url}/a/x.tif"
    newest = head(parse_bucket_url(uri))
    for generation in ("123", "null", "2026-11-30T00:00:00.0000000Z"):
        with pytest.raises(SpecError, match=f"it is not in the state `{generation}`") as caught:
            validate([spec(tmp_path, f"{uri}#{generation}")])
        [problem] = caught.value.problems
        assert f"`{newest.generation}`" in (problem.hint or "")
    validate([spec(tmp_path, f"{uri}#{newest.generation}")])


def test_what_is_missing_is_a_problem_of_its_line(
    bucket: Bucket, enter: Enter, tmp_path: Path
) -> None:
    enter(bucket)
    upload(bucket, {"a/x.tif": b"1"})
    nowhere = f"{bucket.kind}://no-such-bucket-{bucket.name[-8:]}"
    for uri in (
        f"{bucket.url}/a/y.tif",
        f"{bucket.url}/a/*.png",
        f"{nowhere}/a.tif",
        f"{nowhere}/*",
    ):
        with pytest.raises(SpecError) as caught:
            validate([spec(tmp_path, uri)])
        [problem] = caught.value.problems
        assert problem.line == 2
        assert f"`{uri}`" in problem.message
        assert problem.rule in ("missing-file", "unreadable-source")


def files_of(folder: Path) -> dict[str, bytes]:
    return {f"run/{one.name}": one.read_bytes() for one in folder.iterdir()}


def test_records_and_tables_are_those_of_a_disk(
    bucket: Bucket, enter: Enter, tmp_path: Path
) -> None:
    enter(bucket)
    run = tmp_path / "run"
    Export(bands={"p": numbered(128, 64)}, patch=(32, 32)).write(run, splits=[3])
    rows: list[Row] = [
        {"longitude": floats(n), "latitude": floats(n), "n": longs(n)} for n in range(9)
    ]
    write_split(run, rows, [4])
    upload(bucket, files_of(run))

    def records(start: str) -> dict[str, Any]:
        source = {"uris": [f"{start}pred-*.tfrecord.gz", f"{start}pred-mixer.json"]}
        return image("x", tileset={"sources": [source]})

    def table(start: str) -> dict[str, Any]:
        return {"kind": "table", "id": "t", "sources": [{"uris": [f"{start}rows-*.tfrecord.gz"]}]}

    there = f"{bucket.url}/run/"
    for name, document in (("records", records), ("table", table)):
        roots = [
            apply_to(tmp_path, f"{name}-{n}", document(start)).content_root
            for n, start in enumerate(("run/", there))
        ]
        assert roots[0] == roots[1]
        found = plan([tmp_path / f"{name}-1.yaml"], store=tmp_path / f"store-{name}-1")
        assert found.changes[0].op is Op.KEEP


def test_an_object_that_was_overwritten_is_not_read(
    bucket: Bucket, enter: Enter, tmp_path: Path
) -> None:
    """What was planned is read, or nothing: no bytes of another state."""
    enter(bucket)
    Export(bands={"p": numbered(64, 64)}, patch=(32, 32)).write(tmp_path / "run")
    files = files_of(tmp_path / "run")
    upload(bucket, files)
    key = "run/pred-00000.tfrecord.gz"
    url = parse_bucket_url(f"{bucket.url}/{key}")
    state = head(url)
    upload(bucket, {key: files[key][::-1]})
    pinned = PinnedObject(url=str(url), state=state)
    try:
        with Named(str(url)):
            data = b"".join(pieces_of(pinned, what="the TFRecord file"))
    except SourceError as error:
        assert f"`{url}#{state.generation}`" in str(error)  # noqa: PT017 - either is right
    else:
        assert data == files[key], "a bucket with versions may still have it"
