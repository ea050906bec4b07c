"""Finds project files: the nearest `geobatch.yaml`, in a spec's folder or above, applies."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from geobatch.declare import projects
from geobatch.declare.files.objects import Objects
from geobatch.declare.loading.spec_cache import SpecCache
from geobatch.declare.projects.confine import outside_problem
from geobatch.declare.projects.project import PROJECT_FILE, Project, project_bytes
from geobatch.errors import Problem
from geobatch.model.sources.allowed import Allowed


class Projects(Struct, kw_only=True):
    """The project files of one load, each read once."""

    allowed: Allowed | None = None
    """What the options of the run allow, for all specs; None if each project file decides."""
    keeps_prefix: bool = False
    """Whether prefixes are kept, regardless of the project files."""
    objects: Objects = field(default_factory=Objects)
    """What the run knows of buckets."""
    cache: SpecCache = field(default_factory=SpecCache)
    """Results of earlier runs."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the files."""
    _found: dict[Path, Project] = field(default_factory=dict)

    def of(self, folder: Path) -> Project:
        """Return the project of specs in an absolute folder."""
        passed = []
        while (found := self._in(folder)) is None:
            passed.append(folder)
            folder = folder.parent
        self._found |= dict.fromkeys(passed, found)
        return found

    def _in(self, folder: Path) -> Project | None:
        """Return the project that a folder declares or is known to be in; None to search above."""
        if folder not in self._found:
            file = folder / PROJECT_FILE
            run = self.allowed
            # Something that exists but is no regular file is reported, not skipped.
            if (run is None or run.holds(folder)) and os.path.lexists(file):
                declared = self._read(file)
                path = os.path.relpath(file)
                self._found[folder] = replace(
                    declared,
                    path=path,
                    keeps_prefix=self.keeps_prefix or declared.keeps_prefix,
                    allowed=run or self._allowed_by(declared, folder, path),
                    objects=self.objects,
                )
            elif folder.parent == folder:
                self._found[folder] = Project(
                    keeps_prefix=self.keeps_prefix, allowed=run, objects=self.objects
                )
            else:
                return None
        return self._found[folder]

    def _allowed_by(self, declared: Project, folder: Path, path: str) -> Allowed | None:
        """Return what a project file allows; None if it does not say."""
        if declared.allow is None:
            return None
        made, problems = projects.allowed(
            declared.allow, declared.mirrors, folder=folder, path=path
        )
        self.problems += problems
        return made

    def _read(self, file: Path) -> Project:
        path = os.path.relpath(file)
        if self.allowed is not None and not self.allowed.holds(file):
            self.problems.append(outside_problem(file, self.allowed))
            return Project()
        try:
            data = project_bytes(file)
        except OSError as error:
            message = f"cannot read the file: {error.strerror}"
            self.problems.append(
                Problem(path=path, line=1, column=1, rule="unreadable-file", message=message)
            )
            return Project()
        cached = self.cache.project(str(file), data)
        if cached is not None:
            return cached
        made, problems = projects.read_project(data, path=path, folder=file.parent)
        self.problems += problems
        if not problems:
            self.cache.put_project(str(file), data, made)
        return made
