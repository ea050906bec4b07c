"""What is notified of new assets while their tiles are put, by whatever executor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from geobatch.model.assets.asset import AnyImage
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.model.tile import StoredTile
from geobatch.store.backends.protocol import Backend
from geobatch.store.index import Index

Tiles: TypeAlias = Mapping[ArrayKey, Iterable[StoredTile]]
"""Tiles by their array."""


class TileSink(Protocol):
    """Receives the tiles of new assets as they are put: for what is shown once they are published.

    One thread of a process calls it. No method raises an error of the store or of the disk, and
    what is published does not depend on it.
    """

    def tiles_put(self, asset: AnyImage, tiles: Tiles) -> None:
        """Receive some tiles of an asset that had none before the run."""

    def asset_reused(self, record: AssetRecord, index: Index) -> None:
        """Receive an asset whose tiles were all put before, by a run that was killed."""

    def for_processes(self, count: int, backend: Backend) -> TileSink:
        """Return the sink of each of some other processes, which pickles.

        Args:
            count: How many there are. They and this one have equal shares of what a run may make.
            backend: What they put objects into.
        """

    def pack(self, asset_id: str) -> bytes:
        """Return what was made of an asset, for the sink of another process, and forget it."""

    def unpack(self, asset_id: str, packed: bytes) -> None:
        """Take what was made of an asset by another process, as if it had been made here."""
