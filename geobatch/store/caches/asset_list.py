"""The rows of a list of assets, kept from apply to apply so that no document need be opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from geobatch.format.trees.paged import PagedTree
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.documents.listed import Locate, Row, row_of
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.digest import Digest
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.store.caches.page_rows import PageRows, Wanted, row_from
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.tilestore import TileStore

_FOLDER = "cache/"
_NAME = "listing"


def keep_rows(
    store: TileStore,
    trees: Sequence[Tree],
    assets: Mapping[Digest, Asset],
    tables: Mapping[str, StoredTable],
    *,
    locate: Locate,
) -> None:
    """Save a row of each of some assets, by the digest of its document; the others are forgotten.

    Args:
        store: The store.
        trees: The published state, and what may be published soon.
        assets: Assets that are at hand, by the digest of their document.
        tables: What was stored of tables that are at hand, by id.
        locate: Carries boxes to longitude and latitude; not asked for boxes that are known.

    Raises:
        CorruptObjectError: The document of an asset that no row is known of is damaged.
    """
    known = _read(store)
    located = {
        (spot.crs, spot.bounds): spot.lonlat
        for row in map(row_from, known.values())
        for spot in (row.spots if row is not None else ())
    }

    def find(bounds: Bounds, crs: str, other: str) -> Bounds | None:
        key = (crs, bounds)
        return located[key] if key in located else locate(bounds, crs, other)

    def make(entry: TreeEntry) -> Row:
        asset, table = assets.get(entry.stored), tables.get(entry.id)
        if asset is None or (isinstance(asset, Table) and table is None):
            record = store.record(entry)
            asset, table = record.asset, record.table
        return row_of(asset, table, find)

    rows = {
        entry.stored: known[entry.stored]
        if row_from(known.get(entry.stored)) is not None
        else make(entry).to_json()
        for tree in trees
        if not isinstance(tree, PagedTree)
        for entry in tree.entries
    }
    if rows != known:
        text = json.dumps(rows, separators=(",", ":"))
        ValueCache(store.caches, _FOLDER).put(_NAME, text.encode())
    paged = [tree for tree in trees if isinstance(tree, PagedTree)]
    PageRows(store.caches).keep(paged, known, make)


def rows_of(
    store: TileStore,
    head: Head,
    *,
    prefix: str = "",
    wanted: Wanted | None = None,
    locate: Locate,
) -> Iterator[tuple[TreeEntry, Row]]:
    """Yield the assets of a commit with their rows, sorted by id.

    Args:
        store: The store.
        head: The commit.
        prefix: How the ids begin.
        wanted: What a row must have to be of use; others may be left out.
        locate: Carries boxes to longitude and latitude, where no row is known.

    Raises:
        CorruptObjectError: The document of an asset that no row is known of is damaged.
    """

    def make(entry: TreeEntry) -> Row:
        record = store.record(entry)
        return row_of(record.asset, record.table, locate)

    if isinstance(head.tree, PagedTree):
        yield from PageRows(store.caches).rows(head.tree, prefix, wanted, make)
        return
    known = _read(store)
    for entry in head.tree.below(prefix):
        yield entry, row_from(known.get(entry.stored)) or make(entry)


def _read(store: TileStore) -> dict[str, object]:
    data = ValueCache(store.caches, _FOLDER).get(_NAME)
    try:
        found = {} if data is None else json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
