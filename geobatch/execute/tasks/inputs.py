"""What tasks name by digest: an asset, the index roots that they build upon, or bytes.

So a task is small, and what all tasks of an asset share is sent once.
"""

from __future__ import annotations

import pickle
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

from geobatch.errors import InternalError
from geobatch.execute.tasks.task import Roots
from geobatch.model.assets.asset import AnyImage
from geobatch.model.assets.table import Table
from geobatch.model.digest import Digest, digest_bytes

Located: TypeAlias = AnyImage | Table
"""What has sources."""
_MOST_LOADED = 16
"""Values that a process keeps of those that it was sent."""


class Inputs:
    """Resolves the digests that tasks name; threads may share it.

    In the first process, it has the values of the assets that are being computed. Elsewhere it
    loads each when a task needs it, from wherever the executor has put it.
    """

    def __init__(
        self,
        load: Callable[[Digest], bytes] | None = None,
        *,
        located: Callable[[Located], Located] | None = None,
    ) -> None:
        """Know nothing yet.

        Args:
            load: Returns the bytes of a value that is not known: those of `packed`.
            located: Returns an asset that was loaded, with its sources as this machine has them.
        """
        self._load = load
        self._located = located
        self._values: dict[Digest, AnyImage | Table | Roots | bytes] = {}
        self._packed: dict[Digest, bytes] = {}
        self._counts = Counter[Digest]()
        """How often each was added: two assets may have equal index roots."""
        self._loaded: dict[Digest, Any] = {}
        self._lock = threading.Lock()

    def add(self, value: AnyImage | Table | Roots | bytes) -> Digest:
        """Add a value, which does not change any more; return the digest by which tasks name it."""
        packed = pickle.dumps(value, protocol=5)
        digest = digest_bytes(packed)
        self._values[digest], self._packed[digest] = value, packed
        self._counts[digest] += 1
        return digest

    def forget(self, digest: Digest) -> None:
        """Undo one `add`, when no task names the value any more."""
        self._counts[digest] -= 1
        if not self._counts[digest]:
            del self._values[digest], self._packed[digest], self._counts[digest]

    def packed(self, digest: Digest) -> bytes:
        """Return a value of this process as bytes, which may be sent to others."""
        return self._packed[digest]

    def asset(self, digest: Digest) -> AnyImage:
        """Return an image.

        Raises:
            InternalError: It is not known, or what was loaded is not what it should be.
        """
        asset: AnyImage = self._get(digest)
        return asset

    def table(self, digest: Digest) -> Table:
        """Return a table.

        Raises:
            InternalError: It is not known, or what was loaded is not what it should be.
        """
        table: Table = self._get(digest)
        return table

    def roots(self, digest: Digest | None) -> Roots:
        """Return index roots; none for None.

        Raises:
            InternalError: They are not known, or what was loaded is not what it should be.
        """
        roots: Roots = {} if digest is None else self._get(digest)
        return roots

    def data(self, digest: Digest) -> bytes:
        """Return bytes.

        Raises:
            InternalError: They are not known, or what was loaded is not what it should be.
        """
        data: bytes = self._get(digest)
        return data

    def _get(self, digest: Digest) -> Any:
        value = self._values.get(digest)
        if value is not None:
            return value
        with self._lock:
            if digest not in self._loaded:
                self._loaded[digest] = self._read(digest)
                if len(self._loaded) > _MOST_LOADED:
                    del self._loaded[next(iter(self._loaded))]
            return self._loaded[digest]

    def _read(self, digest: Digest) -> Any:
        data = b"" if self._load is None else self._load(digest)
        if digest_bytes(data) != digest:
            raise InternalError(f"a task names `{digest}`, which is not known here")
        value = pickle.loads(data)  # noqa: S301 - what the first process has packed
        if self._located is not None and isinstance(value, AnyImage | Table):
            return self._located(value)
        return value
