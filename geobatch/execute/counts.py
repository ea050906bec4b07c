"""How much a run did."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future

from msgspec import Struct, field

from geobatch.execute.tasks.task import TaskResult
from geobatch.model.checks.measure import Measure


class Counts(Struct, kw_only=True):
    """What was done, over all tiles of a run or of one asset."""

    written: int = 0
    """Tiles whose object the run put."""
    reused: int = 0
    """Tiles that were computed, and whose object was there already."""
    empty: int = 0
    """Fully masked tiles."""
    bytes_written: int = 0
    """Bytes of tile objects put, and of tables."""
    rows: int = 0
    """Rows of tables that were read."""
    bytes_read: int = 0
    """Source bytes that were read by others than the run's own reader."""
    puts: deque[tuple[Future[bool], int]] = field(default_factory=deque)
    """Tiles that are being put; see `TaskResult.puts`."""
    peaks: dict[str, dict[str, int]] = field(default_factory=dict)
    """The highest weight that was read of the masks of files, by asset and tileset."""
    differing: dict[str, dict[str, Measure]] = field(default_factory=dict)
    """Pixels that differ from the published ones, by asset and band, if a check needs them."""

    @property
    def tiles(self) -> int:
        """Tiles that were computed."""
        return self.written + self.reused + self.empty

    def settle(self, *, is_waiting: bool = True) -> None:
        """Count the tiles that were being put.

        Args:
            is_waiting: Whether to wait for those that are not there yet.

        Raises:
            StoreError: The store cannot be written.
        """
        while self.puts and (is_waiting or self.puts[0][0].done()):
            is_new, size = self.puts.popleft()
            if is_new.result():
                self.written += 1
                self.bytes_written += size
            else:
                self.reused += 1

    def add(self, other: TaskResult | Counts) -> None:
        """Count what a task put, or what was done of an asset."""
        self.written += other.written
        self.reused += other.reused
        self.empty += other.empty
        self.bytes_written += other.bytes_written
        self.puts.extend(other.puts)
        self.settle(is_waiting=False)
        for asset_id, peaks in other.peaks.items():
            highest = self.peaks.setdefault(asset_id, {})
            for tileset, peak in peaks.items():
                highest[tileset] = max(highest.get(tileset, 0), peak)
        self.bytes_read += other.bytes_read
