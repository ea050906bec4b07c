"""The store: one head, published commit by commit, each by creating one name."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeAlias

from geobatch.errors import (
    ConflictError,
    CorruptObjectError,
    FormatError,
    NoStoreError,
    NotFoundError,
    StoreError,
)
from geobatch.model.digest import ALGORITHM, Digest, canonical_json
from geobatch.model.fingerprint import asset_fingerprint
from geobatch.model.record import AssetRecord, Commit, Head, Tree, TreeEntry
from geobatch.store.backend import RUNS, Backend
from geobatch.store.documents import (
    FORMAT,
    asset_content,
    check_format,
    content_root,
    decode_asset,
    decode_commit,
    decode_origins,
    decode_tree,
    encode_asset,
    encode_commit,
    encode_origins,
    encode_tree,
)
from geobatch.store.index import Index
from geobatch.store.local import LocalBackend
from geobatch.store.objects import Objects

Place: TypeAlias = Path | str | Backend
"""A folder, or a backend that is open already."""

IDENTITY = "geobatch.json"
GITIGNORE = ".gitignore"
REFS = "refs/main/"

_REF = re.compile(re.escape(REFS) + "([0-9a-f]{16})")
_DIGEST = re.compile("[0-9a-f]{64}")
_PREFIX = re.compile("[0-9a-f]{4,64}")
_STEPS_BACK = re.compile("HEAD~([0-9]+)")
_ATTEMPTS = 20
"""Lost races until publishing gives up; each means that somebody else has published."""


class TileStore:
    """Assets, their tiles, and the commits that published them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        """Where the bytes are."""
        self.objects = Objects(backend)
        """Immutable bytes by digest."""
        self.index = Index(self.objects)
        """Tiles of an array by place."""
        self.id = _identity(backend)
        """Uuid of the store."""

    @classmethod
    def create(cls, place: Place) -> Self:
        """Open the store at a place; make it first where there is none.

        Raises:
            StoreError: The place holds something else, or cannot be written.
            FormatError: The store there was written by a newer geobatch.
        """
        if isinstance(place, Path | str) and os.path.isfile(place):  # noqa: PTH113 - never raises
            raise StoreError(
                f"`{place}` is a file, expected a folder",
                hint="name an empty or a new folder with `--store`",
            )
        backend = _backend(place)
        if backend.size(IDENTITY) is None:
            other = next((name for name in backend.list("") if not _is_ours(name)), None)
            # A race may have made the store since: then what was found is its own.
            if other is not None and backend.size(IDENTITY) is None:
                raise StoreError(
                    f"`{place}` is not empty and no geobatch store: it holds `{other}`",
                    hint="name an empty or a new folder with `--store`",
                )
            document = {"format": FORMAT, "id": str(uuid.uuid4()), "digest": ALGORITHM}
            backend.create(IDENTITY, canonical_json(document))
            # A store beside specs is in a repository: `git add -A` must not take it in.
            backend.create(GITIGNORE, b"*\n")
        return cls(backend)

    @classmethod
    def open(cls, place: Place) -> Self:
        """Open the store at a place.

        Raises:
            NoStoreError: There is none.
            FormatError: It was written by a newer geobatch.
            CorruptObjectError: What should say which store it is does not.
        """
        return cls(_backend(place))

    def close(self) -> None:
        """Release what the backend holds."""
        self.backend.close()

    def head(self) -> Head:
        """Return the newest commit: number 0 where there is none.

        Raises:
            CorruptObjectError: The ref, the commit or its tree is damaged.
        """
        numbers = self._numbers()
        return self._head(numbers[-1]) if numbers else Head(number=0, digest=None)

    def at(self, ref: str) -> Head:
        """Return a commit by its digest, a unique prefix (4 digits or more), its number, `HEAD~n`.

        Raises:
            NotFoundError: There is no such commit, or the prefix fits several.
            CorruptObjectError: A ref, the commit or its tree is damaged.
        """
        numbers = self._numbers()
        back = 0 if ref == "HEAD" else None
        if match := _STEPS_BACK.fullmatch(ref):
            back = int(match[1])
        if back is not None and back < len(numbers):
            return self._head(numbers[-1 - back])
        if ref.isascii() and ref.isdigit() and int(ref) in numbers:
            return self._head(int(ref))
        if back is None and _PREFIX.fullmatch(ref):
            found = [number for number in numbers if self._digest(number).startswith(ref)]
            if len(found) == 1:
                return self._head(found[0])
            if found:
                raise NotFoundError(
                    f"`{ref}` fits {len(found)} commits", hint="give more of its digits"
                )
        raise NotFoundError(
            f"there is no commit `{ref}`",
            hint="`geobatch log` lists the commits; `HEAD`, `HEAD~1` and numbers serve as well",
        )

    def log(self) -> Iterator[Head]:
        """Yield the commits, newest first.

        Raises:
            CorruptObjectError: A ref, a commit or a tree is damaged.
        """
        for number in reversed(self._numbers()):
            yield self._head(number)

    def record(self, entry: TreeEntry) -> AssetRecord:
        """Return a published asset.

        Raises:
            CorruptObjectError: Its document is damaged.
        """
        data = self.objects.get(entry.stored)
        return decode_asset(data, name=f"asset `{entry.id}` (`{Objects.path(entry.stored)}`)")

    def protected_since(self, asset_id: str) -> Digest | None:
        """Return the commit since which the head's asset is protected; None if it is not.

        Raises:
            CorruptObjectError: A ref, a commit or a tree is damaged.
        """
        since = None
        for head in self.log():
            entry = head.tree.entry(asset_id)
            if entry is None or not entry.is_protected:
                break
            since = head.digest
            asset_id = head.name_before(asset_id)
        return since

    def origins(self, head: Head) -> dict[str, str]:
        """Return which spec file published each asset, as far as known, by asset id.

        Raises:
            CorruptObjectError: The document is damaged.
        """
        if head.commit is None or head.commit.origins is None:
            return {}
        digest = head.commit.origins
        return decode_origins(self.objects.get(digest), name=f"origins `{digest}`")

    def put_record(self, record: AssetRecord) -> TreeEntry:
        """Keep the document of an asset, to be published by `publish`."""
        stored, _ = self.objects.put(encode_asset(record))
        return TreeEntry(
            id=record.asset.id,
            kind=record.asset.kind.value,
            content=asset_content(record),
            stored=stored,
            fingerprint=asset_fingerprint(record.asset),
            is_protected=record.asset.is_protected,
            tiles=sum(root.tiles for _, root in record.arrays if root is not None),
        )

    def publish(
        self,
        *,
        base: Head,
        changes: Mapping[str, TreeEntry | None],
        message: str,
        tools: Mapping[str, str],
        origins: Mapping[str, str] = MappingProxyType({}),
        renamed: Mapping[str, str] = MappingProxyType({}),
        time: datetime | None = None,
    ) -> Head:
        """Publish changes to a head as its next commit, in one step, after all they refer to.

        Where somebody else has published since, the changes are made to that head instead, unless
        it differs from `base` in one of the same assets.

        Args:
            base: Head that the changes were made against.
            changes: Asset id to its new entry, or None to delete it.
            message: What was done, in a line.
            tools: Versions of the programs that shape pixels.
            origins: Asset id to the spec file that declares it, of any assets of the tree.
            renamed: Former id, which the changes delete, of assets that live on under another.
            time: Time of the commit, aware; by default now.

        Returns:
            The head with the changes: the one found where it has them all already.

        Raises:
            ConflictError: Somebody else published a change to the same asset.
            CorruptObjectError: A ref, a commit or a tree is damaged.
        """
        stamp = (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        head = base
        for _ in range(_ATTEMPTS):
            tree = _changed(head.tree, changes)
            if tree == head.tree:
                return head
            commit = Commit(
                parent=head.digest,
                tree=self._put_durably(encode_tree(tree)),
                content_root=content_root(tree),
                time=stamp.replace("+00:00", "Z"),
                message=" ".join(message.split()),
                tools=tuple(sorted(tools.items())),
                origins=self._put_origins(head, tree, origins),
                renamed=tuple(sorted(renamed.items())),
            )
            digest = self._put_durably(encode_commit(commit))
            number = head.number + 1
            made = self.backend.create(_ref_name(number), f"{digest}\n".encode())
            # A create that was repeated on the way may find its own work.
            if made or self._digest(number) == digest:
                return Head(number=number, digest=digest, commit=commit, tree=tree)
            head = self.head()
            _refuse_conflict(base.tree, head, changes)
        raise ConflictError(
            f"{_ATTEMPTS} other commits were published meanwhile", hint="run the command again"
        )

    def _put_origins(self, head: Head, tree: Tree, origins: Mapping[str, str]) -> Digest | None:
        known = {**self.origins(head), **origins}
        ids = {entry.id for entry in tree.entries}
        kept = {asset_id: origin for asset_id, origin in known.items() if asset_id in ids}
        return self._put_durably(encode_origins(kept)) if kept else None

    def _put_durably(self, data: bytes) -> Digest:
        digest, _ = self.objects.put(data)
        self.backend.sync()
        return digest

    def _numbers(self) -> list[int]:
        names = (_REF.fullmatch(name) for name in self.backend.list(REFS))
        return [int(match[1], 16) for match in names if match]

    def _digest(self, number: int) -> Digest:
        name = _ref_name(number)
        text = self.backend.get(name).decode(errors="replace").removesuffix("\n")
        if _DIGEST.fullmatch(text) is None:
            raise CorruptObjectError(
                f"`{name}` is damaged: it says `{text[:80]}`, expected a digest",
                hint="restore it from a copy of the store",
            )
        return text

    def _head(self, number: int) -> Head:
        digest = self._digest(number)
        commit = decode_commit(self.objects.get(digest), name=f"commit `{digest}`")
        tree = decode_tree(self.objects.get(commit.tree), name=f"tree `{commit.tree}`")
        return Head(number=number, digest=digest, commit=commit, tree=tree)


def _backend(place: Place) -> Backend:
    return LocalBackend(place) if isinstance(place, Path | str) else place


def _identity(backend: Backend) -> str:
    place = f"`{backend.root}`" if isinstance(backend, LocalBackend) else "the backend"
    try:
        data = backend.get(IDENTITY)
    except NotFoundError:
        raise NoStoreError(
            f"there is no geobatch store in {place}",
            hint="`geobatch init` or the first `geobatch apply` makes one; `--store` names it",
        ) from None
    try:
        document = json.loads(data)
        version, store_id, algorithm = document["format"], document["id"], document["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptObjectError(
            f"`{IDENTITY}` in {place} is not that of a store: {error}",
            hint="restore the file from a copy of the store, or name another folder with `--store`",
        ) from error
    check_format(version, f"the store in {place}")
    if algorithm != ALGORITHM:
        raise FormatError(f"the store in {place} has digests `{algorithm}`, expected `{ALGORITHM}`")
    return str(store_id)


def _ref_name(number: int) -> str:
    return f"{REFS}{number:016x}"


def _changed(tree: Tree, changes: Mapping[str, TreeEntry | None]) -> Tree:
    entries = {entry.id: entry for entry in tree.entries}
    for asset_id, entry in changes.items():
        if entry is None:
            entries.pop(asset_id, None)
        elif entry.id != asset_id:
            raise ValueError(f"the entry of `{entry.id}` is given for `{asset_id}`")
        else:
            entries[asset_id] = entry
    return Tree(entries=tuple(entries[asset_id] for asset_id in sorted(entries)))


def _is_ours(name: str) -> bool:
    """Return whether a name may be there before the store is: another run makes it just now."""
    return name.startswith(RUNS) or name == GITIGNORE


def _refuse_conflict(base: Tree, head: Head, changes: Mapping[str, TreeEntry | None]) -> None:
    before = {entry.id: entry for entry in base.entries}
    after = {entry.id: entry for entry in head.tree.entries}
    for asset_id, wanted in sorted(changes.items()):
        got = after.get(asset_id)
        if got not in (before.get(asset_id), wanted):
            raise ConflictError(
                f"asset `{asset_id}` was changed by commit {head.number} (`{head.digest}`) "
                "since this run began; nothing was published",
                hint="run the command again: finished work is kept",
            )
