"""Small files that are read whole: sidecars and mixers, on a disk, in a bucket or on a server."""

from __future__ import annotations

from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources import remote
from geobatch.sources.files import explain
from geobatch.sources.naming import UnnamedError


def read_small(source: DeclaredSource, *, most: int) -> bytes:
    """Return the bytes of a file or object; those of an object in the state that is known.

    Args:
        source: The file.
        most: How many bytes it may have.

    Raises:
        UnnamedError: It is missing, unreadable, larger, or in another state.
    """
    if source.url:
        pinned = remote.pin(source)
        if pinned.state.size > most:
            raise _too_large(most)
        return remote.read_whole(pinned)
    try:
        with source.path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if len(data) > most:
        raise _too_large(most)
    return data


def _too_large(most: int) -> UnnamedError:
    return UnnamedError(f"more than {most} bytes")
