"""PROJ, loaded by the first function that needs it: most runs need none, and it takes 60 ms."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


@cache
def proj() -> ModuleType:
    """Return the library pyproj, with `pyproj.exceptions`."""
    import pyproj.exceptions  # noqa: PLC0415 - see the line above

    return pyproj
