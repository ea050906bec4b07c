"""Reads project files: the nearest `geobatch.yaml`, beside specs or above them, holds for them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from msgspec import Struct, field
from pydantic import AfterValidator, Field

from geobatch.errors import Problem
from geobatch.spec.document import judge
from geobatch.spec.hints import did_you_mean, show
from geobatch.spec.manifest import Part
from geobatch.spec.nodes import MappingNode
from geobatch.spec.project import PROJECT_FILE, Project
from geobatch.spec.read import read
from geobatch.spec.values import Text, refuse

LINTS = ("categorical-mean", "lossy-source", "mixed-property-types", "nodata-outside-type")
"""Rules that warn and can be silenced."""

_REMOTE_FOLDER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.*/", re.DOTALL)


def _check_prefix(value: str) -> str:
    if not _REMOTE_FOLDER.fullmatch(value):
        hint = 'as in `uri_map: {"gs://bucket/": data/}`'
        refuse("uri-map", f"{show(value)} is no beginning of uris that ends with `/`", hint)
    return value


def _check_mirror(value: str) -> str:
    if "://" in value or "\0" in value:
        refuse("uri-map", f"{show(value)} is no local folder", "relative to this file: `data/`")
    return value


def _check_lint(value: str) -> str:
    if value not in LINTS:
        refuse("unknown-value", f"no lint {show(value)}", did_you_mean(value, LINTS))
    return value


Prefix = Annotated[str, AfterValidator(_check_prefix)]
Mirror = Annotated[Text, AfterValidator(_check_mirror)]
Lint = Annotated[str, AfterValidator(_check_lint)]


class ProjectManifest(Part):
    """What holds for every spec beside and below this file."""

    uri_map: dict[Prefix, Mirror] = Field(default_factory=dict)
    """Local folders, relative to this file, by the beginning of the uris that they mirror."""
    keep_project_prefix: bool = False
    """Whether `projects/P/assets/a` stays the id of an asset, rather than `a`."""
    silence: list[Lint] = Field(default_factory=list)
    """Lints that shall not warn."""


class Projects(Struct, kw_only=True):
    """The project files of one load, each read once."""

    keeps_prefix: bool = False
    """Whether prefixes are kept, whatever the files say."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the files."""
    _found: dict[Path, Project] = field(default_factory=dict)

    def of(self, folder: Path) -> Project:
        """Return what holds for specs in an absolute folder."""
        if folder not in self._found:
            file = folder / PROJECT_FILE
            if os.path.isfile(file):  # noqa: PTH113 - a folder that may not be searched holds none
                self._found[folder] = self._read(file)
            elif folder.parent == folder:
                self._found[folder] = Project(keeps_prefix=self.keeps_prefix)
            else:
                self._found[folder] = self.of(folder.parent)
        return self._found[folder]

    def _read(self, file: Path) -> Project:
        path = os.path.relpath(file)
        try:
            data = file.read_bytes()
        except OSError as error:
            self._report(path, "unreadable-file", f"cannot read the file: {error.strerror}")
            return Project(path=path, keeps_prefix=self.keeps_prefix)
        whole = read(data, path=path)
        self.problems += [one for one in whole.problems if one.rule != "empty-file"]
        said = ProjectManifest()
        if whole.documents and isinstance(root := whole.documents[0], MappingNode):
            judged = judge(root, ProjectManifest, path)
            self.problems += judged.problems
            said = judged.value or said
        elif whole.documents:
            self._report(path, "wrong-type", "a project file is a mapping, such as `uri_map: ...`")
        if len(whole.documents) > 1:
            self._report(path, "project-file", "a project file is one document, got more")
        mirrors = [(prefix, file.parent / mirror) for prefix, mirror in said.uri_map.items()]
        return Project(
            path=path,
            mirrors=tuple(sorted(mirrors, key=lambda pair: -len(pair[0]))),
            keeps_prefix=self.keeps_prefix or said.keep_project_prefix,
            silenced=frozenset(said.silence),
        )

    def _report(self, path: str, rule: str, message: str) -> None:
        self.problems.append(Problem(path=path, line=1, column=1, rule=rule, message=message))
