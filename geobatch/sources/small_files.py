"""Small files that are read whole: sidecars and mixers, on a disk, in a bucket or on a server."""

from __future__ import annotations

from geobatch.buckets.errors import BucketError
from geobatch.buckets.objects import fetch, head
from geobatch.buckets.url import is_bucket_url, parse_bucket_url
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources.files import explain
from geobatch.sources.naming import UnnamedError, refused


def read_small(source: DeclaredSource, *, most: int) -> bytes:
    """Return the bytes of a file or object; those of an object in the state that is known.

    Args:
        source: The file.
        most: How many bytes it may have.

    Raises:
        UnnamedError: It is missing, unreadable, larger, or in another state.
    """
    if not source.url:
        try:
            with source.path.open("rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise UnnamedError(f"cannot be read: {explain(error)}") from error
        return _checked(data, len(data), most)
    if is_bucket_url(source.url):
        return _of_bucket(source, most)
    from geobatch.sources.remote.ranges import RemoteObject  # noqa: PLC0415 - rarely needed

    there = RemoteObject(source.url, servers=source.servers)
    data = there.fetch(0, most + 1)
    there.close()
    return _checked(data, len(data) if there.remote is None else there.remote.size, most)


def _of_bucket(source: DeclaredSource, most: int) -> bytes:
    state = source.state
    try:
        url = parse_bucket_url(source.url)
        state = state or head(url)
        _checked(b"", state.size, most)
        return fetch(url, [(0, state.size)], state)[0] if state.size else b""
    except BucketError as error:
        raise refused(error, state) from error


def _checked(data: bytes, size: int, most: int) -> bytes:
    if size > most:
        raise UnnamedError(f"more than {most} bytes")
    return data
