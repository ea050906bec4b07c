"""One asset of one commit as a folder of its own: a plain Zarr group, or a GeoParquet file.

The folder is built beside its destination, made durable and renamed. A process that is killed
leaves only the hidden folder, which the next checkout to the same destination empties.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from geobatch.errors import CorruptObjectError, LockedError, StoreError
from geobatch.model.assets.asset import ExternalImage
from geobatch.model.digest import digest_bytes
from geobatch.model.published import AssetRecord, Head
from geobatch.store.backends.durability import Durability, sync_folder
from geobatch.store.backends.reflink import share_blocks
from geobatch.store.entries import find_entry
from geobatch.store.identity import store_around
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.objects import check_object
from geobatch.views.zarr.asset_folder import Chunk, chunks
from geobatch.views.zarr.check import walk
from geobatch.views.zarr.metadata import documents


class Link(StrEnum):
    """How the files of a checkout relate to the objects of the store."""

    REFLINK = "reflink"
    """Files of their own that share blocks until one of them is written to."""
    HARDLINK = "hardlink"
    """The objects themselves under other names: read-only."""
    COPY = "copy"
    """Files of their own; each is compared with its digest while it is copied."""


class Checkout(Struct, frozen=True, kw_only=True):
    """What a checkout made."""

    folder: Path
    """The folder."""
    files: int
    """How many files it has."""
    bytes: int
    """Their length together."""
    is_new: bool
    """Whether it was made; else exactly this was there already."""


def check_out(
    store: TileStore, head: Head, asset_id: str, destination: Path, *, link: Link = Link.COPY
) -> Checkout:
    """Make a folder that has the plain Zarr group of an asset of a commit, or the file of a table.

    Args:
        store: The store.
        head: The commit.
        asset_id: An asset of it.
        destination: The folder; it must not exist, be empty, or have exactly this content.
        link: How objects become files.

    Raises:
        NotFoundError: The commit has no such asset.
        CorruptObjectError: An object is damaged or missing; there is no folder.
        LockedError: Another checkout to this destination runs.
        StoreError: The destination has something else, lies in the store, or cannot be linked to
            or written.
    """
    record = store.record(find_entry(head, asset_id))
    if isinstance(record.asset, ExternalImage):
        raise StoreError(
            f"`{asset_id}` is an external image: its pixels are not in the store, but in"
            f" `{record.asset.tilesets[0].sources[0].uri}`",
            hint="open that COG, or read it with `geobatch.open_store`",
        )
    target = Path(os.path.realpath(destination))
    _refuse_store(store, target)
    plan = _Plan(
        objects=tuple(_objects(store, record)),
        texts={} if record.table is not None else documents(record),
    )
    if not _is_free(target):
        different = _difference(plan, target)
        if different:
            raise StoreError(
                f"`{destination}` exists and is not this checkout: {different}",
                hint="name a folder that does not exist or is empty",
            )
        return _made(plan, target, is_new=False)
    with _writing(destination), _building(target) as folder:
        _build(store, asset_id, plan, folder, link=link)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
            raise StoreError(
                f"`{destination}` was made by another process meanwhile", hint="name another folder"
            ) from error
        sync_folder(target.parent)
    return _made(plan, target, is_new=True)


class _Plan(Struct, frozen=True):
    """The files of a checkout."""

    objects: tuple[Chunk, ...]
    """Those that are objects."""
    texts: dict[str, bytes]
    """Documents and coordinates, by path; the topmost document is the last."""


def _objects(store: TileStore, record: AssetRecord) -> Iterator[Chunk]:
    table = record.table
    if table is None:
        yield from chunks(store.index, record)
    else:
        name = f"{record.asset.id.rpartition('/')[2]}.parquet"
        yield Chunk(path=name, stored=table.stored, size=table.size)


def _made(plan: _Plan, folder: Path, *, is_new: bool) -> Checkout:
    return Checkout(
        folder=folder,
        files=len(plan.objects) + len(plan.texts),
        bytes=sum(one.size for one in plan.objects) + sum(map(len, plan.texts.values())),
        is_new=is_new,
    )


def _refuse_store(store: TileStore, target: Path) -> None:
    local = store.backend.local
    if local is not None and target.is_relative_to(os.path.realpath(local.root)):
        found: Path | None = local.root
    else:  # in any other store, too, it would be foreign
        found = store_around(target)
    if found is not None:
        raise StoreError(
            f"`{target}` is inside the store `{found}`", hint="name a folder outside of it"
        )


def _is_free(target: Path) -> bool:
    """Return whether there is nothing at a path but an empty folder.

    Raises:
        StoreError: There is a file, or the folder cannot be listed.
    """
    try:
        return not any(target.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        raise StoreError(
            f"`{target}` is not a folder", hint="name a folder that does not exist or is empty"
        ) from None


def _difference(plan: _Plan, target: Path) -> str:
    """Return what is the first that differs between a folder and a checkout; empty if nothing."""
    found = {
        path for path, _ in walk(f"{target}/") if not path.endswith("/") and path
    }  # without what other programs leave beside it
    wanted = {one.path: one for one in plan.objects}
    for path in sorted(found - wanted.keys() - plan.texts.keys()):
        return f"it has `{path}`"
    for path in sorted((wanted.keys() | plan.texts.keys()) - found):
        return f"it has no `{path}`"
    for path in sorted(found):
        file = target / path
        if not stat.S_ISREG(file.lstat().st_mode):
            return f"`{path}` is not a regular file"
        data = file.read_bytes()
        is_same = (
            data == plan.texts[path]
            if path in plan.texts
            else digest_bytes(data) == wanted[path].stored
        )
        if not is_same:
            return f"`{path}` has other bytes"
    return ""


def _build(store: TileStore, asset_id: str, plan: _Plan, folder: Path, *, link: Link) -> None:
    durability = Durability(folder)
    made: set[Path] = set()
    try:
        durability.watch()
        for chunk in plan.objects:
            target = folder / chunk.path
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            try:
                _put(store, chunk, target, link=link)
            except CorruptObjectError as error:
                raise CorruptObjectError(
                    f"`{asset_id}`, `{chunk.path}`: {error.message}", hint=error.hint
                ) from error
            durability.note(chunk.path)
        for path, text in plan.texts.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text)
            durability.note(path)
        durability.sync()
    finally:
        durability.close()


def _put(store: TileStore, chunk: Chunk, target: Path, *, link: Link) -> None:
    """Make one file of an object."""
    if link is Link.COPY:
        target.write_bytes(store.objects.get(chunk.stored))
        return
    local = store.backend.local
    if local is None:
        raise StoreError(
            f"the store `{store.backend.location}` has no files that `--link {link}` could use",
            hint="use `--link copy`",
        )
    check_object(local.root, chunk.stored, chunk.size, target)
    origin = local.path(Objects.path(chunk.stored))
    try:
        if link is Link.HARDLINK:
            target.hardlink_to(origin)
        else:
            share_blocks(origin, target)
    except OSError as error:
        raise StoreError(
            f"`--link {link}` is not possible from `{local.root}` to `{target.parent}`:"
            f" {_reason(link, error)}",
            hint="use `--link copy`",
        ) from error


def _reason(link: Link, error: OSError) -> str:
    if error.errno == errno.EXDEV:
        return "they are on two file systems"
    if error.errno == errno.EMLINK:
        return "a file has as many links as the file system allows"
    cannot = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}
    if error.errno in {*cannot, errno.ENOSYS}:
        links = "hard links" if link is Link.HARDLINK else "files that share blocks (reflinks)"
        return f"the file system has no {links}"
    return error.strerror or str(error)


@contextmanager
def _writing(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"`{error.filename}`: " if error.filename else ""
        raise StoreError(
            f"cannot make `{destination}`: {where}{error.strerror or error}",
            hint="remove the cause, then run the same command again",
        ) from error


@contextmanager
def _building(target: Path) -> Iterator[Path]:
    """Yield the empty hidden folder beside a target that is built in; only one process has it.

    Its lock ends with the process: the next one removes what a killed process left there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.parent / f".{target.name}.checkout"
    lock = _lock(hidden)
    try:
        _empty(hidden)
        yield hidden
    finally:
        # Renamed, if all went well.
        shutil.rmtree(hidden, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int:
    while True:
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise LockedError(
                f"another checkout is writing `{folder}`", hint="wait for it to end"
            ) from None
        # The process that held it before may have renamed the folder since it was opened.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), folder.stat()):
                return lock
        os.close(lock)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
