"""Regions of tiles, computed and put."""

from geobatch.execute.executor import Counts, execute
from geobatch.execute.memory import Memory
from geobatch.execute.observer import Observer, SilentObserver
from geobatch.execute.sources import Sources

__all__ = ["Counts", "Memory", "Observer", "SilentObserver", "Sources", "execute"]
