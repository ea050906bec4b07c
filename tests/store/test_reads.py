"""Bytes of local files, read whole: of any length, around the first read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geobatch.store.backends import reads


@pytest.mark.parametrize("length", [0, 1, 65535, 65536, 65537, 131072, 300_001])
def test_a_file_is_read_whole(tmp_path: Path, length: int) -> None:
    path = tmp_path / "object"
    path.write_bytes(os.urandom(length))
    assert reads.read_whole(str(path)) == path.read_bytes()


def test_nothing_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"x" * 70_000)
    free = _lowest_free()
    for _ in range(100):
        reads.read_whole(str(path))
        with pytest.raises(IsADirectoryError):
            reads.read_whole(str(tmp_path))
    assert _lowest_free() == free


def _lowest_free() -> int:
    """Return the number that the next file gets."""
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number
