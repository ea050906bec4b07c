"""The spec files that some paths name: folders searched, links followed, each file once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

from geobatch.declare.projects.confine import outside_problem
from geobatch.declare.projects.project import PROJECT_FILE
from geobatch.errors import Problem
from geobatch.model.sources.allowed import Allowed

SUFFIXES = (".yaml", ".yml", ".json")
_OTHERS = frozenset({"geobatch.json", "zarr.json"})
"""Documents of a store and of a Zarr tree: files next to or below them are not specs."""
_MIXER_KEYS = (b'"patchDimensions"', b'"patchesPerRow"', b'"totalPatches"')
_MIXER_BYTES = 64 << 10


class Walk(Struct, kw_only=True):
    """One search for spec files, with what was met on the way."""

    allowed: Allowed | None = None
    """What may be read; None for everything."""
    problems: list[Problem] = field(default_factory=list)
    """Paths that do not exist, and folders that cannot be read."""
    linked: list[str] = field(default_factory=list)
    """Real paths of the folders that links lead to."""
    broken: list[str] = field(default_factory=list)
    """Broken links that may have been folders of specs."""
    _visited: set[tuple[int, int]] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _folders: dict[str, str] = field(default_factory=dict)

    def files(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Yield the spec files that paths name; a file that two names lead to is one."""
        for path in map(Path, paths):
            if self._is_outside(str(path)):
                continue
            if not os.path.lexists(path):
                hint = "name a spec file or a folder of them"
                problem = file_problem(path, "missing-spec", "no such file or folder", hint)
                self.problems.append(problem)
                continue
            for file in self._tree(str(path)) if path.is_dir() else [str(path)]:
                real = self._real(file)
                if real not in self._seen and os.path.basename(file) != PROJECT_FILE:  # noqa: PTH119
                    self._seen.add(real)
                    yield Path(file)

    def _tree(self, start: str) -> Iterator[str]:
        """Yield the files of a folder, then those behind links."""
        waiting = [start]
        for folder in waiting:  # grows
            files: list[str] = []
            links: list[str] = []
            stack = [folder]
            while stack:
                stack += self._folder(stack.pop(), files, links)
            yield from sorted(files)
            for link in sorted(links):
                if self._is_outside(link):
                    continue
                target = os.path.realpath(link)
                # A link to a folder around it leads to the link again.
                if not Path(os.path.realpath(os.path.dirname(link))).is_relative_to(target):  # noqa: PTH120
                    self.linked.append(target)
                    waiting.append(link)

    def _folder(self, folder: str, files: list[str], links: list[str]) -> list[str]:
        """Add the files and links of a folder, and return the folders in it."""
        try:
            status = os.stat(folder)  # noqa: PTH116 - by the thousand, here and below
            if (status.st_dev, status.st_ino) in self._visited:
                return []
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except OSError as error:
            self._refuse(folder, "cannot read the folder", error)
            return []
        self._visited.add((status.st_dev, status.st_ino))
        if not _OTHERS.isdisjoint(entry.name for entry in entries):
            return []
        folders: list[str] = []
        for entry in entries:
            try:
                self._sort(entry, folders, files, links)
            except OSError as error:
                self._refuse(entry.path, "cannot follow the link", error)
        return folders

    def _sort(
        self, entry: os.DirEntry[str], folders: list[str], files: list[str], links: list[str]
    ) -> None:
        """Add an entry of a folder to its files, links or folders."""
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif entry.is_symlink() and entry.is_dir():
            links.append(entry.path)
        elif entry.name.lower().endswith(SUFFIXES):
            if entry.is_symlink() and self._is_outside(entry.path):
                return
            if not _is_stream(entry) and not _is_mixer(entry.path):
                files.append(entry.path)
        elif entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
            self.broken.append(entry.path)

    def _is_outside(self, path: str) -> bool:
        """Return whether a path leads to what may not be read, and report it if so."""
        allowed = self.allowed
        if allowed is None or allowed.holds(os.path.abspath(path)):  # noqa: PTH100
            return False
        self.problems.append(outside_problem(Path(path), allowed))
        return True

    def _refuse(self, path: str, what: str, error: OSError) -> None:
        message = f"{what}: {error.strerror or error}"
        self.problems.append(file_problem(Path(path), "unreadable-file", message, None))

    def _real(self, file: str) -> str:
        """Return the real path of a file; links to its folder are followed once per folder."""
        if os.path.islink(file):  # noqa: PTH114
            return os.path.realpath(file)
        folder, name = os.path.split(file)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)  # noqa: PTH118


def file_problem(path: Path, rule: str, message: str, hint: str | None) -> Problem:
    """Return a problem of a whole file or folder."""
    return Problem(path=str(path), line=1, column=1, rule=rule, message=message, hint=hint)


def _is_stream(entry: os.DirEntry[str]) -> bool:
    """Return whether reading an entry could wait forever: a pipe, a socket or a device."""
    if entry.is_file(follow_symlinks=False):
        return False
    try:
        return not stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return False


def _is_mixer(path: str) -> bool:
    """Return whether a file is the mixer of an export, which may be in a folder of specs."""
    if not path.lower().endswith(".json"):
        return False
    try:
        with open(path, "rb") as stream:  # noqa: PTH123
            data = stream.read(_MIXER_BYTES + 1)
    except OSError:
        return False
    return len(data) <= _MIXER_BYTES and all(key in data for key in _MIXER_KEYS)
