"""A store in a few words, and as a table of its assets in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from geobatch.errors import GeobatchError
from geobatch.model.assets.documents.listed import Row
from geobatch.model.published import Head, TreeEntry
from geobatch.model.text.html import html_table
from geobatch.reading.log import entries_of
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.tilestore import TileStore

_COMMITS = 5
_HISTORY = ("commit", "time", "message")
_HEADER = ("asset", "kind", "size", "bands", "start")


def store_text(place: str, head_of: Callable[[], Head]) -> str:
    """Return the folder of a store, the commit that it shows, and its number of assets.

    A store that cannot be read is described, too: no error is raised.
    """
    try:
        return f"<Store {place!r} {_state(head_of())}>"
    except GeobatchError as error:
        return f"<Store {place!r}: {error.message}>"


def store_html(place: str, tiles: TileStore, head_of: Callable[[], Head]) -> str:
    """Return a table with a row for each asset; of a store that cannot be read, the error."""
    try:
        head = head_of()
        rows = list(_rows(tiles, head))
    except GeobatchError as error:
        return html_table(f"Store {place}", _HEADER, (), notes=[error.message])
    table = html_table(f"Store {place} {_state(head)}", _HEADER, rows)
    return table if not head.number else f"<div>{table}{_history(tiles, head)}</div>"


def _history(tiles: TileStore, head: Head) -> str:
    """Return a table of the last commits; of those that cannot be read, the error."""
    try:
        newest = islice(entries_of(tiles.log(), newest=head), _COMMITS)
        commits = [(str(one.number), f"{one.time:%Y-%m-%d %H:%M}", one.message) for one in newest]
    except GeobatchError as error:
        return html_table("Last commits", _HISTORY, (), notes=[error.message])
    return html_table("Last commits", _HISTORY, commits)


def _state(head: Head) -> str:
    if not head.number:
        return "without commits"
    count = head.tree.count
    return f"at commit {head.number}: {count:,} asset{'' if count == 1 else 's'}"


def _rows(tiles: TileStore, head: Head) -> Iterator[tuple[str, ...]]:
    for entry, row in rows_of(tiles, head, locate=lambda *_: None):
        start = (row.start_time or "")[:10]
        yield (entry.id, entry.kind, _size(row), _bands(entry, row), start)


def _size(row: Row) -> str:
    if row.table is not None:
        rows, columns, _ = row.table
        return f"{rows:,} rows, {columns:,} columns"
    return " + ".join(f"{spot.shape[1]:,} x {spot.shape[0]:,}" for spot in row.spots)


def _bands(entry: TreeEntry, row: Row) -> str:
    return "" if entry.is_table else f"{row.bands:,}"
