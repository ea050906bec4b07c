"""Folders aside of a view: what is made there comes into the view in one step, or leaves it."""

from __future__ import annotations

import itertools
from contextlib import suppress
from pathlib import Path

from geobatch.store.backends.protocol import LocalDisk
from geobatch.views.files import Files

_COUNT = itertools.count()


class AsideFolders:
    """Folders aside of one update of a view."""

    def __init__(self, disk: LocalDisk, root: Path) -> None:
        """Make no folder yet.

        Args:
            disk: The disk of the store.
            root: The folder of the view.
        """
        self._disk = disk
        self._root = root
        self._made: list[Path] = []

    def is_near(self) -> bool:
        """Return whether folders can be moved between the run and the view."""
        try:
            return self._root.stat().st_dev == self._disk.root.stat().st_dev
        except FileNotFoundError:
            return True

    def path(self) -> Path:
        """Return a new path, for what comes to the view or has left it."""
        self._made.append(self._disk.scratch(f"{self._root.name}/aside-{next(_COUNT)}"))
        return self._made[-1]

    def remove(self) -> int:
        """Remove what is left in the folders; return how many files that were."""
        removed = 0
        for folder in self._made:
            left = Files(sources=self._disk.root, folder=folder)
            with suppress(OSError):  # the end of the run removes it, or the next one does
                left.sweep("")
            removed += left.removed
        return removed
