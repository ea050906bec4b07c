"""All bytes of a file in order, in bounded memory, and of the state that was identified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from geobatch.errors import InternalError
from geobatch.model.assets.table import TableSource
from geobatch.sources import remote
from geobatch.sources.files import changed, check_unchanged, explain
from geobatch.sources.naming import UnnamedError

_CHUNK = 256 << 10


def pieces(source: TableSource, *, what: str) -> Iterator[bytes]:
    """Yield the bytes of a file or an object, in order.

    At the end it is sure that they are those that were identified; not before.

    Args:
        source: The file.
        what: What it is, in messages: `the CSV file`.

    Raises:
        UnnamedError: It is missing, cannot be read, or changed since it was identified.
    """
    if source.pinned is not None:
        yield from remote.pieces_of(source.pinned, what=what)
        return
    if source.stat is None:
        raise InternalError(f"`{source.uri}`: it was never probed")
    check_unchanged(source.path, source.stat)
    hasher = blake3()
    try:
        with Path(source.path).open("rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                hasher.update(piece)
                yield piece
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if hasher.hexdigest() != source.digest:
        raise changed()
    check_unchanged(source.path, source.stat)
