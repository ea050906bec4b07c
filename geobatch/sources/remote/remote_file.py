"""Objects on servers and in buckets: one way to read ranges of one state, whatever serves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct

from geobatch.buckets.pool import requests_pool
from geobatch.buckets.ranges import cut, merge
from geobatch.buckets.url import is_bucket_url
from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.pin import Remote, is_http
from geobatch.model.sources.servers import Servers
from geobatch.sources import remote as kinds
from geobatch.sources.naming import UnnamedError
from geobatch.sources.remote.answers import check_size

if TYPE_CHECKING:
    from concurrent.futures import Future

Range = tuple[int, int]
"""First byte, and the byte behind the last."""


class Request(Struct, frozen=True, kw_only=True, eq=False):
    """A range that is being fetched."""

    start: int
    """First byte."""
    stop: int
    """The byte behind the last."""
    data: Future[bytes]
    """Its bytes; raises what `RemoteFile.fetch` does."""


class RemoteFile(ABC):
    """An object, read by ranges and always in one state; threads may share it.

    The state is that of the first answer, unless it was given.
    """

    def __init__(self, *, remote: Remote | None, is_header: bool) -> None:
        """Send no request yet.

        Args:
            remote: The state in which it must be; None to take the first that is found.
            is_header: Whether only a header is read, which has a limit of its own.
        """
        self.remote = remote
        """The state of the object; None before the first answer."""
        self.bytes_read = 0
        """Bytes of the object that were sent."""
        self.requests = 0
        """Ranges that were asked for."""
        self._is_header = is_header
        self._counting = Lock()

    @abstractmethod
    def _get(self, start: int, stop: int) -> bytes:
        """Return a range that is not empty; of an object of known state, inside of it."""

    @abstractmethod
    def ask(self) -> Remote:
        """Return the state of the object; of one that is not known yet, by one request.

        Raises:
            UnnamedError: The object cannot be reached or is missing, or no ranges are served.
        """

    @abstractmethod
    def close(self) -> None:
        """Close connections; the next request opens them again."""

    def settle(self) -> bool:
        """Wait until the object has not changed for a while, if only its time shows changes.

        Returns:
            Whether that took time; what was read before may be of another state.
        """
        return False

    def check_pinnable(self) -> None:
        """Check that the server's answer is enough to notice a later change of the object.

        Raises:
            UnnamedError: It is not.
        """
        return

    def fetch(self, start: int, stop: int) -> bytes:
        """Return the bytes between two offsets, cut at the end of the object.

        Raises:
            UnnamedError: The object cannot be reached or is missing, or no ranges are served.
            LostStateError: It is in another state than before.
        """
        if self.remote is not None:
            stop = min(stop, self.remote.size)
        if start >= stop:
            return b""
        check_size(stop - start, before=self.bytes_read if self._is_header else None)
        data = self._get(start, stop)
        with self._counting:
            self.bytes_read += len(data)
            self.requests += 1
        return data

    def submit(self, ranges: Sequence[Range]) -> list[Request]:
        """Start to fetch ranges of an object of known state; neighbours come by one request.

        Returns:
            Requests in the order of the object; each range is inside of one.
        """
        pool = requests_pool()
        return [
            Request(start=start, stop=stop, data=pool.submit(self.fetch, start, stop))
            for start, stop in merge([one for one in ranges if one[0] < one[1]])
        ]

    def fetch_many(self, ranges: Sequence[Range]) -> list[bytes]:
        """Return the bytes of ranges inside an object of known state, fetched in parallel.

        Raises:
            UnnamedError: As of `fetch`.
        """
        merged = merge([one for one in ranges if one[0] < one[1]])
        if len(merged) < 2:
            parts = [self.fetch(*one) for one in merged]
        else:
            parts = [one.data.result() for one in self.submit(merged)]
        found = iter(cut([one for one in ranges if one[0] < one[1]], merged, parts))
        return [next(found) if start < stop else b"" for start, stop in ranges]


def open_remote(
    url: str,
    *,
    remote: Remote | None = None,
    servers: Servers | None = None,
    is_header: bool = False,
    generation: str = "",
) -> RemoteFile:
    """Return an object; no request is sent yet.

    Args:
        url: Where it is: `http://`, `https://`, or a bucket's.
        remote: The state in which it must be; None to take the first that is found.
        servers: The servers that may be asked; None for all but those that never may. Which buckets
            may be read is checked where specs are.
        is_header: Whether only a header is read, which has limits of its own.
        generation: The version, generation or tag of a bucket's object that is wanted; empty for
            the newest. Of a server's object, the caller compares it.

    Raises:
        UnnamedError: The url is not valid, or may not be read.
    """
    if is_http(url):
        return kinds.HttpFile(url, remote=remote, servers=servers, is_header=is_header)
    if is_bucket_url(url):
        return kinds.BucketFile(url, remote=remote, is_header=is_header, generation=generation)
    raise UnnamedError("is not the URL of a server or a bucket", joint=" ")


def identity_of(url: str, remote: Remote) -> Digest:
    """Return the digest that replaces that of an object's bytes, which are not read.

    A list and a head of a bucket give the same.
    """
    return remote.identity(url) if is_http(url) else remote.object_identity(url)


def stat_of(url: str, remote: Remote) -> FileStat:
    """Return a state in the form of a cached stat; a list and a head of a bucket give the same."""
    return remote.stat(url) if is_http(url) else remote.object_stat(url)
