"""Links from a report to the lines of specs, on the site that hosts them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from msgspec import Struct

_COMMIT = re.compile("[0-9a-f]{7,64}")


class Links(Struct, frozen=True, kw_only=True):
    """How a spec file becomes a link."""

    base: str = ""
    """URL of the folder that paths are relative to; empty for paths without links."""
    folder: str = ""
    """Absolute path of that folder on this machine."""

    def path(self, path: str) -> str:
        """Return the path of a spec file from the folder, or as it is if it is elsewhere."""
        if not PurePosixPath(path).is_absolute():
            return PurePosixPath(path).as_posix()
        inside = os.path.relpath(path, self.folder) if self.folder else path
        return path if inside.startswith("..") else inside

    def link(self, path: str, line: int) -> str:
        """Return the URL of a line of a spec file; empty if there is none."""
        inside = self.path(path)
        parts = PurePosixPath(inside).parts
        if not self.base or inside.startswith("/") or ".." in parts or not parts:
            return ""
        return f"{self.base}/{quote('/'.join(parts), safe='/', errors='replace')}#L{line}"


def links_of(variables: Mapping[str, str], *, base: str = "", folder: str) -> Links:
    """Return how to link to specs: by a given URL, else by the variables of the pipeline.

    Sources: https://docs.github.com/actions/reference/variables-reference and
    https://docs.gitlab.com/ci/variables/predefined_variables/

    Args:
        variables: The environment.
        base: URL of the folder in which `plan` ran; it replaces that of the variables.
        folder: The current folder.

    Raises:
        ValueError: The URL is not one of http or https.
    """
    if base:
        if not _is_web(base):
            raise ValueError(f"`{base}` is not a URL that starts with `https://`")
        return Links(base=base.rstrip("/"), folder=folder)
    found = _github(variables) or _gitlab(variables)
    root = variables.get("GITHUB_WORKSPACE") or variables.get("CI_PROJECT_DIR") or folder
    below = os.path.relpath(folder, root)
    if not found or below.startswith("..") or not _is_web(found):
        return Links(folder=folder)
    beside = "" if below == "." else f"/{quote(below.replace(os.sep, '/'), safe='/')}"
    return Links(base=found + beside, folder=folder)


def _github(variables: Mapping[str, str]) -> str:
    server, repository, commit = (
        variables.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
    )
    is_whole = server and repository and _COMMIT.fullmatch(commit)
    return f"{server}/{quote(repository, safe='/')}/blob/{commit}" if is_whole else ""


def _gitlab(variables: Mapping[str, str]) -> str:
    project = variables.get("CI_MERGE_REQUEST_SOURCE_PROJECT_URL") or variables.get(
        "CI_PROJECT_URL", ""
    )
    commit = variables.get("CI_COMMIT_SHA", "")
    return f"{project}/-/blob/{commit}" if project and _COMMIT.fullmatch(commit) else ""


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_plain = not any(one in url for one in "()<>\"'` \\") and url.isprintable()
    return parts.scheme in {"http", "https"} and bool(parts.netloc) and is_plain
