"""Commits copied: objects first, then refs; what is there is not sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.errors import ConflictError, CorruptObjectError, StoreError
from geobatch.model.digest import Digest, digest_bytes
from geobatch.store.backends.protocol import Backend
from geobatch.store.commits.drops import Drops
from geobatch.store.commits.pins import Pins
from geobatch.store.commits.refs import Refs
from geobatch.store.copying.contents import Blob, Contents, Part
from geobatch.store.copying.destination import Destination, begin, find_destination, finish
from geobatch.store.copying.histories import Histories, compare_histories
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.identity import ZarrView, check_views
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore

REQUESTS = 64
"""Objects that are read and written at the same time if a store is not on a local disk."""
_MOST_NAMED = 20
"""Damaged objects that an error names."""

Progress = Callable[[int, int], object]
"""Receives how many objects and bytes were sent so far."""


class CopyOptions(Struct, frozen=True, kw_only=True):
    """What is copied, and how."""

    at: str | None = None
    """Newest commit; None for the head."""
    keep_last: int | None = None
    """Commits that are copied whole, besides pinned ones; None for all."""
    is_dry_run: bool = False
    """Whether objects are only counted, and nothing is written."""
    views: ZarrView | None = None
    """What a new store in a bucket keeps for other readers; None for references."""
    has_catalog: bool | None = None
    """Whether the receiver has a STAC catalog; None for: as it has, or a new one as the source."""
    workers: int = 1
    """Threads, if both stores are on local disks."""


class Copied(Struct, frozen=True, kw_only=True):
    """What was copied."""

    histories: Histories
    """Which commits."""
    is_new: bool
    """Whether the receiver was no store before."""
    commit: Digest | None
    """Digest of the newest copied commit; None if the source has none."""
    content_root: Digest | None
    """Its content root."""
    sent: int = 0
    """Objects that were sent, or would be."""
    sent_bytes: int = 0
    """Their bytes."""
    present: int = 0
    """Objects of the copied commits that were there."""


def copy_commits(
    source: TileStore, target: Backend, options: CopyOptions, *, progress: Progress
) -> Copied:
    """Copy commits of a store to another, which may be new.

    A kill at any time leaves what the receiver showed before, or a part of the commits, whole;
    the next copy sends what is missing.

    Args:
        source: The store that is copied.
        target: Where the receiver is.
        options: What is copied.
        progress: Notified while objects are sent.

    Raises:
        CorruptObjectError: Objects of the source are damaged; all others are sent, and nothing is
            published.
        ConflictError: The receiver has other commits, or another process published there, or `gc`
            removed something.
        NotFoundError: There is no such commit.
        StoreError: A store cannot be read or written.
    """
    there = find_destination(target)
    if (local := source.backend.local) is not None:
        with suppress(StoreError):  # one that is read-only has no `gc` either
            local.scratch("copy")  # a live run, from which no `gc` deletes what it moves
    receiver = None if there.is_new else TileStore(target)
    if receiver is not None:
        check_views(target, options.views)
    if receiver is not None and not options.is_dry_run:
        receiver.begin()
    found = compare_histories(source, there, at=options.at, keep_last=options.keep_last)
    if not options.is_dry_run:
        target.prove()
        begin(there, source=source.id)
    head = source.at(str(found.top)) if found.top else source.head()
    is_local = source.backend.local is not None and target.local is not None
    workers = options.workers if is_local else REQUESTS
    with ThreadPoolExecutor(workers, thread_name_prefix="geobatch-copy") as pool:
        try:
            transfer = _Transfer(
                source,
                there,
                found,
                pool=pool,
                most=workers,
                is_dry_run=options.is_dry_run,
                progress=progress,
            )
            transfer.run()
            if not options.is_dry_run:
                target.sync()
                _Publication(source, there, receiver, found, pool).run()
                finish(there, options.views)
        finally:
            pool.shutdown(cancel_futures=True)
    return Copied(
        histories=found,
        is_new=there.is_new,
        commit=head.digest,
        content_root=None if head.commit is None else head.commit.content_root,
        sent=transfer.sent,
        sent_bytes=transfer.sent_bytes,
        present=transfer.present,
    )


class _Transfer:
    """Sends what the receiver lacks."""

    def __init__(
        self,
        source: TileStore,
        there: Destination,
        found: Histories,
        *,
        pool: Executor,
        most: int,
        is_dry_run: bool,
        progress: Progress,
    ) -> None:
        self._source = source
        self._target = there.backend
        self._found = found
        self._pool = pool
        self._most = most
        self._is_dry_run = is_dry_run
        self._is_empty = there.is_new and not there.is_begun
        self._progress = progress
        self._damages: list[CorruptObjectError] = []
        self._lock = threading.Lock()
        self.sent = 0
        self.sent_bytes = 0
        self.present = 0

    def run(self) -> None:
        """Send all objects of the commits that are missing.

        Raises:
            CorruptObjectError: Some are damaged.
            ConflictError: `gc` dropped a commit meanwhile.
        """
        there = Objects(self._target)

        def read(digest: Digest) -> bytes:
            try:
                return self._source.objects.get(digest)
            except CorruptObjectError:
                # The receiver keeps a commit that `gc` dropped in the source.
                return there.get(digest)

        refs, found = self._source.commits.refs, self._found
        contents = Contents(read, self._pool, most=self._most, on_damage=self._damaged)
        if found.missing and found.common:
            contents.skip(Refs(self._target).digest(found.common))
        for number in found.missing:
            digest = refs.digest(number)
            whole = number in found.kept
            for part in contents.commit(digest) if whole else contents.document(digest):
                self._send(part)
        if self._damages:
            self._raise()

    def _damaged(self, error: CorruptObjectError) -> None:
        with self._lock:
            self._damages.append(error)

    def _raise(self) -> None:
        gone = self._source.commits.drops.numbers() & self._found.kept
        if gone:
            raise ConflictError(
                f"`geobatch gc` dropped commit {min(gone)} while it was copied; nothing was"
                " published",
                hint="run the same command again: what was sent is not sent again",
            )
        lines = sorted({error.message for error in self._damages})
        shown = "; ".join(lines[:_MOST_NAMED])
        more = f"; and {len(lines) - _MOST_NAMED:,} more" if len(lines) > _MOST_NAMED else ""
        raise CorruptObjectError(
            f"`{self._source.backend.location}`: {shown}{more}; all other objects were sent, and"
            " nothing was published",
            hint="`geobatch fsck --repair` in that store restores what it can; then run the same"
            " command again",
        )

    def _send(self, part: Part) -> None:
        texts = [((digest, data), len(data)) for digest, data in part.texts]
        blobs = [(blob, blob.size) for blob in part.blobs]
        for size in in_flight(self._pool, self._put_text, texts, most=self._most):
            self._count(size)
        for size in in_flight(self._pool, self._put_blob, blobs, most=self._most):
            self._count(size)

    def _count(self, size: int) -> None:
        """Count an object: its size if it was sent, 0 if it is there, -1 if it is damaged."""
        if size > 0:
            self.sent += 1
            self.sent_bytes += size
            self._progress(self.sent, self.sent_bytes)
        elif not size:
            self.present += 1

    def _put_text(self, text: tuple[Digest, bytes]) -> int:
        digest, data = text
        if self._is_there(digest, len(data)):
            return 0
        return len(data) if self._is_dry_run else self._put(digest, data)

    def _put_blob(self, blob: Blob) -> int:
        if self._is_there(blob.digest, blob.size):
            return 0
        if self._is_dry_run:
            return blob.size
        try:
            data = self._source.objects.get(blob.digest)
        except CorruptObjectError as error:
            self._damaged(error)
            return -1
        return self._put(blob.digest, data)

    def _put(self, digest: Digest, data: bytes) -> int:
        self._target.put(Objects.path(digest), data)
        return len(data)

    def _is_there(self, digest: Digest, size: int) -> bool:
        """Return whether the receiver has an object whole.

        A loss of power may have torn a file of a killed copy on a disk; elsewhere an object is
        complete or absent.
        """
        if self._is_empty:
            return False
        name = Objects.path(digest)
        if self._target.size(name) != size:
            return False
        if self._target.local is None:
            return True
        try:
            return digest_bytes(self._target.get(name)) == digest
        except StoreError:
            return False


class _Publication:
    """Creates the refs of copied commits, in their order, after all that they need.

    Of those that are dropped, readers see the commit before, until one that is kept follows.
    """

    def __init__(
        self,
        source: TileStore,
        there: Destination,
        receiver: TileStore | None,
        found: Histories,
        pool: Executor,
    ) -> None:
        self._source = source
        self._pool = pool
        self._target = there.backend
        self._receiver = receiver
        self._found = found
        self._refs = Refs(there.backend)

    def run(self) -> None:
        """Create all refs and pins.

        Raises:
            ConflictError: Another process published, or a `gc` removed something.
        """
        found = self._found
        dropped = set(found.missing) - found.kept
        if dropped - Drops(self._target).numbers():
            Drops(self._target).record(dropped, time=datetime.now(UTC))
        if self._receiver is None:  # nobody reads it yet
            numbers = [(number, 0) for number in found.missing]
            for _ in in_flight(self._pool, self._create, numbers, most=REQUESTS):
                pass
        else:
            for number in found.missing:
                self._create(number)
        for pin in found.pins:
            path = Pins.path(pin.name)
            self._target.create(path, self._source.backend.get(path))

    def _create(self, number: int) -> None:
        digest = self._source.commits.refs.digest(number)
        if self._receiver is None:
            is_ours = self._refs.create(number, digest) or self._refs.digest(number) == digest
        else:
            try:
                is_dropped = number not in self._found.kept
                is_ours = self._receiver.adopt(number, digest, is_dropped=is_dropped)
            except CorruptObjectError as error:
                raise ConflictError(
                    f"{error.message} in `{self._target.location}`; another process, as `geobatch"
                    " gc`, removed it while commits were copied",
                    hint="run the same command again: it sends what is missing",
                ) from error
        if not is_ours:
            raise ConflictError(
                f"another process published commit {number} in `{self._target.location}` meanwhile",
                hint="copy to a new location; or apply the specs to that store",
            )
