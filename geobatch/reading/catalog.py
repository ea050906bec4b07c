"""The assets of one commit as STAC: items, collections and a search, as a service answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.model.assets.documents.listed import Row
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head, TreeEntry
from geobatch.reading.filters import locate
from geobatch.reading.search import Times, parse_query
from geobatch.stac.collections import catalog_json, children_of, collection_json, folders_of
from geobatch.stac.item import item_json
from geobatch.stac.links import FileLinks, Links, UrlLinks
from geobatch.stac.names import asset_id_of, collection_id, folder_named, folder_of, item_id
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.identity import ZarrView, read_views
from geobatch.store.tilestore import TileStore

MOST_ITEMS = 10_000
"""Items of one page of a search."""


class Found(Struct, frozen=True, kw_only=True):
    """One page of what a search found."""

    items: tuple[dict[str, Any], ...]
    """The items, sorted by id."""
    matched: int
    """How many items were found on all pages."""
    token: str | None
    """What returns the next page; None on the last one."""


class Catalog:
    """The assets of one commit as STAC; it only reads."""

    def __init__(
        self, tiles: TileStore, head: Head, *, api: str | None = None, files: str | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            tiles: The store.
            head: The commit.
            api: Url of a service that answers so; by default, hrefs are as in the folder `stac/`.
            files: Url below which that service has the files of the store; by default `api`.
        """
        self._tiles = tiles
        self._head = head
        self._links: Links | None = None
        if api is not None:
            base = api.rstrip("/")
            self._links = UrlLinks(api=base, store=base if files is None else files.rstrip("/"))

    def catalog(self) -> dict[str, Any]:
        """Return the topmost catalog."""
        return catalog_json(
            "",
            self._from(""),
            folders=self._folders,
            children=self._children[""],
            title="geobatch",
            facts=commit_facts(self._head),
        )

    def collections(self) -> tuple[dict[str, Any], ...]:
        """Return all collections, sorted by the folder that each is.

        Raises:
            CorruptObjectError: The document of an asset is damaged.
        """
        return tuple(self._collection(folder) for folder, ids in self._folders.items() if ids)

    def collection(self, name: str) -> dict[str, Any]:
        """Return a collection by its id.

        Raises:
            NotFoundError: There is no such collection.
            CorruptObjectError: The document of an asset is damaged.
        """
        folder = folder_named(name)
        if collection_id(folder) != name or not self._folders.get(folder):
            raise NotFoundError(f"there is no collection `{name}`")
        return self._collection(folder)

    def item(self, name: str, *, collection: str | None = None) -> dict[str, Any]:
        """Return an item by its id.

        Args:
            name: Its id.
            collection: The id of the collection that it must be in; None for any.

        Raises:
            NotFoundError: There is no such item, or it is in another collection.
            CorruptObjectError: The document of the asset is damaged.
        """
        entry = self._entries.get(asset_id_of(name))
        where = None if entry is None else collection_id(folder_of(entry.id))
        if entry is None or item_id(entry.id) != name or collection not in (None, where):
            inside = "" if collection is None else f" in the collection `{collection}`"
            raise NotFoundError(f"there is no item `{name}`{inside}")
        return self._item(entry)

    def search(
        self,
        *,
        bbox: Sequence[float] | None = None,
        datetime: Times = None,
        ids: Collection[str] | None = None,
        collections: Collection[str] | None = None,
        properties: Sequence[str] = (),
        limit: int = 10,
        token: str | None = None,
    ) -> Found:
        """Return the items that meet all conditions, as `Store.search` finds their assets.

        So an asset without a time meets no condition on time, and what is compared with the box is
        the box around each grid.

        Args:
            bbox: (west, south, east, north) in degrees, or with heights, which are not compared.
            datetime: A time, or `START/END` with `..` for an open end.
            ids: Ids of items; None for all.
            collections: Ids of collections; None for all.
            properties: Conditions such as `cloud<20`.
            limit: Most items of a page, 1 to 10,000; a larger number counts as 10,000.
            token: What the page before returned.

        Raises:
            ValueError: A condition is malformed.
            CorruptObjectError: The document of an asset is damaged.
        """
        if limit < 1:
            raise ValueError(f"`limit` must be at least 1, got `{limit}`")
        query = parse_query(bbox=_flat(bbox), datetime=datetime, properties=properties)
        names = None if ids is None else {asset_id_of(one) for one in ids if "/" not in one}
        folders = None if collections is None else set(map(folder_named, collections))
        found = [
            asset_id
            for asset_id in (self._entries if names is None else names & self._entries.keys())
            if (folders is None or folder_of(asset_id) in folders)
            and (query.is_open or query.passes(self._rows[asset_id]))
        ]
        found.sort()
        after = "" if token is None else asset_id_of(token)
        left = [asset_id for asset_id in found if asset_id > after]
        page = left[: min(limit, MOST_ITEMS)]
        return Found(
            items=tuple(self._item(self._entries[asset_id]) for asset_id in page),
            matched=len(found),
            token=item_id(page[-1]) if len(left) > len(page) else None,
        )

    @cached_property
    def _entries(self) -> dict[str, TreeEntry]:
        return {entry.id: entry for entry in self._head.tree.entries}

    @cached_property
    def _rows(self) -> dict[str, Row]:
        return {e.id: row for e, row in rows_of(self._tiles, self._head, locate=locate)}

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        return folders_of(self._entries)

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        return children_of(self._folders)

    @cached_property
    def _has_tree(self) -> bool:
        return read_views(self._tiles.backend) is not ZarrView.NONE

    def _from(self, folder: str) -> Links:
        return self._links or FileLinks(at=folder)

    def _item(self, entry: TreeEntry) -> dict[str, Any]:
        links = self._from(folder_of(entry.id))
        return item_json(entry, self._tiles.record(entry), links, has_tree=self._has_tree)

    def _collection(self, folder: str) -> dict[str, Any]:
        return collection_json(
            folder,
            [(one, self._rows[one]) for one in self._folders[folder]],
            self._from(folder),
            folders=self._folders,
            children=self._children[folder] if folder else (),
        )


def commit_facts(head: Head) -> dict[str, Any]:
    """Return what the topmost catalog says of the commit."""
    return {
        "commit": head.digest,
        "number": head.number,
        "content_root": None if head.commit is None else head.commit.content_root,
    }


def _flat(bbox: Sequence[float] | None) -> Bounds | None:
    """Return a box without its heights.

    Raises:
        ValueError: It has neither four nor six numbers.
    """
    if bbox is None:
        return None
    if len(bbox) not in (4, 6):
        raise ValueError(f"`bbox` must be four or six numbers, got `{list(bbox)}`")
    west, south, east, north = bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])
    return (float(west), float(south), float(east), float(north))
