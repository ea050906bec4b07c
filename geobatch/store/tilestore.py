"""The store: one head, published commit by commit, each by creating one name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeAlias

from geobatch.errors import ConflictError, NotDurableError, StoreError
from geobatch.format.documents import (
    asset_document,
    content_root,
    decode_asset,
    encode_commit,
)
from geobatch.format.trees.paged import in_pages
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.provenance import CheckoutPath, Provenance
from geobatch.model.published import AssetRecord, Commit, Head, Tree, TreeEntry
from geobatch.store.backends.protocol import RUNS, Backend
from geobatch.store.backends.run_folder import remove_dead_runs
from geobatch.store.commits.backoff import Backoff
from geobatch.store.commits.cubes import NOTHING, cubes_after, cubes_of
from geobatch.store.commits.history import History
from geobatch.store.commits.named import find_commit
from geobatch.store.commits.pins import Pin, Pins
from geobatch.store.commits.refs import Refs
from geobatch.store.commits.spec_files import SpecFiles
from geobatch.store.commits.trees import documents_of
from geobatch.store.entries import changed_tree, entry_of, refuse_conflict
from geobatch.store.identity import (
    COPYING,
    IDENTITY,
    ZarrView,
    check_views,
    create_identity,
    foreign_name,
    has_refs,
    read_identity,
)
from geobatch.store.index import Index
from geobatch.store.location import StoreLocation
from geobatch.store.maintenance.guard import Guard, Needed
from geobatch.store.objects import Objects
from geobatch.store.rehearsals.records import Rehearsal, Rehearsals

Location: TypeAlias = StoreLocation | Path | str | Backend
"""A folder, a prefix of a bucket, or a backend that is open already."""

_ATTEMPTS = 100
"""Lost races until publishing gives up; each means that another process has published."""


class TileStore:
    """Assets, their tiles, and the commits that published them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        """Where the bytes are."""
        self.objects = Objects(backend)
        """Immutable bytes by digest."""
        self.index = Index(self.objects)
        """Tiles of an array by position."""
        self.id = read_identity(backend)
        """Uuid of the store."""
        self.caches = backend.beside(self.id)
        """Where caches are kept: with the store, or on a disk of this computer."""
        self.commits = History(Refs(backend, caches=self.caches), self.objects)
        """What was published."""
        self._spec_files = SpecFiles(self.objects)
        self.pins = Pins(backend)
        """Names of commits that are kept."""
        self.rehearsals = Rehearsals(backend)
        """Plans that were executed and not published."""
        self._guard = Guard(backend)

    @classmethod
    def create(cls, location: Location, *, views: ZarrView | None = None) -> Self:
        """Open the store at a location; create it first where there is none.

        Args:
            location: Where it is.
            views: What a new store in a bucket keeps for other readers; by default references.

        Raises:
            StoreError: The folder or bucket holds something else, or a store with other views, or
                cannot be written.
            FormatError: The store there was written by a newer geobatch.
        """
        backend = open_backend(location)
        if backend.local is not None and os.path.isfile(backend.local.root):  # noqa: PTH113 - never raises
            raise StoreError(
                f"`{location}` is a file, expected a folder",
                hint="name an empty or a new folder with `--store`",
            )
        if backend.size(IDENTITY) is not None:
            check_views(backend, views)
        else:
            if has_refs(backend) or backend.size(COPYING) is not None:
                return cls(backend)  # which says what is wrong
            other = foreign_name(backend)
            # A race may have made the store since: then what was found is its own.
            if other is not None and backend.size(IDENTITY) is None:
                raise StoreError(
                    f"`{location}` is not empty and not a geobatch store: it holds `{other}`",
                    hint="name an empty or a new "
                    + ("prefix" if backend.local is None else "folder")
                    + " with `--store`",
                )
            backend.prove()
            create_identity(backend, views)
        store = cls(backend)
        store.begin()
        return store

    @classmethod
    def open(cls, location: Location) -> Self:
        """Open the store at a location.

        Raises:
            NoStoreError: There is none.
            FormatError: It was written by a newer geobatch.
            CorruptObjectError: What should say which store it is does not.
        """
        return cls(open_backend(location))

    def begin(self) -> None:
        """Begin to write, before anything is read that will be published again.

        From now on `gc` deletes nothing that this run may need; what it moves, the run puts back.
        """
        self.backend.prove()
        self.objects.restores = True
        self._guard.begin()

    def close(self) -> None:
        """Release what the backend holds."""
        if self.caches is not self.backend:
            self.caches.close()
        self.backend.close()

    def scratch(self) -> Path:
        """Return the folder for files that wait on a disk while a run needs them."""
        local = self.caches.local
        if local is None:
            import tempfile  # noqa: PLC0415 - slow to import

            return Path(tempfile.gettempdir())
        return local.root / RUNS

    def remove_dead_runs(self) -> None:
        """Remove what killed runs left on the disk; what cannot be removed stays for the next."""
        if self.caches.local is not None:
            with suppress(OSError):
                remove_dead_runs(self.caches.local.root / RUNS)

    def head(self) -> Head:
        """Return the newest commit: number 0 where there is none; see `History.head`."""
        return self.commits.head()

    def at(self, ref: str) -> Head:
        """Return a commit by digest, unique prefix, number, `HEAD~n`, or the name of a pin.

        What may be both is the commit if it is a number, `HEAD~n` or a whole digest; else the pin.

        Raises:
            NotFoundError: There is no such commit and no such pin; see `History.at`.
            CorruptObjectError: The pin is damaged, or its ref, the commit or its tree.
        """
        return find_commit(ref, self.commits, self.pins)

    def log(self) -> Iterator[Head]:
        """Yield the commits, newest first; see `History.log`."""
        return self.commits.log()

    def record(self, entry: TreeEntry) -> AssetRecord:
        """Return a published asset.

        Raises:
            CorruptObjectError: Its document is damaged.
        """
        data = self.objects.get(entry.stored)
        return decode_asset(data, name=f"asset `{entry.id}` (`{Objects.path(entry.stored)}`)")

    def pin(self, name: str, ref: str, *, is_moved: bool = False) -> Pin:
        """Pin a commit, so that `gc` keeps it.

        Args:
            name: Name of the pin.
            ref: The commit; see `at`.
            is_moved: Whether a pin of that name may be moved from another commit.

        Raises:
            NotFoundError: There is no such commit, or `gc` dropped it.
            ConflictError: There is a pin of that name on another commit.
        """
        with self._guard.publishing():  # so that no `gc` drops it meanwhile
            return self.pins.add(name, self.at(ref), is_moved=is_moved)

    def origins(self, head: Head) -> dict[str, str]:
        """Return which spec file published each asset, by id; see `SpecFiles.origins`."""
        return self._spec_files.origins(head)

    def check_origins(self, head: Head) -> None:
        """Read which spec file published each asset; for the errors see `origins`."""
        self._spec_files.check(head)

    def checkouts(self, head: Head) -> dict[str, CheckoutPath]:
        """Return where spec files are in their repositories; see `SpecFiles.checkouts`."""
        return self._spec_files.checkouts(head)

    def put_record(self, record: AssetRecord, *, fingerprint: Digest = "") -> TreeEntry:
        """Keep the document of an asset, to be published by `publish`; see `entry_of`."""
        document, content = asset_document(record)
        stored, _ = self.objects.put_soon(document)
        return entry_of(record, stored, content=content, fingerprint=fingerprint)

    def put_tree(self, tree: Tree) -> tuple[Digest, Sequence[Digest]]:
        """Keep a tree; return its digest, and those of its pages that are not of a commit."""
        digest, pages = documents_of(tree)
        self.objects.put_durably(pages)
        return digest, list(pages)

    def hold(
        self, rehearsal: Rehearsal, *, documents: Sequence[Digest], pages: Sequence[Digest]
    ) -> Rehearsal:
        """Have `gc` keep what a rehearsal is going to publish, until it expires.

        Args:
            rehearsal: The rehearsal; all that it needs is put.
            documents: Digests of the asset documents that its base does not have.
            pages: Digests of the pages of its tree that its base does not have.

        Returns:
            The record as it is kept; see `Rehearsals.keep`.

        Raises:
            ConflictError: A `gc` removed something that it needs.
            StoreError: The store cannot be written.
        """
        needed = Needed(documents=documents, others=[*pages, rehearsal.findings])
        self.backend.sync()
        with self._guard.publishing():  # so that no `gc` moves anything meanwhile
            self._guard.restore(self.objects, needed)
            kept = self.rehearsals.keep(rehearsal)
        if self.backend.local is None:  # where there is no lock, a `gc` may have begun meanwhile
            self._guard.restore(self.objects, needed)
        return kept

    def publish(
        self,
        *,
        base: Head,
        changes: Mapping[str, TreeEntry | None],
        message: str,
        tools: Mapping[str, str],
        origins: Mapping[str, str] = MappingProxyType({}),
        checkouts: Mapping[str, CheckoutPath] = MappingProxyType({}),
        renamed: Mapping[str, str] = MappingProxyType({}),
        time: datetime | None = None,
        provenance: Provenance | None = None,
        is_exact: bool = False,
        cubes: Mapping[str, bool] = NOTHING,
    ) -> Head:
        """Publish changes to a head as its next commit, in one step, after all they refer to.

        Where another process has published since, the changes are made to that head instead, unless
        it differs from `base` in one of the same assets.

        Args:
            base: Head that the changes were made against.
            changes: Asset id to its new entry, or None to delete it.
            message: What was done, in a line.
            tools: Versions of the programs that shape pixels.
            origins: Asset id to the spec file that declares it, of any assets of the tree.
            checkouts: Spec file to where it is in its repository, of any of these spec files.
            renamed: Former id, which the changes delete, of assets that live on under another.
            time: Time of the commit, aware; by default now.
            provenance: Who asked for it, and from which Git commit; None if unknown.
            is_exact: Whether any commit that was published since is a conflict.
            cubes: Ids of collections, and whether they have cubes from now on.

        Returns:
            The head with the changes: the one found where it has them all already.

        Raises:
            ConflictError: Somebody else published a change to the same asset; or anything, if the
                result must be exact.
            CorruptObjectError: A ref, a commit or a tree is damaged.
        """
        new = [entry.stored for entry in changes.values() if entry is not None]
        gone = [asset_id for asset_id, entry in changes.items() if entry is None]
        stamp = (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        head, backoff = base, Backoff()
        while backoff.lost < _ATTEMPTS:
            tree = in_pages(changed_tree(head.tree, changes))
            shown = cubes_after(head, cubes, tree)
            is_same = tree == head.tree and shown == cubes_of(head)
            if is_same and self._spec_files.is_readable(head):
                return head
            declared, documents = self._spec_files.following(
                head, tree, origins, checkouts, removed=gone
            )
            if is_same:  # equal bytes mend what is damaged
                self.objects.put_durably(documents)
                return head
            tree_digest, pages = documents_of(tree)
            self.objects.put_durably({**pages, **documents})
            commit = Commit(
                parent=head.digest,
                tree=tree_digest,
                content_root=content_root(tree),
                time=stamp.replace("+00:00", "Z"),
                message=" ".join(message.split()),
                tools=tuple(sorted(tools.items())),
                origins=declared,
                renamed=tuple(sorted(renamed.items())),
                provenance=provenance,
                cubes=shown,
            )
            data = encode_commit(commit)
            digest = digest_bytes(data)
            self.objects.put_durably({digest: data})
            number = head.number + 1
            needed = Needed(documents=new, others=[digest, *pages, *documents])
            made = self._create_ref(number, digest, needed)
            # A create that was repeated on the way may find its own work.
            if made or self.commits.refs.digest(number) == digest:
                tree = self.commits.trees.after_put(tree, f"the tree of commit {number}")
                return Head(number=number, digest=digest, commit=commit, tree=tree)
            if not is_exact:
                backoff.pause()
            head = self.head()
            if is_exact:
                raise ConflictError(
                    f"commit {head.number} (`{head.digest}`) was published since this run began; "
                    "nothing was published",
                    hint="run the command again, and review what it would change now",
                )
            refuse_conflict(base.tree, head, changes)
        raise ConflictError(
            f"{_ATTEMPTS} other commits were published meanwhile", hint="run the command again"
        )

    def adopt(self, number: int, digest: Digest, *, is_dropped: bool) -> bool:
        """Publish a commit of another store under its number, after all it refers to is durable.

        Args:
            number: Its number.
            digest: Its digest.
            is_dropped: Whether its document alone is kept.

        Returns:
            Whether the number names this commit now, and not another one.

        Raises:
            ConflictError: A `gc` removed something that it needs.
        """
        needed = Needed(others=[digest]) if is_dropped else Needed(commits=[digest])
        commit = self.commits.read(number, digest)  # a `gc` may have deleted it for good
        if not is_dropped:
            self.commits.trees.check(commit.tree, f"the tree of commit {number}")
        is_new = self._create_ref(number, digest, needed)
        return is_new or self.commits.refs.digest(number) == digest

    def _create_ref(self, number: int, digest: Digest, needed: Needed) -> bool:
        """Publish a commit that needs some objects; return whether it was new."""

        def restore() -> None:
            self._guard.restore(self.objects, needed)

        with self._guard.publishing():
            restore()
            try:
                made = self.commits.refs.create(number, digest)
            except NotDurableError as error:
                raise NotDurableError(
                    f"commit {number} (`{digest}`) is published, but a loss of power may undo it: "
                    f"{error.message}",
                    hint="run the same command again: it makes the commit durable",
                ) from error
        if self.backend.local is None:  # where there is no lock, a `gc` may have begun meanwhile
            restore()
        return made


def open_backend(location: Location) -> Backend:
    """Return the backend of a location."""
    if isinstance(location, StoreLocation | Path | str):
        return StoreLocation.of(location).open_backend()
    return location
