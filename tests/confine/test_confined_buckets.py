"""Buckets in specs of strangers: a confined run reads those that `allow` names, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_s3 import FakeBucket, fake_buckets

from geobatch.declare import validate
from geobatch.declare.projects.allow import entry_complaint
from geobatch.declare.projects.confine import Confine
from geobatch.errors import SpecError


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeBucket]]:
    with fake_buckets(monkeypatch, "ours", "secret") as made:
        for bucket in made:
            for key in ("a/x.tif", "b/x.tif", "ab/x.tif"):
                bucket.put(key, b"1")
        yield made


def run(folder: Path, uri: str, *allowed: str) -> None:
    entries = ", ".join(f'"{one}"' for one in allowed)
    (folder / "geobatch.yaml").write_text(f"allow: [{entries}]\n")
    (folder / "s.yaml").write_text(f"id: a\ntilesets: [{{sources: [{{uris: ['{uri}']}}]}}]\n")
    validate([folder / "s.yaml"], confine=Confine())


@pytest.mark.parametrize("name", ["x.tif", "*.tif", "**/x.tif", "[x].tif"])
def test_without_an_entry_no_bucket_is_asked(
    buckets: list[FakeBucket], tmp_path: Path, name: str
) -> None:
    with pytest.raises(SpecError) as caught:
        run(tmp_path, f"{buckets[0].url}a/{name}")
    [problem] = caught.value.problems
    assert problem.rule == "outside"
    assert f'`allow: ["{buckets[0].url}"]`' in (problem.hint or "")
    assert not buckets[0].requests
    with pytest.raises(SpecError):
        run(tmp_path, f"{buckets[1].url}a/{name}", buckets[0].url)
    assert not buckets[1].requests


@pytest.mark.parametrize("entry", ["", "a", "a/", "a/x.tif"])
def test_an_entry_allows_what_begins_with_its_whole_parts(
    buckets: list[FakeBucket], tmp_path: Path, entry: str
) -> None:
    ours = buckets[0]
    run(tmp_path, f"{ours.url}a/x.tif", ours.url + entry)
    if not entry:
        return
    for key in ("b/x.tif", "ab/x.tif", "a/../b/x.tif", "*/x.tif", "a*/x.tif"):
        ours.counted()
        with pytest.raises(SpecError):
            run(tmp_path, ours.url + key, ours.url + entry)
        assert not ours.requests, key


def test_a_name_that_begins_like_an_allowed_bucket_is_another(
    buckets: list[FakeBucket], tmp_path: Path
) -> None:
    ours, other = buckets
    entry = other.url.rstrip("/")[:-1]  # `s3://secret-`
    with pytest.raises(SpecError):
        run(tmp_path, f"{other.url}a/x.tif", entry)
    with pytest.raises(SpecError):
        run(tmp_path, f"S3://{other.name}/a/x.tif", ours.url)
    run(tmp_path, f"S3://{ours.name}/a/x.tif", ours.url)
    assert not other.requests


def test_a_collection_and_its_table_are_confined(buckets: list[FakeBucket], tmp_path: Path) -> None:
    ours, other = buckets
    (tmp_path / "geobatch.yaml").write_text(f'allow: ["{ours.url}"]\n')
    for files, table, mask in [
        (other.url + "a/*.tif", ours.url + "t.csv", ours.url + "b/{name}"),
        (ours.url + "a/*.tif", other.url + "t.csv", ours.url + "b/{name}"),
        (ours.url + "a/*.tif", ours.url + "t.csv", other.url + "b/{name}"),
    ]:
        ours.put("t.csv", b"name,n\nx.tif,1\n")
        (tmp_path / "c.yaml").write_text(
            f"kind: image_collection\nid: c\nfor_each:\n  files: ['{files}']\n"
            f"  csv: {{path: '{table}', key: name}}\nimage:\n  id: '{{stem}}'\n  tilesets:\n"
            "    - {id: t, sources: [{uris: ['{file}']}]}\n"
            f"    - {{id: m, optional: true, sources: [{{uris: ['{mask}']}}]}}\n"
            "  mask_bands: {tileset_id: m}\n"
        )
        with pytest.raises(SpecError) as caught:
            validate([tmp_path / "c.yaml"], confine=Confine())
        assert {one.rule for one in caught.value.problems} == {"outside"}
        assert not other.requests


@pytest.mark.parametrize(
    "entry",
    ["gs:", "s3:", "gs://b*/", "gs://b/a*/", "gs://", "gs://b/../", "gs://b//", "gs://u:p@b/"],
)
def test_entries_that_name_no_bucket_are_refused(tmp_path: Path, entry: str) -> None:
    (tmp_path / "geobatch.yaml").write_text(f'allow: ["{entry}"]\n')
    (tmp_path / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [x.tif]}]}]\n")
    (tmp_path / "x.tif").touch()
    with pytest.raises(SpecError) as caught:
        validate([tmp_path / "s.yaml"], confine=Confine())
    assert "allow" in {one.rule for one in caught.value.problems}


def test_a_bucket_may_be_allowed_that_a_mirror_maps_in_part(
    buckets: list[FakeBucket], tmp_path: Path
) -> None:
    ours = buckets[0]
    (tmp_path / "m").mkdir()
    (tmp_path / "m/x.tif").touch()
    (tmp_path / "geobatch.yaml").write_text(
        f'uri_map: {{"{ours.url}a/": m/}}\nallow: ["{ours.url}"]\n'
    )
    for folder in ("a", "b"):
        (tmp_path / f"{folder}.yaml").write_text(
            f"id: {folder}\ntilesets: [{{sources: [{{uris: ['{ours.url}{folder}/x.tif']}}]}}]\n"
        )
    validate([tmp_path / "a.yaml", tmp_path / "b.yaml"], confine=Confine())
    assert ours.requests == [("head", "b/x.tif")]
    assert entry_complaint(ours.url) is None
