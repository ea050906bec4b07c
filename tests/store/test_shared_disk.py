"""A store is not kept where locks and hard links do not hold."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geobatch.errors import StoreError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.shared_disk import mount_problem
from geobatch.store.tilestore import TileStore

LINE = "36 35 0:31 / {point} rw,relatime{first} shared:1 - {kind} server:/export rw,vers=4.2{last}"
ROOT = "22 1 8:1 / / rw - ext4 /dev/sda1 rw"


def mounts(kind: str, *, first: str = "", last: str = "", point: str = "/data") -> str:
    """Return a table of mounts as Linux writes it."""
    return f"{ROOT}\n{LINE.format(kind=kind, first=first, last=last, point=point)}\n"


@pytest.mark.parametrize(
    ("kind", "option"),
    [("nfs4", "local_lock=all"), ("nfs", "local_lock=flock"), ("nfs", "nolock"),
     ("cifs", "nobrl"), ("smb3", "nobrl"), ("lustre", "localflock")],
)  # fmt: skip
def test_locks_of_one_computer_are_refused(kind: str, option: str) -> None:
    for where in ("first", "last"):
        table = mounts(kind, **{where: f",{option}"})
        problem, hint = mount_problem(Path("/data/store/runs/x"), table)
        assert f"`{kind}`" in problem
        assert f"`{option}`" in problem + hint
        assert mount_problem(Path("/database/store"), table) == ("", "")
        assert mount_problem(Path("/home/store"), table) == ("", "")


@pytest.mark.parametrize("kind", ["nfs4", "nfs", "cifs", "lustre", "ext4", "ceph", "fuse.x", "9p"])
def test_others_are_tried(kind: str) -> None:
    assert mount_problem(Path("/data/store"), mounts(kind, last=",local_lock=none")) == ("", "")


@pytest.mark.parametrize("kind", ["fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.mount-s3"])
def test_a_bucket_shown_as_a_folder_is_refused(kind: str) -> None:
    problem, hint = mount_problem(Path("/my data/store"), mounts(kind, point="/my\\040data"))
    assert "bucket" in problem
    assert "--store s3://" in hint


def test_the_innermost_mount_counts() -> None:
    table = mounts("fuse.sshfs") + mounts("ext4", point="/data/disk")
    assert mount_problem(Path("/data/store"), table)[0]
    assert not mount_problem(Path("/data/disk/store"), table)[0]
    later = mounts("ext4") + mounts("fuse.sshfs")
    assert mount_problem(Path("/data/store"), later)[0], "a mount hides the one before"


def test_odd_tables_harm_nothing() -> None:
    for text in ("", "\n", "a b c\n", " - \n", "1 2 3 / /data - nfs\n", "x" * 100):
        assert mount_problem(Path("/data"), text) == ("", "")


def _no_locks(_descriptor: int, _how: int) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


def _locks_for_all(_descriptor: int, _how: int) -> None:
    """Say yes to everybody, as a mount that does not know of others does."""


def _no_links(*_: Any, **__: Any) -> None:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.mark.parametrize(
    ("call", "replaced", "message"),
    [((fcntl, "flock"), _no_locks, "has no locks"),
     ((fcntl, "flock"), _locks_for_all, "two processes can hold one lock"),
     ((os, "link"), _no_links, "has no hard links")],
)  # fmt: skip
def test_what_does_not_hold_is_found_before_anything_is_written(
    call: tuple[Any, str],
    replaced: Callable[..., None],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The system's own call is replaced by what such a disk answers."""
    with monkeypatch.context() as patched:
        patched.setattr(*call, replaced)
        with pytest.raises(StoreError, match=message) as found:
            TileStore.create(tmp_path / "store")
        assert found.value.hint
        assert "s3://" in found.value.hint
    left = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert left == []
    TileStore.create(tmp_path / "store").close()


def test_a_disk_that_fails_is_no_disk_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError, match="No space left"):
        LocalBackend(tmp_path / "store").put("objects/a", b"x")
