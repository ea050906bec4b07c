"""Checks of the objects that files of a view show: existence and length, without reading them."""

from __future__ import annotations

import os
from pathlib import Path

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import Digest
from geobatch.store.objects import Objects


def check_size(stored: Digest, size: int, expected: int, path: str | Path) -> None:
    """Refuse an object that is cut, or longer than it was.

    Raises:
        CorruptObjectError: It has another length than is recorded.
    """
    if size != expected:
        raise CorruptObjectError(
            f"object `{Objects.path(stored)}` is damaged: it has {size:,} bytes, "
            f"expected {expected:,}; `{path}` shows it"
        )


def check_object(store: str | Path, stored: Digest, size: int, path: str | Path) -> os.stat_result:
    """Return what the file system says of an object that a file of the store shows.

    Raises:
        CorruptObjectError: It is missing, or has another length than is recorded.
    """
    name = Objects.path(stored)
    try:
        origin = Path(store, name).stat()
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptObjectError(f"object `{name}` is missing, `{path}` shows it") from None
    check_size(stored, origin.st_size, size, path)
    return origin
