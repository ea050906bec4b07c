"""What a run tells while it works; the command line draws it, tests listen to it."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Listener of a run; called from the coordinating thread only."""

    def run_started(self, *, assets: int, tiles: int) -> None:
        """A run is begun that will compute this many assets, and this many tiles in all."""

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """An asset with this many tiles to compute is begun."""

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """More tiles of an asset are done; `bytes_read` source bytes were read in all so far."""

    def asset_finished(self, asset_id: str) -> None:
        """All tiles of an asset are done, or it has failed and the others go on."""


class SilentObserver:
    """Listens to nothing."""

    def run_started(self, *, assets: int, tiles: int) -> None:
        """Ignore it."""

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Ignore it."""

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Ignore it."""

    def asset_finished(self, asset_id: str) -> None:
        """Ignore it."""
