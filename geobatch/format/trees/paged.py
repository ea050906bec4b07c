"""A tree whose pages are read as they are needed, and changed page by page."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Generic

from geobatch.format.trees.building import Builder, NoPages, Source
from geobatch.format.trees.page import (
    ASSETS,
    SHAPE,
    Branch,
    Item,
    Listing,
    Page,
    Shape,
)
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import Tree, TreeEntry

_AT_ONCE = 64
"""Pages that are in memory while all are read."""


class Pages(Generic[Item]):
    """The pages of one tree, below its root; some may not be put yet."""

    def __init__(
        self,
        kind: Listing[Item],
        root: Page[Item],
        source: Source[Item],
        made: Mapping[Digest, bytes] = MappingProxyType({}),
        *,
        shape: Shape = SHAPE,
    ) -> None:
        """Read nothing yet.

        Args:
            kind: What the tree lists.
            root: Its root.
            source: Where the pages below are read.
            made: Documents of pages that the source does not have yet.
            shape: How the assets are spread over pages.
        """
        self._kind = kind
        self._source = source
        self._made = made
        self._shape = shape
        self.root = root
        """The topmost page."""
        data = kind.encode(root)
        self.stored = digest_bytes(data)
        """Digest of the root, which is that of the tree."""
        self.documents: Mapping[Digest, bytes] = {**made, self.stored: data}
        """Documents that a store must have for it, besides those of the source: also the root."""

    def pages(self, branches: Sequence[Branch], *, height: int) -> Iterator[Page[Item]]:
        """Yield the pages of a height that some branches name; see `Source.pages`."""
        there = [one for one in branches if one.stored not in self._made]
        read = self._source.pages(there, height=height)
        for branch in branches:
            data = self._made.get(branch.stored)
            if data is None:
                yield next(read)
            else:
                yield self._kind.decode(data, f"page `{branch.stored}`")

    def items(self) -> Iterator[Item]:
        """Yield all entries, sorted by id."""
        yield from self._items(self.root)

    def find(self, asset_id: str) -> Item | None:
        """Return the entry of an asset, or None."""
        page = self.root
        while page.height > 1:
            firsts = [branch.first for branch in page.branches]
            branch = page.branches[max(0, bisect_right(firsts, asset_id) - 1)]
            (page,) = self.pages([branch], height=page.height - 1)
        return next((entry for entry in page.entries if entry.id == asset_id), None)

    def below(self, prefix: str) -> Iterator[Item]:
        """Yield the entries whose ids start with a prefix, sorted by id."""
        for entry in self._items(self.root, prefix):
            if entry.id.startswith(prefix):
                yield entry

    def leaves(self, prefix: str) -> Iterator[Branch]:
        """Yield the pages that may list ids with a prefix; they are not read."""
        yield from self._leaves(self.root, prefix)

    def _leaves(self, page: Page[Item], prefix: str) -> Iterator[Branch]:
        branches = _with_prefix(page.branches, prefix)
        if page.height == 2:
            yield from branches
            return
        for below in self.pages(branches, height=page.height - 1):
            yield from self._leaves(below, prefix)

    def edited(self, changes: Mapping[str, Item | None]) -> Pages[Item]:
        """Return the pages with changes: a new entry by id, or None where one is removed."""
        builder = Builder(self._kind, self, shape=self._shape)
        root = builder.edit(self.root, changes)
        made = {**self._made, **builder.made}
        return Pages(self._kind, root, self._source, made, shape=self._shape)

    def _items(self, page: Page[Item], prefix: str = "") -> Iterator[Item]:
        yield from page.entries
        branches = _with_prefix(page.branches, prefix)
        for first in range(0, len(branches), _AT_ONCE):
            some = branches[first : first + _AT_ONCE]
            for below in self.pages(some, height=page.height - 1):
                yield from self._items(below, prefix)


def _with_prefix(branches: Sequence[Branch], prefix: str) -> Sequence[Branch]:
    """Return the pages that may list ids with a prefix."""
    if not prefix or not branches:
        return branches
    firsts = [branch.first for branch in branches]
    start = max(0, bisect_right(firsts, prefix) - 1)
    after = (
        number
        for number in range(start + 1, len(firsts))
        if firsts[number] > prefix and not firsts[number].startswith(prefix)
    )
    return branches[start : next(after, len(firsts))]


class PagedTree(Tree):
    """The assets of a commit, on pages that are read as they are needed."""

    __slots__ = ("pages",)

    def __init__(
        self, pages: Pages[TreeEntry], entries: tuple[TreeEntry, ...] | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            pages: Its pages.
            entries: All assets, if they are known.
        """
        super().__init__()
        self.pages = pages
        """Its pages."""
        self._all = entries

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """All assets, sorted by id; their pages are read once.

        Raises:
            CorruptObjectError: A page is missing or damaged.
        """
        if self._all is None:
            self._all = tuple(self.pages.items())
        return self._all

    def each(self) -> Iterator[TreeEntry]:
        """Yield all assets, sorted by id; see `entries`."""
        return self.pages.items() if self._all is None else iter(self._all)

    def read_from(self, source: Source[TreeEntry]) -> PagedTree:
        """Return the tree after its documents were put, to be read from there."""
        return PagedTree(Pages(ASSETS, self.pages.root, source), self._all)

    def entry(self, asset_id: str) -> TreeEntry | None:
        """Return the entry of an asset, or None; see `entries`."""
        return self.pages.find(asset_id) if self._all is None else super().entry(asset_id)

    def below(self, prefix: str) -> Iterator[TreeEntry]:
        """Yield the entries whose ids start with a prefix, sorted; see `entries`."""
        return self.pages.below(prefix) if self._all is None else super().below(prefix)

    @property
    def count(self) -> int:
        """How many assets there are; no page is read."""
        return self.pages.root.assets

    @property
    def tiles(self) -> int:
        """How many tiles they have; no page is read."""
        root = self.pages.root
        return ASSETS.tiles(root.entries) + sum(branch.tiles for branch in root.branches)

    def differences(self, other: Tree) -> dict[str, tuple[TreeEntry | None, TreeEntry | None]]:
        """Return what differs; only pages that differ are read, see `Tree.differences`."""
        if isinstance(other, PagedTree):
            return _differences(self.pages, other.pages)
        return super().differences(other)

    def changed(self, changes: Mapping[str, TreeEntry | None]) -> Tree:
        """Return the tree with changes; only the pages that change are read."""
        pages = self.pages.edited(changes)
        if pages.root.height == 1:
            return Tree(entries=pages.root.entries)
        return PagedTree(pages)

    def __eq__(self, other: object) -> bool:
        """Return whether the assets are the same."""
        if isinstance(other, PagedTree):
            return self.pages.stored == other.pages.stored
        return super().__eq__(other)

    __hash__ = Tree.__hash__

    def __reduce__(self) -> tuple[Callable[..., Tree], tuple[tuple[TreeEntry, ...]]]:
        """Pickle all assets."""
        return _tree_of, (self.entries,)


def _tree_of(entries: tuple[TreeEntry, ...]) -> Tree:
    return Tree(entries=entries)


def _differences(
    a: Pages[TreeEntry], b: Pages[TreeEntry]
) -> dict[str, tuple[TreeEntry | None, TreeEntry | None]]:
    sides = a, b
    roots: list[list[Page[TreeEntry]]] = [[a.root], [b.root]]
    if a.stored == b.stored:
        return {}
    # The higher one first, until both list assets; what both list is left out.
    while any(pages and pages[0].height > 1 for pages in roots):
        height = max(pages[0].height for pages in roots if pages)
        lists = [
            [one for page in pages for one in page.branches]
            if pages and pages[0].height == height
            else []
            for pages in roots
        ]
        common = {one.stored for one in lists[0]} & {one.stored for one in lists[1]}
        for number, pages in enumerate(roots):
            if pages and pages[0].height == height:
                some = [one for one in lists[number] if one.stored not in common]
                roots[number] = list(sides[number].pages(some, height=height - 1))
    old, new = ({entry.id: entry for page in pages for entry in page.entries} for pages in roots)
    return {
        name: (old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }


def in_pages(tree: Tree, *, shape: Shape = SHAPE) -> Tree:
    """Return a tree as it is put: in pages, if it has more assets than fit on one."""
    if isinstance(tree, PagedTree) or tree.count <= shape.most:
        return tree
    pages = pages_of(ASSETS, tree.entries, shape=shape)
    return tree if pages.root.height == 1 else PagedTree(pages, tree.entries)


def pages_of(kind: Listing[Item], items: Sequence[Item], *, shape: Shape = SHAPE) -> Pages[Item]:
    """Return the pages of a tree of some entries, sorted by id, none of which is put."""
    builder = Builder(kind, shape=shape)
    root = builder.build(items)
    return Pages(kind, root, NoPages(), builder.made, shape=shape)
