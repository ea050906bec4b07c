"""Files that appear complete or not at all: placed, written, swept."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from geobatch.errors import CorruptObjectError
from geobatch.store.durable import sync_folder
from geobatch.store.zarr_metadata import DOCUMENT

FOLDER = "zarr"
"""Folder of the tree in a store."""

_ASIDE = ".aside"
"""Suffix of a file in the making; what a killed run left is swept or written over by the next."""

_NEVER = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""The file system cannot link from there to here, whatever the file."""

_IN_THE_WAY = (FileExistsError, FileNotFoundError, NotADirectoryError)

_COPY_MODE = 0o444


class Files:
    """Puts files into a folder by link or rename, and counts what it did.

    Only one process may write to the folder at a time; any number may read.
    """

    def __init__(self, *, sources: Path, folder: Path) -> None:
        self._sources = f"{sources}/"
        self._folder = f"{folder}/"
        self._can_link = True
        self.linked = 0
        self.copied = 0
        self.removed = 0

    def place(self, source: str, path: str) -> None:
        """Make a path show a source: a hard link, or a copy where a link is impossible.

        Costs one system call where the path is free and its folder is there, four where it is
        taken.

        Raises:
            CorruptObjectError: There is no such source.
            OSError: The disk refused.
        """
        origin, target = self._sources + source, self._folder + path
        try:
            if self._can_link and self._link(origin, target):
                self.linked += 1
                return
            self._copy(origin, target)
        except FileNotFoundError:
            raise CorruptObjectError(f"object `{source}` is missing, `{path}` shows it") from None
        self.copied += 1

    def write(self, path: str, data: bytes, *, is_durable: bool = False) -> None:
        """Make a path hold some bytes; durable on return if asked for.

        Raises:
            OSError: The disk refused.
        """
        target = self._folder + path
        aside = target + _ASIDE
        try:
            _write(aside, data, is_durable)
        except FileNotFoundError:
            _make_folder(target)
            _write(aside, data, is_durable)
        os.replace(aside, target)  # noqa: PTH105
        if is_durable:
            sync_folder(Path(target).parent)

    def adopt(self, folder: Path, path: str, *, made_by: Files) -> bool:
        """Make a folder from elsewhere stand at a path, by one rename; count what it took to make.

        Returns:
            False where the path is taken, or cannot be reached from there; then nothing was moved.

        Raises:
            OSError: The disk refused.
        """
        target = self._folder + path
        if os.path.lexists(target):
            return False
        try:
            _make_folder(target)
            os.rename(folder, target)  # noqa: PTH104
        except OSError as error:
            if error.errno in _NEVER or isinstance(error, _IN_THE_WAY):
                return False
            raise
        self.linked += made_by.linked
        self.copied += made_by.copied
        return True

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder at a path."""
        return os.path.lexists(self._folder + path)

    def remove(self, path: str) -> None:
        """Remove a file, and the folders above it that it leaves empty; no error if absent.

        Raises:
            OSError: The disk refused.
        """
        if _unlink(self._folder + path):
            self.removed += 1
        _unlink(self._folder + path + _ASIDE)
        parent = path.rpartition("/")[0]
        while parent and _rmdir(self._folder + parent):
            parent = parent.rpartition("/")[0]

    def sweep(
        self,
        path: str,
        *,
        is_expected: Callable[[str], bool] = lambda _: False,
        spared: Collection[str] = (),
    ) -> None:
        """Remove what is below a folder but not expected, documents first, and empty folders.

        Args:
            path: The folder.
            is_expected: Whether a file may stay, by its path relative to the folder.
            spared: Folders to leave alone, by their path relative to the folder.

        Raises:
            OSError: The disk refused.
        """
        self._sweep(path, "", is_expected, spared)

    def _sweep(
        self, path: str, below: str, is_expected: Callable[[str], bool], spared: Collection[str]
    ) -> None:
        folder = f"{self._folder}{path}/{below}" if path else self._folder + below
        try:
            with os.scandir(folder) as found:
                # A document is gone before what it describes.
                entries = sorted(found, key=lambda entry: (entry.name != DOCUMENT, entry.name))
        except FileNotFoundError:
            return
        except NotADirectoryError:
            _unlink(folder.rstrip("/"))
            return
        for entry in entries:
            name = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                if name not in spared:
                    self._sweep(path, f"{name}/", is_expected, spared)
            elif not is_expected(name) and _unlink(entry.path):
                self.removed += 1
        _rmdir(folder)

    def _link(self, origin: str, target: str) -> bool:
        """Return whether the target is now the very file of the origin."""
        try:
            _link_over(origin, target)
        except OSError as error:
            self._can_link = error.errno not in _NEVER
            if self._can_link and error.errno != errno.EMLINK:
                raise
            return False
        return True

    def _copy(self, origin: str, target: str) -> None:
        aside = target + _ASIDE
        _unlink(aside)
        try:
            shutil.copyfile(origin, aside)
        except FileNotFoundError:
            _make_folder(target)
            shutil.copyfile(origin, aside)
        os.chmod(aside, _COPY_MODE)  # noqa: PTH101
        os.replace(aside, target)  # noqa: PTH105


def _link_over(origin: str, target: str) -> None:
    try:
        os.link(origin, target)
    except FileNotFoundError:
        _make_folder(target)
        os.link(origin, target)
    except FileExistsError:
        aside = target + _ASIDE
        try:
            os.link(origin, aside)
        except FileExistsError:
            _unlink(aside)
            os.link(origin, aside)
        os.replace(aside, target)  # noqa: PTH105
        # Between two links of one file, rename does nothing and leaves both.
        _unlink(aside)


def _write(target: str, data: bytes, is_durable: bool) -> None:
    with open(target, "wb") as file:  # noqa: PTH123
        file.write(data)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())


def _make_folder(target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120


def _unlink(target: str) -> bool:
    try:
        os.unlink(target)  # noqa: PTH108
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _rmdir(folder: str) -> bool:
    try:
        os.rmdir(folder)  # noqa: PTH106
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True
