"""TFRecord files as bytes: identified by their digest, their compression told by their start."""

from __future__ import annotations

import os
import zlib
from io import FileIO
from pathlib import Path

from geobatch.errors import SourceError
from geobatch.files import changed, digest_file, explain, regular_file
from geobatch.model.digest import Digest
from geobatch.model.look import FileStat, file_stat

FRAME_BYTES = 16
"""What a record takes beside its own bytes: length, and checksums of length and bytes."""
_CHUNK = 64 << 10  # deflate can make a thousand times as much of it
_SMALLEST_GZIP = 18
_CASTAGNOLI = 0x82F63B78


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

    The name of the file is not asked. A record begins with its length and the checksum of that, so
    that a file that is not compressed cannot be taken for one that is.

    Raises:
        SourceError: The file is neither, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {explain(error)}") from error
    if not start or int.from_bytes(start[8:], "little") == _masked_checksum(start[:8]):
        return ""
    if start[:3] == b"\x1f\x8b\x08":
        return "GZIP"
    if start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0:
        return "ZLIB"
    raise SourceError(
        f"`{uri}`: expected TFRecord, plain or compressed with GZIP or ZLIB,"
        f" got a file that starts with `{start[:8].hex(' ')}`"
    )


def _masked_checksum(data: bytes) -> int:
    """Return CRC-32C of a few bytes, masked as TFRecord has it.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def check_end(path: Path, uri: str, compression: str, *, size: int) -> None:
    """Check that a file ends with its last record; TensorFlow passes over a start of another one.

    Args:
        path: The file.
        uri: What messages call it.
        compression: `GZIP`, `ZLIB` or nothing.
        size: Bytes of the records that were read, not compressed, frames included.

    Raises:
        SourceError: The file is cut short, or something else follows.
    """
    try:
        with path.open("rb", buffering=0) as file:
            if not compression:
                found = os.fstat(file.fileno()).st_size
            elif compression == "GZIP" and _stated_size(file) == size & 0xFFFFFFFF:
                return
            else:
                found = _inflated_size(file, uri)
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be read: {explain(error)}") from error
    if found != size:
        raise SourceError(
            f"`{uri}`: {found - size} bytes follow the last whole record, expected none",
            hint="the file is truncated or damaged; fetch it again",
        )


def _stated_size(file: FileIO) -> int | None:
    """Return what the end of a gzip file says of its size: right, unless it has several members."""
    if os.fstat(file.fileno()).st_size < _SMALLEST_GZIP:
        return None
    file.seek(-4, os.SEEK_END)
    return int.from_bytes(file.read(4), "little")


def _inflated_size(file: FileIO, uri: str) -> int:
    """Return the size of a compressed file's content, all of which is inflated for it."""
    file.seek(0)
    total = 0
    data = file.read(_CHUNK)
    while data:
        member = zlib.decompressobj(wbits=47)  # gzip or zlib
        while not member.eof:
            if not data:
                raise _cut(uri, "its end is missing")
            try:
                total += len(member.decompress(data))
            except zlib.error as error:
                raise _cut(uri, str(error)) from None
            data = member.unused_data or file.read(_CHUNK)
    return total


def _cut(uri: str, why: str) -> SourceError:
    return SourceError(
        f"`{uri}`: the compressed file is not whole: {why}",
        hint="the file is truncated or damaged; fetch it again",
    )
