"""What commits consist of: documents and index pages, which are read, and tiles with their sizes.

Unlike `reachable`, it reads many documents and pages at a time, and knows the sizes of tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import msgspec
from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import check_format, decode_commit, decode_origins
from geobatch.format.page import references
from geobatch.format.trees.page import decode_origins_page, decode_tree_page
from geobatch.model.digest import Digest
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.maintenance.reachable import DigestSet, digests_of, hex_of

_AT_ONCE = 1024
"""Documents and pages in memory at most."""
_DOCUMENT_BYTES = 64 << 10
"""Bytes that a document or a page is taken to have before it is read."""

Read = Callable[[Digest], bytes]
"""Returns the verified bytes of an object."""
OnDamage = Callable[[CorruptObjectError], object]
"""Receives what is damaged."""


class Blob(NamedTuple):
    """An object whose bytes need not be understood: a tile, or the rows of a table."""

    digest: Digest
    """Its digest."""
    size: int
    """Length of its bytes, as a document or a page records it."""


class Part(NamedTuple):
    """Some objects of a commit."""

    texts: Sequence[tuple[Digest, bytes]] = ()
    """Documents and pages, by digest."""
    blobs: Sequence[Blob] = ()
    """Tiles and rows."""


class _Blob(Struct, frozen=True):
    stored: str
    size: int


class _Recorded(Struct, frozen=True):
    pages: tuple[_Blob | None, ...] = ()
    rows: _Blob | None = None


class _Document(Struct, frozen=True):
    """What an asset document refers to; the rest of it need not be decoded."""

    format: int
    recorded: _Recorded


_decode_document = msgspec.json.Decoder(_Document).decode


class Contents:
    """Follows commits of a store; what was yielded before is not yielded again."""

    def __init__(self, read: Read, pool: Executor, *, most: int, on_damage: OnDamage) -> None:
        """Read nothing yet.

        Args:
            read: Reads an object; from any thread.
            pool: Where it is called.
            most: Objects that are read at the same time.
            on_damage: Receives what is damaged; what is below it is passed over.
        """
        self._read = read
        self._pool = pool
        self._most = most
        self._on_damage = on_damage
        # Bytes that a tile and a page share must not hide what the page refers to.
        self._opened = DigestSet()
        self._blobs = DigestSet()

    def skip(self, commit: Digest) -> None:
        """Pass over all that a commit consists of."""
        for _ in self.commit(commit):
            pass

    def document(self, digest: Digest) -> Iterator[Part]:
        """Yield the document of a commit alone: all that is left of one that was dropped."""
        yield from (Part(texts=texts) for texts in self._texts([digest]))

    def commit(self, digest: Digest) -> Iterator[Part]:
        """Yield what a commit consists of, but not its parents."""
        for texts in self._texts([digest]):
            yield Part(texts=texts)
            for name, data in texts:
                commit = decode_commit(data, name=f"commit `{name}`")
                if commit.origins is not None:
                    yield from self._origins(commit.origins)
                yield from self._tree(commit.tree)

    def _origins(self, digest: Digest) -> Iterator[Part]:
        roots: list[Digest] = []
        for texts in self._texts([digest]):
            yield Part(texts=texts)
            found = [decode_origins(data, name=f"origins `{name}`") for name, data in texts]
            roots += [root for root in found if isinstance(root, str)]
        waiting = [roots]
        while waiting:
            for texts in self._texts(waiting.pop()):
                yield Part(texts=texts)
                pages = [decode_origins_page(data, f"origins `{name}`") for name, data in texts]
                if below := [one.stored for page in pages for one in page.branches]:
                    waiting.append(below)

    def _tree(self, digest: Digest) -> Iterator[Part]:
        waiting = [[digest]]
        while waiting:
            for texts in self._texts(waiting.pop()):
                yield Part(texts=texts)
                pages = [decode_tree_page(data, f"tree `{name}`") for name, data in texts]
                yield from self._documents([one.stored for page in pages for one in page.entries])
                if below := [one.stored for page in pages for one in page.branches]:
                    waiting.append(below)

    def _documents(self, digests: Sequence[Digest]) -> Iterator[Part]:
        for texts in self._texts(digests):
            roots: list[Digest] = []
            rows: list[Blob] = []
            for digest, data in texts:
                recorded = _recorded(data, digest)
                roots += [page.stored for page in recorded.pages if page is not None]
                if recorded.rows is not None:
                    rows.append(Blob(recorded.rows.stored, recorded.rows.size))
            yield Part(texts=texts, blobs=self._new(rows))
            yield from self._pages(roots)

    def _pages(self, roots: Sequence[Digest]) -> Iterator[Part]:
        waiting = [roots]
        while waiting:
            for texts in self._texts(waiting.pop()):
                tiles: list[Blob] = []
                below: list[Digest] = []
                for digest, data in texts:
                    page = references(data, digest=digest)
                    if page.height > 1:
                        below += page.stored
                    else:
                        tiles += map(Blob, page.stored, page.sizes)
                yield Part(texts=texts, blobs=self._new(tiles))
                if below:
                    waiting.append(below)

    def _texts(self, digests: Sequence[Digest]) -> Iterator[list[tuple[Digest, bytes]]]:
        """Yield those of some documents or pages that were not read before."""
        new = [*hex_of(self._opened.add(digests_of(digests)))]
        for first in range(0, len(new), _AT_ONCE):
            some = [(digest, _DOCUMENT_BYTES) for digest in new[first : first + _AT_ONCE]]
            found = in_flight(self._pool, self._text, some, most=self._most)
            yield sorted(one for one in found if one is not None)

    def _text(self, digest: Digest) -> tuple[Digest, bytes] | None:
        try:
            return digest, self._read(digest)
        except CorruptObjectError as error:
            self._on_damage(error)
            return None

    def _new(self, blobs: Sequence[Blob]) -> list[Blob]:
        """Return those of some blobs that were not yielded before, sorted, each once."""
        sizes = {blob.digest: blob.size for blob in blobs}
        added = self._blobs.add(digests_of(sizes))
        return [Blob(digest, sizes[digest]) for digest in hex_of(added)]


def _recorded(data: bytes, digest: Digest) -> _Recorded:
    name = f"asset document `{digest}`"
    try:
        document = _decode_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptObjectError(f"{name} is not an asset document: {error}") from error
    check_format(document.format, name)
    return document.recorded
