"""Every byte of a store's objects, or of a part of them, compared with the digests."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from geobatch.errors import GeobatchError
from geobatch.model.digest import Digest
from geobatch.store.objects import Objects

_SUBSET = re.compile("([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", re.ASCII)
_AT_ONCE = 64
"""Objects that a thread reads before it returns."""

Progress: TypeAlias = Callable[[int, int], object]
"""Receives how many objects were done, and of how many."""


def no_progress(done: int, total: int) -> None:
    """Receive the progress, and do nothing."""


class Subset(Struct, frozen=True):
    """Which objects are read: the n-th of t parts, by digest; no part is read twice."""

    number: int
    """Number of the part, from 1; 0 for no object."""
    count: int = 1
    """How many parts there are."""

    @classmethod
    def parse(cls, text: str) -> Subset | None:
        """Return the subset of a text such as `2/7`, or None if it is not one."""
        match = _SUBSET.fullmatch(text)
        if match is None or int(match[1]) > int(match[2]):
            return None
        return cls(int(match[1]), int(match[2]))

    def __contains__(self, digest: object, /) -> bool:
        return bool(self.number) and int(str(digest)[:16], 16) % self.count == self.number - 1


NOTHING = Subset(0)
"""No byte of a tile is read: structure alone."""
EVERYTHING = Subset(1)
"""Every byte is read."""


class Read(NamedTuple):
    """What reading objects gave."""

    damaged: dict[Digest, str]
    """What is wrong with objects, by digest."""
    objects: int
    """How many were read."""
    bytes: int
    """Their bytes."""
    doubted: tuple[Digest, ...] = ()
    """Those that a worker found damaged, and that are whole here."""

    def doubts(self) -> Iterator[str]:
        """Yield what is to be said of those."""
        if self.doubted:
            yield (
                f"workers found {len(self.doubted):,} objects damaged that are whole here, such as"
                f" `{Objects.path(self.doubted[0])}`: a worker's disk or memory is at fault"
            )


class Reading(Protocol):
    """Reads objects in place of the threads of this process."""

    def __call__(
        self,
        objects: Objects,
        found: Iterable[tuple[Digest, int]],
        *,
        subset: Subset,
        progress: Progress,
        total: int,
    ) -> Read:
        """Read objects; see `read_all`."""


def read_all(
    objects: Objects,
    found: Iterable[tuple[Digest, int]],
    *,
    subset: Subset,
    workers: int,
    progress: Progress,
    total: int,
) -> Read:
    """Read objects of a subset and compare each with its digest, on some threads.

    At most a few objects per thread are in memory.

    Args:
        objects: The objects of the store.
        found: Digest and length of each.
        subset: Which of them are read.
        workers: How many threads read.
        progress: Notified of the progress.
        total: How many objects there are.

    Raises:
        KeyboardInterrupt: The user stopped it.
    """
    damaged: dict[Digest, str] = {}
    count = size = done = 0
    if not subset.number:
        return Read(damaged, 0, 0)
    batches = iter(lambda: list(itertools.islice(found, _AT_ONCE)), [])
    found = iter(found)
    with ThreadPoolExecutor(workers) as pool:
        while rounds := list(itertools.islice(batches, 4 * workers)):
            jobs = [[one for one in batch if one[0] in subset] for batch in rounds]
            for wrong in pool.map(lambda job: list(problems(objects, (d for d, _ in job))), jobs):
                damaged.update(wrong)
            count += sum(map(len, jobs))
            size += sum(length for job in jobs for _, length in job)
            done += sum(map(len, rounds))
            progress(done, total)
    return Read(damaged, count, size)


def problems(objects: Objects, digests: Iterable[Digest]) -> Iterator[tuple[Digest, str]]:
    """Yield what is wrong with objects, one after the other: those that are whole are omitted."""
    for digest in digests:
        try:
            objects.get(digest)
        except GeobatchError as error:
            yield digest, error.message
