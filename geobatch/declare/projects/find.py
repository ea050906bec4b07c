"""Finds project files: the nearest `geobatch.yaml`, in a spec's folder or above, applies."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from geobatch.declare.loading.spec_cache import SpecCache
from geobatch.declare.projects.project import PROJECT_FILE, Project
from geobatch.errors import Problem


class Projects(Struct, kw_only=True):
    """The project files of one load, each read once."""

    keeps_prefix: bool = False
    """Whether prefixes are kept, regardless of the project files."""
    cache: SpecCache = field(default_factory=SpecCache)
    """Results of earlier runs."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the files."""
    _found: dict[Path, Project] = field(default_factory=dict)

    def of(self, folder: Path) -> Project:
        """Return the project of specs in an absolute folder."""
        if folder not in self._found:
            file = folder / PROJECT_FILE
            # Something that exists but is no regular file is reported, not skipped.
            if os.path.lexists(file):
                declared = self._read(file)
                self._found[folder] = replace(
                    declared,
                    path=os.path.relpath(file),
                    keeps_prefix=self.keeps_prefix or declared.keeps_prefix,
                )
            elif folder.parent == folder:
                self._found[folder] = Project(keeps_prefix=self.keeps_prefix)
            else:
                self._found[folder] = self.of(folder.parent)
        return self._found[folder]

    def _read(self, file: Path) -> Project:
        path = os.path.relpath(file)
        try:
            data = _bytes(file)
        except OSError as error:
            message = f"cannot read the file: {error.strerror}"
            self.problems.append(
                Problem(path=path, line=1, column=1, rule="unreadable-file", message=message)
            )
            return Project()
        cached = self.cache.project(str(file), data)
        if cached is not None:
            return cached
        # Checking imports much that a cached file does not need.
        from geobatch.declare.projects.project_file import read_project  # noqa: PLC0415

        made, problems = read_project(data, path=path, folder=file.parent)
        self.problems += problems
        if not problems:
            self.cache.put_project(str(file), data, made)
        return made


def _bytes(file: Path) -> bytes:
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file.read_bytes()
