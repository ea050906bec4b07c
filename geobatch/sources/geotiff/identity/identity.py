"""The identity of a GeoTIFF: its stored blocks, or else all its bytes."""

from __future__ import annotations

import os
from io import BytesIO, FileIO
from pathlib import Path

from msgspec import Struct

from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import Digest, digest_json
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.file_stat import file_stat
from geobatch.sources.files import changed, digest_file, explain, is_written, regular_file
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.headers.alike import Frame, frame_of
from geobatch.sources.geotiff.headers.tags import inputs_of
from geobatch.sources.geotiff.identity.blocks import tabulate
from geobatch.sources.geotiff.identity.hashing import Meanwhile
from geobatch.sources.naming import UnnamedError

_SMALL = 128 << 10
"""Bytes up to which a file is read at once for its tags."""


class Identity(Struct, frozen=True, kw_only=True):
    """The identity and state of a file, found without decoding it."""

    path: Path
    """The real path of the file."""
    digest: Digest
    """What identifies its pixels: the identity of its block table, or the digest of its bytes."""
    stat: FileStat
    """The file as it was before and after."""
    table: BlockTable | None
    """Its blocks, if its layout is not unusual."""
    tags: Digest | None
    """Hash of what its header is read from, if known: see `geotiff.headers.tags`."""
    is_still: bool = False
    """Whether its stat shows every later change."""
    frame: Frame | None = None
    """What files with nearly the same header share, if they can be told by their tags."""


def identify(path: Path, *, meanwhile: Meanwhile = lambda: None) -> Identity:
    """Return the identity of a file, by the bytes of its blocks and its tags.

    Its pixels are identified by its block table where one can be made, so that an edit of the other
    tags of a TIFF is no change of them; else by all its bytes.

    The bytes are read, not mapped: a file that is truncated meanwhile would kill the process
    that maps it.

    Args:
        path: The file.
        meanwhile: May be called, while other processes read a large file; what it raises is raised.

    Raises:
        UnnamedError: The file is missing, unreadable, or changed meanwhile.
    """
    real = regular_file(path)
    try:
        with real.open("rb", buffering=0) as file:
            before = file_stat(os.fstat(file.fileno()))
            is_still = not is_written(file.fileno())
            try:
                held = _Held(file) if before.size <= _SMALL else file
                table, tags, frame = _read(held, meanwhile)
                digest = table.identity if table is not None else digest_file(file, before.size)
            except EOFError:
                raise changed() from None
            after = file_stat(os.fstat(file.fileno()))
        named = file_stat(real.stat())
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if not before == after == named:
        raise changed()
    return Identity(
        path=real,
        digest=digest,
        stat=before,
        table=table,
        tags=tags,
        is_still=is_still,
        frame=frame,
    )


class _Held(BytesIO):
    """A small file, read at once: its tags are some fifty reads."""

    def __init__(self, file: FileIO) -> None:
        super().__init__(file.read(_SMALL))
        self._file = file

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file.fileno()


def _read(
    file: FileIO | _Held, meanwhile: Meanwhile
) -> tuple[BlockTable | None, Digest | None, Frame | None]:
    try:
        directories = tiff.read_directories(file)
    except ValueError:
        return None, None, None
    table = tabulate(file, directories, meanwhile=meanwhile)
    inputs = None if table is None else inputs_of(file, directories)
    if inputs is None:
        return table, None, None
    return table, digest_json(inputs), frame_of(inputs, directories[0].order)
