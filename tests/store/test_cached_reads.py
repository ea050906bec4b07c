"""Tiles that the system has in memory are read without a thread, verified as all others."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

import geobatch
from geobatch.errors import CorruptObjectError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.objects import Objects
from geobatch.workflow.apply import apply

HAS_CACHED_READS = hasattr(os, "RWF_NOWAIT")


@settings(max_examples=30, deadline=None)
@given(data=st.binary(max_size=200_000))
def test_what_is_cached_is_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    backend = LocalBackend(tmp_path_factory.mktemp("cached"))
    backend.put("a/b", data)
    assert backend.get_cached("a/b") in (None, data)
    assert backend.get_cached("a/c") is None
    assert backend.get_cached("a") is None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_without_cached_reads_the_bytes_are_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    backend = LocalBackend(tmp_path)
    backend.put("a", b"bytes")
    monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
    monkeypatch.setattr(os, "preadv", refuse)
    assert backend.get_cached("a") is None
    assert backend.get("a") == b"bytes"
    monkeypatch.setattr(os, "preadv", lambda *_: 3)  # the rest is not in memory
    assert backend.get_cached("a") is None
    monkeypatch.delattr(os, "RWF_NOWAIT")
    assert backend.get_cached("a") is None


def test_damage_is_never_returned(tmp_path: Path) -> None:
    objects = Objects(LocalBackend(tmp_path))
    digest, _ = objects.put(b"bytes")
    assert objects.get_cached(digest) in (None, b"bytes")
    path = tmp_path / objects.path(digest)
    path.chmod(0o644)
    path.write_bytes(b"bytez")
    assert objects.get_cached(digest) is None
    assert objects.get_cached("0" * 64) is None


@pytest.mark.parametrize("has_cached_reads", [True, False])
def test_windows_are_equal_and_damage_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_cached_reads: bool
) -> None:
    if not has_cached_reads:
        monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)
    pixels = np.random.default_rng(0).integers(0, 1 << 32, (600, 700), dtype=np.uint32)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=700, height=600, count=1, dtype="uint32",
        crs="EPSG:32633", transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    (tmp_path / "spec.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    apply([tmp_path / "spec.yaml"], store=tmp_path / "store")
    group: Any = geobatch.open_store(tmp_path / "store").open("a")
    array = group["0/b1"]
    threads = set[str]()
    read = Objects.get

    def noted(self: Objects, digest: str) -> bytes:
        threads.add(threading.current_thread().name)
        return read(self, digest)

    assert np.array_equal(array[:], pixels)
    monkeypatch.setattr(Objects, "get", noted)
    for window in (np.s_[:], np.s_[500:600, 500:600], np.s_[0:1, 699:700], np.s_[::7, ::13]):
        assert np.array_equal(array[window], pixels[window])
    assert (not threads) or not (has_cached_reads and HAS_CACHED_READS and is_cached(tmp_path))
    for path in (tmp_path / "store" / "objects").glob("*/*"):
        if path.stat().st_size > 10_000:
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptObjectError, match="is damaged"):
        array[:]


def is_cached(folder: Path) -> bool:
    """Return whether the file system of a folder tells what is in memory."""
    (folder / "probe").write_bytes(b"bytes")
    return LocalBackend(folder).get_cached("probe") is not None
