"""What commits record of Git and pipelines; the content root does not depend on it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from workbench import Workbench, image, write_tiff

from geobatch import apply, open_store
from geobatch.model.provenance import Provenance
from geobatch.workflow.provenance import find_provenance, pull_request_of

WHO = {"GIT_AUTHOR_NAME": "Ana Lima", "GIT_AUTHOR_EMAIL": "ana@example.org",
       "GIT_COMMITTER_NAME": "B", "GIT_COMMITTER_EMAIL": "b@example.org",
       "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}  # fmt: skip
PIPELINES = (
    {"GITHUB_REF": "refs/pull/12/merge", "GITHUB_SERVER_URL": "https://git.example",
     "GITHUB_REPOSITORY": "a/b"},
    {"CI_MERGE_REQUEST_PROJECT_URL": "https://git.example/a/b", "CI_MERGE_REQUEST_IID": "12"},
    {"GEOBATCH_PULL_REQUEST": "https://git.example/12"},
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in PIPELINES:
        for name in variables:
            monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((64, 64), 7, np.uint8)])
    bench.write_spec([image("a", "a.tif", tile=32)])
    return bench


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *arguments],
        check=True, capture_output=True, text=True, env={**os.environ, **WHO},
    )  # fmt: skip
    return done.stdout.strip()


def commit_all(folder: Path) -> str:
    git(folder, "init", "-q")
    git(folder, "add", "spec.yaml")
    git(folder, "commit", "-q", "-m", "A spec")
    return git(folder, "rev-parse", "HEAD")


def newest(bench: Workbench) -> Provenance | None:
    with open_store(bench.store) as store:
        return next(iter(store.log())).provenance


def test_a_commit_records_the_git_commit_and_its_author(bench: Workbench) -> None:
    digest = commit_all(bench.folder)
    apply(bench.folder / "spec.yaml", store=bench.store)
    found = newest(bench)
    assert found == Provenance(git_commit=digest, author="Ana Lima <ana@example.org>")


def test_changes_of_the_specs_alone_are_recorded(bench: Workbench) -> None:
    commit_all(bench.folder)
    (bench.folder / "notes.txt").write_text("not a spec")
    spec = bench.folder / "spec.yaml"
    first = find_provenance([spec])
    assert first is not None
    assert not first.has_changes
    spec.write_text(f"{spec.read_text()}\n# edited\n")
    second = find_provenance([spec])
    assert second is not None
    assert second.has_changes


def test_outside_git_nothing_is_recorded_unless_said(bench: Workbench) -> None:
    apply(bench.folder / "spec.yaml", store=bench.store)
    assert newest(bench) is None
    write_tiff(bench.folder / "a.tif", [np.full((64, 64), 8, np.uint8)])
    apply(bench.folder / "spec.yaml", store=bench.store, message="Brighter\n\nby one")
    assert newest(bench) == Provenance(message="Brighter by one")


def test_without_a_git_program_nothing_fails(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(bench.folder)
    monkeypatch.setenv("PATH", os.fspath(bench.folder))
    assert find_provenance([bench.folder / "spec.yaml"]) is None


@pytest.mark.parametrize("variables", PIPELINES, ids=["pull", "merge request", "own"])
def test_the_pull_request_of_a_pipeline(variables: dict[str, str]) -> None:
    assert pull_request_of(variables).startswith("https://git.example/")
    assert pull_request_of(variables).endswith("12")
    for name in variables:
        some = {key: value for key, value in variables.items() if key != name}
        assert pull_request_of(some) == ""


def test_a_branch_is_no_pull_request() -> None:
    assert pull_request_of({**PIPELINES[0], "GITHUB_REF": "refs/heads/main"}) == ""


def test_content_does_not_depend_on_it(bench: Workbench, tmp_path: Path) -> None:
    spec = bench.folder / "spec.yaml"
    plain = apply(spec, store=tmp_path / "one")
    commit_all(bench.folder)
    described = apply(spec, store=tmp_path / "two", message="hello")
    assert plain.commit != described.commit
    assert plain.content_root == described.content_root
