"""The files that a glob matches, found in one walk that ends: it counts entries and seconds.

The syntax and the spelling of what is found are those of Python's `glob`, with `**` for folders at
any depth. A link to a folder around it is not followed.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct, field

from geobatch.model.limits import GLOB_ENTRIES, GLOB_SECONDS, Limit

MAGIC = re.compile(r"[*?[]")
_DEEP = "**"


class OverdueError(Exception):
    """The walk would take too long; holds the limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.name)
        self.limit = limit


class Walk(Struct, kw_only=True):
    """One walk for one glob."""

    folder: str
    """Where the glob starts."""
    closed: dict[str, None] = field(default_factory=dict)
    """Folders that cannot be searched, with the reasons."""
    files: set[str] = field(default_factory=set)
    """Names that are certainly those of files: for very many, asking for each takes long."""
    _count: int = 0
    _most: int = field(default_factory=lambda: GLOB_ENTRIES.value)
    _end: float = field(default_factory=lambda: time.monotonic() + GLOB_SECONDS.value)

    def names(self, pattern: str) -> Iterator[str]:
        """Yield the names that a glob may match, folders among them; some twice.

        A folder named `data [2024]` is found: the brackets of `data [2024]/*.tif` are its own.

        Raises:
            OverdueError: A limit is reached.
        """
        found = list(re.finditer("[^/]+", pattern))
        while len(found) > 1:
            stop = found[0].end()
            if MAGIC.search(found[0][0]) and not os.path.isdir(self._path(pattern[:stop])):  # noqa: PTH112
                break
            del found[0]
        if found and not pattern.endswith("/"):
            yield from self._below(pattern[: found[0].start()], [part[0] for part in found])

    def _below(self, above: str, parts: list[str]) -> Iterator[str]:
        """Yield the names that parts of a glob match below a folder, which ends with a slash."""
        waiting = [(above, 0)]
        seen: set[tuple[str, int]] = set()
        while waiting:
            one = here, at = waiting.pop()
            if one in seen:
                continue
            seen.add(one)
            is_last = at == len(parts) - 1
            if parts[at] == _DEEP and not is_last:
                waiting += [(folder, at + 1) for folder in self._tree(here)]
            elif parts[at] == _DEEP:
                for folder in self._tree(here):
                    yield from (folder + entry.name for entry in self._entries(folder, shown))
            elif is_last:
                yield from self._in(here, parts[at], is_folder=False)
            else:
                inner = self._in(here, parts[at], is_folder=True)
                waiting += [(f"{name}/", at + 1) for name in inner]

    def _in(self, here: str, part: str, *, is_folder: bool) -> Iterator[str]:
        """Yield the names in a folder that a part of a glob matches; all, or only folders."""
        if MAGIC.search(part):
            for entry in self._entries(here, matcher(part)):
                if not is_folder or _is_folder(entry):
                    name = here + entry.name
                    if not is_folder and _is_plain(entry):
                        self.files.add(name)
                    yield name
            return
        path = self._path(here + part)
        if os.path.isdir(path) if is_folder else os.path.lexists(path):  # noqa: PTH112
            yield here + part

    def _tree(self, top: str) -> Iterator[str]:
        """Yield a folder and all folders in it that are not hidden; no link to one around it."""
        waiting = [top]
        while waiting:
            here = waiting.pop()
            yield here
            for entry in self._entries(here, shown):
                if not _is_folder(entry):
                    continue
                path = f"{here}{entry.name}/"
                if not entry.is_symlink() or _identity(self._path(path)) not in self._around(here):
                    waiting.append(path)

    def _around(self, here: str) -> set[tuple[int, int] | None]:
        """Return the identities of a folder and of all folders around it, links followed or not."""
        found: set[tuple[int, int] | None] = {None}
        for path in (self._path(here).rstrip("/"), os.path.realpath(self._path(here))):
            found |= {_identity(str(one)) for one in (Path(path), *Path(path).parents)}
        return found

    def _entries(self, name: str, is_meant: Callable[[str], object]) -> list[os.DirEntry[str]]:
        """Return the entries of a folder whose names are meant."""
        path = self._path(name)
        found = []
        try:
            os.stat(os.path.join(path, "."))  # noqa: PTH116, PTH118 - names can be looked up in it
            with os.scandir(path) as entries:
                for entry in entries:
                    self._count += 1
                    if self._count > self._most:
                        raise OverdueError(GLOB_ENTRIES)
                    if is_meant(entry.name):
                        found.append(entry)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            shown = path.rstrip("/") or "/"
            self.closed[f"`{shown}`: {error.strerror or error}"] = None
        if time.monotonic() > self._end:
            raise OverdueError(GLOB_SECONDS)
        return found

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)  # noqa: PTH118 - by the thousand


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - by the thousand
    except OSError:
        return None
    return status.st_dev, status.st_ino


def shown(name: str) -> bool:
    """Return whether wildcards match a name at all: it is not hidden."""
    return not name.startswith(".")


def matcher(part: str) -> Callable[[str], object]:
    """Return whether a name passes a part of a glob, as a function; the part is not `**`."""
    if not MAGIC.search(part):
        return part.__eq__
    matches = re.compile(fnmatch.translate(os.path.normcase(part))).match
    if part.startswith("."):
        return matches
    return lambda name: not name.startswith(".") and matches(name)


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is that of a file, and not of a link."""
    try:
        return entry.is_file(follow_symlinks=False)
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
