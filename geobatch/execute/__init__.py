"""Regions of tiles, computed and put."""

from geobatch.execute.counts import Counts
from geobatch.execute.executor import execute
from geobatch.execute.region_cache import Memory
from geobatch.execute.tables import execute_tables
from geobatch.model.observer import Observer, SilentObserver

__all__ = [
    "Counts", "Memory", "Observer", "SilentObserver", "execute", "execute_tables",
]  # fmt: skip
