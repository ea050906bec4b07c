"""Where a store is: what a text means, and that a mistyped one makes no folder."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from geobatch.cli.exits import Exit
from geobatch.cli.main import run
from geobatch.errors import SettingError
from geobatch.store.location import StoreLocation


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [("s3://bucket/a/b", "bucket", "a/b"), ("s3://bucket/a/b/", "bucket", "a/b"),
     ("s3://bucket", "bucket", ""), ("s3://bucket/", "bucket", ""),
     ("S3://bucket/a", "bucket", "a"),
     ("gs://bucket/ä ü/%20", "bucket", "ä ü/%20"), ("az://con/a", "con", "a"),
     ("abfs://cont@account.dfs.core.windows.net/a", "cont", "a")],
)  # fmt: skip
def test_urls_of_buckets(text: str, bucket: str, prefix: str) -> None:
    location = StoreLocation.of(text)
    assert location.folder is None
    assert location.bucket is not None
    assert (location.bucket.bucket, location.bucket.key) == (bucket, prefix)
    assert StoreLocation.of(str(location)) == location
    assert pickle.loads(pickle.dumps(location)) == location


@pytest.mark.parametrize("text", ["store", "/a/b", "a:b", "2020:01", "données", "c:", "..", "a b"])
def test_paths(text: str) -> None:
    for given in (text, Path(text), text if text.startswith("/") else f"./{text}"):
        location = StoreLocation.of(given)
        assert location.bucket is None
        assert location.folder == Path(text)
        assert location.base == Path(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("s4://b/p", "s3://"), ("S4://b/p", "s3://"), ("ss3://b/p", "s3://"), ("gcs://b/p", "gs://b/p"),
     ("file:///a/b", "`file:`"), ("file:/a", "`file:`"), ("http://h/b", "AWS_ENDPOINT_URL"),
     ("https://b.s3.amazonaws.com/p", "s3://"), ("s3:/b/p", "s3://b/p"), ("s3:b/p", "s3://b/p"),
     ("s3:///p", "BUCKET"), ("s3://", "BUCKET"), ("gs:", "gs://"), ("s3a://b/p", "s3://b/p"),
     ("wasbs://c@a/p", "az://"), ("ftp://h/p", "s3://"), ("x-y+z.1://h/p", "./x-y+z.1://h/p"),
     ("s3://key:secret@b/p", "user names"), ("s3://bucket//p", "valid"),
     ("s3://bucket/a/../b", "valid"), ("s3://bucket/a\nb", "control"),
     (" s3://b/p", "write `s3://b/p`"), ("s3://b/p ", "write `s3://b/p`"),
     ("s3://b/p\n", "write `s3://b/p`"), ("'gs://b/p'", "write `gs://b/p`"),
     ('"S3://b/p"', "write `S3://b/p`"), (":s3://b/p", "write `s3://b/p`"),
     ("<s4://b/p>", "s3://"), (" https://h/p", "AWS_ENDPOINT_URL"), ("s3//b/p", "write `s3://b/p`"),
     ("GS//b/p", "starts with `gs://`"), ("s3:\\\\b\\p", "write `s3://b/p`"),
     ("' s3://k:secret@b/p", "write `s3://...@b/p`"), ("memory://x", "hint: write `s3://"),
     ("abfs://c/p", "CONTAINER@ACCOUNT"), ("az://c/p", "2 to 222"),
     ("s3://UP CASE/p", "bucket"), ("http://a:secret@h/p", "AWS_ENDPOINT_URL")],
)  # fmt: skip
def test_what_is_neither_is_refused(
    text: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError) as found:
        StoreLocation.of(text)
    assert hint in f"{found.value.message} hint: {found.value.hint}"
    assert "secret" not in f"{found.value.message} {found.value.hint}"
    assert not list(tmp_path.iterdir())


def test_a_folder_may_have_the_name_of_a_url() -> None:
    assert StoreLocation.of("./s4://b/p").folder == Path("s4:/b/p")


def test_a_url_that_became_a_path_is_refused() -> None:
    with pytest.raises(SettingError, match=r"s3:/bucket/p"):
        StoreLocation.of(Path("s3://bucket/p"))


def test_paths_in_a_bucket_are_relative_to_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a laptop and CI, with checkouts in other folders, record the same."""
    location = StoreLocation.of("s3://bucket/p")
    for name, mark in (("laptop", ".git"), ("ci", "geobatch.yaml")):
        specs = tmp_path / name / "specs" / "deep"
        specs.mkdir(parents=True)
        (tmp_path / name / mark).write_text("")
        assert location.of_project(specs).base == tmp_path / name
        assert location.of_project(specs / "a.yaml").base == tmp_path / name
        monkeypatch.chdir(specs)
        assert location.base == tmp_path / name
    assert location.of_project(specs) == location


@pytest.mark.parametrize("command", [["ls"], ["init"], ["plan", "."], ["apply", ".", "--init"]])
def test_the_command_line_refuses_it_as_a_usage_error(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([*command, "--store", "s4://b/p"]) == Exit.USAGE
    assert "did you mean `s3://`?" in capsys.readouterr().err
    monkeypatch.setenv("GEOBATCH_STORE", "file:///b/p")
    assert run(command) == Exit.USAGE
    assert "`file:`" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
