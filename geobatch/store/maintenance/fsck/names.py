"""The names in a store: which are of a kind that a store has, and which are foreign."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from geobatch.errors import StoreError
from geobatch.store.backends.protocol import RUNS, Backend
from geobatch.store.caches.cache import CACHE_NAME
from geobatch.store.caches.cache_file import unreadable
from geobatch.store.caches.value_cache import is_sealed
from geobatch.store.identity import IDENTITY, identity_problem
from geobatch.store.maintenance.fsck.findings import Finding, Kind
from geobatch.store.maintenance.fsck.inventory import OBJECTS, digest_of
from geobatch.store.refs import REFS
from geobatch.store.tilestore import GITIGNORE, IGNORED

CACHE = "cache/"
_REF = re.compile(re.escape(REFS) + "[0-9a-f]{16}")
_ELSEWHERE = ("zarr/", "parquet/", "quarantine/", "pins/", RUNS)
"""Folders that are checked by themselves, or by no one."""
_OURS = (OBJECTS, "refs/", CACHE)
"""Folders whose names are checked here."""


class Names(Struct, kw_only=True):
    """What a list of all names gave."""

    foreign: list[Finding] = field(default_factory=list)
    """Those that no store has."""
    caches: list[str] = field(default_factory=list)
    """Those of caches."""


def objects_of(backend: Backend, into: Names) -> Iterator[str]:
    """Yield the names of all objects, sorted; collect those of other files.

    Args:
        backend: The store.
        into: Receives the other names.
    """
    for name in _names(backend):
        if name.startswith(OBJECTS):
            if digest_of(name) is not None:
                yield name
            else:
                into.foreign.append(_foreign(name))
        elif name.startswith(CACHE):
            into.caches.append(name)
        elif name not in (IDENTITY, GITIGNORE) and _REF.fullmatch(name) is None:
            into.foreign.append(_foreign(name))


def check_identity(backend: Backend) -> Iterator[Finding]:
    """Yield what is wrong with the document that says which store it is."""
    try:
        problem = identity_problem(backend.get(IDENTITY))
    except StoreError:
        problem = "it is missing, so no command opens the store"
        yield Finding(kind=Kind.MISSING, name=IDENTITY, problem=problem)
        return
    if problem is not None:
        yield Finding(kind=Kind.DAMAGED, name=IDENTITY, problem=problem)


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


def _names(backend: Backend) -> Iterator[str]:
    """Yield all names outside the folders that are checked elsewhere."""
    local = backend.local
    if local is None:
        for name in backend.list(""):
            if not name.startswith(_ELSEWHERE):
                yield name
        return
    for entry in sorted(local.root.iterdir()):
        prefix = f"{entry.name}/"
        if prefix in _OURS and entry.is_dir():
            yield from backend.list(prefix)
        elif prefix not in _ELSEWHERE:
            yield entry.name


def _foreign(name: str) -> Finding:
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
