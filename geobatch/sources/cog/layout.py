"""Cloud-optimised GeoTIFFs: their layout, header and state."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from blake3 import blake3
from msgspec import Struct

from geobatch.errors import SourceError
from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import Digest
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Plane, Remote
from geobatch.model.sources.servers import Servers
from geobatch.sources.files import changed, regular_file, stat
from geobatch.sources.geotiff.gdal import FAILURES, gdal_environment, open_dataset, reason
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.headers.header import (
    check_alone,
    check_tiff,
    describe,
    read_header,
    refused,
)
from geobatch.sources.remote.file import START_BYTES, RangeFile, StartFile
from geobatch.sources.remote.ranges import RemoteObject

_CHUNK = 8 << 20


class Cog(Struct, frozen=True, kw_only=True):
    """The state of a COG when it was read."""

    header: Header
    """Its header."""
    layout: CogLayout
    """Its layout."""
    digest: Digest
    """Digest of all its bytes; of a remote one, its server's identifier."""
    stat: FileStat
    """The file as it was then, or the server's answer in that form."""
    remote: Remote | None
    """The server's answer; None for a local file."""


def probe_file(path: Path, uri: str) -> Cog:
    """Read a local COG, and digest its bytes.

    Raises:
        SourceError: The file is missing, unreadable, not a TIFF, or changed meanwhile.
    """
    digest, found = digest_file(path, uri)
    header = read_header(path, uri)
    try:
        with path.open("rb") as file:
            layout = read_layout(file)
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise SourceError(f"`{uri}`: the TIFF is damaged: {error}") from error
    if stat(path, uri) != found:
        raise changed(uri)
    return Cog(header=header, layout=layout, digest=digest, stat=found, remote=None)


def digest_file(path: Path, uri: str) -> tuple[Digest, FileStat]:
    """Return the digest of all bytes of a file, and its stat, which was the same before and after.

    Of a COG whose pixels stay in it, any byte counts: reduced images are read too, and a reader
    cannot compare blocks one by one.

    Raises:
        SourceError: The file is missing, unreadable, or changed meanwhile.
    """
    real = regular_file(path, uri)
    before = stat(path, uri)
    hasher = blake3()
    buffer = memoryview(bytearray(min(_CHUNK, before.size + 1)))
    try:
        with real.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {error.strerror or error}") from error
    if stat(path, uri) != before:
        raise changed(uri)
    return hasher.hexdigest(), before


def ask_server(
    url: str, uri: str, *, allow_unpinned: bool = False, servers: Servers | None = None
) -> Remote:
    """Return the current state of an object on a server; one byte is fetched.

    Args:
        url: Where it is.
        uri: Its name in messages.
        allow_unpinned: Whether the server may omit what distinguishes its states.
        servers: The servers that may be asked; None for all.

    Raises:
        SourceError: The server cannot be reached, has no such object, serves no ranges, or does not
            send what distinguishes states of the object.
    """
    source = RemoteObject(url, uri=uri, servers=servers, is_header=True)
    try:
        source.fetch(0, 1)
        if source.settle():
            source.fetch(0, 1)
    finally:
        source.close()
    return _known(source, allow_unpinned=allow_unpinned)


def probe_url(
    url: str, uri: str, *, allow_unpinned: bool = False, servers: Servers | None = None
) -> Cog:
    """Read a COG on a server: only its header is fetched.

    Args:
        url: Where it is.
        uri: Its name in messages.
        allow_unpinned: Whether the server may omit what distinguishes its states.
        servers: The servers that may be asked; None for all.

    Raises:
        SourceError: As of `ask_server`; or the object changed meanwhile, or is not a readable TIFF.
    """
    source = RemoteObject(url, uri=uri, servers=servers, is_header=True)
    try:
        start = source.fetch(0, START_BYTES)
        if source.settle():
            start = source.fetch(0, START_BYTES)
        remote = _known(source, allow_unpinned=allow_unpinned)
        check_tiff(start[:4], uri)
        failures: list[SourceError] = []
        file = StartFile(source, start=start, failures=failures)
        try:
            layout = read_layout(cast("BinaryIO", file))
            tags = tiff.read_tags(cast("BinaryIO", file))
        except (ValueError, OSError) as error:
            if failures:
                raise failures[-1] from error
            raise SourceError(f"`{uri}`: the TIFF is damaged: {error}") from error
        except tiff.CostlyError as error:
            raise error.refused(uri) from None

        def opened() -> RangeFile:
            return RangeFile(source, start=file.start, failures=failures)

        check_alone(tags, uri)
        with gdal_environment():
            try:
                dataset = open_dataset(url, opener=opened)
            except FAILURES as error:
                if failures:
                    raise failures[-1] from error
                raise refused(uri, tags.compression, reason(error)) from error
            try:
                header = describe(dataset, uri, url, tags)
            except FAILURES as error:
                raise SourceError(f"`{uri}`: the header cannot be read: {reason(error)}") from error
            finally:
                dataset.close()
    finally:
        source.close()
    return Cog(
        header=header,
        layout=layout,
        digest=remote.identity(url),
        stat=remote.stat(url),
        remote=remote,
    )


def read_layout(file: BinaryIO) -> CogLayout:
    """Return the layout of a TIFF.

    Source: TIFF 6.0 section 2, and GDAL's page on the COG driver.

    Raises:
        ValueError: The file is not a TIFF, or it ends before its directories do.
    """
    directories = tiff.read_directories(file)
    size = file.seek(0, os.SEEK_END)
    full, *others = directories
    kinds = [(one, tiff.read_number(file, one, tiff.SUBFILE_TYPE, 0)) for one in others]
    masks = {_shape(file, one) for one, kind in kinds if kind & 4}
    reduced = [one for one, kind in kinds if kind & 1 and not kind & 4]
    starts = []
    for one in directories:
        tag = tiff.TILE_OFFSETS if tiff.TILE_OFFSETS in one.fields else tiff.STRIP_OFFSETS
        offsets = tiff.read_values(file, one, tag)
        if offsets.dtype.kind == "u" and np.any(offsets):
            starts.append(int(offsets[offsets > 0].min()))
    return CogLayout(
        planes=tuple(
            Plane(
                height=_shape(file, one)[0],
                width=_shape(file, one)[1],
                block=(
                    tiff.read_number(file, one, tiff.TILE_HEIGHT, 0),
                    tiff.read_number(file, one, tiff.TILE_WIDTH, 0),
                ),
                has_mask=_shape(file, one) in masks,
            )
            for one in (full, *reduced)
        ),
        header_bytes=min(size, max(tiff.end_of(one) for one in directories)),
        data_start=min(starts, default=0),
    )


def _shape(file: BinaryIO, directory: tiff.Directory) -> tuple[int, int]:
    return (
        tiff.read_number(file, directory, tiff.HEIGHT, 0),
        tiff.read_number(file, directory, tiff.WIDTH, 0),
    )


def _known(source: RemoteObject, *, allow_unpinned: bool) -> Remote:
    if source.remote is None:
        raise SourceError(f"`{source.uri}`: the object is empty")
    if not allow_unpinned:
        source.check_pinnable()
    return source.remote
