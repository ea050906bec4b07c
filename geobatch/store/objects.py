"""Immutable bytes, named by their BLAKE3-256."""

from __future__ import annotations

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.digest import Digest, digest_bytes
from geobatch.store.backends.protocol import Backend, Data

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
        return f"objects/{digest[:2]}/{digest[2:]}"

    def put(self, data: Data) -> tuple[Digest, bool]:
        """Keep bytes; durable after the backend's next `sync`.

        Returns:
            Their digest, and whether they were not there before.
        """
        digest = digest_bytes(data)
        return digest, self.backend.put(self.path(digest), data)

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest, verified.

        Raises:
            CorruptObjectError: The object is missing, or its bytes have another digest.
        """
        name = self.path(digest)
        try:
            data = self.backend.get(name)
        except NotFoundError:
            if (found := self._quarantined(digest)) is not None:
                return found
            raise CorruptObjectError(f"object `{name}` is missing", hint=_HINT) from None
        got = digest_bytes(data)
        if got != digest:
            raise CorruptObjectError(
                f"object `{name}` is damaged: its {len(data)} bytes have the digest `{got}`",
                hint=_HINT,
            )
        return data

    def size(self, digest: Digest) -> int | None:
        """Return the length of an object, or None without one; its bytes are not read."""
        return self.backend.size(self.path(digest))

    def has(self, digest: Digest) -> bool:
        """Return whether there is an object of that name; its bytes are not read."""
        return self.backend.size(self.path(digest)) is not None

    def restore(self, digest: Digest) -> bool:
        """Put a missing object back from quarantine, if that is wanted; return whether it was."""
        return self.restores and self._quarantined(digest) is not None

    def _quarantined(self, digest: Digest) -> bytes | None:
        """Return the bytes of an object that `gc` moved while it was needed; None without any."""
        if self._is_strict:
            return None
        from geobatch.store.maintenance.quarantine import find_object  # noqa: PLC0415 - seldom used

        return find_object(self.backend, digest, is_restored=self.restores)
