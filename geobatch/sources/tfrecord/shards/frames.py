"""The records of a TFRecord file, read once; lengths beyond the file's size are errors.

TensorFlow's own reader allocates as much memory as a record declares, and ends the process
where there is not so much. Here a record is as long as what is left of the file allows, at most.

Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO
from itertools import chain
from pathlib import Path

from blake3 import blake3
from isal import isal_zlib

from geobatch.model.digest import Digest
from geobatch.model.limits import RECORD_BYTES, RECORD_FEATURES
from geobatch.sources.files import changed, explain
from geobatch.sources.naming import UnnamedError
from geobatch.sources.tfrecord.shards.feature_count import has_many_features
from geobatch.sources.tfrecord.shards.shard import START_BYTES, compression_of, masked_checksum

MAX_RECORD_BYTES = (1 << 31) - 1
"""Most bytes of a record: protobuf allows no longer message."""
_DEFLATE_FACTOR = 1032
"""Most bytes that DEFLATE can make of one."""
_CHUNK = 256 << 10
_UNCOUNTED_BYTES = 1 << 20
"""A shorter record is parsed whatever it holds."""
_END_BYTES = 4
_HINT = "the file is truncated or damaged; copy it again"


def records_of(path: Path, *, digest: Digest | None = None) -> Iterator[bytes]:
    """Yield the serialized records of a file, in order.

    Args:
        path: The file; plain, or compressed with GZIP or ZLIB.
        digest: Expected digest, checked if the file is read to its end.

    Raises:
        UnnamedError: It is no such file, a record is damaged or longer than the file, it is cut
            short, or its bytes are others than those that were digested.
    """
    hasher = blake3()
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            yield from records_in(_pieces(file, hasher), size=size)
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if digest is not None and hasher.hexdigest() != digest:
        raise changed()


def records_in(pieces: Iterator[bytes], *, size: int) -> Iterator[bytes]:
    """Yield the serialized records of a file, in order.

    Args:
        pieces: Its bytes, in order.
        size: How many there are.

    Raises:
        UnnamedError: A record is damaged or longer than the file, or the file is cut short.
    """
    first = next(pieces, b"")
    compression = compression_of(first[:START_BYTES])
    pieces = chain([first], pieces)
    if compression:
        content, most = _Content(_inflated(pieces)), size * _DEFLATE_FACTOR
        longest = RECORD_BYTES.of_file(size)
    else:
        content, most, longest = _Content(pieces), size, size
    yield from _records(content, most=most, longest=longest)


def _pieces(file: FileIO, hasher: blake3) -> Iterator[bytes]:
    while piece := file.read(_CHUNK):
        hasher.update(piece)
        yield piece


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of a compressed file, which may have several members, in small parts."""
    data = next(pieces, b"")
    while data:
        member = isal_zlib.decompressobj(wbits=47)  # gzip or zlib
        while True:
            try:
                made = member.decompress(data, _CHUNK)
            except isal_zlib.error as error:  # type: ignore[misc] # its stubs have no class
                raise _cut(str(error)) from None
            if made:
                yield made
            if member.eof:
                break
            if not made and not data:
                raise _cut("its end is missing")
            data = member.unconsumed_tail or next(pieces, b"")
        data = member.unused_data or next(pieces, b"")


def _cut(why: str) -> UnnamedError:
    return UnnamedError(f"the compressed file is incomplete: {why}", hint=_HINT)


class _Content:
    """Parts of bytes, from which any number can be read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0
        self.offset = 0
        """How many bytes were read."""

    def take(self, count: int) -> bytes:
        """Return the next bytes: fewer at the end."""
        found = self._piece[self._at : self._at + count]
        self._at += len(found)
        if len(found) < count:
            parts, missing = [found], count - len(found)
            while missing and (piece := next(self._pieces, b"")):
                self._piece, self._at = piece, min(missing, len(piece))
                parts.append(piece[:missing])
                missing -= self._at
            found = b"".join(parts)
        self.offset += len(found)
        return found


def _records(content: _Content, *, most: int, longest: int) -> Iterator[bytes]:
    """Yield records.

    Args:
        content: The bytes of the file, inflated.
        most: How many bytes it holds at most.
        longest: How many bytes a record may have, as far as limits go.
    """
    number = 0
    while True:
        offset = content.offset
        start = content.take(START_BYTES)
        if not start:
            return
        where = f"record {number} cannot be read"
        if len(start) < START_BYTES:
            raise UnnamedError(
                f"{where}: got {len(start)} bytes at offset {offset}, expected none or"
                f" at least {START_BYTES}",
                hint=_HINT,
            )
        if masked_checksum(start[:8]) != int.from_bytes(start[8:], "little"):
            raise _corrupted(where, offset, "length")
        length = int.from_bytes(start[:8], "little")
        left = max(0, most - content.offset - _END_BYTES)
        if length > min(left, MAX_RECORD_BYTES):
            raise _too_long(where, offset, length, min(left, MAX_RECORD_BYTES))
        if length > longest:
            raise UnnamedError(
                f"{where}: its length at offset {offset} is {length} bytes, expected at most"
                f" {longest} in a compressed file of this size",
                hint=RECORD_BYTES.hint(length),
            )
        record = content.take(length)
        end = content.take(_END_BYTES)
        if len(end) < _END_BYTES:
            raise _too_long(where, offset, length, max(0, len(record) + len(end) - _END_BYTES))
        if masked_checksum(record) != int.from_bytes(end, "little"):
            raise _corrupted(where, offset, "bytes")
        if length > _UNCOUNTED_BYTES and has_many_features(
            record, (limit := RECORD_FEATURES).value
        ):
            raise UnnamedError(
                f"{where}: it has more than {limit.value:,} features, expected fewer",
                hint=limit.hint(),
            )
        yield record
        number += 1


def _corrupted(where: str, offset: int, what: str) -> UnnamedError:
    return UnnamedError(
        f"{where}: corrupted record at offset {offset}: its {what} does not match its checksum",
        hint=_HINT,
    )


def _too_long(where: str, offset: int, length: int, left: int) -> UnnamedError:
    return UnnamedError(
        f"{where}: its length at offset {offset} is {length} bytes, expected at most {left}:"
        " no more can follow",
        hint=_HINT,
    )
