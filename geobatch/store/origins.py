"""Where assets were declared, recorded relative to the store: no name of a machine or user."""

from __future__ import annotations

import os
from pathlib import Path


def origin_of(spec: str | Path, *, store: Path) -> str:
    """Return the place of a spec file relative to the folder of a store, with `/` between parts."""
    path = Path(real_place(spec))
    return Path(os.path.relpath(path, os.path.realpath(store))).as_posix()


def place_of(origin: str, *, store: Path) -> str:
    """Return the absolute path of a spec file from its origin; it need not exist any more."""
    return os.path.normpath(Path(os.path.realpath(store), origin))


def real_place(path: str | Path) -> str:
    """Return the absolute path of a file or folder, links on the way to a file followed.

    A file that is a link itself keeps its own name: that is the one under which it is declared.
    """
    given = os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows the last link too
    if os.path.isdir(given):  # noqa: PTH112 - no exceptions for odd names
        return os.path.realpath(given)
    folder, name = os.path.split(given)
    return str(Path(os.path.realpath(folder), name))
