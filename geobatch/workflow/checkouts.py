"""Where spec files are in their Git repository, which clones of it share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from geobatch.model.digest import digest_bytes
from geobatch.model.provenance import CheckoutPath
from geobatch.store.origins import real_path
from geobatch.workflow.provenance import finish_git, start_git

_DIGITS = 32
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?([^/:]*)(?::[0-9]+)?/*(.*)")
_LIKE_SCP = re.compile(r"(?:[^/@:]*@)?([^/:]+):/*(.*)")
_FALSE = ("false", "no", "off", "0")
_KEY = re.compile(r"remote\.(.*)\.url")


class Checkout(Struct, frozen=True):
    """A checkout of a repository that has an address."""

    top: str
    """Real path of its uppermost folder."""
    repository: str
    """Digest of the address; see `CheckoutPath`."""

    def path_of(self, file: str) -> CheckoutPath:
        """Return where a file of it is, by its real path."""
        return CheckoutPath(self.repository, Path(os.path.relpath(file, self.top)).as_posix())


class Checkouts:
    """The checkouts that some files are in; Git is asked once about each."""

    def __init__(self) -> None:
        self._by_top: dict[str, Checkout | None] = {}

    def of(self, path: str | Path) -> Checkout | None:
        """Return the checkout of a file or folder; None if it is in none, or that has no address.

        A sparse checkout is none: a file that is not in it may be in the repository.
        """
        top = _top_of(real_path(path))
        if top is None:
            return None
        if top not in self._by_top:
            self._by_top[top] = _checkout(top)
        return self._by_top[top]

    def paths_of(self, files: Mapping[str, str]) -> dict[str, CheckoutPath]:
        """Return where spec files are, by their origin; files are given as origin by path."""
        found = {}
        for file, origin in files.items():
            if (checkout := self.of(file)) is not None:
                found[origin] = checkout.path_of(real_path(file))
        return found

    def tops(self, paths: Iterable[Path]) -> dict[str, str]:
        """Return the uppermost folder by repository, of repositories with one checkout only."""
        found: dict[str, set[str]] = {}
        for path in paths:
            if (checkout := self.of(path)) is not None:
                found.setdefault(checkout.repository, set()).add(checkout.top)
        return {one: tops.pop() for one, tops in found.items() if len(tops) == 1}


def _top_of(path: str) -> str | None:
    """Return the folder above a path that a checkout begins in; no process is started."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)  # noqa: PTH112, PTH120
    while not os.path.lexists(f"{folder}/.git"):
        if (above := os.path.dirname(folder)) == folder:  # noqa: PTH120
            return None
        folder = above
    return folder


def _checkout(top: str) -> Checkout | None:
    asked = start_git(
        Path(top), "config", "-z", "--get-regexp", r"^(remote\..*\.url|core\.sparsecheckout)$"
    )
    said = finish_git(asked, Path(top))
    entries = [line.partition("\n")[::2] for line in (said or "").split("\0") if line]
    if any(key == "core.sparsecheckout" and value not in _FALSE for key, value in entries):
        return None
    urls = {match[1]: value for key, value in entries if (match := _KEY.fullmatch(key))}
    url = urls.get("origin") or (next(iter(urls.values())) if len(urls) == 1 else "")
    address = address_of(url, top=top)
    return Checkout(top, digest_bytes(address.encode())[:_DIGITS]) if address else None


def address_of(url: str, *, top: str) -> str:
    """Return host and path of a repository, equal for all ways to reach it; empty if unknown.

    Args:
        url: The address as Git has it: a URL, `user@host:path`, or a path.
        top: The folder that a relative path starts from.
    """
    local = url.removeprefix("file://") if url.startswith("file://") else url
    if match := _WITH_SCHEME.fullmatch(local) or _LIKE_SCP.fullmatch(local):
        host, path = match[1].casefold(), match[2]
    elif local:
        host, path = "", os.path.realpath(Path(top, local))
    else:
        return ""
    path = path.rstrip("/").removesuffix(".git").rstrip("/")
    return f"{host}/{path.lstrip('/')}" if path else ""
