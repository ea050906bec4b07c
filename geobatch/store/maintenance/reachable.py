"""All objects that commits reach, each once: documents, index pages, tiles, rows of tables.

A digest takes 32 bytes of an array here, not a string in a set: a store may have millions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.format.documents import check_format, decode_commit, decode_origins
from geobatch.format.page import stored_children
from geobatch.format.trees.page import Origin, Page, decode_origins_page, decode_tree_page
from geobatch.model.digest import DIGEST_BYTES, Digest
from geobatch.model.published import TreeEntry
from geobatch.store.objects import Objects

Digests: TypeAlias = npt.NDArray[np.bytes_]
"""(n,) digests of 32 bytes. NumPy drops trailing zeros of an item, so use `hex_of` to print one."""
OnDamage: TypeAlias = Callable[[Digest, StoreError], object]
"""Receives the digest of an object that cannot be read, and why."""
T = TypeVar("T")

_DTYPE = np.dtype(f"S{DIGEST_BYTES}")
_SIDE = 2 * DIGEST_BYTES
_OBJECT = re.compile("objects/([0-9a-f]{2})/([0-9a-f]{62})")
_AT_ONCE = 4096
"""Documents and pages that are read before their children are compared with what is known."""


def digests_of(hexes: Iterable[Digest]) -> Digests:
    """Return digests as an array."""
    return np.frombuffer(bytes.fromhex("".join(hexes)), dtype=_DTYPE)


def from_bytes(data: bytes) -> Digests:
    """Return digests that lie one after the other."""
    return np.frombuffer(data, dtype=_DTYPE)


def hex_of(digests: Digests) -> Iterator[Digest]:
    """Yield the digests of an array."""
    for first in range(0, len(digests), _AT_ONCE):
        text = np.ascontiguousarray(digests[first : first + _AT_ONCE]).tobytes().hex()
        yield from (text[at : at + _SIDE] for at in range(0, len(text), _SIDE))


def object_digests(names: Iterable[str]) -> Iterator[Digest]:
    """Yield the digests of those names that are names of objects."""
    for name in names:
        if (match := _OBJECT.fullmatch(name)) is not None:
            yield match[1] + match[2]


class DigestSet:
    """A set of digests: a few sorted arrays, whose lengths fall."""

    def __init__(self) -> None:
        self._sorted: list[Digests] = []

    def __len__(self) -> int:
        return sum(map(len, self._sorted))

    def __contains__(self, digest: Digest) -> bool:
        return bool(self.has(digests_of([digest]))[0])

    def copy(self) -> DigestSet:
        """Return a set of the same digests."""
        made = DigestSet()
        made._sorted = [*self._sorted]
        return made

    def beginning_with(self, first: bytes) -> Digests:
        """Return the digests that begin with some bytes, sorted."""
        past = first + b"\xff" * (DIGEST_BYTES - len(first))
        found = [digests_of([])]
        for known in self._sorted:
            start = np.searchsorted(known, np.array([first], dtype=_DTYPE)[0])
            stop = np.searchsorted(known, np.array([past], dtype=_DTYPE)[0], side="right")
            found.append(known[start:stop])
        return np.sort(np.concatenate(found))

    def has(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Return which of some digests are in the set."""
        found = np.zeros(len(digests), dtype=np.bool_)
        for known in self._sorted:
            at = np.searchsorted(known, digests)
            at[at == len(known)] = 0
            found |= known[at] == digests
        return found

    def add(self, digests: Digests) -> Digests:
        """Add digests; return those that were not in the set, sorted."""
        new = np.unique(digests)
        new = new[~self.has(new)]
        if len(new):
            self._sorted.append(new)
        while len(self._sorted) > 1 and 2 * len(self._sorted[-1]) >= len(self._sorted[-2]):
            last, before = self._sorted.pop(), self._sorted.pop()
            self._sorted.append(np.sort(np.concatenate([before, last]), kind="stable"))
        return new


class _Root(Struct, frozen=True):
    stored: str


class _Recorded(Struct, frozen=True):
    pages: tuple[_Root | None, ...] = ()
    rows: _Root | None = None


class _Document(Struct, frozen=True):
    """What an asset document refers to; the rest of it need not be decoded."""

    format: int
    recorded: _Recorded


_decode_document = msgspec.json.Decoder(_Document).decode


class Reachable:
    """Follows commits of one store; what was reached before is not reached again."""

    def __init__(self, objects: Objects, *, on_damage: OnDamage | None = None) -> None:
        """Reach nothing yet.

        Args:
            objects: The objects.
            on_damage: Receives what cannot be read, and what is below it stays unreached; without
                it, that is an error.
        """
        self._objects = objects
        self._on_damage = on_damage
        # Bytes that a tile and a page share must not hide what the page refers to.
        self._opened = DigestSet()
        self.digests = DigestSet()
        """All that was reached."""

    def copy(self, *, on_damage: OnDamage) -> Reachable:
        """Return one that has reached the same; from then on, each is for itself."""
        made = Reachable(self._objects, on_damage=on_damage)
        made._opened, made.digests = self._opened.copy(), self.digests.copy()
        return made

    def commits(self, commits: Iterable[Digest]) -> Iterator[Digests]:
        """Yield what commits reach, and they themselves, but not their parents.

        Raises:
            CorruptObjectError: An object is damaged or missing.
            FormatError: A newer geobatch wrote one.
        """
        for digest in commits:
            yield self._add([digest])
            if (commit := self._read(digest, _commit)) is None:
                continue
            tree, origins = commit
            if origins is not None:
                yield from self.origins(origins)
            yield from self.tree(tree)

    def tree(self, tree: Digest) -> Iterator[Digests]:
        """Yield what a tree reaches, and its pages; for the errors see `commits`."""
        for pages, assets in self.new_pages(tree):
            yield pages
            yield from self.documents([stored for _, stored in assets])

    def new_pages(self, tree: Digest) -> Iterator[tuple[Digests, list[tuple[str, Digest]]]]:
        """Yield the pages of a tree that were not opened before, in parts.

        Yields:
            Those that were not reached before; and ids and documents of the assets on the part.
        """
        waiting = [digests_of([tree])]
        while waiting:
            new = self._opened.add(waiting.pop())
            for first in range(0, len(new), _AT_ONCE):
                some = new[first : first + _AT_ONCE]
                found = list(self._read_all(some, _tree_page))
                pages = [page for page in found if page is not None]
                yield (
                    self._add_all(some),
                    [(one.id, one.stored) for page in pages for one in page.entries],
                )
                if below := [one.stored for page in pages for one in page.branches]:
                    waiting.append(digests_of(below))

    def origins(self, origins: Digest) -> Iterator[Digests]:
        """Yield the document of origins and its pages; for the errors see `commits`."""
        yield self._add([origins])
        new = self._opened.add(digests_of([origins]))
        roots = [root for root in self._read_all(new, _origins) if isinstance(root, str)]
        waiting = digests_of(roots)
        while len(new := self._opened.add(waiting)):
            yield self._add_all(new)
            found = self._read_all(new, _origins_page)
            waiting = digests_of(
                one.stored for page in found if page is not None for one in page.branches
            )

    def documents(self, documents: Sequence[Digest]) -> Iterator[Digests]:
        """Yield what asset documents reach, and they themselves; for the errors see `commits`."""
        new = self._opened.add(digests_of(documents))
        for first in range(0, len(new), _AT_ONCE):
            some = new[first : first + _AT_ONCE]
            yield self._add_all(some)
            found = [one or ((), ()) for one in self._read_all(some, _roots)]
            yield self._add([rows for _, tables in found for rows in tables])
            yield from self.pages([page for pages, _ in found for page in pages])

    def pages(self, roots: Sequence[Digest]) -> Iterator[Digests]:
        """Yield what index pages reach, and they themselves; for the errors see `commits`."""
        waiting = [digests_of(roots)]
        while waiting:
            new = self._opened.add(waiting.pop())
            for first in range(0, len(new), _AT_ONCE):
                some = new[first : first + _AT_ONCE]
                yield self._add_all(some)
                found = list(self._read_all(some, _children))
                children = [page for page in found if page is not None]
                if tiles := [digests for height, digests in children if height <= 1]:
                    yield self._add_all(np.concatenate(tiles))
                if below := [digests for height, digests in children if height > 1]:
                    waiting.append(np.concatenate(below))

    def _add(self, digests: Iterable[Digest]) -> Digests:
        return self._add_all(digests_of(digests))

    def _add_all(self, digests: Digests) -> Digests:
        return self.digests.add(digests)

    def _read(self, digest: Digest, decode: Callable[[bytes, Digest], T]) -> T | None:
        return next(self._read_all(digests_of([digest]), decode))

    def _read_all(
        self, digests: Digests, decode: Callable[[bytes, Digest], T]
    ) -> Iterator[T | None]:
        names = list(hex_of(digests))
        for digest, found in zip(names, self._objects.try_all(names), strict=True):
            try:
                if isinstance(found, StoreError):
                    raise found
                yield decode(found, digest)
            except StoreError as error:
                if self._on_damage is None:
                    raise
                self._on_damage(digest, error)
                yield None


def reachable(objects: Objects, commits: Iterable[Digest]) -> Iterator[str]:
    """Yield the names of all objects that commits reach, each once.

    Raises:
        CorruptObjectError: An object is damaged or missing.
        FormatError: A newer geobatch wrote one.
    """
    for digests in Reachable(objects).commits(commits):
        yield from map(Objects.path, hex_of(digests))


def _commit(data: bytes, digest: Digest) -> tuple[Digest, Digest | None]:
    commit = decode_commit(data, name=f"commit `{digest}`")
    return commit.tree, commit.origins


def _tree_page(data: bytes, digest: Digest) -> Page[TreeEntry]:
    return decode_tree_page(data, f"tree `{digest}`")


def _origins(data: bytes, digest: Digest) -> dict[str, str] | Digest:
    return decode_origins(data, name=f"origins `{digest}`")


def _origins_page(data: bytes, digest: Digest) -> Page[Origin]:
    return decode_origins_page(data, f"origins `{digest}`")


def _roots(data: bytes, digest: Digest) -> tuple[list[Digest], list[Digest]]:
    """Return the index roots and the rows that an asset document names."""
    name = f"asset document `{digest}`"
    try:
        document = _decode_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptObjectError(f"{name} is not an asset document: {error}") from error
    check_format(document.format, name)
    recorded = document.recorded
    return (
        [root.stored for root in recorded.pages if root is not None],
        [] if recorded.rows is None else [recorded.rows.stored],
    )


def _children(data: bytes, digest: Digest) -> tuple[int, Digests]:
    return stored_children(data, digest=digest)
