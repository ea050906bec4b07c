"""The records of a store: arrays with their tile index roots, assets, trees and commits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from msgspec import Struct, field

from geobatch.model.assets.asset import AnyImage, Asset, Codec, Kind, image_of
from geobatch.model.assets.image import Raster
from geobatch.model.assets.table import StoredTable
from geobatch.model.checks.measure import Measure
from geobatch.model.digest import Digest
from geobatch.model.provenance import Provenance

TILE_ENTRY = np.dtype(
    [
        ("row", "<u4"),
        ("col", "<u4"),
        ("content", "u1", (32,)),
        ("stored", "u1", (32,)),
        ("size", "<u8"),
    ]
)
"""One stored tile of an array: its position, both digests, and the length of its object."""

PAGE_ENTRY = np.dtype(
    [*((name, TILE_ENTRY[name]) for name in TILE_ENTRY.names or ()), ("tiles", "<u8")]
)
"""One page of an index, of tiles: its position among such pages, and what a `PageRef` says of it.

Without tiles there is no page.
"""


class PageRef(Struct, frozen=True, kw_only=True):
    """Digest and content of an index page; a root page leads to all tiles of an array."""

    content: Digest
    """Merkle hash of the positions and content digests of the tiles below the page."""
    stored: Digest
    """Digest of the page's bytes; names the object."""
    size: int
    """Length of the page in bytes."""
    tiles: int
    """How many tiles are below the page."""


class ArrayKey(Struct, frozen=True, kw_only=True, order=True):
    """One array of an asset."""

    band: str
    """Band id."""
    level: int
    """Level, 0 for full resolution."""
    is_mask: bool = False
    """Whether it is the uint8 mask of the band."""

    @property
    def words(self) -> str:
        """What messages call it."""
        return f"mask of band `{self.band}`" if self.is_mask else f"band `{self.band}`"


def array_keys(asset: Raster) -> Iterator[ArrayKey]:
    """Yield the arrays of an asset, sorted: values of each band and level, and masks if any."""
    for band in sorted(asset.bands, key=lambda band: band.id):
        for level in range(asset.grid(band.grid).level_count):
            yield ArrayKey(band=band.id, level=level)
            if band.has_mask(level):
                yield ArrayKey(band=band.id, level=level, is_mask=True)


class BandFingerprint(Struct, frozen=True, kw_only=True):
    """Everything that determines a band's tiles, known before reading a pixel."""

    base: Digest
    """Level 0: sources, placement, masking, dtype, fill, canvas and tile size."""
    pyramid: Digest
    """Levels above: the base and the policy."""


class BandTiles(Struct, frozen=True, kw_only=True):
    """The tiles of one band, whatever its name."""

    codec: Codec
    """How they are encoded."""
    arrays: tuple[tuple[int, bool, PageRef | None], ...]
    """(level, whether it is the mask, index root) of every array of the band."""
    measures: tuple[tuple[Digest, Measure], ...] = ()
    """What was counted of its level-0 pixels, by the name of the measure, sorted."""

    def named(self, band_id: str) -> dict[ArrayKey, PageRef | None]:
        """Return the index roots by array, for a band of this id."""
        return {
            ArrayKey(band=band_id, level=level, is_mask=is_mask): root
            for level, is_mask, root in self.arrays
        }


class AssetRecord(Struct, frozen=True, kw_only=True):
    """A published asset: its resolved form, and its tiles."""

    asset: Asset
    """As resolved; its sources carry no local path."""
    arrays: tuple[tuple[ArrayKey, PageRef | None], ...]
    """Index root per array, sorted by key; None where no tile is stored."""
    fingerprints: tuple[tuple[str, BandFingerprint], ...]
    """Per band id, sorted."""
    table: StoredTable | None = None
    """The rows of a table; None for an asset of pixels."""
    measures: tuple[tuple[str, tuple[tuple[Digest, Measure], ...]], ...] = ()
    """What was counted for its checks, per band id, sorted; so the next update counts only what
    changes."""

    @property
    def image(self) -> AnyImage:
        """Return the asset, which must be an image."""
        return image_of(self.asset)

    def root(self, key: ArrayKey) -> PageRef | None:
        """Return the index root of an array.

        Raises:
            KeyError: The asset has no such array.
        """
        return dict(self.arrays)[key]

    def tiles_of(self, band_id: str) -> BandTiles:
        """Return where the tiles of a band are."""
        return BandTiles(
            codec=self.image.codec,
            arrays=tuple(
                (key.level, key.is_mask, root) for key, root in self.arrays if key.band == band_id
            ),
            measures=dict(self.measures).get(band_id, ()),
        )


class TreeEntry(Struct, frozen=True, kw_only=True):
    """One asset in a tree."""

    id: str
    """Asset id."""
    kind: str
    """Asset kind."""
    content: Digest
    """Merkle hash over all that a reader can see of the asset."""
    stored: Digest
    """Digest of the asset document; names the object."""
    fingerprint: Digest
    """Hash of the resolved asset; equal means nothing to do."""
    is_protected: bool = False
    """Whether deletion is refused."""
    tiles: int = 0
    """How many tiles are stored, over all arrays."""

    @property
    def is_table(self) -> bool:
        """Whether it has rows, not pixels."""
        return self.kind == Kind.TABLE


class Tree:
    """The published state: assets by id, and no time, host or user."""

    __slots__ = ("_all",)

    def __init__(self, *, entries: Iterable[TreeEntry] = ()) -> None:
        """Keep assets.

        Args:
            entries: The assets, sorted by id.
        """
        self._all: tuple[TreeEntry, ...] | None = tuple(entries)

    @property
    def entries(self) -> tuple[TreeEntry, ...]:
        """All assets, sorted by id."""
        return self._all or ()

    def each(self) -> Iterator[TreeEntry]:
        """Yield all assets, sorted by id; of a large tree, few are in memory at a time."""
        return iter(self.entries)

    @property
    def count(self) -> int:
        """How many assets there are."""
        return len(self.entries)

    @property
    def tiles(self) -> int:
        """How many tiles they have, over all arrays."""
        return sum(entry.tiles for entry in self.entries)

    def entry(self, asset_id: str) -> TreeEntry | None:
        """Return the entry of an asset, or None."""
        at = bisect_left(self.entries, asset_id, key=_id_of)
        found = self.entries[at] if at < len(self.entries) else None
        return found if found is not None and found.id == asset_id else None

    def below(self, prefix: str) -> Iterator[TreeEntry]:
        """Yield the entries whose ids start with a prefix, sorted."""
        return (entry for entry in self.entries if entry.id.startswith(prefix))

    def differences(self, other: Tree) -> dict[str, tuple[TreeEntry | None, TreeEntry | None]]:
        """Return by id, sorted, what an asset is in this tree and in another one, if that differs.

        Args:
            other: The other tree; an entry is None where a tree does not have the asset.
        """
        old = {entry.id: entry for entry in self.entries}
        new = {entry.id: entry for entry in other.entries}
        return {
            name: (old.get(name), new.get(name))
            for name in sorted({*old, *new})
            if old.get(name) != new.get(name)
        }

    def changed(self, changes: Mapping[str, TreeEntry | None]) -> Tree:
        """Return the tree with changes: a new entry by id, or None where one is removed."""
        entries: dict[str, TreeEntry | None] = {entry.id: entry for entry in self.entries}
        entries |= changes
        kept = (entry for _, entry in sorted(entries.items()) if entry is not None)
        return Tree(entries=kept)

    def __eq__(self, other: object) -> bool:
        """Return whether the assets are the same."""
        return isinstance(other, Tree) and self.entries == other.entries

    def __hash__(self) -> int:
        """Return a hash of the assets."""
        return hash(self.entries)

    def __repr__(self) -> str:
        """Return the tree as it is made."""
        return f"Tree(entries={self.entries!r})"


def _id_of(entry: TreeEntry) -> str:
    return entry.id


class Commit(Struct, frozen=True, kw_only=True):
    """One published step."""

    parent: Digest | None
    """Digest of the commit before."""
    tree: Digest
    """Digest of the tree document."""
    content_root: Digest
    """Merkle hash over what readers see; equal for equal inputs on every machine."""
    time: str
    """RFC 3339 in UTC."""
    message: str
    """Message: what was done, in one line."""
    tools: tuple[tuple[str, str], ...]
    """(name, version) of geobatch and of the libraries that shape pixels, sorted."""
    origins: Digest | None = None
    """Digest of the document that says which spec file published each asset; None where unknown."""
    renamed: tuple[tuple[str, str], ...] = ()
    """(asset id, id in the commit before) of assets that were renamed, sorted."""
    provenance: Provenance | None = None
    """Who asked for it, and from which Git commit; None where unknown."""
    cubes: tuple[str, ...] = ()
    """Collections whose images are shown along time, too: ids, sorted."""


class Head(Struct, frozen=True, kw_only=True):
    """A published commit under its number; `Head()` is the state before the first commit."""

    number: int = 0
    """Number of the ref, from 1; 0 for a store without commits."""
    digest: Digest | None = None
    """Digest of the commit document; None without commits."""
    commit: Commit | None = None
    """The commit itself."""
    tree: Tree = field(default_factory=Tree)
    """Its tree; empty if the commit was dropped."""
    is_dropped: bool = False
    """Whether `gc` dropped the commit: its document is left, its tree and tiles are not."""
    dropped_before: tuple[Commit, ...] = ()
    """In a log: the dropped commits between this one and the one before that is kept."""

    def name_before(self, asset_id: str) -> str:
        """Return the id in the commit before of an asset of this one, renamed or not."""
        commits = () if self.commit is None else (self.commit, *self.dropped_before)
        for commit in commits:
            asset_id = dict(commit.renamed).get(asset_id, asset_id)
        return asset_id
