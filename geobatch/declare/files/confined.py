"""Where a path or a glob leaves the folders that may be read; nothing outside is opened."""

from __future__ import annotations

import fnmatch
import os
import time
from pathlib import Path

from geobatch.declare.files.find import GLOB
from geobatch.model.limits import GLOB_ENTRIES, GLOB_SECONDS, Limit
from geobatch.model.sources.allowed import Allowed


class OverdueSearchError(Exception):
    """A search would take too long; holds the limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.name)
        self.limit = limit


def leaving(name: str, folder: Path, allowed: Allowed) -> tuple[str, bool] | None:
    """Return what of a path or glob may not be read; None if all of it may.

    Args:
        name: The path or glob.
        folder: Absolute folder at which it starts.
        allowed: The folders that may be read.

    Returns:
        A path, as the name spells it, and whether it is that of a link in an allowed folder which
        leads out.

    Raises:
        OverdueSearchError: A limit of globs is reached.
    """
    if not GLOB.search(name):
        left = None if allowed.holds(folder / name) else name
    else:
        left = _Search(folder, allowed).leaving("", name.split("/"))
    if left is None:
        return None
    parts = left.split("/")
    for count in range(1, len(parts) + 1):
        part = "/".join(parts[:count])
        path = f"{folder}/{part}" if not part.startswith("/") else part
        is_in = parts[count - 1] not in ("", ".", "..") and allowed.holds(os.path.dirname(path))  # noqa: PTH120
        if is_in and not allowed.holds(path):
            return part, True
    return left, False


class _Search:
    """Walks the folders that a glob searches, as `glob.glob` does, each once per part."""

    def __init__(self, folder: Path, allowed: Allowed) -> None:
        self._folder = os.fspath(folder)
        self._allowed = allowed
        self._visited: set[tuple[str, int]] = set()
        self._count, self._most = 0, GLOB_ENTRIES.value
        self._end = time.monotonic() + GLOB_SECONDS.value

    def leaving(self, above: str, parts: list[str]) -> str | None:
        """Return the first path that leads out.

        Args:
            above: The path so far; empty at the start.
            parts: The parts of the glob below it.
        """
        for count, part in enumerate(parts):
            if part == "**":
                return self._leaving_deep(above, parts[count + 1 :])
            if GLOB.search(part):
                return self._leaving_here(above, part, parts[count + 1 :])
            above = _joined(above, part)
        return None if self._allowed.holds(self._path(above)) else above

    def _leaving_here(self, above: str, pattern: str, rest: list[str]) -> str | None:
        real = self._allowed.resolve(self._path(above))
        if real is None:
            return _joined(above, pattern)
        if self._is_visited(real, len(rest)):
            return None
        # A name may have the very characters of the pattern.
        is_shown = pattern.startswith(".")
        names = [n for n, _ in self._listed(above) if is_shown or not n.startswith(".")]
        for name in sorted({pattern, *fnmatch.filter(names, pattern)}):
            left = self.leaving(_joined(above, name), rest)
            if left is not None:
                return left
        return None

    def _leaving_deep(self, above: str, rest: list[str]) -> str | None:
        """Return the first path that leads out, in a folder and all folders in it."""
        waiting = [above]
        while waiting:
            here = waiting.pop()
            real = self._allowed.resolve(self._path(here))
            if real is None:
                return here or "**"
            if self._is_visited(real, -1 - len(rest)):
                continue
            left = self.leaving(here, rest) if rest else None
            if left is not None:
                return left
            names = [name for name, is_way in self._listed(here) if is_way]
            shown = sorted((name for name in names if not name.startswith(".")), reverse=True)
            waiting += [_joined(here, name) for name in shown]
        return None

    def _listed(self, name: str) -> list[tuple[str, bool]]:
        """Return the names in a folder, and whether there may be a folder behind each."""
        found: list[tuple[str, bool]] = []
        try:
            with os.scandir(self._path(name)) as entries:
                for entry in entries:
                    self._count += 1
                    if self._count > self._most:
                        raise OverdueSearchError(GLOB_ENTRIES)
                    is_way = entry.is_symlink() or entry.is_dir(follow_symlinks=False)
                    found.append((entry.name, is_way))
        except OSError:  # not a folder; or what cannot be read, which the search reports
            return []
        if time.monotonic() > self._end:
            raise OverdueSearchError(GLOB_SECONDS)
        return found

    def _is_visited(self, real: str, part: int) -> bool:
        is_visited = (real, part) in self._visited
        self._visited.add((real, part))
        return is_visited

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else f"{self._folder}/{name}"


def _joined(above: str, name: str) -> str:
    if not above:
        return name or "/"
    return above + name if above.endswith("/") else f"{above}/{name}"
