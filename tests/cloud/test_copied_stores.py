"""Stores copied into buckets, out of them, and between them, by the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from servers import Bucket
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(folder=tmp_path)
    values = np.arange(600 * 600, dtype=np.uint16).reshape(600, 600)
    write_tiff(bench.folder / "a.tif", [values])
    bench.apply(image("x/a", "a.tif"))
    bench.apply(image("x/a", "a.tif", pyramiding_policy="MODE"), image("b", "a.tif"))
    return bench


@pytest.fixture
def found(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """Return the bucket as this process finds it."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return bucket


def ok(*argv: str | Path) -> Done:
    done = geobatch(*argv)
    assert done.code == 0, done.err
    return done


def test_there_and_back_again(bench: Workbench, found: Bucket, tmp_path: Path) -> None:
    root = geobatch("--store", bench.store, "log", "--json").lines
    sent = ok("copy", bench.store, found.url, "--json").record("copy")
    assert sent["is_new"]
    assert sent["objects"]["sent"] == len([*(bench.store / "objects").glob("*/*")])
    assert ok("--store", found.url, "log", "--json").lines == root
    ok("--store", found.url, "fsck", "--read-data")
    # Back to a disk, and into the bucket beside.
    ok("copy", found.url, tmp_path / "back")
    ok("--store", tmp_path / "back", "fsck", "--read-data")
    assert ok("--store", tmp_path / "back", "log", "--json").lines == root
    beside = f"{found.kind}://{found.name}/beside"
    ok("copy", found.url, beside)
    assert ok("--store", beside, "log", "--json").lines == root
    assert geobatch("copy", found.url, f"{found.url}/inside").code == 1
    # What follows goes alone, in either direction.
    bench.apply(image("x/a", "a.tif", memo="new"), image("b", "a.tif"))
    more = ok("copy", bench.store, found.url, "--json").record("copy")
    assert more["commits"] == [3]
    assert more["objects"]["sent"] == 3  # a document, a tree, a commit
    assert not ok("copy", bench.store, found.url, "--json").record("copy")["commits"]
    assert geobatch("copy", found.url, found.url).code == 1
    ok("--store", found.url, "fsck")
