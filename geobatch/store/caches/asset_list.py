"""The rows of a list of assets, kept from apply to apply so that no document need be opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from geobatch.model.assets.asset import Asset
from geobatch.model.assets.documents.listed import Locate, Row, row_of
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head, TreeEntry
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.tilestore import TileStore

_FOLDER = "cache/"
_NAME = "listing"


def keep_rows(
    store: TileStore,
    head: Head,
    assets: Mapping[str, Asset],
    tables: Mapping[str, StoredTable],
    *,
    locate: Locate,
) -> None:
    """Save a row of every asset of a head, by the digest of its document.

    Args:
        store: The store.
        head: The published state.
        assets: Assets that are at hand, by id: those that were just published.
        tables: What was published of tables, likewise.
        locate: Carries boxes to longitude and latitude; not asked for boxes that are known.

    Raises:
        CorruptObjectError: The document of an asset that no row is known of is damaged.
    """
    known = _read(store)
    located = {
        (spot.crs, spot.bounds): spot.lonlat
        for row in map(_row, known.values())
        for spot in (row.spots if row is not None else ())
    }

    def find(bounds: Bounds, crs: str, other: str) -> Bounds | None:
        key = (crs, bounds)
        return located[key] if key in located else locate(bounds, crs, other)

    rows = {}
    for entry in head.tree.entries:
        value = known.get(entry.stored)
        if _row(value) is None:
            asset, table = assets.get(entry.id), tables.get(entry.id)
            if asset is None or (isinstance(asset, Table) and table is None):
                record = store.record(entry)
                asset, table = record.asset, record.table
            value = row_of(asset, table, find).to_json()
        rows[entry.stored] = value
    if rows != known:
        text = json.dumps(rows, separators=(",", ":"))
        ValueCache(store.caches, _FOLDER).put(_NAME, text.encode())


def rows_of(
    store: TileStore, head: Head, *, prefix: str = "", locate: Locate
) -> Iterator[tuple[TreeEntry, Row]]:
    """Yield the assets of a commit with their rows, sorted by id.

    Args:
        store: The store.
        head: The commit.
        prefix: How the ids begin.
        locate: Carries boxes to longitude and latitude, where no row is known.

    Raises:
        CorruptObjectError: The document of an asset that no row is known of is damaged.
    """
    known = _read(store)
    for entry in head.tree.entries:
        if entry.id.startswith(prefix):
            row = _row(known.get(entry.stored))
            if row is None:
                record = store.record(entry)
                row = row_of(record.asset, record.table, locate)
            yield entry, row


def _read(store: TileStore) -> dict[str, object]:
    data = ValueCache(store.caches, _FOLDER).get(_NAME)
    try:
        found = {} if data is None else json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _row(value: object) -> Row | None:
    """Return a cached row; None if it is not one, as another version may have written it."""
    try:
        return Row.from_json(value) if isinstance(value, list) else None
    except (TypeError, ValueError):
        return None
