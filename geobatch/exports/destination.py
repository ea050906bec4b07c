"""Files that appear complete: written in a hidden folder beside their target, then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from geobatch.errors import ExportError, InterruptedRunError, LockedError


class Destination(Struct, frozen=True, kw_only=True):
    """Where the files of an export go, and how they are named."""

    folder: Path
    """Folder of the files."""
    prefix: str
    """How their names begin."""

    @classmethod
    def parse(cls, text: str, *, asset_id: str) -> Destination:
        """Return the destination that a user names.

        Args:
            text: Folder and prefix; of a folder alone (one that exists, or with a `/` at its end)
                the prefix is the last part of the asset's id.
            asset_id: Id of the asset.
        """
        path = Path(text)
        if text.endswith("/") or path.is_dir():
            return cls(folder=path, prefix=asset_id.rpartition("/")[2])
        return cls(folder=path.parent, prefix=path.name)

    def existing(self, names: re.Pattern[str]) -> list[Path]:
        """Return the files of the folder whose whole names match, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if names.fullmatch(path.name))

    def check_free(self, names: re.Pattern[str], *, overwrite: bool) -> None:
        """Refuse to replace files, unless `--overwrite` allows it.

        Raises:
            ExportError: There are files of these names.
        """
        found = self.existing(names)
        if found and not overwrite:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            raise ExportError(
                f"`{found[0]}`{more} exists already",
                hint="use `--overwrite` to replace the files, or name another destination",
            )

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield the hidden folder to write in; it is gone afterwards.

        Its lock is the kernel's and ends with the process: what a killed run left there is removed
        by the next one.

        Raises:
            LockedError: Another process writes there.
            InterruptedRunError: The user stopped the run; nothing has been put in place.
            OSError: The disk refused.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        hidden = self.folder / f".{self.prefix}.export"
        lock = _lock(hidden)
        try:
            yield hidden
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; nothing was written to `{self.folder}`",
                hint="run the same command again",
            ) from None
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
            os.close(lock)

    def publish(self, files: Sequence[Path], *, replaced: re.Pattern[str]) -> tuple[Path, ...]:
        """Put finished files in place, in order, and remove what they replace.

        The last is removed first and put last, so that a reader who finds it also finds the others.

        Args:
            files: Files in the hidden folder.
            replaced: Names of the files that go.

        Returns:
            Where they are.

        Raises:
            OSError: The disk refused.
        """
        for path in files:
            _flush(path)
        last = {path.name for path in files[-1:]}
        stale = self.existing(replaced)
        for path in sorted(stale, key=lambda path: path.name not in last):
            if path.name in last or path.name not in {file.name for file in files}:
                path.unlink()
        placed = []
        for path in files:
            placed.append(self.folder / path.name)
            path.rename(placed[-1])
        _flush(self.folder)
        return tuple(placed)


def _lock(folder: Path) -> int:
    """Make a folder that is locked and empty, and return the descriptor that holds the lock."""
    while True:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise LockedError(
                f"another export is writing `{folder}`", hint="wait for it to end"
            ) from None
        # The process that held it before may have removed the folder since it was opened.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), folder.stat()):
                break
        os.close(lock)
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return lock


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
