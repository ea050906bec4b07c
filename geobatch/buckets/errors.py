"""What can be wrong with a request to a bucket, in words that say what to do."""

from __future__ import annotations

from enum import StrEnum

from geobatch.errors import GeobatchError


class Failure(StrEnum):
    """What a bucket's service refused, as far as callers act on it."""

    MISSING = "missing"
    """No such object."""
    NO_BUCKET = "no_bucket"
    """No such bucket."""
    EXISTS = "exists"
    """The name is taken already."""
    CHANGED = "changed"
    """The object is not in the state that the request demands."""
    DENIED = "denied"
    """The caller has no permission, or is unknown."""
    ARCHIVED = "archived"
    """The object must be restored from an archive first."""
    OTHER = "other"
    """The service cannot be reached, or refused for another reason."""


class Operation(StrEnum):
    """What is asked of a bucket; the value completes `may not ... it`."""

    READ = "read"
    LIST = "list"
    WRITE = "write"
    DELETE = "delete"


class BucketError(GeobatchError):
    """A request to a bucket failed. Rooms above turn it into an error of a source or the store."""

    def __init__(self, failure: Failure, message: str, *, hint: str | None = None) -> None:
        """Make the error.

        Args:
            failure: What callers act on.
            message: What failed, without the name of the object: `no such object`.
            hint: What to do about it.
        """
        super().__init__(message, hint=hint)
        self.failure = failure
        self.status = 0
        """Status of the service's answer; 0 if none came."""

    @property
    def is_final(self) -> bool:
        """Whether the same request must fail again: no answer was lost, and no server was busy."""
        if self.failure is not Failure.OTHER:
            return True
        return 300 <= self.status < 500 and self.status not in (408, 429)
