"""The names in a store: which are of a kind that a store has, and which are foreign."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from geobatch.buckets.names import PROOFS
from geobatch.errors import CorruptObjectError, StoreError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import RUNS, Backend, State
from geobatch.store.caches.cache import CACHE_NAME
from geobatch.store.caches.cache_file import unreadable
from geobatch.store.caches.value_cache import is_sealed
from geobatch.store.commits.drops import GC_RUNS, Drops
from geobatch.store.commits.pins import PINS, Pins
from geobatch.store.commits.refs import REFS
from geobatch.store.identity import COPYING, GITIGNORE, IDENTITY, IGNORED, identity_problem
from geobatch.store.maintenance.fsck.findings import Finding, Kind
from geobatch.store.maintenance.fsck.inventory import OBJECTS, digest_of
from geobatch.store.maintenance.quarantine import QUARANTINE
from geobatch.store.rehearsals.records import REHEARSALS, Rehearsal, Rehearsals, check_name

CACHE = "cache/"
_REF = re.compile(re.escape(REFS) + "[0-9a-f]{16}")
_ELSEWHERE = ("zarr/", "parquet/", "references/", "stac/", "cubes/", QUARANTINE, RUNS, PROOFS)
"""Folders that are checked by themselves, or by no one."""
_OURS = (OBJECTS, "refs/", CACHE, PINS, GC_RUNS, REHEARSALS)
"""Folders whose names are checked here."""


class Names(Struct, kw_only=True):
    """What a list of all names gave."""

    foreign: list[Finding] = field(default_factory=list)
    """Those that no store has."""
    caches: list[str] = field(default_factory=list)
    """Those of caches."""
    pins: list[str] = field(default_factory=list)
    """Those of pins."""
    rehearsals: list[str] = field(default_factory=list)
    """Those of rehearsals."""
    drops: list[str] = field(default_factory=list)
    """Those in which `gc` says what it dropped."""


def objects_of(backend: Backend, into: Names) -> Iterator[tuple[str, int | None]]:
    """Yield the names of all objects with their lengths, sorted; collect those of other files.

    The length of one that is gone meanwhile is None.

    Args:
        backend: The store.
        into: Receives the other names.
    """
    for name, state in _names(backend):
        if name.startswith(OBJECTS):
            if digest_of(name) is not None:
                yield name, backend.size(name) if state is None else state.size
            else:
                into.foreign.append(foreign(name))
        elif name.startswith(CACHE):
            into.caches.append(name)
        elif name.startswith(PINS):
            into.pins.append(name)
        elif name.startswith(REHEARSALS):
            into.rehearsals.append(name)
        elif name.startswith(GC_RUNS):
            into.drops.append(name)
        elif name not in (IDENTITY, GITIGNORE, COPYING) and _REF.fullmatch(name) is None:
            into.foreign.append(foreign(name))


def check_identity(backend: Backend) -> Iterator[Finding]:
    """Yield what is wrong with the document that says which store it is."""
    try:
        problem = identity_problem(backend.get(IDENTITY))
    except StoreError:
        problem = "it is missing, so no command opens the store"
        yield Finding(kind=Kind.MISSING, name=IDENTITY, problem=problem)
        return
    if problem is not None:
        problem = f"{problem}, so no command opens the store"
        yield Finding(kind=Kind.DAMAGED, name=IDENTITY, problem=problem)


def check_pins(
    backend: Backend, names: Names, commits: Mapping[int, Digest | None]
) -> Iterator[Finding]:
    """Yield what is wrong with pins.

    Args:
        backend: The store.
        names: The names that were found.
        commits: Digests of all commits by number, as far as they are known.
    """
    pins = Pins(backend)
    for name in names.pins:
        stem = name.removeprefix(PINS).removesuffix(".json")
        try:
            pin = pins.get(stem)
        except CorruptObjectError as error:
            yield Finding(kind=Kind.DAMAGED, name=name, problem=error.message)
            continue
        except StoreError:
            yield foreign(name)
            continue
        if name != Pins.path(stem):
            yield foreign(name)
        elif commits.get(pin.number) not in (None, pin.commit) or pin.number not in commits:
            problem = f"it pins commit {pin.number} `{pin.commit}`, which the store does not have"
            yield Finding(kind=Kind.DAMAGED, name=name, problem=problem)


def find_rehearsals(backend: Backend, names: Names) -> Iterator[Rehearsal | Finding]:
    """Yield the rehearsals of a store, and what is wrong with records that cannot be read.

    Args:
        backend: The store.
        names: The names that were found.
    """
    rehearsals = Rehearsals(backend)
    for name in names.rehearsals:
        try:
            check_name(name)
        except StoreError:
            yield foreign(name)
            continue
        try:
            found = rehearsals.find(name.removeprefix(REHEARSALS).removesuffix(".json"))
        except CorruptObjectError as error:
            yield Finding(kind=Kind.DAMAGED, name=name, problem=error.message)
        else:
            if found is not None:  # `gc` may have just removed it
                yield found


def check_drops(backend: Backend, names: Names) -> Iterator[Finding]:
    """Yield what is wrong with what `gc` recorded."""
    for name in names.drops:
        if not name.endswith(".json"):
            yield foreign(name)
    try:
        Drops(backend).numbers()
    except CorruptObjectError as error:
        for name in names.drops:
            if f"`{name}`" in error.message:
                yield Finding(kind=Kind.DAMAGED, name=name, problem=error.message)


def dropped_of(backend: Backend) -> frozenset[int]:
    """Return the numbers of commits that `gc` dropped, as far as that can be read."""
    try:
        return Drops(backend).numbers()
    except CorruptObjectError:
        return frozenset()


def notes_of(backend: Backend, names: Names) -> Iterator[str]:
    """Yield what is odd of files that no reader needs."""
    try:
        is_usual = backend.get(GITIGNORE) == IGNORED
    except StoreError:
        is_usual = False
    if not is_usual:
        yield f"`{GITIGNORE}` is missing or says something else than `*`: git may take the store in"
    for name in names.caches:
        if problem := _cache_problem(backend, name):
            yield f"`{name}` cannot be used, and will be made again: {problem}"


def _names(backend: Backend) -> Iterator[tuple[str, State | None]]:
    """Yield all names outside the folders that are checked elsewhere, with states if known."""
    local = backend.local
    if local is None:
        for name, state in backend.scan(""):
            if not name.startswith(_ELSEWHERE):
                yield name, state
        return
    for entry in sorted(local.root.iterdir()):
        prefix = f"{entry.name}/"
        if prefix in _OURS and entry.is_dir():
            yield from ((name, None) for name in backend.list(prefix))
        elif prefix not in _ELSEWHERE:
            yield entry.name, None


def foreign(name: str) -> Finding:
    """Return the finding of a file that no store has."""
    return Finding(kind=Kind.FOREIGN, name=name, problem="no store has a file of this name")


def _cache_problem(backend: Backend, name: str) -> str:
    local = backend.local
    if name == CACHE_NAME and local is not None:
        return unreadable(local.path(name))
    if name.startswith(CACHE_NAME):  # its journal
        return ""
    try:
        return "" if is_sealed(name, backend.get(name)) else "it is damaged"
    except StoreError as error:
        return error.message
