"""A cache of small values in files of the store, such as finished regions; never trusted."""

from __future__ import annotations

from collections.abc import Iterable

from geobatch.errors import StoreError
from geobatch.model.digest import DIGEST_BYTES, Digest, digest_bytes
from geobatch.store.backends.protocol import Backend

REGIONS = "cache/regions/"


class ValueCache:
    """Values by digest, below a folder of a store's cache."""

    def __init__(self, backend: Backend, folder: str = REGIONS) -> None:
        self._backend = backend
        self._folder = folder

    def get(self, name: Digest) -> bytes | None:
        """Return a value; None if there is none, or it is damaged."""
        try:
            data = self._backend.get(self._folder + name)
        except StoreError:
            return None
        return data[:-DIGEST_BYTES] if is_sealed(self._folder + name, data) else None

    def put(self, name: Digest, value: bytes) -> None:
        """Keep a value; where that fails, nothing is kept."""
        try:
            self._backend.replace(self._folder + name, _sealed(self._folder + name, value))
        except StoreError:
            return

    def forget(self, names: Iterable[Digest]) -> None:
        """Delete some values; those that cannot be deleted stay."""
        try:
            self._backend.delete_all(self._folder + name for name in names)
        except StoreError:
            return

    def clear(self) -> None:
        """Delete all values."""
        try:
            for name in list(self._backend.list(self._folder)):
                self._backend.delete(name)
        except StoreError:
            return


def is_sealed(name: str, data: bytes) -> bool:
    """Return whether the bytes of a name are those that a cache has put there."""
    return data == _sealed(name, data[:-DIGEST_BYTES])


def _sealed(name: str, value: bytes) -> bytes:
    """Return a value with a digest behind it that also depends on what it is the value of."""
    return value + bytes.fromhex(digest_bytes(name.encode() + b"\0" + value))
