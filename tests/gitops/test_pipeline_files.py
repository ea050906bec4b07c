"""The files of pipelines are valid, their scripts are clean, and the page lists what they take."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from composite import ACTION

ROOT = Path(__file__).parents[2]
JOBS = yaml.safe_load((ROOT / "docs" / "gitlab-ci.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "gitops.md").read_text(encoding="utf-8")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


def check(*argv: str | Path) -> None:
    tool = Path(sys.executable).parent / argv[0]
    done = subprocess.run([tool, *argv[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def shown(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_scripts_have_no_trap_of_the_shell(tmp_path: Path) -> None:
    before = JOBS[".geobatch"]["before_script"]
    files = [ROOT / "scripts" / "github.sh"]
    for name in ("geobatch-plan", "geobatch-apply"):
        files.append(tmp_path / f"{name}.sh")
        lines = ["#!/bin/bash", *before, *JOBS[name]["script"]]
        files[-1].write_text("\n".join(lines) + "\n")
    # 2154: GitLab sets variables.
    check("shellcheck", "--exclude=SC2154", *files)


def test_the_files_have_the_form_that_their_sites_want(tmp_path: Path) -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.github-actions", ROOT / "action.yml")
    check(
        "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci",
        "--data-transform", "gitlab-ci", ROOT / "docs" / "gitlab-ci.yml",
    )  # fmt: skip
    (workflow,) = [block for block in shown("yaml") if block.startswith("name:")]
    (tmp_path / "workflow.yml").write_text(workflow)
    check(
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows",
        tmp_path / "workflow.yml",
    )  # fmt: skip


def test_the_workflow_of_the_page_gives_the_inputs_that_the_action_has() -> None:
    (workflow,) = [block for block in shown("yaml") if block.startswith("name:")]
    jobs = yaml.safe_load(workflow)["jobs"]
    given = [
        step["with"] for job in jobs.values() for step in job["steps"] if "geobatch" in step["uses"]
    ]
    assert [one["command"] for one in given] == ["plan", "apply"]
    required = {name for name, one in ACTION["inputs"].items() if one.get("required")}
    for one in given:
        assert required <= one.keys() <= ACTION["inputs"].keys()


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_the_page_lists_inputs_and_outputs(kind: str) -> None:
    (table,) = re.findall(rf"^\| {kind[:-1]} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    rows = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    assert rows == list(ACTION[kind])


def test_the_page_shows_each_hook() -> None:
    (shows,) = [block for block in shown("yaml") if block.startswith("repos:")]
    (repository,) = yaml.safe_load(shows)["repos"]
    assert [hook["id"] for hook in repository["hooks"]] == [hook["id"] for hook in HOOKS]
