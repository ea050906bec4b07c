"""Trees of commits in a store: their pages are read as they are needed, and put."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import content_root
from geobatch.format.trees.page import ASSETS, Branch, Item, Listing, Page
from geobatch.format.trees.paged import PagedTree, Pages, in_pages, pages_of
from geobatch.model.digest import Digest
from geobatch.model.published import Head, Tree
from geobatch.store.objects import Objects

_MOST_KEPT = 64
"""Pages that are kept in memory, for other commits that have them too."""


class StoredPages(Generic[Item]):
    """Reads pages of a store; each is compared with the digest and with what names it."""

    def __init__(
        self,
        kind: Listing[Item],
        objects: Objects,
        what: str,
        kept: OrderedDict[Digest, Page[Any]] | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            kind: What the pages list.
            objects: The objects of the store.
            what: Whose pages they are, for messages.
            kept: Pages that were read before, the last one last.
        """
        self._kind = kind
        self._objects = objects
        self._what = what
        self._kept: OrderedDict[Digest, Page[Any]] = OrderedDict() if kept is None else kept

    def pages(self, branches: Sequence[Branch], *, height: int) -> Iterator[Page[Item]]:
        """Yield the pages of a height that some branches name.

        Raises:
            CorruptObjectError: One is missing or damaged, or is not the page that is named.
        """
        kept = {one.stored: self._kept.get(one.stored) for one in branches}
        wanted = [one.stored for one in branches if kept[one.stored] is None]
        read = self._objects.get_all(wanted)
        for branch in branches:
            page = kept[branch.stored]
            if page is None:
                try:
                    page = self._decoded(next(read), branch, height)
                except CorruptObjectError as error:
                    raise CorruptObjectError(
                        f"a page of {self._what}: {error.message}", hint=error.hint
                    ) from error
                if len(branches) == 1 or height > 1:  # not all assets of a large tree
                    self._keep(branch.stored, page)
            yield page

    def root(self, digest: Digest) -> Page[Item]:
        """Return the topmost page of a tree.

        Raises:
            CorruptObjectError: It is missing or damaged.
            FormatError: A newer geobatch wrote it.
        """
        try:
            data = self._objects.get(digest)
        except CorruptObjectError as error:
            raise CorruptObjectError(f"{self._what}: {error.message}", hint=error.hint) from error
        return self._kind.decode(data, f"tree `{digest}`")

    def _decoded(self, data: bytes, branch: Branch, height: int) -> Page[Item]:
        name = f"page `{Objects.path(branch.stored)}`"
        page = self._kind.decode(data, name)
        got = (page.height, page.first, page.assets)
        if got != (height, branch.first, branch.assets):
            raise CorruptObjectError(
                f"{name} has (height, first asset, assets) {got}, "
                f"expected {(height, branch.first, branch.assets)}"
            )
        return page

    def _keep(self, digest: Digest, page: Page[Item]) -> None:
        self._kept[digest] = page
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


def read_pages(kind: Listing[Item], source: StoredPages[Item], root: Digest) -> Pages[Item]:
    """Return the pages below a root, which is read.

    Raises:
        CorruptObjectError: The root is missing or damaged.
    """
    return Pages(kind, source.root(root), source)


class Trees:
    """The trees of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._kept: OrderedDict[Digest, Page[Any]] = OrderedDict()

    def read(self, digest: Digest, what: str) -> Tree:
        """Return a tree; of one in pages, the topmost is read, and others as they are needed.

        Args:
            digest: Digest of the tree.
            what: What it is, for messages.

        Raises:
            CorruptObjectError: The document is missing or damaged.
            FormatError: A newer geobatch wrote it.
        """
        source = StoredPages(ASSETS, self._objects, what, self._kept)
        root = source.root(digest)
        return (
            Tree(entries=root.entries)
            if root.height == 1
            else PagedTree(Pages(ASSETS, root, source))
        )

    def after_put(self, tree: Tree, what: str) -> Tree:
        """Return a tree whose pages were put; it is read from the store from now on."""
        source = StoredPages(ASSETS, self._objects, what, self._kept)
        return tree.read_from(source) if isinstance(tree, PagedTree) else tree

    def check(self, digest: Digest, what: str) -> None:
        """Read all pages of a tree; for the errors see `read`."""
        tree = self.read(digest, what)
        if isinstance(tree, PagedTree):
            for _ in tree.pages.items():
                pass


def root_of(head: Head) -> Digest:
    """Return the content root of a state, also of that before the first commit."""
    return content_root(head.tree) if head.commit is None else head.commit.content_root


def documents_of(tree: Tree) -> tuple[Digest, Mapping[Digest, bytes]]:
    """Return the digest of a tree, and the documents that a store needs for it.

    Of a tree that was made by changing one of the store, these are the pages that changed.
    """
    tree = in_pages(tree)
    pages = tree.pages if isinstance(tree, PagedTree) else pages_of(ASSETS, tree.entries)
    return pages.stored, pages.documents
