"""The jobs of docs/gitlab-ci.yml do on GitLab what the action does on GitHub."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from checkouts import Team, clean_environment, spec
from forge import TOKEN, Forge, hosting

from geobatch import apply

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "docs" / "gitlab-ci.yml").read_text(encoding="utf-8"))
URL = "https://gitlab.example/isle/maps/-/merge_requests/12"
HEAD = "refs/merge-requests/12/head"
TITLE = "--no-git $(touch owned)`touch owned`\"; touch owned; '"


class Desk:
    """A team, its hosting site, and the jobs of one merge request."""

    def __init__(self, folder: Path, forge: Forge) -> None:
        self.folder, self.forge = folder, forge
        self.team = Team.meet(folder)

    def run(self, job: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script of a job, as GitLab's runner does: all lines in one shell."""
        script = [*DOCUMENT[".geobatch"]["before_script"][1:], *DOCUMENT[job]["script"]]
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        given = {
            **DOCUMENT["variables"],
            "CI_API_V4_URL": self.forge.url, "CI_PROJECT_ID": "1", "CI_DEFAULT_BRANCH": "main",
            "CI_SERVER_URL": "https://gitlab.example", "GEOBATCH_STORE": str(self.team.store),
            "CI_COMMIT_SHA": self.team.runner.git("rev-parse", "HEAD"), "GITLAB_TOKEN": TOKEN,
            "TMPDIR": str(temporary), **variables,
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(script)],
            cwd=self.team.runner.folder, env={**clean_environment(), **given},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, timeout=120,
        )  # fmt: skip
        assert TOKEN not in done.stdout
        return done

    def plan(self) -> subprocess.CompletedProcess[str]:
        """Push a branch, and run the job of its merge request."""
        self.team.ana.write("specs/a.yaml", spec("a", pyramiding_policy="SAMPLE"))
        head = self.team.ana.push("nearest", "Nearest pixels for a")
        self.team.runner.goto(head)
        done = self.run(
            "geobatch-plan", CI_MERGE_REQUEST_IID="12",
            CI_MERGE_REQUEST_PROJECT_URL=URL.partition("/-/")[0],
        )  # fmt: skip
        self.forge.keep(HEAD, self.team.runner.folder / "plan", head=head)
        return done

    def merge(self) -> str:
        """Merge, as GitLab does; return the commit."""
        merged = self.team.ana.merge("nearest", "Merge: nearest pixels")
        request = {"iid": 12, "web_url": URL, "title": TITLE, "state": "merged"}
        self.forge.merged[merged] = [request]
        self.team.runner.goto("origin/main")
        return merged


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with hosting(tmp_path / "artifacts") as forge:
        yield Desk(tmp_path, forge)


def recorded(desk: Desk) -> dict[str, Any]:
    found = desk.team.newest()[1]
    assert found is not None
    return {"commit": found.git_commit, "url": found.pull_request, "message": found.message}


def test_the_reviewed_plan_is_published(desk: Desk) -> None:
    planned = desk.plan()
    assert planned.returncode == 0, planned.stdout
    assert "~ a" in planned.stdout
    merged = desk.merge()
    applied = desk.run("geobatch-apply")
    assert applied.returncode == 0, applied.stdout
    assert "planning again" not in applied.stdout
    assert recorded(desk) == {"commit": merged, "url": URL, "message": TITLE}
    assert desk.team.is_published(desk.team.runner)
    assert not list(desk.folder.rglob("owned"))


def test_if_the_base_moved_the_tip_is_planned_again(desk: Desk) -> None:
    desk.plan()
    desk.merge()
    old = desk.team.runner.git("rev-parse", "HEAD")
    ana = desk.team.ana
    ana.write("specs/b.yaml", spec("b", pyramiding_policy="MAX"))
    ana.git("commit", "--quiet", "--all", "--message", "Largest pixels for b")
    ana.git("push", "--quiet", "origin", "HEAD:main")
    apply(ana.folder / "specs/b.yaml", store=desk.team.store)
    refused = desk.run("geobatch-apply", WHEN_STALE="fail")
    assert refused.returncode == 4
    assert desk.team.runner.git("rev-parse", "HEAD") == old
    applied = desk.run("geobatch-apply")
    assert applied.returncode == 0, applied.stdout
    assert "planning again" in applied.stdout
    assert recorded(desk)["commit"] == ana.git("rev-parse", "HEAD")
    assert desk.team.is_published(ana)


def test_a_wrong_spec_fails_the_job_and_a_plan_in_git_is_no_artifact(desk: Desk) -> None:
    ana = desk.team.ana
    ana.write("specs/c.yaml", {"id": "c", "kind": "image"})
    ana.write("plan/plan.json", {})
    desk.team.runner.goto(ana.push("wrong", "Wrong"))
    assert desk.run("geobatch-plan").returncode == 1
    assert not list((desk.team.runner.folder / "plan").iterdir())


def test_there_is_one_comment(desk: Desk) -> None:
    desk.plan()
    desk.team.ana.write("specs/b.yaml", spec("b", pyramiding_policy="MAX"))
    desk.plan()
    assert len(desk.forge.comments) == 1
