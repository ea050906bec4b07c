"""Which spec files published the assets of a commit, and where these are in their repositories."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import (
    decode_checkouts,
    decode_origins,
    encode_origins,
    encode_origins_root,
)
from geobatch.format.trees.page import ORIGINS, Origin, Page
from geobatch.format.trees.paged import Pages, pages_of
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.provenance import CheckoutPath
from geobatch.model.published import Head, Tree
from geobatch.store.commits.trees import StoredPages, read_pages
from geobatch.store.objects import Objects

_FEW = 64
"""Origins that are looked up one by one; of more, all are read."""


class SpecFiles:
    """The spec files of commits."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._kept: OrderedDict[Digest, Page[Origin]] = OrderedDict()
        self._last: tuple[Digest, bytes] = ("", b"")

    def origins(self, head: Head) -> dict[str, str]:
        """Return which spec file published each asset, as far as known, by asset id.

        Raises:
            CorruptObjectError: The document or a page is damaged.
        """
        return {one.id: one.file for one in self._pages(head).items()}

    def check(self, head: Head) -> None:
        """Read all origins, and keep none; for the errors see `origins`."""
        for _ in self._pages(head).items():
            pass

    def checkouts(self, head: Head) -> dict[str, CheckoutPath]:
        """Return where spec files are in their repositories, as far as known, by origin.

        Raises:
            CorruptObjectError: The document is damaged.
        """
        digest = _digest(head)
        if digest is None:
            return {}
        return decode_checkouts(self._document(digest), name=f"origins `{digest}`")

    def is_readable(self, head: Head) -> bool:
        """Return whether it can be read where assets are declared; else no asset is pruned."""
        try:
            self.origins(head)
            self.checkouts(head)
        except CorruptObjectError:
            return False
        return True

    def following(
        self,
        head: Head,
        tree: Tree,
        origins: Mapping[str, str],
        checkouts: Mapping[str, CheckoutPath],
        *,
        removed: Iterable[str],
    ) -> tuple[Digest | None, Mapping[Digest, bytes]]:
        """Return the document of the commit after a head, and all documents that are to be put.

        Args:
            head: The commit before.
            tree: The tree after it.
            origins: Spec files of this run, by asset id.
            checkouts: Where they are in their repositories.
            removed: Ids of assets that the tree does not have any more.

        Returns:
            The digest of the document, None if no origin is known; and documents by digest.
        """
        # A file that is in no checkout any more is not taken for what it was.
        given = set(origins.values())
        kept = {file: one for file, one in checkouts.items() if file in given}
        try:
            pages = self._pages(head)
            old = self.checkouts(head)
            kept = {file: one for file, one in old.items() if file not in given} | kept
            after = pages.edited(_changes(pages, tree, origins, removed))
            is_known = True
        except CorruptObjectError:  # then as much is known as this run declares
            pages = _pages_of({})
            after = pages.edited(_changes(pages, tree, origins, removed))
            is_known = False
        digest, documents = _documents_of(after, kept)
        # What the head has, a store keeps; what is damaged of it is put again.
        return digest, {} if is_known and digest == _digest(head) else documents

    def pages(self, digest: Digest) -> Pages[Origin]:
        """Return which spec file published each asset, as the document of a digest says.

        Raises:
            CorruptObjectError: The document or the topmost page is damaged.
        """
        what = f"origins `{digest}`"
        found = decode_origins(self._document(digest), name=what)
        if isinstance(found, dict):
            return _pages_of(found)
        return read_pages(ORIGINS, StoredPages(ORIGINS, self._objects, what, self._kept), found)

    def _document(self, digest: Digest) -> bytes:
        if digest != self._last[0]:
            self._last = digest, self._objects.get(digest)
        return self._last[1]

    def _pages(self, head: Head) -> Pages[Origin]:
        digest = _digest(head)
        return _pages_of({}) if digest is None else self.pages(digest)


def origins_of(
    origins: Mapping[str, str], checkouts: Mapping[str, CheckoutPath]
) -> tuple[Digest | None, Mapping[Digest, bytes]]:
    """Return the document that says where assets come from; see `SpecFiles.following`."""
    return _documents_of(_pages_of(origins), checkouts)


def _changes(
    pages: Pages[Origin], tree: Tree, origins: Mapping[str, str], removed: Iterable[str]
) -> dict[str, Origin | None]:
    """Return what differs from what is known of origins; for the arguments see `following`."""
    changes: dict[str, Origin | None] = {
        asset_id: None for asset_id in removed if pages.find(asset_id) is not None
    }
    known = {one.id: one for one in pages.items()} if len(origins) > _FEW else None
    for asset_id, file in origins.items():
        before = pages.find(asset_id) if known is None else known.get(asset_id)
        if (before is None or before.file != file) and tree.entry(asset_id) is not None:
            changes[asset_id] = Origin(asset_id, file)
    return changes


def _pages_of(origins: Mapping[str, str]) -> Pages[Origin]:
    return pages_of(ORIGINS, [Origin(*one) for one in sorted(origins.items())])


def _documents_of(
    pages: Pages[Origin], checkouts: Mapping[str, CheckoutPath]
) -> tuple[Digest | None, Mapping[Digest, bytes]]:
    if not pages.root.assets:
        return None, {}
    if pages.root.height == 1:
        document = encode_origins({one.id: one.file for one in pages.root.entries}, checkouts)
        return digest_bytes(document), {digest_bytes(document): document}
    document = encode_origins_root(pages.stored, checkouts)
    digest = digest_bytes(document)
    return digest, {**pages.documents, digest: document}


def _digest(head: Head) -> Digest | None:
    return None if head.commit is None else head.commit.origins
