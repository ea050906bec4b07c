"""The keys of a project file, and how it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from geobatch.declare.checks.other_files import other_file_problem
from geobatch.declare.fields.manifest import Part
from geobatch.declare.fields.values import Text, refuse
from geobatch.declare.hints import did_you_mean, show
from geobatch.declare.loading.document import check_fields
from geobatch.declare.projects.allow import entry_complaint
from geobatch.declare.projects.project import PROJECT_FILE, Project
from geobatch.declare.text.nodes import MappingNode
from geobatch.declare.text.read import read
from geobatch.errors import Problem, SettingError
from geobatch.model.executor_name import parse_executor

LINTS = (
    "absent-files", "alpha-not-used", "antimeridian", "categorical-mean", "cog", "file-order",
    "inclusive-end", "lossy-source", "mask-never-valid", "mixed-property-types", "moved-from",
    "no-points", "nodata-not-its-text", "nodata-outside-type", "odd-source",
    "premultiplied-alpha", "same-band", "unlike-bands", "unread-mask", "unread-metadata",
    "unread-overviews", "unread-pages",
)  # fmt: skip
"""Rules that warn and can be silenced."""

_REMOTE_FOLDER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://(.*/)?", re.DOTALL)


def _check_prefix(value: str) -> str:
    if not _REMOTE_FOLDER.fullmatch(value):
        hint = 'write it as in `uri_map: {"gs://bucket/": data/}`'
        refuse("uri-map", f"{show(value)} is no prefix of urls that ends with `/`", hint)
    return value


def _check_mirror(value: str) -> str:
    if "://" in value or "\0" in value:
        hint = "write a path relative to this file, such as `data/`"
        refuse("uri-map", f"{show(value)} is not a local folder", hint)
    return value


def _check_lint(value: str) -> str:
    if value not in LINTS:
        refuse("unknown-value", f"no lint {show(value)}", did_you_mean(value, LINTS))
    return value


def _check_executor(value: str) -> str:
    try:
        parse_executor(value)
    except SettingError as error:
        refuse("executor", error.message, error.hint)
    return value


def _check_allow(value: str) -> str:
    if complaint := entry_complaint(value):
        refuse("allow", *complaint)
    return value


Prefix = Annotated[str, AfterValidator(_check_prefix)]
Mirror = Annotated[Text, AfterValidator(_check_mirror)]
Lint = Annotated[str, AfterValidator(_check_lint)]
ExecutorText = Annotated[Text, AfterValidator(_check_executor)]
Entry = Annotated[Text, AfterValidator(_check_allow)]


class ProjectManifest(Part):
    """Settings of every spec in this folder and below it."""

    uri_map: dict[Prefix, Mirror] = Field(default_factory=dict)
    """Local folders, relative to this file, by the prefix of the uris that they mirror."""
    keep_project_prefix: bool = False
    """Whether `projects/P/assets/a` stays the id of an asset, rather than `a`."""
    silence: list[Lint] = Field(default_factory=list)
    """Lints to disable."""
    executor: ExecutorText | None = None
    """How tasks are run: `threads`, `processes`, `serial`, `dask://local`, or a scheduler."""
    allow: list[Entry] | None = None
    """What specs may read besides the files in this folder: folders, buckets and servers."""


def read_project(data: bytes, *, path: str, folder: Path) -> tuple[Project, list[Problem]]:
    """Return what a project file declares, and all its problems.

    Args:
        data: Its bytes.
        path: What messages call it.
        folder: Absolute folder that it lies in.
    """

    def report(rule: str, message: str) -> None:
        problems.append(Problem(path=path, line=1, column=1, rule=rule, message=message))

    whole = read(data, path=path)
    problems = [one for one in whole.problems if one.rule != "empty-file"]
    declared, said_nothing = ProjectManifest(), Project()
    if whole.documents and isinstance(root := whole.documents[0], MappingNode):
        hint = f"`{PROJECT_FILE}` has keys such as `uri_map` and `allow`"
        other = other_file_problem(
            root, (ProjectManifest,), path=path, what="a project file", hint=hint
        )
        if other is not None:
            return said_nothing, [*problems, other]
        checked = check_fields(root, ProjectManifest, path)
        problems += checked.problems
        declared = checked.value or declared
    elif whole.documents:
        report("wrong-type", "a project file must be a mapping, such as `uri_map: ...`")
    if len(whole.documents) > 1:
        report("project-file", "a project file must hold one document, got more")
    mirrors = [(prefix, folder / mirror) for prefix, mirror in declared.uri_map.items()]
    made = Project(
        mirrors=tuple(sorted(mirrors, key=lambda pair: -len(pair[0]))),
        keeps_prefix=declared.keep_project_prefix,
        silenced=frozenset(declared.silence),
        executor=declared.executor or "",
        allow=None if declared.allow is None else tuple(declared.allow),
    )
    return made, problems
