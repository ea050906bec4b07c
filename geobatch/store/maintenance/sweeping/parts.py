"""Who lists and deletes parts of a store: this thread, or others in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

from msgspec import Struct

from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.quarantine import Quarantine, Removed
from geobatch.store.maintenance.reachable import DigestSet
from geobatch.store.maintenance.sweeping.sweep import Sweep, sweep
from geobatch.store.tilestore import TileStore


class Parts(Protocol):
    """Lists and deletes parts of a store, here or elsewhere; it decides nothing."""

    def sweep(self, needed: DigestSet, *, until_ns: int) -> Sweep:
        """List all objects, and return those that nothing needs; see `sweep`."""

    def delete(self, batch: str, quarantine: Quarantine) -> Removed:
        """Delete a batch and what it holds, its document last; see `Quarantine.delete`."""


Start: TypeAlias = Callable[[TileStore], AbstractContextManager[Parts]]
"""Begins to list and delete parts of a store that is open."""


class Here(Struct, frozen=True):
    """Lists and deletes parts of a store in this thread."""

    backend: Backend
    """The store."""

    def sweep(self, needed: DigestSet, *, until_ns: int) -> Sweep:
        """List all objects; see `Parts`."""
        return sweep(self.backend, needed, until_ns=until_ns)

    def delete(self, batch: str, quarantine: Quarantine) -> Removed:
        """Delete a batch; see `Parts`."""
        return quarantine.delete(batch)


def here(store: TileStore) -> AbstractContextManager[Parts]:
    """Return what does it in this thread."""
    return nullcontext(Here(store.backend))
