"""Values that are compared by some of their fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

from msgspec import Struct


class Compared(Struct, frozen=True, kw_only=True, eq=False):
    """A value with fields that equality and hash ignore."""

    beside: ClassVar[frozenset[str]] = frozenset()
    """Names of these fields."""

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        key = _key(self.__class__)
        return bool(key(self) == key(other))

    def __hash__(self) -> int:
        return hash(_key(self.__class__)(self))


@cache
def _key(kind: type[Compared]) -> Callable[[Any], Any]:
    return attrgetter(*(name for name in kind.__struct_fields__ if name not in kind.beside))
