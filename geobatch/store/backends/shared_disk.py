"""Whether locks and hard links hold on the file system of a store, also between computers.

Who writes a store relies on both: `flock` tells live runs from dead ones and keeps `gc` from those
who publish, and a commit is published by one hard link.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from geobatch.errors import StoreError

_MOUNTS = Path("/proc/self/mountinfo")
_OF_ONE_COMPUTER = {
    "nfs": {"nolock", "local_lock=all", "local_lock=flock"},
    "nfs4": {"nolock", "local_lock=all", "local_lock=flock"},
    "cifs": {"nobrl"},
    "smb3": {"nobrl"},
    "lustre": {"localflock"},
}
"""Options of mounts with which a lock is known to the computer that holds it, and to no other."""
_NEVER = {"fuse.sshfs"}
"""File systems that have no locks between computers."""
_BUCKETS = ("fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.goofys", "fuse.mount-s3",
            "fuse.mountpoint-s3", "fuse.blobfuse", "fuse.blobfuse2")  # fmt: skip
"""File systems that show a bucket as a folder."""
_LACKING = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system says that has no hard links."""
_HINT = "keep the store on a local disk, or in a bucket (`--store s3://BUCKET/PREFIX`)"


def check_disk(folder: Path, lock: Path) -> None:
    """Refuse a file system on which locks or links do not hold.

    Args:
        folder: A folder of this run.
        lock: A file in it, of which this process holds the lock by another descriptor.

    Raises:
        StoreError: They do not.
        OSError: The disk refused.
    """
    problem, hint = mount_problem(folder, _mounts())
    if not problem and _is_lock_free(lock):
        problem = "two processes can hold one lock (`flock`)"
    if not problem:
        problem = _link_problem(lock, folder / "link")
    if problem:
        raise StoreError(
            f"a store cannot be kept in `{folder.parents[1]}`: {problem}", hint=hint or _HINT
        )


def lock_error(folder: Path, error: OSError) -> StoreError:
    """Return the error of a file system that has no locks at all."""
    return StoreError(
        f"a store cannot be kept in `{folder.parents[1]}`: its file system has no locks (`flock`: "
        f"{error.strerror or error})",
        hint=_HINT,
    )


def mount_problem(folder: Path, mounts: str) -> tuple[str, str]:
    """Return why locks of a mount do not hold, and a hint; empty if nothing is known against them.

    Args:
        folder: A folder.
        mounts: What `/proc/self/mountinfo` says.
    """
    kind, options = _mount_of(os.path.realpath(folder), mounts)
    if kind in _BUCKETS:
        return (
            f"it is a bucket that `{kind}` shows as a folder, without locks and hard links",
            "name the bucket itself: `--store s3://BUCKET/PREFIX`, or `gs://`, or `az://`",
        )
    if kind in _NEVER:
        return f"`{kind}` has no locks between computers", _HINT
    found = sorted(options & _OF_ONE_COMPUTER.get(kind, set()))
    if found:
        option = found[0]
        problem = f"it is mounted by `{kind}` with `{option}`: other computers ignore its locks"
        return problem, f"mount it without `{option}`; or {_HINT}"
    return "", ""


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(errors="surrogateescape")
    except OSError:  # not Linux: only what is tried is known
        return ""


def _mount_of(path: str, mounts: str) -> tuple[str, set[str]]:
    """Return the kind and the options of the innermost mount that a path is on."""
    found: tuple[int, str, set[str]] = (-1, "", set())
    for line in mounts.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(kinds) < 3:
            continue
        point = _unescaped(fields[4]).rstrip("/")
        is_on = path == point or path.startswith(f"{point}/")
        if is_on and len(point) >= found[0]:
            found = (len(point), kinds[0], {*fields[5].split(","), *kinds[2].split(",")})
    return found[1], found[2]


def _unescaped(text: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text


def _is_lock_free(lock: Path) -> bool:
    """Return whether another descriptor gets a lock that is held."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _link_problem(first: Path, second: Path) -> str:
    """Return why hard links do not hold; empty if they do: one name is made once."""
    try:
        os.link(first, second)
        try:
            if not os.path.samefile(first, second):  # noqa: PTH121 - next to its siblings
                return "a hard link is a copy there"
            try:
                os.link(first, second)
            except FileExistsError:
                return ""
            return "a hard link replaces a file that has its name"
        finally:
            second.unlink(missing_ok=True)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        return f"its file system has no hard links ({error.strerror or error})"
