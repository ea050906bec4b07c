"""The objects of a store as they are listed: names and lengths, 41 bytes of memory for each."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from geobatch.model.digest import DIGEST_BYTES, Digest
from geobatch.store.maintenance.check import size_problem

OBJECTS = "objects/"

_NAME = re.compile(f"{OBJECTS}([0-9a-f]{{2}})/([0-9a-f]{{62}})")
_DTYPE = np.dtype(f"S{DIGEST_BYTES}")


def digest_of(name: str) -> Digest | None:
    """Return the digest in the name of an object; None if it is not one."""
    match = _NAME.fullmatch(name)
    return None if match is None else match[1] + match[2]


class Inventory:
    """All objects of a store at one time, by digest; compares those that are needed with them."""

    def __init__(self, names: bytes, sizes: Iterable[int]) -> None:
        """Take a list.

        Args:
            names: Digests of the objects, one after the other, sorted.
            sizes: Their lengths.
        """
        self._names: npt.NDArray[np.bytes_] = np.frombuffer(names, dtype=_DTYPE)
        self._sizes: npt.NDArray[np.int64] = np.fromiter(sizes, dtype=np.int64)
        self._is_used = np.zeros(len(self._names), dtype=np.bool_)
        self.damaged: Mapping[Digest, str] = {}
        """What is wrong with objects that were read, by digest."""

    @classmethod
    def of(cls, names: Iterable[tuple[str, int | None]]) -> Inventory:
        """Return the objects with some sorted names and lengths; one that is gone is omitted."""
        found, sizes = bytearray(), array("q")
        for name, size in names:
            if size is not None:
                found += bytes.fromhex(name[len(OBJECTS) : len(OBJECTS) + 2] + name[-62:])
                sizes.append(size)
        return cls(bytes(found), sizes)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def bytes(self) -> int:
        """The length of all objects."""
        return int(self._sizes.sum())

    @property
    def unused(self) -> int:
        """How many objects nothing asked for."""
        return int(len(self) - self._is_used.sum())

    def all(self) -> Iterator[tuple[Digest, int]]:
        """Yield digests and lengths."""
        for name, size in zip(self._names, self._sizes.tolist(), strict=True):
            yield _hex(name), size

    def unused_digests(self) -> Iterator[Digest]:
        """Yield the digests of objects that nothing asked for."""
        for name in self._names[~self._is_used]:
            yield _hex(name)

    def use(self, digest: Digest) -> None:
        """Note that an object is needed."""
        for number in self._find([digest]).tolist():
            self._is_used[number] = True

    def wrong(self, names: Sequence[Digest], sizes: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Yield what is wrong; see `Leaves.wrong`."""
        numbers = self._find(names, is_all=True)
        is_there = numbers >= 0
        self._is_used[numbers[is_there]] = True
        expected = np.array(sizes, dtype=np.uint64)
        got = np.zeros(len(names), dtype=np.uint64)
        got[is_there] = self._sizes[numbers[is_there]]
        for number in np.flatnonzero(~is_there | (got != expected)).tolist():
            size = int(got[number]) if is_there[number] else None
            yield number, size_problem(names[number], sizes[number], size)
        if self.damaged:
            for number in np.flatnonzero(is_there & (got == expected)).tolist():
                if (message := self.damaged.get(names[number])) is not None:
                    yield number, message

    def _find(self, names: Sequence[Digest], *, is_all: bool = False) -> npt.NDArray[np.intp]:
        """Return the numbers of objects: -1 for each that is not there, or those that are."""
        wanted = np.frombuffer(bytes.fromhex("".join(names)), dtype=_DTYPE)
        found: npt.NDArray[np.intp] = np.searchsorted(self._names, wanted)
        is_there = found < len(self._names)
        if len(self._names):
            is_there &= self._names[np.where(is_there, found, 0)] == wanted
        else:
            is_there[:] = False
        return np.where(is_there, found, -1) if is_all else found[is_there]


def _hex(name: bytes) -> Digest:
    # numpy leaves out the zero bytes at the end of a value.
    return bytes(name).ljust(DIGEST_BYTES, b"\0").hex()
