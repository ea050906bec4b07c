"""Which `allow` counts: that of the project, or of a file that the caller names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from shell import Done, geobatch
from workbench import write_tiff


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for folder in ("project/specs", "project/data", "shared", "outside"):
        (tmp_path / folder).mkdir(parents=True)
        write_tiff(tmp_path / folder / "a.tif", [np.zeros((9, 10), dtype=np.uint8)])
    return tmp_path


def validate(base: Path, uri: str, *flags: str | Path) -> Done:
    spec = base / "project" / "specs" / "s.yaml"
    spec.write_text(f"id: a\ntilesets: [{{sources: [{{uris: ['{uri}']}}]}}]\n")
    return geobatch("validate", spec, *flags)


def test_allow_confines_always_and_confine_without_it(base: Path) -> None:
    project = base / "project" / "geobatch.yaml"
    assert validate(base, "../../outside/a.tif").code == 0
    project.write_text("allow: []\n")
    for flags in ((), ("--confine",)):
        assert validate(base, "../data/a.tif", *flags).code == 0
        assert validate(base, "../../outside/a.tif", *flags).code == 1
        assert validate(base, "../../shared/a.tif", *flags).code == 1
    project.write_text("allow: [../shared/]\n")
    for flags in ((), ("--confine",)):
        assert validate(base, "../../shared/a.tif", *flags).code == 0
        assert validate(base, str(base / "shared" / "a.tif"), *flags).code == 0
        assert validate(base, "../../outside/a.tif", *flags).code == 1
    project.write_text("silence: [cog]\n")
    assert validate(base, "../../outside/a.tif").code == 0
    assert validate(base, "../../outside/a.tif", "--confine").code == 1


def test_the_hint_works_when_it_is_pasted(base: Path) -> None:
    project = base / "project" / "geobatch.yaml"
    for uri in ("../../outside/a.tif", f"{base}/outside/a.tif", "../../outside/*.tif"):
        project.write_text("allow: []\n")
        done = validate(base, uri)
        found = re.search(r"add to `(.*?)`: `(allow: .*?)`", done.err)
        assert found is not None
        Path(found[1]).write_text(found[2] + "\n")
        assert validate(base, uri).code == 0


def test_the_folder_of_the_project(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a project file it is the folder of the spec, or the current one around it."""
    assert validate(base, "../data/a.tif", "--confine").code == 1
    monkeypatch.chdir(base / "project")
    assert validate(base, "../data/a.tif", "--confine").code == 0
    assert validate(base, "../../shared/a.tif", "--confine").code == 1
    monkeypatch.chdir(base)
    assert validate(base, "../../shared/a.tif", "--confine").code == 0
    monkeypatch.chdir("/")
    (base / "project" / "geobatch.yaml").write_text("{}\n")
    assert validate(base, "../data/a.tif").code == 0


def test_a_pull_request_cannot_allow_itself_more(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a project contains never widens what a file from elsewhere allows."""
    project, trusted = base / "project", base / "trusted.yaml"
    trusted.write_text('allow: [../shared/, "gs://b/"]\nuri_map: {"gs://b/": ../shared/}\n')
    monkeypatch.chdir(project)
    flags = ("--allow-from", trusted)
    for folder in (project, project / "specs"):
        (folder / "geobatch.yaml").write_text(
            'allow: [/, ../../outside/]\nuri_map: {"gs://b/": ../../outside/}\n'
        )
    assert validate(base, "../../shared/a.tif", *flags).code == 0
    assert validate(base, "../data/a.tif", *flags).code == 0
    for uri in ("../../outside/a.tif", "gs://b/a.tif", str(base / "outside" / "a.tif")):
        done = validate(base, uri, *flags)
        assert done.code == 1, uri
        assert ": outside: " in done.err
    done = validate(base, "../data/a.tif", *flags)
    assert "ignored-allow: `../../outside/`, `/` of `allow` does not count" in done.err
    # Nor does it help to replace what is trusted by a link, or to move the specs.
    (project / "shared").symlink_to(base / "outside")
    assert validate(base, "../shared/a.tif", *flags).code == 1
    (project / "specs2").symlink_to(base / "outside")
    (base / "outside" / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    assert geobatch("validate", "specs2", *flags).code == 1
    assert geobatch("validate", "specs2/s.yaml", *flags).code == 1
    (project / "geobatch.yaml").unlink()
    assert geobatch("validate", "specs2", "--confine").code == 1


def test_a_file_of_allow_that_is_wrong(base: Path) -> None:
    assert "cannot read" in validate(base, "../data/a.tif", "--allow-from", base / "none").err
    (base / "t.yaml").write_text("allow: [data]\n")
    done = validate(base, "../data/a.tif", "--allow-from", base / "t.yaml")
    assert done.code == 1
    assert "`data` cannot be allowed: it may be a folder or a server" in done.err
    (base / "t.yaml").write_text("allow: {a: b}\n")
    assert validate(base, "../data/a.tif", "--allow-from", base / "t.yaml").code == 1


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status"])
def test_commands_that_read_sources_can_be_confined(base: Path, command: str) -> None:
    spec = base / "project" / "specs" / "s.yaml"
    spec.write_text("id: a\ntilesets: [{sources: [{uris: [../../outside/a.tif]}]}]\n")
    store = [] if command == "validate" else ["--store", str(base / "store")]
    assert geobatch("init", "--store", base / "store").code == 0
    done = geobatch(command, spec, "--confine", *store)
    assert done.code == 1
    assert "s.yaml:2:31: outside: " in done.err
    (base / "project" / "geobatch.yaml").write_text("allow: [../outside/]\n")
    assert geobatch(command, spec, "--confine", *store).code == 0


def test_neighbours_of_missing_files_are_listed_only_inside(base: Path) -> None:
    (base / "project" / "geobatch.yaml").write_text("allow: []\n")
    assert "did you mean `../data/a.tif`" in validate(base, "../data/b.tif").err
    for uri in ("../../outside/b.tif", "../../outsid/a.tif", "/etc/passw", "../../*/b.tif"):
        done = validate(base, uri)
        assert done.code == 1
        assert "did you mean" not in done.err
        assert "holds" not in done.err
