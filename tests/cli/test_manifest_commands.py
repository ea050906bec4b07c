"""`import`, `new image` and the warnings, as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from shell import geobatch

EXAMPLES = Path(__file__).parents[2] / "specs"

MANIFEST = {
    "name": "projects/my-project/assets/a",
    "tilesets": [{"sources": [{"uris": ["gs://b/x.tif"]}]}],
    "bands": [{"id": "class"}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        path = tmp_path / f"manifests/m{number}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(MANIFEST | {"name": f"projects/my-project/assets/a{number}"}))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror/x.tif").touch()
    (tmp_path / "geobatch.yaml").write_text('uri_map: {"gs://b/": mirror/}\n')
    return tmp_path


# --- import -------------------------------------------------------------------------------------


def test_without_a_folder_specs_go_to_stdout(folder: Path) -> None:
    done = geobatch("import", "manifests")
    assert done.code == 0
    assert [one["id"] for one in yaml.safe_load_all(done.out)] == ["a1", "a2"]
    (folder / "all.yaml").write_text(done.out)
    assert geobatch("validate", "all.yaml").code == 0
    assert geobatch("fmt", "--check", "all.yaml").code == 0


def test_a_folder_gets_a_file_per_manifest_and_none_is_overwritten(folder: Path) -> None:
    done = geobatch("--json", "import", "manifests", "-o", "specs")
    assert [one["file"] for one in done.lines[:-1]] == ["specs/m1.yaml", "specs/m2.yaml"]
    assert done.lines[0]["text"] == (folder / "specs/m1.yaml").read_text()
    assert geobatch("validate", "specs").code == 0
    (folder / "specs/m1.yaml").unlink()
    (folder / "specs/m2.yaml").write_text("mine")
    done = geobatch("import", "manifests", "-o", "specs")
    assert (done.code, "specs/m2.yaml:1:1: file-exists" in done.err) == (1, True)
    assert not (folder / "specs/m1.yaml").exists()
    assert (folder / "specs/m2.yaml").read_text() == "mine"


def test_two_manifests_of_one_name_are_refused(folder: Path) -> None:
    (folder / "others").mkdir()
    (folder / "others/m1.json").write_text(json.dumps(MANIFEST))
    done = geobatch("import", "manifests", "others", "-o", "specs")
    assert (done.code, "duplicate-file" in done.err) == (1, True)
    assert not (folder / "specs").exists()


def test_one_wrong_manifest_leaves_all_unwritten(folder: Path) -> None:
    (folder / "manifests/m3.json").write_text('{"name": "a", "tilesetz": []}')
    done = geobatch("import", "manifests", "-o", "specs")
    assert done.code == 1
    assert "manifests/m3.json:1:15: unknown-key" in done.err
    assert not (folder / "specs").exists()


def test_a_folder_out_of_reach_of_the_mirror_is_remarked_upon(folder: Path) -> None:
    (folder / "geobatch.yaml").rename(folder / "manifests/geobatch.yaml")
    done = geobatch("import", "manifests", "-o", "specs")
    assert done.code == 0
    assert "`manifests/geobatch.yaml` holds for `manifests/m1.json`" in done.err


def test_the_prefix_is_kept_where_asked(folder: Path) -> None:
    done = geobatch("import", "manifests/m1.json", "--keep-project-prefix")
    assert yaml.safe_load(done.out)["id"] == "projects/my-project/assets/a1"


# --- new image ----------------------------------------------------------------------------------


def test_a_new_spec_validates(folder: Path) -> None:
    (folder / "scene.tif").touch()
    flags = "--asset-id a/b --bands x1,x2 --nodata-value -9999,0 --pyramiding-policy mode"
    argv = ["new", "image", "scene.tif", *flags.split(), "-p", "(string)v=1", "-ts", "2020-01-02"]
    done = geobatch(*argv, "-o", "specs/b.yaml")
    assert (done.code, done.out) == (0, "wrote specs/b.yaml\n")
    assert geobatch("validate", "specs").code == 0
    assert geobatch("fmt", "--check", "specs").code == 0
    text = (folder / "specs/b.yaml").read_text()
    assert "- uris: [../scene.tif]" in text
    assert geobatch(*argv, "-o", "specs/b.yaml").code == 1
    told = geobatch("--json", *argv).record("spec")
    assert told["file"] is None
    assert "- uris: [scene.tif]" in told["text"]
    assert geobatch(*argv).out == told["text"]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["x.tif"], "--asset-id"),
        (["--asset-id", "a"], "FILES"),
        (["x.tif", "--asset-id", "a.b"], "`a_b`"),
        (["x.tif", "--asset-id", "a", "--bands", "p,q", "--nodata-value", "1,2,3"], "3 values for"),
        (["x.tif", "--asset-id", "a", "--last-band-alpha", "--nodata-value", "1"], "exclude"),
        (["x.tif", "--asset_id", "a", "--pyramiding_policy", "modal"], "`mode`"),
        (["x.tif", "--asset_id", "a", "-p", "(int)a=1"], "`int`"),
        (["x.tif", "--asset_id", "a", "-te", "soon"], "--time-end"),
    ],
)
def test_wrong_flags_are_usage_errors(folder: Path, argv: list[str], words: str) -> None:
    done = geobatch("new", "image", *argv)
    assert done.code == 64
    assert words in done.err
    assert done.out == ""


# --- warnings -----------------------------------------------------------------------------------


def test_warnings_go_to_stderr_and_change_no_exit_code(folder: Path) -> None:
    done = geobatch("validate", "manifests")
    assert (done.code, done.out) == (0, "2 assets in 2 files: no problems found\n")
    assert done.err.count("warning: manifests/m") == 2
    assert "categorical-mean: the band `class`" in done.err
    assert "hint: write `pyramiding_policy: MODE`" in done.err
    assert not geobatch("-q", "validate", "manifests").err
    (folder / "geobatch.yaml").write_text(
        'uri_map: {"gs://b/": mirror/}\nsilence: [categorical-mean]\n'
    )
    assert not geobatch("validate", "manifests").err


def test_warnings_are_json_lines_too(folder: Path) -> None:
    done = geobatch("--json", "validate", "manifests")
    assert (done.code, done.err) == (0, "")
    first, second, *_ = done.lines
    assert (first["type"], first["rule"], first["path"]) == (
        "warning", "categorical-mean", "manifests/m1.json",
    )  # fmt: skip
    assert {"line", "column", "message", "hint"} < first.keys()
    assert second["path"] == "manifests/m2.json"


def test_an_apply_warns_as_its_plan_does(folder: Path) -> None:
    shutil.copy(EXAMPLES / "data" / "landcover.tif", folder)
    (folder / "a.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [landcover.tif]}]}]\n")
    planned = geobatch("plan", "a.yaml")
    warnings = [line for line in planned.err.splitlines() if line.startswith("warning: ")]
    assert ["categorical-mean" in line for line in warnings] == [True]
    for _ in range(2):  # the second has nothing to do: what is odd stays so
        done = geobatch("apply", "a.yaml")
        assert done.code == 0
        assert [line for line in done.err.splitlines() if line.startswith("warning: ")] == warnings
    types = [line["type"] for line in geobatch("--json", "apply", "a.yaml").lines]
    assert types == ["warning", "plan", "summary", "exit"]


def test_many_warnings_are_cut_in_text_alone(folder: Path) -> None:
    for number in range(30):
        path = folder / f"manifests/n{number}.json"
        path.write_text(json.dumps(MANIFEST | {"name": f"n{number}"}))
    done = geobatch("validate", "manifests")
    assert done.err.count("warning: ") == 20
    assert "and 12 more warnings" in done.err
    lines = geobatch("--json", "validate", "manifests").lines
    assert sum(line["type"] == "warning" for line in lines) == 32


def test_a_table_manifest_is_named_for_what_it_is(folder: Path) -> None:
    (folder / "manifests/t.shp").touch()
    table = {"name": "t", "sources": [{"uris": ["t.shp"], "xColumn": "lon"}]}
    (folder / "manifests/t.json").write_text(json.dumps(table, indent=1))
    done = geobatch("validate", "manifests")
    assert done.code == 1
    assert "manifests/t.json:6:5: table-format: `t.shp`: tables are read from CSV" in done.err
    assert "1 problem\n" in done.err
