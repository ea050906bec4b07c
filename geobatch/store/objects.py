"""Immutable bytes, named by their BLAKE3-256."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from geobatch.errors import CorruptObjectError, NotFoundError, StoreError
from geobatch.format.object_names import object_name
from geobatch.model.digest import Digest, digest_bytes
from geobatch.store import maintenance
from geobatch.store.backends.protocol import Backend, Data

if TYPE_CHECKING:
    from concurrent.futures import Future

_HINT = (
    "`geobatch fsck --repair` restores what it can, and names the rest; restore that from a copy of"
    " the store, or apply the specs to a new one"
)


class Objects:
    """The objects of a store."""

    def __init__(self, backend: Backend, *, is_strict: bool = False) -> None:
        """Open nothing yet.

        Args:
            backend: Where the bytes are.
            is_strict: Whether an object in quarantine is missing: for whoever checks the store.
        """
        self.backend = backend
        """Where the bytes are."""
        self.restores = False
        """Whether what is read from quarantine is put back: for whoever is going to refer to it."""
        self._is_strict = is_strict

    @staticmethod
    def path(digest: Digest) -> str:
        """Return the name of an object in its store: `objects/ab/cdef...`."""
        return object_name(digest)

    def put(self, data: Data) -> tuple[Digest, bool]:
        """Keep bytes; durable after the backend's next `sync`.

        Returns:
            Their digest, and whether they were not there before.
        """
        digest = digest_bytes(data)
        return digest, self.backend.put(self.path(digest), data)

    def put_durably(self, documents: Mapping[Digest, bytes]) -> None:
        """Keep documents by their digests; durable on return. Several are put at a time."""
        puts = [self.backend.put_soon(self.path(one), data) for one, data in documents.items()]
        for put in puts:
            put.result()
        self.backend.sync()

    def put_soon(self, data: Data) -> tuple[Digest, Future[bool]]:
        """Begin to keep bytes that are not changed any more; see `Backend.put_soon`.

        Returns:
            Their digest, and whether they were not there before, once that is known.
        """
        digest = digest_bytes(data)
        return digest, self.backend.put_soon(self.path(digest), data)

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest, verified.

        Raises:
            CorruptObjectError: The object is missing, or its bytes have another digest.
        """
        try:
            data = self.backend.get(self.path(digest))
        except NotFoundError:
            return self._missing(digest)
        return _verified(digest, data)

    def get_cached(self, digest: Digest) -> Data | None:
        """Return what `get` does if that needs no wait for a disk; None else, and of damage."""
        local = self.backend.local
        data = None if local is None else local.get_cached(self.path(digest))
        return data if data is not None and digest_bytes(data) == digest else None

    def get_all(self, digests: Sequence[Digest]) -> Iterator[bytes]:
        """Yield the bytes of several digests, verified; several are read at a time.

        Raises:
            CorruptObjectError: An object is missing, or its bytes have another digest.
        """
        for found in self.try_all(digests):
            if isinstance(found, StoreError):
                raise found
            yield found

    def try_all(self, digests: Sequence[Digest]) -> Iterator[bytes | StoreError]:
        """Yield the bytes of several digests, verified, or what is wrong with them; see `get`."""
        all_found = self.backend.get_all([self.path(one) for one in digests])
        for digest, found in zip(digests, all_found, strict=True):
            try:
                if isinstance(found, NotFoundError):
                    yield self._missing(digest)
                elif isinstance(found, StoreError):
                    yield found
                else:
                    yield _verified(digest, found)
            except StoreError as error:
                yield error

    def size(self, digest: Digest) -> int | None:
        """Return the length of an object, or None without one; its bytes are not read."""
        return self.backend.size(self.path(digest))

    def has(self, digest: Digest) -> bool:
        """Return whether there is an object of that name; its bytes are not read."""
        return self.backend.size(self.path(digest)) is not None

    def restore(self, digest: Digest) -> bool:
        """Put a missing object back from quarantine, if that is wanted; return whether it was."""
        return self.restores and self._quarantined(digest) is not None

    def _missing(self, digest: Digest) -> bytes:
        """Return the bytes of an object that is not where it belongs, from quarantine.

        Raises:
            CorruptObjectError: It is not there either.
        """
        if (found := self._quarantined(digest)) is not None:
            return found
        name = self.path(digest)
        raise CorruptObjectError(f"object `{name}` is missing", hint=_HINT)

    def _quarantined(self, digest: Digest) -> bytes | None:
        """Return the bytes of an object that `gc` moved while it was needed; None without any."""
        if self._is_strict:
            return None
        return maintenance.find_object(self.backend, digest, is_restored=self.restores)


def _verified(digest: Digest, data: bytes) -> bytes:
    got = digest_bytes(data)
    if got != digest:
        raise CorruptObjectError(
            f"object `{Objects.path(digest)}` is damaged: its {len(data)} bytes have the digest"
            f" `{got}`",
            hint=_HINT,
        )
    return data
