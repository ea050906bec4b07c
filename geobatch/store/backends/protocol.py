"""The few operations that a store needs to keep bytes under names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, TypeAlias

from geobatch.errors import StoreError

Data: TypeAlias = bytes | bytearray | memoryview
"""Bytes to write: anything flat with a C-contiguous buffer."""

RUNS = "runs/"
"""Names below belong to live runs; `list` skips them unless they are requested."""

_PART = r"(?!\.{1,2}(?:/|\Z))[^/\\\x00-\x1f\x7f]+"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")


class Backend(Protocol):
    """A flat space of names, each with bytes that appear complete or not at all.

    Names are `/`-separated; no part is empty, `.` or `..`. Every method may be called from any
    thread, and raises `StoreError` where the place fails or the name is not one.
    """

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name, or those of a range.

        Args:
            name: The name.
            start: Offset of the first byte; not negative.
            length: How many bytes; fewer are returned if the bytes end before. None for all that
                follow.

        Raises:
            NotFoundError: There is no such name.
            ValueError: The offset or the length is negative.
        """

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes under a name that never names other bytes; durable after the next `sync`.

        Returns:
            False where the name already names these bytes. One that names other bytes is torn
            or damaged, and is written again.
        """

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a name that does not exist yet; durable on return.

        Of any number of racing callers exactly one gets True.
        """

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under a name that may name other bytes before and after; for caches."""

    def size(self, name: str) -> int | None:
        """Return the number of bytes of a name, or None where there is no such name."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that start with a prefix, in the order of their code points."""

    def delete(self, name: str) -> None:
        """Forget a name; no error where there is none."""

    def sync(self) -> None:
        """Return when everything that was put before is durable."""

    def close(self) -> None:
        """Release what the backend holds; it must not be used afterwards."""


def check_range(start: int, length: int | None) -> None:
    """Refuse a range that cannot be.

    Raises:
        ValueError: The offset or the length is negative.
    """
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range of {length} bytes from offset {start}")


def parse_name(name: str) -> str:
    """Return a name if it is one.

    Raises:
        StoreError: It has an empty, `.` or `..` part, a control character or a backslash.
    """
    if _NAME.fullmatch(name) is None:
        raise StoreError(
            f"`{name}` is not a valid name in a store",
            hint="a name is parts separated by `/`; no part is empty, `.` or `..`",
        )
    return name
