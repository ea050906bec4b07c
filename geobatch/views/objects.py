"""Checks of the objects that files of a view show: existence and length, without reading them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import Digest, digest_bytes
from geobatch.store.objects import Objects
from geobatch.views.protocol import MISSING, Audit


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


def shown_problem(
    store: str | Path,
    stored: Digest,
    size: int,
    stat: os.stat_result | None,
    *,
    read: Callable[[], bytes],
    audit: Audit,
) -> tuple[str, bool]:
    """Return what is wrong with a file that shows an object, whatever the object is.

    Args:
        store: Folder of the store.
        stored: Digest of the object.
        size: Its length as recorded.
        stat: What the file system says of the file; None if there is none.
        read: Returns the bytes of the file.
        audit: Which objects are damaged, and whose copies are read.

    Returns:
        What is wrong, and whether the file has the bytes of an object that is damaged.
    """
    if stat is None:
        return MISSING, False
    is_damaged = stored in audit.damaged
    try:
        is_object = os.path.samestat(stat, Path(store, Objects.path(stored)).stat())
    except (FileNotFoundError, NotADirectoryError):
        is_object = False
    if is_object and is_damaged:
        return f"it is the object `{Objects.path(stored)}`, which is damaged", False
    if stat.st_size != size:
        return f"{stat.st_size:,} bytes, expected {size:,}", False
    if is_object or not (is_damaged or stored in audit.read):
        return "", False
    is_well = digest_bytes(read()) == stored
    return "" if is_well else "other content", is_well and is_damaged
