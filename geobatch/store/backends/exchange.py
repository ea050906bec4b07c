"""Two names in a file system exchanged in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

_AT_FDCWD = -100
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux, and RENAME_SWAP of macOS."""
_CANNOT = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""The system, or this file system, has no such step."""


def exchange(first: str, second: str) -> None:
    """Exchange what two paths name: each is there at every instant.

    Where the system cannot, two renames do it, and the second path is missing in between.

    Raises:
        OSError: A path is missing, or they are in two file systems; then nothing was changed.
    """
    if _in_one_step is not None:
        if _in_one_step(os.fsencode(first), os.fsencode(second)) == 0:
            return
        number = ctypes.get_errno()
        if number not in _CANNOT:
            raise OSError(number, os.strerror(number), first, None, second)
    _in_two_steps(first, second)


def _in_two_steps(first: str, second: str) -> None:
    spare = f"{first}.before"
    os.rename(second, spare)  # noqa: PTH104
    try:
        os.rename(first, second)  # noqa: PTH104
    except OSError:
        os.rename(spare, second)  # noqa: PTH104
        raise
    os.rename(spare, first)  # noqa: PTH104


def _find() -> Callable[[bytes, bytes], int] | None:
    try:
        system: Any = ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
    if hasattr(system, "renameat2"):  # Linux
        system.renameat2.argtypes = (
            ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
        )  # fmt: skip
        return lambda a, b: int(system.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE))
    if hasattr(system, "renamex_np"):  # macOS
        system.renamex_np.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
        return lambda a, b: int(system.renamex_np(a, b, _EXCHANGE))
    return None


_in_one_step = _find()
