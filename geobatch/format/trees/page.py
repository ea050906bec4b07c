"""Pages of a tree as documents: assets sorted by id, or the pages below.

What assets are on a page depends on their ids alone: equal assets are on equal pages.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from blake3 import blake3
from msgspec import Struct

from geobatch.format.versions import FORMAT, TREE_FORMAT, malformed, parse_document
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import TreeEntry

CONTENT = "geobatch tree page 1"
"""First element of what the content digest of a page is computed from."""


class Named(Protocol):
    """What a page lists: anything with an id."""

    @property
    def id(self) -> str:
        """Id that it is sorted by."""


Item = TypeVar("Item", bound=Named)


class Origin(Struct, frozen=True):
    """Which spec file published an asset."""

    id: str
    """Id of the asset."""
    file: str
    """The spec file."""


class Branch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page, as the page above lists it."""

    first: str
    """Id of the first asset at or below the page."""
    stored: Digest
    """Digest of the page; names the object."""
    assets: int
    """Assets at or below the page."""
    tiles: int = 0
    """Their tiles."""
    content: Digest = ""
    """Merkle hash over the ids and content digests of the assets; empty if they have none."""


class Page(Struct, Generic[Item], frozen=True, kw_only=True):
    """One page of a tree."""

    height: int
    """1 if it lists assets, else one more than the height of the pages that it lists."""
    entries: tuple[Item, ...] = ()
    """Assets, sorted by id; for height 1."""
    branches: tuple[Branch, ...] = ()
    """Pages below, in the order of their assets; for other heights."""

    @property
    def first(self) -> str:
        """Id of the first asset at or below the page; empty if there is none."""
        if self.entries:
            return self.entries[0].id
        return self.branches[0].first if self.branches else ""

    @property
    def assets(self) -> int:
        """How many assets are at or below the page."""
        return len(self.entries) or sum(branch.assets for branch in self.branches)


class Shape(Struct, frozen=True):
    """How assets are spread over pages."""

    most: int = 2048
    """Assets of a tree that is one page."""
    bits: int = 8
    """Pages of the height h begin with ids whose digests begin with h times so many zero bits."""

    def height(self, asset_id: str) -> int:
        """Return up to which height an id begins a page, wherever it is."""
        digest = blake3(asset_id.encode()).digest()
        return (256 - int.from_bytes(digest, "big").bit_length()) // self.bits


SHAPE = Shape()
"""The shape of every tree of the format; others are for tests."""


class Listing(Struct, Generic[Item], frozen=True):
    """What the pages of one kind of tree list, and how they are written."""

    member: str
    """What its documents call the entries."""
    encode: Callable[[Page[Item]], bytes]
    """Returns the document of a page."""
    decode: Callable[[bytes, str], Page[Item]]
    """Returns the page of a document with some name."""
    content: Callable[[Page[Item]], Digest]
    """Returns the content digest of a page; empty if there is none."""
    tiles: Callable[[Sequence[Item]], int]
    """Returns how many tiles some assets have."""

    def branch(self, page: Page[Item], data: bytes) -> Branch:
        """Return how the page above lists a page.

        Args:
            page: The page, which is not empty.
            data: Its document.
        """
        return Branch(
            first=page.first,
            stored=digest_bytes(data),
            assets=page.assets,
            tiles=self.tiles(page.entries) + sum(branch.tiles for branch in page.branches),
            content=self.content(page),
        )


class _TreePage(Struct, frozen=True):
    format: int
    height: int = 1
    assets: tuple[TreeEntry, ...] | None = None
    pages: tuple[Branch, ...] = ()


class _OriginsPage(Struct, frozen=True):
    format: int
    height: int = 1
    origins: dict[str, str] | None = None
    pages: tuple[Branch, ...] = ()


_CANONICAL = msgspec.json.Encoder(order="sorted")
"""Writes canonical JSON of what has no floats; quicker than `canonical_json` for many entries."""
_decode_tree_page = msgspec.json.Decoder(_TreePage).decode
_decode_origins_page = msgspec.json.Decoder(_OriginsPage).decode


def decode_tree_page(data: bytes, name: str = "tree document") -> Page[TreeEntry]:
    """Return a page of a tree. The tree of a format 1 is one page, however many assets it has.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no page of a tree.
    """
    try:
        found = _decode_tree_page(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        parse_document(data, name, newest=TREE_FORMAT)
        raise malformed(name, "tree", error) from error
    entries = found.assets
    if entries is not None and found.format == FORMAT:
        entries = tuple(sorted(entries, key=lambda entry: entry.id))
    _check(found, data, entries, name)
    return Page(height=found.height, entries=entries or (), branches=found.pages)


def decode_origins_page(data: bytes, name: str) -> Page[Origin]:
    """Return a page of origins; for the errors see `decode_tree_page`."""
    try:
        found = _decode_origins_page(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        parse_document(data, name, newest=TREE_FORMAT)
        raise malformed(name, "origins", error) from error
    origins = found.origins
    entries = None if origins is None else tuple(itertools.starmap(Origin, origins.items()))
    _check(found, data, entries, name)
    return Page(height=found.height, entries=entries or (), branches=found.pages)


def _check(
    found: _TreePage | _OriginsPage, data: bytes, entries: Sequence[Named] | None, name: str
) -> None:
    """Refuse what is no page.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It lists what its height does not, or not sorted.
    """
    if not FORMAT <= found.format <= TREE_FORMAT:
        parse_document(data, name, newest=TREE_FORMAT)
    is_leaf = found.height == 1
    if found.height < 1 or is_leaf != (entries is not None) or is_leaf == bool(found.pages):
        problem = f"its height is {found.height}"
        raise malformed(name, "tree", ValueError(problem))
    names = [one.first for one in found.pages] if entries is None else [one.id for one in entries]
    for first, second in itertools.pairwise(names):
        if first >= second:
            raise malformed(name, "tree", ValueError(f"`{second}` follows `{first}`"))


def _encode_tree_page(page: Page[TreeEntry]) -> bytes:
    return _encode(page, "assets", page.entries)


def _encode_origins_page(page: Page[Origin]) -> bytes:
    return _encode(page, "origins", {entry.id: entry.file for entry in page.entries})


def _encode(page: Page[Any], member: str, entries: object) -> bytes:
    listed = {member: entries} if page.height == 1 else {"pages": page.branches}
    return _CANONICAL.encode({"format": TREE_FORMAT, "height": page.height, **listed})


def page_content(page: Page[TreeEntry]) -> Digest:
    """Return the Merkle hash over the ids and content digests of the assets of a page."""
    listed: list[object] = [[entry.id, entry.content] for entry in page.entries]
    listed += [one.content for one in page.branches]
    return digest_bytes(_CANONICAL.encode([CONTENT, page.height, listed]))


def _no_content(_: Page[Origin]) -> Digest:
    return ""


ASSETS: Listing[TreeEntry] = Listing(
    member="assets",
    encode=_encode_tree_page,
    decode=decode_tree_page,
    content=page_content,
    tiles=lambda entries: sum(entry.tiles for entry in entries),
)
"""Trees of assets."""
ORIGINS: Listing[Origin] = Listing(
    member="origins",
    encode=_encode_origins_page,
    decode=decode_origins_page,
    content=_no_content,
    tiles=lambda _: 0,
)
"""Which spec file published each asset."""
