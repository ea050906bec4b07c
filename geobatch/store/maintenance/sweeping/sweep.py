"""A list of objects, of which those are kept in memory that nothing needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend, State
from geobatch.store.maintenance.reachable import (
    Digests,
    DigestSet,
    digests_of,
    hex_of,
    object_digests,
)
from geobatch.store.objects import Objects

_OBJECTS = "objects/"
_PART = 1 << 16
"""Objects that are listed before they become arrays."""


class Scan(Struct, frozen=True):
    """Some objects of a store, sorted by digest."""

    digests: Digests
    """(n,) digests."""
    sizes: npt.NDArray[np.int64]
    """(n,) lengths in bytes."""
    freed: npt.NDArray[np.int64]
    """(n,) bytes that the disk gets back; 0 for a file with other links."""
    modified: npt.NDArray[np.int64]
    """(n,) times of modification, in nanoseconds."""


class Sweep(Struct, frozen=True, kw_only=True):
    """What a list of objects gave."""

    garbage: Scan
    """Objects that nothing needs, and that are old enough."""
    objects: int = 0
    """All objects."""
    bytes: int = 0
    """Their length."""
    young: int = 0
    """Objects that nothing needs, and that are younger."""
    young_bytes: int = 0
    """Their length."""
    newest_ns: int = -1
    """When the newest object was written; -1 if there is none."""
    newest: Digest = ""
    """Its digest."""
    rest: str = ""
    """Name behind which the rest is to be listed; empty if all was."""


def sweep(
    backend: Backend,
    needed: DigestSet,
    *,
    until_ns: int,
    prefix: str = _OBJECTS,
    after: str = "",
    most: int | None = None,
) -> Sweep:
    """List objects, and return those that nothing needs; other files in their folders are passed.

    Args:
        backend: The store.
        needed: What is needed.
        until_ns: Time until which an object must have been written to be garbage.
        prefix: What the names begin with.
        after: Only names behind this one are listed.
        most: Objects of garbage that are returned, at most; None for all.

    Raises:
        StoreError: The backend failed.
    """
    found: list[Sweep] = []
    last, count = after, 0
    for part in _scanned(backend, prefix, after, most or _PART):
        one = _swept(part, needed, until_ns)
        count += len(one.garbage.digests)
        if most is not None and count > most:
            return replace(joined(found), rest=last)
        found.append(one)
        last = Objects.path(next(hex_of(part.digests[-1:])))
    return joined(found)


def joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return what lists of several parts gave together."""
    if not sweeps:
        return Sweep(garbage=Scan(digests_of([]), *(np.empty(0, dtype=np.int64) for _ in range(3))))
    digests = np.concatenate([one.garbage.digests for one in sweeps])
    order = np.argsort(digests, kind="stable")
    columns = ("sizes", "freed", "modified")
    facts = [np.concatenate([getattr(one.garbage, name) for one in sweeps]) for name in columns]
    newest = max(sweeps, key=lambda one: one.newest_ns)
    return Sweep(
        garbage=Scan(digests[order], *(fact[order] for fact in facts)),
        objects=sum(one.objects for one in sweeps),
        bytes=sum(one.bytes for one in sweeps),
        young=sum(one.young for one in sweeps),
        young_bytes=sum(one.young_bytes for one in sweeps),
        newest_ns=newest.newest_ns,
        newest=newest.newest,
    )


def _swept(scan: Scan, needed: DigestSet, until_ns: int) -> Sweep:
    is_needed = needed.has(scan.digests)
    is_old = scan.modified <= until_ns
    is_garbage, is_young = ~is_needed & is_old, ~is_needed & ~is_old
    newest = int(np.argmax(scan.modified))
    return Sweep(
        garbage=Scan(
            scan.digests[is_garbage],
            scan.sizes[is_garbage],
            scan.freed[is_garbage],
            scan.modified[is_garbage],
        ),
        objects=len(scan.digests),
        bytes=int(scan.sizes.sum()),
        young=int(is_young.sum()),
        young_bytes=int(scan.sizes[is_young].sum()),
        newest_ns=int(scan.modified[newest]),
        newest=next(hex_of(scan.digests[newest : newest + 1])),
    )


def _scanned(backend: Backend, prefix: str, after: str, most: int) -> Iterator[Scan]:
    """Yield objects in the order of their digests, so many at a time."""
    names: list[str] = []
    facts: list[tuple[int, int, int]] = []
    for name, state in _states(backend, prefix, after):
        digest = next(object_digests((name,)), None)
        if digest is None:
            continue
        names.append(digest)
        facts.append((state.size, state.size if state.links == 1 else 0, state.modified_ns))
        if len(names) == most:
            yield _scan(names, facts)
            names, facts = [], []
    if names:
        yield _scan(names, facts)


def _scan(names: Sequence[Digest], facts: Sequence[tuple[int, int, int]]) -> Scan:
    table = np.array(facts, dtype=np.int64)
    return Scan(digests_of(names), table[:, 0], table[:, 1], table[:, 2])


def _states(backend: Backend, prefix: str, after: str) -> Iterator[tuple[str, State]]:
    """Yield names behind one; where each state is a call, no other is asked for."""
    if backend.is_remote:
        yield from (found for found in backend.scan(prefix) if found[0] > after)
        return
    for name in backend.list(prefix):
        if name > after and (state := backend.state(name)) is not None:
            yield name, state
