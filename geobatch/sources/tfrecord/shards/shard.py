"""TFRecord files as bytes: their compression, found in the first bytes, and checksums."""

from __future__ import annotations

import google_crc32c

from geobatch.sources.naming import UnnamedError

START_BYTES = 12
"""First bytes of a file, by which its compression is known."""


def compression_of(start: bytes) -> str:
    """Return how a file is compressed, in TensorFlow's words: `GZIP`, `ZLIB` or nothing.

    The name of the file does not matter. A record starts with its length and the checksum of it, so
    that a file that is not compressed never looks compressed.

    Args:
        start: The first `START_BYTES` of the file.

    Raises:
        UnnamedError: The file is neither.
    """
    if not start or int.from_bytes(start[8:], "little") == masked_checksum(start[:8]):
        return ""
    if start[:3] == b"\x1f\x8b\x08":
        return "GZIP"
    if start[0] & 15 == 8 and int.from_bytes(start[:2], "big") % 31 == 0:
        return "ZLIB"
    raise UnnamedError(
        "expected TFRecord, plain or compressed with GZIP or ZLIB,"
        f" got a file that starts with `{start[:8].hex(' ')}`"
    )


def masked_checksum(data: bytes) -> int:
    """Return CRC-32C of some bytes, masked as in TFRecord.

    Source: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
