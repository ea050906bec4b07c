"""The header of a TIFF on a server or in a bucket; no block is read."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

from geobatch.errors import SourceError
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import Remote
from geobatch.sources.gdal.environment import FAILURES, gdal_environment, open_dataset, reason
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.headers.header import (
    ReadCrs,
    check_alone,
    check_tiff,
    describe,
    refused,
)
from geobatch.sources.geotiff.objects.header_bytes import with_header
from geobatch.sources.naming import UnnamedError
from geobatch.sources.remote.file import START_BYTES, HeaderFile, Parts
from geobatch.sources.remote.remote_file import RemoteFile, open_remote


class ObjectHeader(NamedTuple):
    """The header of an object, and what was fetched for it."""

    remote: Remote
    """The state of the object."""
    header: Header
    """The header; `uri` and `path` are empty."""
    parts: Parts
    """The bytes that were fetched."""


def state_of(source: DeclaredSource) -> Remote:
    """Return the current state of an object, or the one that its uri names.

    Raises:
        UnnamedError: It cannot be reached, there is none, no ranges are served, or the answer does
            not say what distinguishes states of the object.
    """
    with closing(_opened(source)) as file:
        file.ask()
        if file.settle():
            file.fetch(0, 1)
        return _known(file, source)


def read_object(source: DeclaredSource, *, read_crs: ReadCrs | None = None) -> ObjectHeader:
    """Read the header of an object, and find its state.

    Args:
        source: The object.
        read_crs: As of `read_header`.

    Raises:
        UnnamedError: As of `state_of`; or the object changed meanwhile, or is not a readable TIFF.
    """
    with closing(_opened(source)) as file:
        start = file.fetch(0, START_BYTES)
        if file.settle():
            start = file.fetch(0, START_BYTES)
        state = _known(file, source)
        if not start:
            raise UnnamedError("the object is empty")
        check_tiff(start[:4])
        parts = Parts(start)
        tags = with_header(file, parts, tiff.read_tags)
        check_alone(tags)
        failures: list[SourceError] = []
        with gdal_environment():
            try:
                dataset = open_dataset(
                    "remote.tif", opener=lambda: HeaderFile(file, parts=parts, failures=failures)
                )
            except FAILURES as error:
                if failures:
                    raise failures[-1] from error
                raise refused(tags.compression, reason(error)) from error
            try:
                header = describe(dataset, tags, read_crs=read_crs)
            except FAILURES as error:
                if failures:
                    raise failures[-1] from error
                raise UnnamedError(f"the header cannot be read: {reason(error)}") from error
            finally:
                dataset.close()
    return ObjectHeader(state, header, parts)


def _opened(source: DeclaredSource) -> RemoteFile:
    return open_remote(
        source.url,
        remote=source.state,
        servers=source.servers,
        is_header=True,
        generation=source.generation,
    )


def _known(file: RemoteFile, source: DeclaredSource) -> Remote:
    state = file.ask()
    if not source.allow_unpinned:
        try:
            file.check_pinnable()
        except UnnamedError as error:
            if source.is_external:
                raise
            hint = "let the server send an `ETag` or `Last-Modified`; or copy the file to a disk"
            raise UnnamedError(error.message, hint=hint, joint=error.joint) from error
    return state
