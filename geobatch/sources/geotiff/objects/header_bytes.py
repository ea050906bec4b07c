"""What is read of the bytes of an object's header, without GDAL."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, TypeVar, cast

from geobatch.errors import SourceError
from geobatch.sources.naming import UnnamedError
from geobatch.sources.remote.file import HeaderFile, Parts
from geobatch.sources.remote.remote_file import RemoteFile

Found = TypeVar("Found")


def with_header(file: RemoteFile, parts: Parts, read: Callable[[BinaryIO], Found]) -> Found:
    """Return what a function reads of the header of an object.

    Args:
        file: The object, whose state is known.
        parts: What was fetched of it already; receives more.
        read: Reads a file; may raise ValueError, where the TIFF is damaged.

    Raises:
        UnnamedError: The object changed meanwhile, or the TIFF is damaged.
    """
    failures: list[SourceError] = []
    try:
        return read(cast("BinaryIO", HeaderFile(file, parts=parts, failures=failures)))
    except (ValueError, OSError) as error:
        if failures:
            raise failures[-1] from error
        raise UnnamedError(f"the TIFF is damaged: {error}") from error
