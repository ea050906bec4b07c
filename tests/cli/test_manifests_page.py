"""What docs/manifests.md shows is true: its example is imported as printed, and its flags work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from shell import geobatch

from geobatch.declare.fields.json_schema import schema
from geobatch.declare.projects.project_file import LINTS

PAGE = (Path(__file__).parents[2] / "docs" / "manifests.md").read_text(encoding="utf-8")
BLOCKS: dict[str, str] = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("data/lc/north.tif", "data/lc/south.tif", "data/lc/south.tfw"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "geobatch.yaml").write_text(BLOCKS["yaml"])
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests/landcover.json").write_text(BLOCKS["json"])
    return tmp_path


def test_the_manifest_is_a_spec(folder: Path) -> None:
    done = geobatch("validate", "manifests")
    assert (done.code, done.err) == (0, "")


def test_import_prints_what_the_page_shows(folder: Path) -> None:
    done = geobatch("import", "manifests")
    assert (done.code, done.out) == (0, BLOCKS["text"])


def test_the_flags_write_a_spec(folder: Path) -> None:
    _, *argv = shlex.split(BLOCKS["sh"])
    assert geobatch(*argv).code == 0
    assert (folder / "specs/lc.yaml").exists()


def test_every_field_and_every_lint_is_explained() -> None:
    definitions = schema()["$defs"]
    known = {
        key
        for part in ("Manifest", "TilesetManifest", "SourceManifest")
        for key in definitions[part]["properties"]
        if "_" not in key
    }
    ours = {
        "kind",
        "id",
        "grid",
        "tiling",
        "codec",
        "lifecycle",
        "movedFrom",
        "arrayBands",
        "tfrecord",
        "optional",
    }
    told = set(re.findall(r"`(?:\w+\[\]\.)?(\w+)`", PAGE))
    assert known - ours <= told | {"tilesets", "sources"}
    lints = PAGE.partition("## Lints")[2]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", lints, re.MULTILINE)) == set(LINTS)
