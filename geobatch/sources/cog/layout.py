"""Cloud-optimised GeoTIFFs: their layout, header and state."""

from __future__ import annotations

import os
from contextlib import closing
from typing import BinaryIO

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import Digest
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Plane, Remote
from geobatch.sources.files import changed, identify_file, stat
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.headers.header import read_header
from geobatch.sources.geotiff.objects.header import read_object, state_of
from geobatch.sources.geotiff.objects.header_bytes import with_header
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.remote.remote_file import identity_of, open_remote, stat_of


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


def probe_file(source: DeclaredSource) -> Cog:
    """Read a local COG, and digest its bytes.

    Of a COG whose pixels stay in it, any byte counts: reduced images are read too, and a reader
    cannot compare blocks one by one.

    Raises:
        SourceError: The file is missing, unreadable, not a TIFF, or changed meanwhile.
    """
    with Named(source.uri):
        digest, found = identify_file(source.path)
        header = read_header(source.path, source.uri)
        try:
            with source.path.open("rb") as file:
                layout = read_layout(file)
        except OSError as error:
            raise UnnamedError(f"cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise UnnamedError(f"the TIFF is damaged: {error}") from error
        if stat(source.path) != found:
            raise changed()
    return Cog(header=header, layout=layout, digest=digest, stat=found, remote=None)


def ask_server(source: DeclaredSource) -> Remote:
    """Return the current state of an object on a server or in a bucket; hardly a byte is fetched.

    Raises:
        SourceError: It cannot be reached, there is none, no ranges are served, or the answer does
            not say what distinguishes states of the object.
    """
    with Named(source.uri):
        return state_of(source)


def probe_url(source: DeclaredSource) -> Cog:
    """Read a COG on a server or in a bucket: only its header is fetched.

    Raises:
        SourceError: As of `ask_server`; or the object changed meanwhile, or is not a readable TIFF.
    """
    with Named(source.uri):
        found = read_object(source)
        state = found.remote
        with closing(open_remote(source.url, remote=state, servers=source.servers)) as file:
            layout = with_header(file, found.parts, read_layout)
    return Cog(
        header=replace(found.header, uri=source.uri, path=source.url),
        layout=layout,
        digest=identity_of(source.url, state),
        stat=stat_of(source.url, state),
        remote=state,
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
