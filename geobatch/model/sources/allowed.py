"""What a confined run may read: folders, with links resolved, buckets and servers."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from msgspec import Struct, field

from geobatch.model.sources.servers import Servers

_MOST_LINKS = 40
"""Most links that are followed for one path, as in Linux."""


class LinkError(Exception):
    """An allowed folder lies behind a link in the project, which a change of the project moves."""


class Allowed(Struct, frozen=True, kw_only=True, eq=False):
    """Folders and servers that may be read; `allow` in `geobatch.yaml` adds to the project's.

    A path is resolved from `/`, component by component. Nothing outside the folders is opened or
    examined for that, apart from the links that were met on the way to the folders themselves.
    """

    folder: Path
    """The project's folder, absolute, as the user named it."""
    roots: frozenset[str]
    """Real paths of the folders."""
    links: dict[str, str]
    """Links on the way to the folders, with their targets."""
    servers: Servers = Servers()
    """The servers."""
    buckets: tuple[str, ...] = ()
    """Urls of buckets, or of prefixes in them, in their usual spelling."""
    named_by: str = ""
    """The file to which `allow` belongs, in messages."""
    entries: frozenset[str] = frozenset()
    """The entries of `allow`, as they are written."""
    _above: frozenset[str] = frozenset()
    _real: dict[str, str | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls, folder: Path, folders: tuple[Path, ...], *, servers: Servers, named_by: str
    ) -> Allowed:
        """Allow a project's folder, more folders and some servers.

        Args:
            folder: The project's folder, absolute.
            folders: Absolute paths of more folders; one need not exist.
            servers: The servers.
            named_by: The file to which `allow` belongs.

        Raises:
            LinkError: A further folder lies behind a link that is in the project's folder.
            OSError: Links lead in a circle.
        """
        links: dict[str, str] = {}
        root = _followed(os.fspath(folder), links)
        roots = {root}
        for one in folders:
            roots.add(_followed(os.fspath(one), links, project=root))
        above = frozenset(os.fspath(parent) for one in roots for parent in Path(one).parents)
        return cls(
            folder=folder,
            roots=frozenset(roots),
            links=links,
            servers=servers,
            named_by=named_by,
            _above=above,
        )

    def holds(self, path: str | Path) -> bool:
        """Return whether a path leads to a location in one of the folders, existing or not."""
        return self.resolve(path) is not None

    def holds_object(self, url: str) -> bool:
        """Return whether an object in a bucket may be read, by its url in the usual spelling."""
        return any(url.startswith(f"{one.rstrip('/')}/") or url == one for one in self.buckets)

    def resolve(self, path: str | Path) -> str | None:
        """Return the real path that an absolute path leads to; None if it leads outside."""
        text = os.fspath(path)
        if "\0" in text:
            return None
        parent, _, name = text.rpartition("/")
        if name in ("", ".", ".."):
            return self._resolve(text)
        # The files of a folder share the way to it.
        if parent not in self._real:
            self._real[parent] = self._walk("/", parent)
        start = self._real[parent]
        found = None if start is None else self._walk(start, name)
        return found if found is not None and self._is_inside(found) else None

    def _resolve(self, text: str) -> str | None:
        found = self._walk("/", text)
        return found if found is not None and self._is_inside(found) else None

    def _walk(self, start: str, text: str) -> str | None:
        """Return where a path leads from a real folder: inside a folder, or above one."""
        current, count = ("/" if text.startswith("/") else start), 0
        waiting = text.split("/")[::-1]
        while waiting:
            part = waiting.pop()
            if part in ("", "."):
                continue
            if part == "..":
                current = os.path.dirname(current)  # noqa: PTH120 - by the thousand
                continue
            path = f"{current.rstrip('/')}/{part}"
            target = self.links.get(path)
            if target is None and self._is_inside(path):
                target = _link(path)
            elif target is None and path not in self._above:
                return None
            if target is None:
                current = path
                continue
            count += 1
            if count > _MOST_LINKS:
                return None
            waiting += target.split("/")[::-1]
            if target.startswith("/"):
                current = "/"
        return current

    def _is_inside(self, path: str) -> bool:
        """Return whether a real path is one of the folders, or in one."""
        return any(_is_in(path, root) for root in self.roots)


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _link(path: str) -> str | None:
    """Return the target of a link; None for anything else, also what cannot be examined."""
    try:
        return os.readlink(path)  # noqa: PTH115 - by the thousand
    except (OSError, ValueError):
        return None


def _followed(path: str, links: dict[str, str], *, project: str = "") -> str:
    """Return the real path of a folder, and note the links on the way.

    Raises:
        LinkError: A link is in the project's folder.
        OSError: The links lead in a circle.
    """
    current, waiting, count = "/", path.split("/")[::-1], 0
    while waiting:
        part = waiting.pop()
        if part in ("", "."):
            continue
        if part == "..":
            current = os.path.dirname(current)  # noqa: PTH120
            continue
        step = f"{current.rstrip('/')}/{part}"
        target = _link(step)
        if target is None:
            current = step
            continue
        if project and _is_in(step, project):
            raise LinkError(step)
        count += 1
        if count > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        links[step] = target
        waiting += target.split("/")[::-1]
        if target.startswith("/"):
            current = "/"
    return current
