"""A store whose disk fails the first times that something is put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geobatch.errors import StoreError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.protocol import Data


class FlakyBackend(LocalBackend):
    """Fails so many puts of objects, over all processes."""

    def __init__(self, root: Path, failures: int) -> None:
        super().__init__(root)
        self._failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return (FlakyBackend, (self.root, self._failures))

    def put(self, name: str, data: Data) -> bool:
        tries = len(list(self.root.glob("try-*")))
        (self.root / f"try-{tries}").touch()
        if tries < self._failures:
            raise StoreError("the disk is tired")
        return super().put(name, data)
