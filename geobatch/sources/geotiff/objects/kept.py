"""Headers of objects that this process has read: who reads pixels need not fetch them again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from geobatch.model.digest import Digest
from geobatch.sources.remote.file import Parts

_MOST_BYTES = 64 << 20


class KeptHeaders:
    """The bytes of headers, those used last; threads share it."""

    def __init__(self, *, limit: int = _MOST_BYTES) -> None:
        """Keep nothing yet."""
        self._limit = limit
        self._lock = Lock()
        self._parts: OrderedDict[tuple[str, Digest], Parts] = OrderedDict()
        self._size = 0

    def put(self, url: str, digest: Digest, parts: Parts) -> None:
        """Keep what was fetched of a header.

        Args:
            url: The object.
            digest: The identity of its state.
            parts: What was fetched.
        """
        with self._lock:
            if (url, digest) in self._parts:
                return
            self._parts[url, digest] = parts
            self._size += parts.size
            while self._size > self._limit and len(self._parts) > 1:
                self._size -= self._parts.popitem(last=False)[1].size

    def get(self, url: str, digest: Digest) -> Parts:
        """Return what was fetched of a header, which may be nothing."""
        with self._lock:
            found = self._parts.get((url, digest))
        return Parts() if found is None else found
