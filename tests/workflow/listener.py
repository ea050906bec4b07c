"""An observer that does something once, at a given moment of a run."""

from __future__ import annotations

from collections.abc import Callable


class Listener:
    """Calls `act` at the n-th event of a run, counted from 0 over all kinds of events."""

    def __init__(self, moment: int, act: Callable[[], object]) -> None:
        self.events: list[str] = []
        self._moment = moment
        self._act = act

    def run_started(self, *, assets: int, tiles: int) -> None:
        pass

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        self._hear(f"{asset_id} started with {tiles} tiles")

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        assert bytes_read >= 0
        self._hear(f"{asset_id} did {tiles} tiles")

    def asset_finished(self, asset_id: str) -> None:
        self._hear(f"{asset_id} finished")

    def _hear(self, event: str) -> None:
        self.events.append(event)
        if len(self.events) == self._moment + 1:
            self._act()
