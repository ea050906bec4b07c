"""Files that appear complete or not at all: linked, written, swept, exchanged by the folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.store.backends.durability import sync_folder
from geobatch.store.backends.exchange import exchange
from geobatch.views.zarr.metadata import DOCUMENT

ASIDE = ".aside"
"""Suffix of an unfinished file; the next run removes or overwrites what a killed run left."""

_NEVER = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""The file system cannot link from there to here, whatever the file."""

_NO_FOLDER = (FileNotFoundError, NotADirectoryError)
"""The folder of a path is not there, or a file is where it must be."""

_COPY_MODE = 0o444


def check_is_folder(root: Path) -> None:
    """Refuse a path of a view's folder that is something else than a folder.

    Raises:
        StoreError: It is a file, or a link that leads to no folder.
    """
    if root.is_dir() or not os.path.lexists(root):
        return
    what = (
        f"a link to `{root.readlink()}`, which is not a folder" if root.is_symlink() else "a file"
    )
    raise StoreError(
        f"`{root}` is {what}; expected a folder, or nothing",
        hint=f"move it elsewhere: `mv {root} {root}.before`; the next apply creates the folder",
    )


class Files:
    """Puts files into a folder by link or rename, and counts what it did.

    Only one process may write to the folder at a time; any number may read.
    """

    def __init__(self, *, sources: Path, folder: Path) -> None:
        self._sources = f"{sources}/"
        self._folder = f"{folder}/"
        self._can_link = True
        self._aside: list[str] = []
        self.linked = 0
        self.copied = 0
        self.removed = 0

    def link(self, source: str, path: str) -> None:
        """Make a path show a source: a hard link, or a copy where a link is impossible.

        Costs one system call where the path is free and its folder is there, four where it is
        taken.

        Raises:
            CorruptObjectError: There is no such source.
            OSError: The disk refused.
        """
        self._link_or_copy(source, path, self._folder + path)

    def write(self, path: str, data: bytes, *, is_durable: bool = False) -> None:
        """Make a path hold some bytes; durable on return if asked for.

        Raises:
            OSError: The disk refused.
        """
        target = self._folder + path
        self._write_aside(target, data, is_durable)
        self._replace(target, path)
        if is_durable:
            sync_folder(Path(target).parent)

    def prepare(self, source: str, path: str) -> None:
        """Do all of `link` but the last step, which `move` does.

        Raises:
            CorruptObjectError: There is no such source.
            OSError: The disk refused.
        """
        self._link_or_copy(source, path, f"{self._folder}{path}{ASIDE}")
        self._aside.append(path)

    def prepare_text(self, path: str, data: bytes) -> None:
        """Do all of `write` but the last step, which `move` does.

        Raises:
            OSError: The disk refused.
        """
        self._write_aside(self._folder + path, data, False)
        self._aside.append(path)

    def move(self) -> None:
        """Make all that was prepared appear, in that order, one right after the other.

        Raises:
            OSError: The disk refused.
        """
        paths, self._aside = self._aside, []
        for path in paths:
            self._replace(self._folder + path, path)
        for path in paths:
            # Between two links of one file, rename does nothing and leaves both.
            _unlink(self._folder + path + ASIDE)

    def put(self, folder: Path, path: str, *, made_by: Files) -> bool:
        """Move a folder from elsewhere to a path, in one step; count what it took to make.

        Afterwards, what was at the path has the folder's former path.

        Returns:
            False where the path cannot be reached from there; then nothing was moved.

        Raises:
            OSError: The disk refused.
        """
        target = self._folder + path
        try:
            if os.path.lexists(target):
                exchange(str(folder), target)
            else:
                self._make_folder(target)
                os.rename(folder, target)  # noqa: PTH104
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in _NEVER:
                return False
            raise
        self.linked += made_by.linked
        self.copied += made_by.copied
        return True

    def take_away(self, path: str, folder: Path) -> bool:
        """Move what is at a path elsewhere, in one step.

        Returns:
            False where it is not there, or that cannot be reached; then nothing was moved.

        Raises:
            OSError: The disk refused.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(self._folder + path, folder)  # noqa: PTH104
        except _NO_FOLDER:
            return False
        except OSError as error:
            if error.errno in _NEVER:
                return False
            raise
        return True

    def rename(self, path: str, target: str) -> bool:
        """Give a file or folder another path, whose last part is free.

        Returns:
            False where it is not there; then nothing was done.

        Raises:
            OSError: The disk refused.
        """
        if not self.exists(path):
            return False
        self._make_folder(self._folder + target)
        os.rename(self._folder + path, self._folder + target)  # noqa: PTH104
        return True

    def holds(self, path: str, data: bytes) -> bool:
        """Return whether there is a file of these bytes at a path."""
        try:
            with open(self._folder + path, "rb") as file:  # noqa: PTH123
                return file.read(len(data) + 1) == data
        except (*_NO_FOLDER, IsADirectoryError):
            return False

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder at a path."""
        return os.path.lexists(self._folder + path)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder.

        Raises:
            OSError: The disk refused.
        """
        try:
            return sorted(os.listdir(self._folder + path))  # noqa: PTH208
        except _NO_FOLDER:
            return []

    def size(self, path: str) -> int:
        """Return the length of a file.

        Raises:
            OSError: There is none.
        """
        return os.stat(self._folder + path).st_size  # noqa: PTH116

    def remove(self, path: str) -> None:
        """Remove a file, and the folders above it that it leaves empty; no error if absent.

        Raises:
            OSError: The disk refused.
        """
        if _unlink(self._folder + path):
            self.removed += 1
        _unlink(self._folder + path + ASIDE)
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

    def _link_or_copy(self, source: str, path: str, target: str) -> None:
        origin = self._sources + source
        try:
            if self._can_link and self._link(origin, target, path):
                self.linked += 1
                return
            self._copy(origin, target, path)
        except FileNotFoundError:
            raise CorruptObjectError(f"object `{source}` is missing, `{path}` shows it") from None
        self.copied += 1

    def _link(self, origin: str, target: str, path: str) -> bool:
        """Return whether the target is now the very file of the origin."""
        try:
            self._link_over(origin, target, path)
        except OSError as error:
            self._can_link = error.errno not in _NEVER
            if self._can_link and error.errno != errno.EMLINK:
                raise
            return False
        return True

    def _link_over(self, origin: str, target: str, path: str) -> None:
        try:
            os.link(origin, target)
        except _NO_FOLDER:
            self._make_folder(target)
            os.link(origin, target)
        except FileExistsError:
            aside = target + ASIDE
            try:
                os.link(origin, aside)
            except FileExistsError:
                _unlink(aside)
                os.link(origin, aside)
            self._replace(target, path)
            # Between two links of one file, rename does nothing and leaves both.
            _unlink(aside)

    def _copy(self, origin: str, target: str, path: str) -> None:
        aside = target + ASIDE
        _unlink(aside)
        try:
            shutil.copyfile(origin, aside)
        except _NO_FOLDER:
            self._make_folder(target)
            shutil.copyfile(origin, aside)
        os.chmod(aside, _COPY_MODE)  # noqa: PTH101
        self._replace(target, path)

    def _write_aside(self, target: str, data: bytes, is_durable: bool) -> None:
        try:
            _write(target + ASIDE, data, is_durable)
        except _NO_FOLDER:
            self._make_folder(target)
            _write(target + ASIDE, data, is_durable)

    def _replace(self, target: str, path: str) -> None:
        """Move what was built elsewhere to its path; replace what is there."""
        try:
            os.replace(target + ASIDE, target)  # noqa: PTH105
        except IsADirectoryError:
            self.sweep(path)
            os.replace(target + ASIDE, target)  # noqa: PTH105

    def _make_folder(self, target: str) -> None:
        """Make the folder of a path; a file that is where a folder must be is removed."""
        folder = os.path.dirname(target)  # noqa: PTH120
        try:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        except (FileExistsError, NotADirectoryError):
            above = self._folder.rstrip("/")
            for part in folder[len(self._folder) :].split("/"):
                above = f"{above}/{part}"
                if not os.path.isdir(above) and _unlink(above):  # noqa: PTH112
                    self.removed += 1
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103


def _write(target: str, data: bytes, is_durable: bool) -> None:
    try:
        file = open(target, "xb")  # noqa: PTH123, SIM115
    except FileExistsError:
        # What a killed run left may be a link: to write to it would damage the object.
        _unlink(target)
        file = open(target, "xb")  # noqa: PTH123, SIM115
    with file:
        file.write(data)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())


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
