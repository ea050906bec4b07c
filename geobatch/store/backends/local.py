"""A backend in a folder of a local disk: written to a temporary file, made durable, renamed."""
# ruff: noqa: PTH101, PTH104, PTH105, PTH108, PTH116, PTH123 -- a Path costs more than the call beneath it

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from geobatch.errors import NotDurableError, NotFoundError, StoreError
from geobatch.store.backends.durability import Durability, start_writing_out, sync_folder
from geobatch.store.backends.one_by_one import OneByOne
from geobatch.store.backends.protocol import RUNS, Data, LocalDisk, State, check_range, parse_name
from geobatch.store.backends.reads import read_cached, read_range, read_whole
from geobatch.store.backends.run_folder import Run

_OBJECT_MODE = 0o444
_CACHE_MODE = 0o644
UNSYNCED = f"{RUNS}unsynced"
"""A file that is there while something that was written may be lost, since a sync failed."""
_AGAIN = "run the same command again: what may be lost is written again"
_COPIED = 1 << 20
_WORTH_STARTING = 1 << 14
"""Bytes of a file from which the system is asked to begin to write it; a sync writes small ones."""
_AT_ONCE = 256
"""Locks that names share: two threads rarely wait for each other."""


class LocalBackend(OneByOne):
    """Names as files below a root folder.

    Unfinished files are in `runs/<run id>/`; a name appears by one rename or link. The folder
    itself and the run are made by the first write, so that reading leaves no trace.
    """

    def __init__(self, root: Path | str, *, within: str = "") -> None:
        """Open nothing yet.

        Args:
            root: The folder.
            within: Folder of the run of another process, on whose behalf this one works.
        """
        self.root = Path(root).absolute()
        self._prefix = f"{self.root}/"
        self._lock = threading.Lock()
        self._putting = [threading.Lock() for _ in range(_AT_ONCE)]
        self._count = itertools.count()
        self._run: Run | None = None
        self._within = within
        self._durability = Durability(self.root)
        self._has_cached_reads = True

    def __reduce__(self) -> tuple[Any, ...]:
        return (partial(LocalBackend, within=self._within), (self.root,))

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.root)

    @property
    def local(self) -> LocalDisk:
        """This backend."""
        return self

    def path(self, name: str) -> Path:
        """Return the file of a name; see `LocalDisk.path`."""
        return self.root / parse_name(name)

    def scratch(self, name: str) -> Path:
        """Return a path in the folder of this run; see `LocalDisk.scratch`."""
        return Path(self._folder(), name)

    def share(self) -> tuple[LocalDisk, int]:
        """Return what another process works with; see `LocalDisk.share`."""
        shared = LocalBackend(self.root, within=self._folder())
        return shared, -1 if self._run is None else self._run.lock

    def sync_share(self) -> None:
        """Make durable what another sync would not know of; see `LocalDisk.sync_share`."""
        if not self._durability.is_for_all:
            self.sync()

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name; see `Backend.get`."""
        check_range(start, length)
        try:
            path = self._prefix + parse_name(name)
            if not start and length is None:
                return read_whole(path)
            with open(path, "rb", buffering=0) as file:
                return read_range(file, start, length)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NotFoundError(f"`{name}` is not in the store `{self.root}`") from None
        except OSError as error:
            raise self._failure("read", name, error) from error

    def get_cached(self, name: str) -> Data | None:
        """Return the bytes of a name if that needs no wait; see `LocalDisk.get_cached`."""
        if not self._has_cached_reads:
            return None
        try:
            return read_cached(self._prefix + parse_name(name))
        except OSError as error:
            self._has_cached_reads = error.errno != errno.EOPNOTSUPP  # as in tmpfs
            return None

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes under a name for good; see `Backend.put`."""
        parse_name(name)
        self._durability.note(name)
        # Of threads that put the same, only one may say that it is new.
        with self._putting[hash(name) % _AT_ONCE]:
            size = self.size(name)
            if size == len(data) and self._holds(name, data):
                return False
            if size is None or not self._mend(name, data):
                self._rename(self._write(name, data, mode=_OBJECT_MODE), name)
        return True

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a free name; see `Backend.create`."""
        if self.size(name) is not None:
            return False
        aside = self._write(name, data, mode=_OBJECT_MODE, fsync=True)
        target = self._prefix + name
        folder = Path(target).parent
        try:
            self._link(aside, target)
        except FileExistsError:
            if folder.is_dir():
                return False
            raise self._failure(
                "create", name, NotADirectoryError(f"`{folder}` is a file")
            ) from None
        except OSError as error:
            raise self._failure("create", name, error).with_hint(
                "a store needs a file system with hard links and room for one more file"
            ) from error
        finally:
            os.unlink(aside)
        try:
            while True:
                sync_folder(folder)
                if folder in (self.root, folder.parent):
                    break
                folder = folder.parent
        except OSError as error:
            self._mark_unsynced()
            raise NotDurableError(
                f"cannot sync the folder of `{name}` in `{self.root}`: {error.strerror or error}",
                hint=_AGAIN,
            ) from error
        return True

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under any name; see `Backend.replace`."""
        parse_name(name)
        self._rename(self._write(name, data, mode=_CACHE_MODE), name)

    def size(self, name: str) -> int | None:
        """Return the length of a name's bytes; see `Backend.size`."""
        found = self.state(name)
        return None if found is None else found.size

    def state(self, name: str) -> State | None:
        """Return the size and age of a name; see `Backend.state`."""
        return self._state(parse_name(name))

    def _state(self, name: str) -> State | None:
        try:
            found = os.stat(self._prefix + name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failure("read the state of", name, error) from error
        is_file = stat.S_ISREG(found.st_mode)
        return State(found.st_size, found.st_mtime_ns, found.st_nlink) if is_file else None

    def list(self, prefix: str) -> Iterator[str]:
        """Yield names in order; see `Backend.list`."""
        folder = prefix.rpartition("/")[0]
        start = f"{parse_name(folder)}/" if folder else ""
        for name in self._walk(start, prefix):
            if prefix.startswith(RUNS) or not name.startswith(RUNS):
                yield name

    def delete(self, name: str) -> None:
        """Forget a name; see `Backend.delete`."""
        try:
            os.unlink(self._prefix + parse_name(name))
        except OSError as error:
            if self.size(name) is None:
                return
            raise self._failure("delete", name, error) from error

    def sync(self) -> None:
        """Make every put durable; see `Backend.sync`."""
        self._sync()
        if self.is_unsynced:
            raise StoreError(
                f"a sync of `{self.root}` failed, so what was written before it may be lost",
                hint=_AGAIN,
            )

    @property
    def is_unsynced(self) -> bool:
        """Whether something may be lost; see `LocalDisk.is_unsynced`."""
        return os.path.lexists(self._prefix + UNSYNCED)

    def settle(self, names: Iterable[str]) -> None:
        """Write names again and make them durable; see `LocalDisk.settle`."""
        mark = self._prefix + UNSYNCED
        try:
            before = os.stat(mark)
            for name in names:
                self._write_again(parse_name(name))
            self._sync()
            # One that failed meanwhile has left a mark of its own.
            if os.path.samestat(before, os.stat(mark)):
                os.unlink(mark)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(
                f"cannot write again to `{self.root}` what may be lost: {error.strerror or error}"
            ) from error

    def close(self) -> None:
        """End the run, and remove its folder."""
        self._durability.close()
        if (run := self._let_go()) is not None:
            run.end()

    def leave(self) -> None:
        """End the run, and leave to the next one what was made ahead."""
        if (run := self._let_go()) is not None:
            run.leave()

    def _let_go(self) -> Run | None:
        with self._lock:
            run, self._run = self._run, None
        return run

    def _sync(self) -> None:
        try:
            self._durability.sync()
        except OSError as error:
            self._mark_unsynced()
            raise self._failure("sync", "the store", error).with_hint(_AGAIN) from error

    def _mark_unsynced(self) -> None:
        """Note that what was written may be lost, for this run and all others."""
        mark = self._prefix + UNSYNCED
        with contextlib.suppress(OSError):
            aside = f"{mark}-{os.getpid()}"
            os.close(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _CACHE_MODE))
            os.replace(aside, mark)

    def _write_again(self, name: str) -> None:
        source = self._prefix + name
        aside = f"{self._folder()}/{os.getpid()}-{next(self._count)}"
        # Not by a copy of the system's, which may share what is on the disk.
        with open(source, "rb", buffering=0) as old:
            found = os.fstat(old.fileno())
            with open(aside, "xb", buffering=0) as new:
                while data := old.read(_COPIED):
                    left = memoryview(data)
                    while left:
                        left = left[new.write(left) :]
                os.fchmod(new.fileno(), stat.S_IMODE(found.st_mode))
                os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.replace(aside, source)
        self._durability.note(name)

    def _holds(self, name: str, data: Data) -> bool:
        """Return whether a name names these bytes; false where it cannot be read."""
        try:
            return self.get(name) == data
        except StoreError:
            return False

    def _mend(self, name: str, data: Data) -> bool:
        """Write over a file that is torn or damaged, where it is: links to it are mended with it.

        Who reads it meanwhile finds it damaged still, as before. Return whether that was possible.
        """
        target = self._prefix + name
        try:
            os.chmod(target, _OBJECT_MODE | stat.S_IWUSR)
            try:
                with open(target, "r+b", buffering=0) as file:
                    left = memoryview(data)
                    while left:
                        left = left[file.write(left) :]
                    file.truncate()
            finally:
                os.chmod(target, _OBJECT_MODE)
        except OSError:
            return False
        return True

    def _walk(self, folder: str, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(self._prefix + folder) as found:
                # A folder sorts as its names do: with the slash behind it.
                names = sorted(
                    f"{folder}{entry.name}{'/' if entry.is_dir() else ''}" for entry in found
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._failure("list", folder, error) from error
        for name in names:
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    yield from self._walk(name, prefix)
            elif name.startswith(prefix):
                yield name

    def _write(self, name: str, data: Data, *, mode: int, fsync: bool = False) -> str:
        aside = f"{self._folder()}/{os.getpid()}-{next(self._count)}"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                written = os.write(descriptor, data)
                while written < len(data):
                    written += os.write(descriptor, memoryview(data)[written:])
                if fsync:
                    os.fsync(descriptor)
                elif len(data) >= _WORTH_STARTING:
                    start_writing_out(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise self._failure("write", name, error) from error
        return aside

    def _rename(self, aside: str, name: str) -> None:
        try:
            while not _is_renamed(aside, self._prefix + name):  # `gc` may remove the folder again
                self.path(name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise self._failure("write", name, error) from error

    def _link(self, aside: str, target: str) -> None:
        try:
            os.link(aside, target)
        except FileNotFoundError:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            os.link(aside, target)

    def _folder(self) -> str:
        if self._within:
            return self._within
        run = self._run
        if run is not None:
            return run.folder
        with self._lock:
            if self._run is None:
                try:
                    self._run = Run.start(self.root / RUNS)
                    self._durability.watch()
                except OSError as error:
                    raise self._failure("write to", RUNS, error) from error
            return self._run.folder

    def _failure(self, verb: str, name: str, error: OSError) -> StoreError:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        return StoreError(
            f"cannot {verb} `{name}` in `{self.root}`: {error.strerror or error}",
            hint="free some space, then run the same command again: what is finished is reused"
            if is_full
            else None,
        )


def _is_renamed(source: str, target: str) -> bool:
    """Rename a file; return false if the folder of the target is missing."""
    try:
        os.rename(source, target)
    except FileNotFoundError:
        if not os.path.lexists(source):
            raise
        return False
    return True
