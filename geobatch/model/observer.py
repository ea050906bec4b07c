"""The events of a run; the command line draws them, tests record them."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives the events of a run, on the coordinating thread only."""

    def run_started(self, *, assets: int, tiles: int) -> None:
        """A run starts that will compute this many assets, and this many tiles in total."""

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Work on an asset with this many tiles starts."""

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """More tiles of an asset are done; `bytes_read` source bytes were read in total so far."""

    def asset_finished(self, asset_id: str) -> None:
        """All tiles of an asset are done, or it has failed and the others go on."""


class SilentObserver:
    """Ignores all events."""

    def run_started(self, *, assets: int, tiles: int) -> None:
        """Ignore it."""

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Ignore it."""

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Ignore it."""

    def asset_finished(self, asset_id: str) -> None:
        """Ignore it."""
