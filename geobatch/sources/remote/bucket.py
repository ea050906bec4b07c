"""Objects in buckets, as files that are read by ranges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geobatch.buckets import objects
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.model.sources.pin import Remote
from geobatch.sources.naming import LostStateError, UnnamedError
from geobatch.sources.remote.remote_file import RemoteFile


class BucketFile(RemoteFile):
    """An object in a bucket; its client and threads are shared by the process."""

    def __init__(
        self,
        url: str,
        *,
        remote: Remote | None = None,
        is_header: bool = False,
        generation: str = "",
    ) -> None:
        """Send no request yet; for the arguments and errors see `open_remote`."""
        super().__init__(remote=remote, is_header=is_header)
        try:
            self._url = parse_bucket_url(url)
        except ValueError as error:
            raise UnnamedError(f"is not a valid URL: {error}", joint=" ") from error
        self._generation = generation

    def close(self) -> None:
        """Do nothing: connections belong to the bucket's client."""

    def ask(self) -> Remote:
        """Return the state by a request of its own; see `RemoteFile.ask`."""
        with _explained(self.remote):
            if self.remote is None:
                self.remote = _state(self._url, self._generation)
        return self.remote

    def check_pinnable(self) -> None:
        """Check that the service reports a version or a tag; see `RemoteFile.check_pinnable`."""
        if self.remote is not None and self.remote.is_timed:
            raise UnnamedError(
                "cannot be pinned: its service sends neither a version nor an `ETag`", joint=" "
            )

    def _get(self, start: int, stop: int) -> bytes:
        remote = self.ask()
        stop = min(stop, remote.size)
        if start >= stop:
            return b""
        with _explained(remote):
            return objects.fetch_one(self._url, (start, stop), remote)


def _state(url: BucketUrl, generation: str) -> Remote:
    """Return the newest state of an object, or that of a generation, which may be older.

    Raises:
        BucketError: There is no such object, or the request failed.
        LostStateError: The generation is not there.
    """
    newest: Remote | None = None
    try:
        newest = objects.head(url)
    except BucketError as error:
        if not generation or error.failure is not Failure.MISSING:
            raise
    if newest is not None and (not generation or generation in newest.names):
        return newest
    try:
        return objects.head(url, version=generation)
    except BucketError as error:
        hint = None
        if newest is not None:
            hint = f"it is now `{newest.generation}`; write that one, or no generation"
        raise LostStateError(generation, hint=hint) from error


@contextmanager
def _explained(pinned: Remote | None) -> Iterator[None]:
    """Turn errors of buckets into those of sources."""
    try:
        yield
    except BucketError as error:
        if pinned is not None and error.failure in (Failure.CHANGED, Failure.MISSING):
            raise LostStateError(pinned.generation) from error
        raise UnnamedError(error.message, hint=error.hint) from error
