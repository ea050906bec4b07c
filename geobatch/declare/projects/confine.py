"""Runs that may read only a project's folder, and what `allow` adds to it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from geobatch.declare import projects
from geobatch.declare.files.confined import OverdueSearchError, leaving
from geobatch.declare.files.find import GLOB
from geobatch.declare.hints import show
from geobatch.declare.projects.project import PROJECT_FILE, Location, Project, project_bytes
from geobatch.errors import Problem, SpecError
from geobatch.model.sources.allowed import Allowed
from geobatch.model.sources.servers import Servers
from geobatch.model.sources.url import parse_address

OUTSIDE = "outside"
"""Rule of the problem that a spec names something which may not be read."""


class Confine(Struct, frozen=True, kw_only=True):
    """The wish to confine a run, whatever the project files say."""

    allow_from: Path | None = None
    """The project file whose `allow` counts; None for the one in the project's folder."""
    is_here: bool = False
    """Whether the project's folder is the current one, wherever the specs are."""

    @classmethod
    def of(cls, *, confine: bool, allow_from: Path | None, is_here: bool = False) -> Confine | None:
        """Return what the options of a command ask for; None if they do not confine."""
        if not confine and allow_from is None:
            return None
        return cls(allow_from=allow_from, is_here=is_here)


def confined(wish: Confine, paths: Sequence[Path]) -> Allowed:
    """Return what a run may read.

    The project's folder is the current folder, if the first spec is in it, else the folder of the
    first spec; and the nearest folder around that which has a project file, unless `allow` comes
    from elsewhere: then no file of the project decides what may be read.

    Args:
        wish: What was asked for.
        paths: Spec files or folders, as the user named them.

    Raises:
        SpecError: The project file is wrong, or cannot be read.
    """
    folder = _start(paths, is_here=wish.is_here)
    if wish.allow_from is None:
        around = (folder, *folder.parents)
        folder = next((one for one in around if os.path.lexists(one / PROJECT_FILE)), folder)
    file = wish.allow_from or folder / PROJECT_FILE
    said, problems = Project(), list[Problem]()
    name = os.path.relpath(file)
    if wish.allow_from is not None or os.path.lexists(file):
        only = Allowed.of(folder, (), servers=Servers(), named_by=name)
        if wish.allow_from is None and not only.holds(file):
            raise SpecError((outside_problem(file, only),))
        said, problems = _read(file, name, folder)
    if not problems:
        made, problems = projects.allowed(said.allow or (), said.mirrors, folder=folder, path=name)
        if not problems:
            return made
    raise SpecError(tuple(problems))


def _read(file: Path, name: str, folder: Path) -> tuple[Project, list[Problem]]:
    try:
        data = project_bytes(file)
    except OSError as error:
        message = f"cannot read the file: {error.strerror or error}"
        return Project(), [_problem(name, "unreadable-file", message, None)]
    return projects.read_project(data, path=name, folder=folder)


def _start(paths: Sequence[Path], *, is_here: bool) -> Path:
    here = Path.cwd()
    if is_here or not paths:
        return here
    named = Path(os.path.normpath(here / paths[0]))
    if named.is_relative_to(here):
        return here
    return named if named.is_dir() else named.parent


def outside(place: Location) -> tuple[str, str, str | None] | None:
    """Return why a uri may not be read: rule, message and hint; None if it may.

    This is the one check of all files and servers that specs name. A glob is checked with all
    folders that it would search.
    """
    allowed = place.allowed
    if allowed is None:
        return None
    if place.is_remote:
        return _server(place, allowed)
    if place.is_in_bucket:
        return _in_bucket(place, allowed)
    try:
        found = leaving(place.name, place.folder, allowed)
    except OverdueSearchError as error:
        limit = error.limit
        message = f"{show(place.uri)} would search more than {limit.value:,} {limit.unit}"
        return "glob-limit", message, f"name the folders to search; or, {limit.hint()}"
    if found is None:
        return None
    link, is_link = found
    where = f"`{allowed.named_by or PROJECT_FILE}`"
    if is_link:
        message = f"{show(place.uri)} leads out of the project: {show(link)} is a link"
        hint = f"replace the link by what it leads to, or name that folder in `allow` of {where}"
    else:
        message = f"{show(place.uri)} is outside of the project, and not allowed"
        lexical = Path(os.path.normpath(place.folder / (GLOB.split(link)[0] + "x")))
        above = os.fspath(lexical.parent)
        if not place.name.startswith("/"):
            above = os.path.relpath(above, allowed.folder)
        hint = f"if it may be read, add to {where}: `allow: [{above.rstrip('/')}/]`"
        start = GLOB.search(link)
        if start is not None and ".." in link[start.start() :].split("/"):
            hint = "write the path without `..` after a glob"
    return OUTSIDE, message, hint


def _server(place: Location, allowed: Allowed) -> tuple[str, str, str | None] | None:
    try:
        address = parse_address(place.name.partition("#")[0])
    except ValueError:
        return None  # refused for that
    if allowed.servers.allows(address):
        return None
    port = f":{address.port}" if address.port else ""
    host = f"[{address.host}]" if ":" in address.host else address.host
    entry = f'allow: ["{address.scheme}://{host}{port}"]'
    hint = f"if it may be asked, add to `{allowed.named_by or PROJECT_FILE}`: `{entry}`"
    return OUTSIDE, f"{show(place.uri)}: this server is not allowed", hint


def _in_bucket(place: Location, allowed: Allowed) -> tuple[str, str, str | None] | None:
    try:
        url = place.bucket_url
    except ValueError:
        return None  # refused for that
    if allowed.holds_object(str(url)):
        return None
    entry = f'allow: ["{url.at("")}"]'
    hint = f"if it may be read, add to `{allowed.named_by or PROJECT_FILE}`: `{entry}`"
    return OUTSIDE, f"{show(place.uri)}: this bucket is not allowed", hint


def outside_problem(path: Path, allowed: Allowed) -> Problem:
    """Return the problem that a file or folder of specs is, or leads, outside."""
    hint = f"if it may be read, name its folder in `allow` of `{allowed.named_by or PROJECT_FILE}`"
    message = "this is outside of the project, or a link that leads out of it"
    return _problem(str(path), OUTSIDE, message, hint)


def _problem(path: str, rule: str, message: str, hint: str | None) -> Problem:
    return Problem(path=path, line=1, column=1, rule=rule, message=message, hint=hint)
