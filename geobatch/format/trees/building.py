"""Assets spread over pages: all at once, or as changes of a tree; the pages are the same."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from geobatch.format.trees.page import SHAPE, Branch, Item, Listing, Named, Page, Shape
from geobatch.model.digest import Digest, digest_bytes

Read = TypeVar("Read", bound=Named)


class Source(Protocol[Read]):
    """Where pages are read."""

    def pages(self, branches: Sequence[Branch], *, height: int) -> Iterator[Page[Read]]:
        """Yield the pages of a height that some branches name.

        Raises:
            CorruptObjectError: One is missing or damaged.
        """


class NoPages(Generic[Item]):
    """The source of a tree that has no page yet."""

    def pages(self, branches: Sequence[Branch], *, height: int) -> Iterator[Page[Item]]:  # noqa: ARG002
        """Yield nothing: there is no page to ask for."""
        return iter(())


class Builder(Generic[Item]):
    """Makes the pages of one tree."""

    def __init__(
        self, kind: Listing[Item], source: Source[Item] | None = None, *, shape: Shape = SHAPE
    ) -> None:
        """Make nothing yet.

        Args:
            kind: What the tree lists.
            source: Where the pages of the tree before are read.
            shape: How assets are spread over pages.
        """
        self._kind = kind
        self._source: Source[Item] = source or NoPages()
        self._shape = shape
        self.made: dict[Digest, bytes] = {}
        """Documents of the pages that were made, by digest; without the root."""
        self._pages: dict[Digest, Page[Item]] = {}
        self._loaded: set[Digest] = set()

    def build(self, items: Sequence[Item]) -> Page[Item]:
        """Return the root of the tree of some assets, which are sorted by id."""
        if len(items) <= self._shape.most:
            return Page(height=1, entries=tuple(items))
        return self._root(self._leaves(items), 1)

    def edit(self, root: Page[Item], changes: Mapping[str, Item | None]) -> Page[Item]:
        """Return the root of a tree with changes; only the pages that change are read and made.

        Args:
            root: The root of the tree.
            changes: New entries by id; None where an asset is removed.

        Raises:
            CorruptObjectError: A page is missing or damaged.
        """
        if not changes:
            return root
        if root.assets <= self._shape.most or root.height == 1:
            return self.build(_changed(self.items(root), changes))
        branches = self._edit([root], sorted(changes.items(), key=lambda one: one[0]))
        if sum(branch.assets for branch in branches) <= self._shape.most:
            below = self._load(branches, root.height)
            items = [item for page in below for item in self.items(page)]
            self.made.clear()
            return self.build(items)
        return self._root(branches, root.height)

    def layers(self, items: Sequence[Item], most: int = 4) -> Mapping[Digest, bytes]:
        """Return documents of pages of all heights up to one, if some entries are all of a tree.

        The first and the last page of each height may have other entries in a larger tree.
        """
        branches = self._leaves(items)
        for height in range(2, most + 1):
            branches = self._above(branches, height)
        return self.made

    def items(self, page: Page[Item]) -> Iterator[Item]:
        """Yield the assets at or below a page."""
        if page.height == 1:
            yield from page.entries
            return
        for below in self._load(page.branches, page.height - 1):
            yield from self.items(below)

    def _root(self, branches: Sequence[Branch], height: int) -> Page[Item]:
        while len(branches) > 1:
            height += 1
            branches = self._above(branches, height)
        (page,) = self._load(branches, height)
        self.made.pop(branches[0].stored, None)
        while len(page.branches) == 1:
            (below,) = self._load(page.branches, page.height - 1)
            self.made.pop(page.branches[0].stored, None)
            page = below
        return page

    def _edit(
        self, pages: Sequence[Page[Item]], changes: Sequence[tuple[str, Item | None]]
    ) -> list[Branch]:
        """Return what follows from changes instead of some adjacent pages."""
        if pages[0].height == 1:
            items = (item for page in pages for item in page.entries)
            return self._leaves(_changed(items, dict(changes)))
        height = pages[0].height
        children = [branch for page in pages for branch in page.branches]
        runs = _runs([branch.first for branch in children], changes)
        touched = [children[number] for numbers, _ in runs for number in numbers]
        below = iter(self._load(touched, height - 1))
        result: list[Branch] = []
        done = 0
        for numbers, some in runs:
            result += children[done : numbers[0]]
            result += self._edit([next(below) for _ in numbers], some)
            done = numbers[-1] + 1
        return self._above([*result, *children[done:]], height)

    def _leaves(self, items: Iterable[Item]) -> list[Branch]:
        found: list[list[Item]] = []
        for item in items:
            if not found or self._shape.height(item.id) >= 1:
                found.append([])
            found[-1].append(item)
        return [self._add(Page(height=1, entries=tuple(some))) for some in found]

    def _above(self, branches: Iterable[Branch], height: int) -> list[Branch]:
        """Return the pages of a height that list some pages of the height below."""
        found: list[list[Branch]] = []
        for branch in branches:
            if not found or self._shape.height(branch.first) >= height:
                found.append([])
            found[-1].append(branch)
        return [self._add(Page(height=height, branches=tuple(some))) for some in found]

    def _add(self, page: Page[Item]) -> Branch:
        data = self._kind.encode(page)
        branch = self._kind.branch(page, data)
        if branch.stored not in self._loaded:
            self.made[branch.stored] = data
        self._pages[branch.stored] = page
        return branch

    def _load(self, branches: Sequence[Branch], height: int) -> list[Page[Item]]:
        wanted = [one for one in branches if one.stored not in self._pages]
        for branch, page in zip(wanted, self._source.pages(wanted, height=height), strict=True):
            self._pages[branch.stored] = page
            self._loaded.add(branch.stored)
        return [self._pages[branch.stored] for branch in branches]


def root_digest(kind: Listing[Item], root: Page[Item]) -> Digest:
    """Return the digest of the document of a page."""
    return digest_bytes(kind.encode(root))


def _changed(items: Iterable[Item], changes: Mapping[str, Item | None]) -> list[Item]:
    found: dict[str, Item | None] = {item.id: item for item in items}
    found |= changes
    return [item for _, item in sorted(found.items()) if item is not None]


def _runs(
    firsts: Sequence[str], changes: Sequence[tuple[str, Item | None]]
) -> list[tuple[list[int], list[tuple[str, Item | None]]]]:
    """Return which adjacent pages change together, by number, with the changes of each run.

    A page whose first asset is removed joins the page before, which it may become a part of.
    """
    by_page: dict[int, list[tuple[str, Item | None]]] = {}
    joined: set[int] = set()
    for one in changes:
        number = max(0, bisect_right(firsts, one[0]) - 1)
        by_page.setdefault(number, []).append(one)
        if one[1] is None and number and firsts[number] == one[0]:
            joined.add(number)
    runs: list[tuple[list[int], list[tuple[str, Item | None]]]] = []
    for number in sorted({*by_page, *(number - 1 for number in joined)}):
        if number not in joined:
            runs.append(([], []))
        runs[-1][0].append(number)
        runs[-1][1].extend(by_page.get(number, ()))
    return runs
