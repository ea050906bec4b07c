"""Writes the nodata tag of a TIFF as it is spelled, which rasterio does not let through."""

from __future__ import annotations

import struct
from pathlib import Path

_NODATA = 42113


def write_nodata(path: Path, text: str) -> Path:
    """Put a nodata tag into a little-endian TIFF of one directory, whatever it says.

    Source: TIFF 6.0, section 2. The directory is written again at the end of the file.
    """
    data = bytearray(path.read_bytes())
    assert data[:4] == b"II*\0"
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    entries = {
        struct.unpack_from("<H", data, at)[0]: bytes(data[at : at + 12])
        for at in range(offset + 2, offset + 2 + 12 * count, 12)
    }
    value = text.encode() + b"\0"
    data += b"\0" * (len(data) % 2)
    place = value.ljust(4, b"\0")
    if len(value) > 4:
        place = struct.pack("<I", len(data))
        data += value + b"\0" * (len(value) % 2)
    entries[_NODATA] = struct.pack("<HHI", _NODATA, 2, len(value)) + place
    struct.pack_into("<I", data, 4, len(data))
    data += struct.pack("<H", len(entries))
    data += b"".join(entries[tag] for tag in sorted(entries)) + b"\0" * 4
    path.write_bytes(data)
    return path
