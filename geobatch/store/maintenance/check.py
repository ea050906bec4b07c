"""Whether all that an asset needs exists and is whole: its document, index pages, tiles, rows.

Documents and pages are read and compared with their digests. Of a tile, existence and length are
compared; its bytes are read where its file was modified after a given time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from shlex import quote
from typing import NamedTuple, Protocol

import msgspec
from msgspec import Struct

from geobatch.errors import CorruptObjectError, GeobatchError
from geobatch.format.documents import decode_asset
from geobatch.format.page import FAN_OUT, child_position, references
from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey, AssetRecord, Head, TreeEntry
from geobatch.store.backends.protocol import State
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.commits.refs import Refs
from geobatch.store.location import StoreLocation
from geobatch.store.objects import Objects
from geobatch.store.origins import path_of
from geobatch.store.tilestore import TileStore

READ_ALL = 0
"""Time of modification from which every tile is read."""
READ_NONE = 1 << 63
"""Time of modification from which no tile is read."""

_SHOWN = 20
"""How many damaged objects a message names."""
_TIMES = "cache/checked/"
"""Where the times of checks are noted, by the digest of the commit."""
_MARGIN_NS = 2_000_000_000
"""The coarsest clock that a file system may have."""
_NAMED = 8
"""How many assets a hint names."""
_MOST_WHOLE = 1 << 17
"""How many whole pages a check keeps in memory."""


class Below(NamedTuple):
    """The square of tiles that an index page leads to; it may extend beyond the plane."""

    row: int
    """Row of its upper-left tile."""
    col: int
    """Column of that tile."""
    side: int
    """Tiles per side."""


class Wrong(NamedTuple):
    """A damaged object below the root of an index."""

    digest: Digest
    """Digest that names it."""
    message: str
    """Which object it is, and what is wrong."""
    tile: tuple[int, int] | None = None
    """(row, column) of the tile that it is; None for a page."""
    below: Below | None = None
    """The tiles that a page leads to; None for a root."""

    def moved(self, row: int, col: int, side: int) -> Wrong:
        """Return it as it is seen from the page above, whose child at a position has this side."""
        if self.tile is not None:
            return self._replace(tile=(row * side + self.tile[0], col * side + self.tile[1]))
        below = self.below or Below(0, 0, side)
        return self._replace(
            below=Below(row * side + below.row, col * side + below.col, below.side)
        )


class Leaves(Protocol):
    """Compares tiles, and rows of tables, with what names them."""

    def wrong(self, names: Sequence[Digest], sizes: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Yield the number of each object that is not as it must be, and what is wrong.

        Args:
            names: Digests of objects.
            sizes: Their lengths as recorded.
        """


class Damage(Struct, frozen=True, kw_only=True):
    """One object that is not what the digest says that names it."""

    asset: str
    """Id of an asset that needs it; empty for what the whole commit needs."""
    array: ArrayKey | None = None
    """The array whose page or tile it is; None for what is of the whole asset."""
    tile: tuple[int, int] | None = None
    """(row, column) of the tile that it is."""
    below: Below | None = None
    """The tiles that it leads to, if it is an index page other than a root."""
    digest: Digest = ""
    """Digest that names it."""
    message: str
    """Which object it is, and what is wrong."""

    def __str__(self) -> str:
        parts = [f"`{self.asset}`"] if self.asset else ["where assets are declared"]
        if self.array is not None:
            parts += [f"level {self.array.level}", self.array.words]
        if self.tile is not None:
            parts.append(f"tile {self.tile[0]}/{self.tile[1]}")
        return f"{', '.join(parts)}: {self.message}"


class _Root(Struct, frozen=True):
    stored: str
    size: int


class _Recorded(Struct, frozen=True):
    pages: tuple[_Root | None, ...] = ()
    rows: _Root | None = None


class _Document(Struct, frozen=True):
    """What a document refers to; the rest of it need not be decoded."""

    recorded: _Recorded


_decode = msgspec.json.Decoder(_Document).decode


class Checker:
    """Checks assets of one store; documents and pages that many of them share are read once."""

    def __init__(self, objects: Objects, leaves: Leaves) -> None:
        """Check nothing yet.

        Args:
            objects: The objects of the store.
            leaves: How tiles and rows are compared.
        """
        self._objects = objects
        self._leaves = leaves
        self._pages: dict[Digest, tuple[Wrong, ...]] = {}

    def asset(self, entry: TreeEntry) -> Iterator[Damage]:
        """Yield the damaged objects of a published asset."""
        try:
            data = self._objects.get(entry.stored)
        except GeobatchError as error:
            message = f"its document, {error.message}"
            yield Damage(asset=entry.id, digest=entry.stored, message=message)
            return
        try:
            recorded = _decode(data).recorded
            keys: Sequence[ArrayKey | None] = [None] * len(recorded.pages)
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = f"its document `{entry.stored}` is not an asset document"
            yield Damage(asset=entry.id, digest=entry.stored, message=message)
            return
        if (rows := recorded.rows) is not None:
            for _, message in self._leaves.wrong([rows.stored], [rows.size]):
                yield Damage(asset=entry.id, digest=rows.stored, message=f"its rows, {message}")
        for number, root in enumerate(recorded.pages):
            if root is None:
                continue
            for wrong in self.array(root.stored):
                if keys[number] is None:
                    keys = [key for key, _ in decode_asset(data).arrays]
                yield Damage(
                    asset=entry.id,
                    array=keys[number],
                    tile=wrong.tile,
                    below=wrong.below,
                    digest=wrong.digest,
                    message=wrong.message,
                )

    def array(self, root: Digest) -> tuple[Wrong, ...]:
        """Return what is damaged below the root of an index, and the root itself if it is."""
        known = self._pages.get(root)
        if known is None:
            known = tuple(self._page(root))
            if known or len(self._pages) < _MOST_WHOLE:
                self._pages[root] = known
        return known

    def _page(self, digest: Digest) -> Iterator[Wrong]:
        try:
            data = self._objects.get(digest)
            height, names, sizes = references(data, digest=digest)
        except GeobatchError as error:
            yield Wrong(digest, f"its index page, {error.message}")
            return
        if height <= 1:
            for number, message in self._leaves.wrong(names, sizes):
                yield Wrong(names[number], message, tile=child_position(data, number, 0, 0))
            return
        side = FAN_OUT ** (height - 1)
        for number, name in enumerate(names):
            if below := self.array(name):
                row, col = child_position(data, number, 0, 0)
                yield from (wrong.moved(row, col, side) for wrong in below)


class StateLeaves:
    """Asks the backend for the state of each object; reads those that were modified lately."""

    def __init__(self, objects: Objects, *, read_from: int) -> None:
        """Compare nothing yet.

        Args:
            objects: The objects of the store.
            read_from: Time, in nanoseconds, of a modification from which on a tile is read.
        """
        self._objects = objects
        self._read_from = read_from
        self.read = 0
        """Objects that were read."""

    def wrong(self, names: Sequence[Digest], sizes: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Yield what is wrong; see `Leaves.wrong`."""
        states = self._objects.backend.states([Objects.path(name) for name in names])
        for number, (name, size, state) in enumerate(zip(names, sizes, states, strict=True)):
            if (message := self._object(name, size, state)) is not None:
                yield number, message

    def _object(self, digest: Digest, size: int, state: State | None) -> str | None:
        """Return what is wrong with an object that is not read but for a reason."""
        name = Objects.path(digest)
        if state is None and self._objects.restore(digest):
            state = self._objects.backend.state(name)
        if state is None or state.size != size:
            return size_problem(digest, size, None if state is None else state.size)
        if state.modified_ns >= self._read_from or self._read_from == READ_ALL:
            self.read += 1
            try:
                self._objects.get(digest)
            except GeobatchError as error:
                return error.message
        return None


def size_problem(digest: Digest, expected: int, got: int | None) -> str:
    """Return the message of an object that is missing or has another length than is recorded."""
    name = Objects.path(digest)
    if got is None:
        return f"object `{name}` is missing"
    return f"object `{name}` is damaged: it has {got} bytes, expected {expected}"


def whole_record(store: TileStore, entry: TreeEntry) -> AssetRecord | None:
    """Return a published asset, or None where its document is damaged."""
    try:
        return store.record(entry)
    except CorruptObjectError:
        return None


def modified_since(store: TileStore, head: Head) -> int:
    """Return the time from which on a modified tile of a head is read when it is checked.

    It is that of the head's ref, before which all was put that it reaches; or that of a later check
    of it, which `keep_time` has noted.
    """
    if head.digest is None:
        return READ_NONE
    state = store.backend.state(Refs.path(head.number))
    published = READ_ALL if state is None else state.modified_ns
    noted = ValueCache(store.caches, _TIMES).get(head.digest)
    return max(published, int.from_bytes(noted, "little") if noted else 0)


def keep_time(store: TileStore, head: Head, began_ns: int) -> None:
    """Note when a check of a whole head began that found no damage."""
    if head.digest is not None:
        times = ValueCache(store.caches, _TIMES)
        times.put(head.digest, max(0, began_ns - _MARGIN_NS).to_bytes(8, "little"))


def check(
    store: TileStore,
    head: Head,
    *,
    only: str | None = None,
    spared: Collection[str] = (),
    is_noted: bool = False,
    location: StoreLocation | None = None,
) -> None:
    """Raise if something that a published state needs is damaged or missing; name all of it.

    In a bucket, objects are compared only if one asset is named: each costs a request, a service
    neither tears nor loses what it has answered, and `fsck` compares them all.

    Args:
        store: The store.
        head: The published state.
        only: Id of the one asset to check; None for all of them.
        spared: Ids of assets that may be damaged: they are computed again, or deleted.
        is_noted: Whether to note the time of the check in the cache.
        location: Where the store is, for the hint.

    Raises:
        CorruptObjectError: Something is.
    """
    began = time.time_ns()
    is_structure = store.backend.is_remote and only is None
    since = READ_NONE if is_structure else modified_since(store, head)
    leaves = StateLeaves(store.objects, read_from=since)
    checker = Checker(store.objects, leaves)
    entries = () if is_structure else head.tree.each() if only is None else head.tree.below(only)
    wanted = (e for e in entries if only in (None, e.id) and e.id not in spared)
    damages = [damage for entry in wanted for damage in checker.asset(entry)]
    if only is None and not spared:
        damages += _origins(store, head)
    if damages:
        raise _error(store, head, damages, location)
    if is_noted and leaves.read and only is None and not spared:
        keep_time(store, head, began)


def _origins(store: TileStore, head: Head) -> Iterator[Damage]:
    try:
        store.check_origins(head)
    except CorruptObjectError as error:
        yield Damage(asset="", message=error.message)


def _error(
    store: TileStore, head: Head, damages: Sequence[Damage], location: StoreLocation | None
) -> CorruptObjectError:
    texts = tuple(map(str, damages))
    shown = [f"  {text}" for text in texts[:_SHOWN]]
    if len(texts) > _SHOWN:
        shown.append(f"  and {len(texts) - _SHOWN:,} more")
    what = f"{len(texts):,} objects that are" if len(texts) > 1 else "an object that is"
    return CorruptObjectError(
        "\n".join([f"commit {head.number} needs {what} damaged or missing:", *shown]),
        hint=_hint(store, head, sorted({damage.asset for damage in damages}), location),
    )


def _hint(store: TileStore, head: Head, ids: Sequence[str], location: StoreLocation | None) -> str:
    """Return the command that computes damaged assets again, where their specs are known."""
    try:
        origins = store.origins(head)
    except CorruptObjectError:
        origins = {}
    local = store.backend.local
    if location is None:
        location = StoreLocation(folder=Path() if local is None else local.root)
    files = sorted({path_of(origins[one], store=location.base) for one in ids if one in origins})
    files = [_from_here(file) for file in files if Path(file).exists()]
    named = ids if len(ids) <= _NAMED and "" not in ids else ["*"]
    options = [f"--{option} {quote(one)}" for one in named for option in ("select", "replace")]
    folder = location.folder
    where = str(location) if folder is None else _from_here(str(folder.absolute()))
    store_option = f" --store {quote(where)}"
    command = " ".join(["geobatch apply", *(map(quote, files) if files else ["SPECS"]), *options])
    return (
        f"`{command}{store_option}` computes the damaged parts again from their sources;"
        " or restore the objects from a copy of the store"
    )


def _from_here(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
