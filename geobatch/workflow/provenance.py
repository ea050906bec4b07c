"""What the Git checkout of the specs, and the program that runs the pipeline, say of a run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from geobatch.logs import Logger
from geobatch.model.provenance import Provenance

_LOG = Logger(__name__)
_SECONDS = 10
"""How long to wait for Git."""
_MOST_CHARACTERS = 1000
_PULL = re.compile(r"refs/pull/(\d+)/(?:merge|head)")


def find_provenance(
    paths: Sequence[Path], *, message: str = "", is_git: bool = True, pull_request: str = ""
) -> Provenance | None:
    """Return what a commit records of a run, or None if nothing is known.

    Args:
        paths: Spec files and folders; the first is in the checkout that is described.
        message: What the user wrote.
        is_git: Whether to ask Git.
        pull_request: URL of the pull request; by default what the variables of the pipeline say.
    """
    found = Provenance(
        message=_one_line(message),
        pull_request=_one_line(pull_request or pull_request_of(os.environ)),
    )
    checkout = _checkout(paths) if is_git and paths else None
    if checkout is not None:
        commit, author, has_changes = checkout
        found = Provenance(
            message=found.message,
            pull_request=found.pull_request,
            git_commit=commit,
            author=author,
            has_changes=has_changes,
        )
    return None if found == Provenance() else found


def pull_request_of(variables: Mapping[str, str]) -> str:
    """Return the URL of the pull request that a pipeline runs for; empty if it runs for none.

    Sources: https://docs.github.com/actions/reference/variables-reference and
    https://docs.gitlab.com/ci/variables/predefined_variables/
    """
    given = variables.get("GEOBATCH_PULL_REQUEST", "")
    if given:
        return given
    project = variables.get("CI_MERGE_REQUEST_PROJECT_URL")
    number = variables.get("CI_MERGE_REQUEST_IID")
    if project and number:
        return f"{project}/-/merge_requests/{number}"
    match = _PULL.fullmatch(variables.get("GITHUB_REF", ""))
    server, repository = variables.get("GITHUB_SERVER_URL"), variables.get("GITHUB_REPOSITORY")
    return f"{server}/{repository}/pull/{match[1]}" if match and server and repository else ""


def _checkout(paths: Sequence[Path]) -> tuple[str, str, bool] | None:
    """Return the Git commit, its author, and whether specs differ from it; None outside Git."""
    folder = paths[0] if paths[0].is_dir() else paths[0].parent
    names = [os.path.abspath(path) for path in paths]  # noqa: PTH100 - links are left as they are
    # Both at once, since to start Git is most of what it takes.
    log = start_git(folder, "log", "-1", "--format=%H%n%an <%ae>")
    status = start_git(folder, "status", "--porcelain", "--untracked-files=all", "--", *names)
    head, changes = finish_git(log, folder), finish_git(status, folder)
    if head is None:
        return None
    commit, _, author = head.partition("\n")
    return commit.strip(), _one_line(author), bool(changes)


def start_git(folder: Path, *arguments: str) -> subprocess.Popen[bytes] | None:
    """Start Git; return None if there is none."""
    # A monitor of files is a program that the settings of a checkout name: it is not started.
    command = ["git", "-c", "core.fsmonitor=false", "-C", os.fspath(folder), *arguments]
    try:
        return subprocess.Popen(  # noqa: S603 - no shell; names come after `--`
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        )
    except OSError as error:
        _LOG.info("git says nothing about %s: %s", folder, error)
        return None


def finish_git(git: subprocess.Popen[bytes] | None, folder: Path) -> str | None:
    """Return what Git prints; None if there is no Git, no checkout or no commit, or it is late."""
    if git is None:
        return None
    with git:
        try:
            output, errors = git.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            git.kill()
            _LOG.info("git says nothing about %s: it took more than %d s", folder, _SECONDS)
            return None
    if git.returncode:
        _LOG.info("git says nothing about %s: %s", folder, errors.decode(errors="replace"))
        return None
    return output.decode(errors="replace")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MOST_CHARACTERS]
