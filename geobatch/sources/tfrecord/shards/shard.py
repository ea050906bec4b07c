"""TFRecord files as bytes: their digest, and their compression, found in the first bytes."""

from __future__ import annotations

import os
from pathlib import Path

from geobatch.errors import SourceError
from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat, file_stat
from geobatch.sources.files import changed, digest_file, explain, regular_file


def identify_shard(path: Path, uri: str) -> tuple[Digest, FileStat]:
    """Return the digest of a file's bytes, and its stat, which was the same before and after.

    Raises:
        SourceError: The file is missing, unreadable, or changed meanwhile.
    """
    real = regular_file(path, uri, may_be_empty=True)
    try:
        with real.open("rb", buffering=0) as file:
            before = file_stat(os.fstat(file.fileno()))
            digest = digest_file(file, before.size)
            after = file_stat(os.fstat(file.fileno()))
        named = file_stat(real.stat())
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {explain(error)}") from error
    if not before == after == named:
        raise changed(uri)
    return digest, before


def compression_of(path: Path, uri: str) -> str:
    """Return how a file is compressed, in TensorFlow's words: `GZIP`, `ZLIB` or nothing.

    The name of the file does not matter. A record starts with its length and the checksum of it, so
    that a file that is not compressed never looks compressed.

    Raises:
        SourceError: The file is neither, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {explain(error)}") from error
    if not start or int.from_bytes(start[8:], "little") == masked_checksum(start[:8]):
        return ""
    if start[:3] == b"\x1f\x8b\x08":
        return "GZIP"
    if start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0:
        return "ZLIB"
    raise SourceError(
        f"`{uri}`: expected TFRecord, plain or compressed with GZIP or ZLIB,"
        f" got a file that starts with `{start[:8].hex(' ')}`"
    )


def masked_checksum(data: bytes) -> int:
    """Return CRC-32C of some bytes, masked as in TFRecord.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    import google_crc32c  # noqa: PLC0415 - needed by those runs alone that read records

    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
