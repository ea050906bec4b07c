"""The action: plan on a pull request, apply on its merge; hostile requests change nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkouts import Team, spec
from composite import ACTION, Job
from forge import FORK, TOKEN, Forge, hosting

from geobatch import apply, open_store
from geobatch.model.provenance import Provenance

TITLE = "--no-git $(touch owned)`touch owned`\"; touch owned; '"
URL = "https://github.example/isle/maps/pull/12"


class Desk:
    """A team, its hosting site, and the jobs of one pull request."""

    def __init__(self, folder: Path, forge: Forge) -> None:
        self.folder, self.forge = folder, forge
        self.team = Team.meet(folder)
        self.head = ""
        self.source = forge.repository

    def propose(self, branch: str = "nearest") -> None:
        """Push a branch with an edit of one asset."""
        self.team.ana.write("specs/a.yaml", spec("a", pyramiding_policy="SAMPLE"))
        self.head = self.team.ana.push(branch, "Nearest pixels for a")

    def run(self, command: str, **inputs: str) -> Job:
        """Run the action in the checkout of the pipeline."""
        request = self.head and {
            "number": 12, "title": TITLE, "html_url": URL,
            "head": {"sha": self.head, "repo": {"full_name": self.source}},
        }  # fmt: skip
        ref = "refs/pull/12/merge" if command == "plan" else "refs/heads/main"
        event = {"pull_request": request, "repository": {"default_branch": "main"}, "ref": ref}
        scratch = self.folder / f"job{len(list(self.folder.glob('job*')))}"
        given = {"command": command, "store": str(self.team.store), "install": "false", **inputs}
        job = Job(
            forge=self.forge, workspace=self.team.runner.folder, scratch=scratch, inputs=given,
            event=event, head=self.head,
        ).run()  # fmt: skip
        assert TOKEN not in job.log
        assert TOKEN not in job.summary
        return job

    def plan(self, **inputs: str) -> Job:
        """Run what a push to the pull request runs."""
        self.team.runner.goto(self.head)
        return self.run("plan", **inputs)

    def merge(self) -> str:
        """Merge the pull request; return the merge commit, which the pipeline checks out."""
        merged = self.team.ana.merge("nearest", "Merge: nearest pixels")
        self.team.runner.goto("origin/main")
        return merged

    def publish_more(self) -> None:
        """Publish a change of the other asset, so that the base of plans moves."""
        ana = self.team.ana
        ana.goto("origin/main")
        ana.write("specs/b.yaml", spec("b", pyramiding_policy="MAX"))
        ana.git("commit", "--quiet", "--all", "--message", "Largest pixels for b")
        ana.git("push", "--quiet", "origin", "HEAD:main")
        apply(ana.folder / "specs", store=self.team.store)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with hosting(tmp_path / "artifacts") as forge:
        yield Desk(tmp_path, forge)


def steps(kind: str) -> list[dict[str, Any]]:
    return [step for step in ACTION["runs"]["steps"] if kind in step]


def test_scripts_contain_no_expression() -> None:
    assert len(steps("run")) > 5
    for step in steps("run"):
        assert "${{" not in step["run"]


def test_only_two_steps_get_the_token() -> None:
    holders = [step["name"] for step in steps("run") if "inputs.token" in str(step.get("env"))]
    assert holders == ["Find the reviewed plan", "Comment"]
    assert "github.token" not in str(ACTION["runs"])


def test_the_reviewed_plan_is_published(desk: Desk) -> None:
    before, _ = desk.team.newest()
    desk.propose()
    planned = desk.plan()
    assert planned.code == 0
    assert planned.output("exit-code") == "2"
    assert "~ a" in planned.log
    assert desk.team.newest()[0] == before
    merged = desk.merge()
    applied = desk.run("apply")
    assert applied.code == 0
    assert applied.output("is-again") == "false"
    assert "The reviewed plan was published." in applied.summary
    assert desk.team.newest()[1] == Provenance(
        message=TITLE,
        author="Ana <ana@example.org>",
        git_commit=merged,
        pull_request=URL,
    )
    assert desk.team.is_published(desk.team.runner)
    assert not list(desk.folder.rglob("owned"))


def test_if_the_base_moved_the_tip_is_planned_again(desk: Desk) -> None:
    desk.propose()
    assert desk.plan().code == 0
    desk.publish_more()
    desk.team.runner.goto("origin/main")  # the checkout is older than the tip
    merged = desk.team.ana.merge("nearest", "Merge: nearest pixels")
    before = desk.team.newest()[0]
    refused = desk.run("apply", **{"when-stale": "fail"})
    assert refused.code == 4
    assert "::error::The reviewed plan is stale" in refused.log
    assert desk.team.newest()[0] == before
    applied = desk.run("apply")
    assert applied.code == 0
    assert applied.output("is-again") == "true"
    assert "::warning::The reviewed plan is stale" in applied.log
    assert "**The reviewed plan is stale.**" in applied.summary
    found = desk.team.newest()[1]
    assert found is not None
    assert (found.git_commit, found.pull_request, found.message) == (merged, URL, TITLE)
    assert desk.team.is_published(desk.team.runner)


def test_a_plan_of_a_fork_or_of_another_commit_is_not_applied(desk: Desk) -> None:
    desk.propose()
    desk.plan()
    (kept,) = desk.forge.artifacts
    files = desk.forge.kept(kept["name"], run=kept["workflow_run"]["id"])
    desk.forge.artifacts.clear()
    forged = desk.folder / "forged"
    shutil.copytree(files, forged)
    desk.forge.folder = desk.folder / "later"
    desk.forge.keep(kept["name"], forged, head=desk.head, owner=FORK)
    desk.forge.keep(kept["name"], forged, head="0" * 40)
    desk.merge()
    job = desk.run("apply", **{"when-stale": "fail"})
    assert job.code == 4
    assert "There is no reviewed plan" in job.log
    assert desk.team.is_published(desk.team.ana) is False


def commands(log: str) -> list[str]:
    """Return what GitHub's runner takes for commands: those that are not between two tokens."""
    found, token = [], ""
    for line in log.splitlines():
        if token:
            token = "" if line.strip() == f"::{token}::" else token
        elif match := re.match(r"\s*::stop-commands::(\w{32})$", line):
            token = match[1]
        elif line.lstrip().startswith("::") or "##[" in line:
            found.append(line)
    return found


def test_specs_cannot_command_the_runner_or_allow_themselves_more(desk: Desk) -> None:
    ana = desk.team.ana
    ana.write("geobatch.yaml", {"allow": ["/"]})
    ana.write("specs/a.yaml", spec("a", properties={"k": "::error::owned"}))
    ana.write("specs/##[error]owned.yaml", {"id": "x\n::error::owned", "kind": "image"})
    secret = desk.folder / "secret.tif"
    shutil.copy(desk.folder / "rasters" / "a.tif", secret)
    ana.write(
        "specs/c.yaml",
        {**spec("c"), "tilesets": [{"id": "t", "sources": [{"uris": [str(secret)]}]}]},
    )
    desk.head = ana.push("hostile", "Hostile")
    job = desk.plan()
    assert job.code == 1
    assert "specs/##[error]owned.yaml:" in job.log
    assert commands(job.log) == ["::error::geobatch exits with 1; its README lists the exit codes"]
    assert "outside" in job.summary
    assert all(line.startswith("    ") for line in job.summary.splitlines() if "owned" in line)
    assert not desk.forge.artifacts


def test_a_refused_plan_is_kept_and_fails_the_check(desk: Desk) -> None:
    ana = desk.team.ana
    (ana.folder / "specs" / "a.yaml").unlink()
    desk.head = ana.push("gone", "One asset less")
    job = desk.plan(options="--prune\n")
    assert job.code == 5
    assert job.output("exit-code") == "5"
    assert len(desk.forge.artifacts) == 1


def test_without_a_pull_request_the_tip_is_planned_and_published(desk: Desk) -> None:
    ana = desk.team.ana
    ana.write("specs/a.yaml", spec("a", pyramiding_policy="SAMPLE"))
    pushed = ana.push("main", "Pushed without a review")
    job = desk.run("apply")
    assert job.code == 0
    assert "**There is no reviewed plan.**" in job.summary
    assert desk.team.newest()[1] == Provenance(author="Ana <ana@example.org>", git_commit=pushed)
    assert not desk.forge.artifacts


def test_there_is_one_comment_whatever_is_pushed(desk: Desk) -> None:
    desk.propose()
    desk.plan()
    (first,) = [comment["body"] for comment in desk.forge.comments]
    desk.team.ana.write("specs/b.yaml", spec("b", pyramiding_policy="MAX"))
    desk.head = desk.team.ana.push("nearest", "Largest pixels for b")
    desk.plan()
    (second,) = [comment["body"] for comment in desk.forge.comments]
    assert first != second


def test_a_fork_gets_no_comment(desk: Desk) -> None:
    desk.propose()
    desk.source = "stranger/maps"
    job = desk.plan()
    assert job.code == 0
    assert "Comment" not in job.codes
    assert not desk.forge.comments


def test_a_rehearsed_plan_is_published_as_it_was_stated(desk: Desk) -> None:
    desk.propose()
    job = desk.plan(rehearse="true")
    assert job.code == 0
    (kept,) = desk.forge.artifacts
    files = desk.forge.kept(kept["name"], run=kept["workflow_run"]["id"])
    stated = json.loads((files / "plan.json").read_text())["rehearsal"]["content_root"]
    desk.merge()
    assert desk.run("apply").code == 0
    with open_store(desk.team.store) as store:
        assert str(next(iter(store.log())).content_root) == stated
