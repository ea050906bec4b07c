"""The rows of a list of assets, kept from apply to apply so that no document need be opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from geobatch.model.asset import Asset
from geobatch.model.listing import Locate, Row, row_of
from geobatch.model.record import Head, TreeEntry
from geobatch.store.remembered import Remembered
from geobatch.store.tilestore import TileStore

_FOLDER = "cache/"
_NAME = "listing"


def keep_rows(store: TileStore, head: Head, assets: Mapping[str, Asset], *, locate: Locate) -> None:
    """Remember a row of every asset of a head, by the digest of its document.

    Args:
        store: The store.
        head: The published state.
        assets: Assets that are at hand, by id: those that were just published.
        locate: Carries boxes to longitude and latitude.

    Raises:
        CorruptObjectError: The document of an asset that no row is known of is damaged.
    """
    known = _read(store)
    rows = {}
    for entry in head.tree.entries:
        row = known.get(entry.stored)
        if row is None:
            asset = assets.get(entry.id) or store.record(entry).asset
            row = row_of(asset, locate).to_json()
        rows[entry.stored] = row
    if rows != known:
        text = json.dumps(rows, separators=(",", ":"))
        Remembered(store.backend, _FOLDER).put(_NAME, text.encode())


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
            value = known.get(entry.stored)
            yield (
                entry,
                row_of(store.record(entry).asset, locate)
                if value is None
                else Row.from_json(value),
            )


def _read(store: TileStore) -> dict[str, list[object]]:
    data = Remembered(store.backend, _FOLDER).get(_NAME)
    try:
        found = {} if data is None else json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
