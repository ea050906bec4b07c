"""The assets that tasks name by digest: a task is small, and an asset is sent once."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable

from geobatch.errors import InternalError
from geobatch.model.assets.asset import Asset
from geobatch.model.digest import Digest, digest_bytes

_MOST_LOADED = 16
"""Assets that a process keeps of those that it was sent."""


class Assets:
    """Resolves the digests of assets; threads may share it.

    In the first process, it has the assets that are being computed. Elsewhere it loads each when a
    task needs it, from wherever the executor has put it.
    """

    def __init__(self, load: Callable[[Digest], bytes] | None = None) -> None:
        """Know no asset yet.

        Args:
            load: Returns the bytes of an asset that is not known: those of `packed`.
        """
        self._load = load
        self._assets: dict[Digest, Asset] = {}
        self._packed: dict[Digest, bytes] = {}
        self._loaded: dict[Digest, Asset] = {}
        self._lock = threading.Lock()

    def add(self, asset: Asset) -> Digest:
        """Add an asset; return the digest by which tasks name it."""
        packed = pickle.dumps(asset, protocol=5)
        digest = digest_bytes(packed)
        self._assets[digest], self._packed[digest] = asset, packed
        return digest

    def forget(self, digest: Digest) -> None:
        """Drop an asset, when no task names it any more."""
        self._assets.pop(digest, None)
        self._packed.pop(digest, None)

    def packed(self, digest: Digest) -> bytes:
        """Return an asset of this process as bytes, which may be sent to others."""
        return self._packed[digest]

    def get(self, digest: Digest) -> Asset:
        """Return an asset.

        Raises:
            InternalError: It is not known, or what was loaded is not what it should be.
        """
        asset = self._assets.get(digest)
        if asset is not None:
            return asset
        with self._lock:
            if digest not in self._loaded:
                self._loaded[digest] = self._read(digest)
                if len(self._loaded) > _MOST_LOADED:
                    del self._loaded[next(iter(self._loaded))]
            return self._loaded[digest]

    def _read(self, digest: Digest) -> Asset:
        data = b"" if self._load is None else self._load(digest)
        if digest_bytes(data) != digest:
            raise InternalError(f"a task names the asset `{digest}`, which is not known here")
        asset: Asset = pickle.loads(data)  # noqa: S301 - what the first process has packed
        return asset
