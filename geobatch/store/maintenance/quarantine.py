"""Files that were taken out of a store and can be put back: a batch for each time.

`quarantine/batches/<batch>.json` says when and why, and names what was to be moved; it is written
before anything is moved. The file of a name is `quarantine/<batch>/<name>`. What is not there was
not moved, or was put back. So a kill at any time loses nothing.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.errors import NotFoundError, StoreError
from geobatch.format.documents import FORMAT, check_format
from geobatch.format.object_names import object_name
from geobatch.model.digest import Digest, canonical_json, digest_bytes
from geobatch.store.backends.protocol import Backend, LocalDisk, parse_name

QUARANTINE = "quarantine/"
"""Folder of everything that was moved."""
BATCHES = f"{QUARANTINE}batches/"
"""Folder of the documents of batches."""
MOST_NAMES = 1 << 13
"""Names that a batch should have at most: its document is read as a whole."""

_DOCUMENT = re.compile(re.escape(BATCHES) + r"([0-9]{8}T[0-9]{6}Z-[0-9a-f]{8})\.json")
_AT_ONCE = 256
"""Names that are copied before they are made durable together."""


class Batch(Struct, frozen=True, kw_only=True):
    """What was moved at one time."""

    id: str
    """Name of the batch: its time, and eight digits."""
    time_ns: int
    """When it was complete, by the clock of the process and that of the backend: the later one."""
    is_complete: bool = False
    """Whether all was moved; if not, a process was killed, and the time is that of its begin."""
    why: str
    """Why, in a line; empty if the document is damaged."""
    names: tuple[str, ...]
    """What was to be moved; empty if the document is damaged."""


class Removed(Struct, frozen=True, kw_only=True):
    """What a deletion removed."""

    names: int = 0
    """Files."""
    freed: int = 0
    """Bytes that the disk has back: a file with other hard links frees nothing."""


class Quarantine:
    """The quarantine of a store, on any backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @staticmethod
    def path(batch_id: str, name: str) -> str:
        """Return where a name of a batch is."""
        return f"{QUARANTINE}{batch_id}/{name}"

    def move(self, names: Sequence[str], *, why: str, time: datetime | None = None) -> Batch:
        """Move names out of the store; those that do not exist are passed over.

        Args:
            names: The names.
            why: Why, in a line.
            time: When; by default now.

        Returns:
            The new batch.

        Raises:
            StoreError: The backend failed; what was moved before stays moved.
        """
        when = (time or datetime.now(UTC)).astimezone(UTC)
        batch_id = f"{when:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        document = {
            "format": FORMAT,
            "time": when.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "why": " ".join(why.split()),
            "names": list(names),
        }
        self._backend.create(_document(batch_id), canonical_json(document))
        if (local := self._backend.local) is not None:
            for name in names:
                if not _is_renamed(local, name, self.path(batch_id, name)):
                    self._copy([(name, self.path(batch_id, name))])
        else:
            for some in _batched(names):
                self._copy([(name, self.path(batch_id, name)) for name in some])
        self._backend.replace(_document(batch_id), canonical_json({**document, "complete": True}))
        found = self.get(batch_id)
        if found is None:
            raise StoreError(f"`{_document(batch_id)}` was deleted by another process")
        return found

    def batches(self) -> Iterator[Batch]:
        """Yield all batches, oldest first.

        Raises:
            FormatError: A newer geobatch made one.
        """
        for batch_id in self.ids():
            if (found := self.get(batch_id)) is not None:
                yield found

    def ids(self) -> list[str]:
        """Return the names of all batches, oldest first; no document is read."""
        matches = (_DOCUMENT.fullmatch(name) for name in self._backend.list(BATCHES))
        return sorted(match[1] for match in matches if match)

    def get(self, batch_id: str) -> Batch | None:
        """Return a batch, or None if there is none of that name.

        Raises:
            FormatError: A newer geobatch made it.
        """
        name = _document(batch_id)
        state = self._backend.state(name)
        if state is None:
            return None
        try:
            document = json.loads(self._backend.get(name))
            check_format(document["format"], f"`{name}`")
            made = datetime.fromisoformat(document["time"]).timestamp()
            return Batch(
                id=batch_id,
                time_ns=max(int(made * 1e9), state.modified_ns),
                is_complete=document.get("complete") is True,
                why=str(document["why"]),
                names=tuple(map(str, document["names"])),
            )
        except NotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return Batch(id=batch_id, time_ns=state.modified_ns, why="", names=())

    def held(self, batch_id: str) -> Iterator[str]:
        """Yield the names that a batch holds, whatever its document says."""
        prefix = self.path(batch_id, "")
        for name in self._backend.list(prefix):
            yield name.removeprefix(prefix)

    def find(self, name: str) -> str | None:
        """Return the newest batch that holds a name, or None."""
        for batch_id in reversed(self.ids()):
            if self._backend.size(self.path(batch_id, name)) is not None:
                return batch_id
        return None

    def restore(self, batch_id: str, names: Iterable[str] | None = None) -> int:
        """Put names of a batch back, durably.

        A name that exists again keeps its bytes, unless it is an object whose bytes do not have
        its digest, and those of the batch do. What is not put back stays in the batch.

        Args:
            batch_id: The batch.
            names: Those to put back; by default all that it holds.

        Returns:
            How many were put back.
        """
        count = 0
        for some in _batched(list(self.held(batch_id)) if names is None else list(names)):
            done = []
            for name in some:
                try:
                    data = self._backend.get(self.path(batch_id, name))
                except NotFoundError:
                    continue
                if self._is_wanted(name, data):
                    count += self._backend.put(name, data)
                    done.append(name)
            self._backend.sync()
            for name in done:
                self._backend.delete(self.path(batch_id, name))
        if next(self.held(batch_id), None) is None:
            self.delete(batch_id)
        return count

    def _is_wanted(self, name: str, data: bytes) -> bool:
        """Return whether a name may get these bytes: it has none, the same, or damaged ones."""
        try:
            if self._backend.get(name) == data:
                return True
        except NotFoundError:
            return True
        return name == object_name(digest_bytes(data))

    def delete(self, batch_id: str) -> Removed:
        """Delete a batch and what it holds, its document last.

        Raises:
            StoreError: The backend failed; the rest can be deleted later.
        """
        removed = self.delete_part(batch_id, "")
        self._backend.delete(_document(batch_id))
        return removed

    def delete_part(self, batch_id: str, prefix: str) -> Removed:
        """Delete what a batch holds in a folder; what is gone already is passed over.

        Args:
            batch_id: The batch.
            prefix: Folder of the names, with a slash behind.

        Raises:
            StoreError: The backend failed; the rest can be deleted later.
        """
        path = self.path(batch_id, prefix)
        if (local := self._backend.local) is not None:
            return _remove(local, path.rstrip("/"))
        found = dict(self._backend.scan(path))
        self._backend.delete_all(found)
        return Removed(names=len(found), freed=sum(state.size for state in found.values()))

    def _copy(self, moves: Sequence[tuple[str, str]]) -> None:
        """Copy names durably, then delete them under their old names."""
        is_copied = self._backend.copy_all(moves)
        self._backend.sync()
        self._backend.delete_all(
            source for (source, _), is_done in zip(moves, is_copied, strict=True) if is_done
        )


def find_object(backend: Backend, digest: Digest, *, is_restored: bool) -> bytes | None:
    """Return the bytes of an object in quarantine, if it is whole; None if there is none.

    Args:
        backend: Where the store is.
        digest: Digest of the object.
        is_restored: Whether to put it back, durably.
    """
    name, quarantine = object_name(digest), Quarantine(backend)
    for batch_id in reversed(quarantine.ids()):
        try:
            data = backend.get(quarantine.path(batch_id, name))
        except NotFoundError:
            continue
        if digest_bytes(data) == digest:
            if is_restored:
                backend.put(name, data)
                backend.sync()
                backend.delete(quarantine.path(batch_id, name))
            return data
    return None


def whole_objects(backend: Backend, digests: Collection[Digest]) -> tuple[Digest, ...]:
    """Return those of some objects that quarantine has with all their bytes, sorted."""
    quarantine = Quarantine(backend)
    names = {object_name(digest): digest for digest in digests}
    held = {
        names[name]
        for batch_id in (quarantine.ids() if names else ())
        for name in quarantine.held(batch_id)
        if name in names
    }
    return tuple(
        digest for digest in sorted(held) if find_object(backend, digest, is_restored=False)
    )


def _document(batch_id: str) -> str:
    return f"{BATCHES}{batch_id}.json"


def _batched(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), _AT_ONCE):
        yield names[first : first + _AT_ONCE]


def _is_renamed(local: LocalDisk, source: str, target: str) -> bool:
    """Rename a file that may be missing; return whether nothing is left to copy.

    Raises:
        StoreError: The disk refused.
    """
    old, new = (f"{local.root}/{parse_name(name)}" for name in (source, target))
    try:
        try:
            os.rename(old, new)  # noqa: PTH104 - by the thousand
        except FileNotFoundError:
            if not os.path.lexists(old):
                return True
            os.makedirs(os.path.dirname(new), exist_ok=True)  # noqa: PTH103, PTH120
            os.rename(old, new)  # noqa: PTH104
    except FileNotFoundError:  # another process has just deleted or moved it
        return True
    except OSError as error:
        if error.errno == errno.EXDEV:  # `objects/` may be a link to another disk
            return False
        raise StoreError(
            f"cannot move `{source}` to `{target}` in `{local.root}`: {error.strerror or error}"
        ) from error
    return True


def _remove(local: LocalDisk, name: str) -> Removed:
    """Remove a folder of a batch with all its files."""
    names = freed = 0
    top = local.path(name)
    try:
        for folder, folders, files in os.walk(top, topdown=False, onerror=_refuse):
            links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114
            for file in (*files, *links):
                path = f"{folder}/{file}"
                found = os.lstat(path)
                os.unlink(path)  # noqa: PTH108
                names += 1
                if found.st_nlink == 1 and stat.S_ISREG(found.st_mode):
                    freed += found.st_size
            os.rmdir(folder)  # noqa: PTH106
    except FileNotFoundError:  # another process deletes it, too
        pass
    except OSError as error:
        raise StoreError(f"cannot delete `{top}`: {error.strerror or error}") from error
    return Removed(names=names, freed=freed)


def _refuse(error: OSError) -> None:
    raise error
