"""The hooks of `.pre-commit-hooks.yaml`, run by pre-commit itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkouts import clean_environment

ROOT = Path(__file__).parents[2]
HOOKS = ".pre-commit-hooks.yaml"
IDS = ("geobatch-validate", "geobatch-fmt")
GOOD = "kind: image\nid: a\ntilesets:\n  - id: t\n    sources:\n      - uris: [../a.tif]\n"


def run(folder: Path, *argv: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), "PRE_COMMIT_HOME": str(home)}
    environment.update(
        {
            f"GIT_{who}_{what}": "ana@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
    )
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a repository of hooks, and a project that uses them without the network."""
    hooks, project = tmp_path / "hooks", tmp_path / "project"
    for folder in (hooks, project):
        folder.mkdir()
        run(folder, "git", "init", "--quiet", home=tmp_path)
    shutil.copy(ROOT / HOOKS, hooks)
    run(hooks, "git", "add", HOOKS, home=tmp_path)
    run(hooks, "git", "commit", "--quiet", "--message", "Hooks", home=tmp_path)
    revision = run(hooks, "git", "rev-parse", "HEAD", home=tmp_path).stdout.strip()
    # `system` runs the geobatch of this environment; `python` would have pip install one.
    wanted = [{"id": name, "language": "system"} for name in IDS]
    config = {"repos": [{"repo": str(hooks), "rev": revision, "hooks": wanted}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (project / "specs").mkdir()
    (project / "specs" / "a.yaml").write_text(GOOD)
    (project / "specs" / "geobatch.yaml").write_text("{allow: [../]}\n")
    shutil.copy(ROOT / "specs" / "data" / "dem.tif", project / "a.tif")
    return project


def hook(project: Path) -> subprocess.CompletedProcess[str]:
    run(project, "git", "add", "--all", home=project)
    home = project.parent / "home"
    return run(project, str(Path(sys.executable).parent / "pre-commit"), "run", home=home)


def test_good_specs_pass_and_bad_ones_fail(project: Path) -> None:
    done = hook(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == len(IDS)
    spec = project / "specs" / "a.yaml"
    spec.write_text("id: a\nkind: image\n" + GOOD.partition("id: a\n")[2])
    done = hook(project)
    assert done.returncode == 1
    assert "would format specs/a.yaml" in done.stdout
    assert "geobatch.yaml" not in done.stdout
    assert done.stdout.count("Passed") == 1
    # All specs are checked together, also those that did not change.
    spec.write_text(GOOD)
    (project / "specs" / "b.yaml").write_text(GOOD)
    done = hook(project)
    assert done.returncode == 1
    assert "specs/b.yaml" in done.stdout


def test_other_files_run_no_hook(project: Path) -> None:
    for name in ("specs", "a.tif"):
        run(project, "rm", "-r", name, home=project)
    (project / "notes.yaml").write_text("id: 'a'\n")
    done = hook(project)
    assert done.returncode == 0
    assert done.stdout.count("no files to check") == len(IDS)
