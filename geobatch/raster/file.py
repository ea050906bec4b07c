"""What identifies a GeoTIFF: its blocks as they are stored, or else all its bytes."""

from __future__ import annotations

import os
from pathlib import Path

from geobatch.errors import SourceError
from geobatch.files import changed, digest_file, explain, regular_file
from geobatch.model.asset import FileStat
from geobatch.model.blocks import BlockTable
from geobatch.model.digest import Digest
from geobatch.model.look import file_stat
from geobatch.raster.blocks import tabulate


def identify(path: Path, uri: str) -> tuple[Digest, FileStat, BlockTable | None]:
    """Return what identifies a file's pixels, and its stat, which was the same before and after.

    That is the identity of its block table where one can be made, so that an edit of the other
    tags of a TIFF is no change; else the digest of all its bytes.

    The bytes are read, not mapped: a file that is cut short meanwhile would kill the process
    that maps it.

    Raises:
        SourceError: The file is missing, unreadable, or changed meanwhile.
    """
    real = regular_file(path, uri)
    table: BlockTable | None = None
    try:
        with real.open("rb", buffering=0) as file:
            before = file_stat(os.fstat(file.fileno()))
            try:
                table = tabulate(file)
                digest = table.identity if table is not None else digest_file(file, before.size)
            except EOFError:
                raise changed(uri) from None
            after = file_stat(os.fstat(file.fileno()))
        named = file_stat(real.stat())
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {explain(error)}") from error
    if not before == after == named:
        raise changed(uri)
    return digest, before, table
