"""Collections and catalogs: the folders of assets, and how far their assets extend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from geobatch.model.assets.documents.listed import Row
from geobatch.sources.projections.bounds import box_around
from geobatch.stac.files import JSON
from geobatch.stac.item import GEOJSON, VERSION, link
from geobatch.stac.links import Links
from geobatch.stac.names import collection_id, folder_of, item_id
from geobatch.stac.properties import PREFIX, is_license
from geobatch.stac.times import instant, last_instant

_WORLD = [-180.0, -90.0, 180.0, 90.0]


def folders_of(asset_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return every folder above some assets, with those that are directly in it, sorted.

    A folder with assets is a collection, another one a catalog. The empty name is the topmost one.
    """
    found: dict[str, list[str]] = {"": []}
    for asset_id in sorted(asset_ids):
        folder = folder_of(asset_id)
        found.setdefault(folder, []).append(asset_id)
        while folder:
            folder = folder_of(folder)
            found.setdefault(folder, [])
    return dict(sorted(found.items()))


def children_of(folders: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the folders directly in each folder, sorted."""
    found: dict[str, list[str]] = {folder: [] for folder in folders}
    for folder in sorted(folders):
        if folder:
            found[folder_of(folder)].append(folder)
    return found


def collection_json(
    folder: str,
    rows: Sequence[tuple[str, Row]],
    links: Links,
    *,
    folders: Mapping[str, Sequence[str]],
    children: Sequence[str] = (),
    items: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the collection of a folder.

    Args:
        folder: The folder; empty for the assets that are in none.
        rows: The ids and rows of the assets that are directly in it, sorted.
        links: Hrefs from the collection.
        folders: What `folders_of` returns, to tell collections from catalogs.
        children: The folders that are directly in it.
        items: Links to all items at once, by media type, besides those to each; with urls, each
            item has no link.
    """
    boxes = [spot.lonlat for _, row in rows for spot in row.spots if spot.lonlat is not None]
    box = box_around(list(dict.fromkeys(boxes)))
    above = folder_of(folder)
    parent = (
        links.root() if not above else links.folder(above, is_collection=bool(folders.get(above)))
    )
    own = links.folder(folder, is_collection=True)
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [],
        "id": collection_id(folder),
        "title": folder or "assets without a folder",
        "description": f"The assets in the folder `{folder}` of a geobatch store."
        if folder
        else "The assets of a geobatch store that are in no folder.",
        "license": _license(rows),
        "extent": {
            "spatial": {"bbox": [_WORLD if box is None else [round(edge, 7) for edge in box]]},
            "temporal": {"interval": [_interval(rows)]},
        },
        "links": [
            *([link("self", own, JSON)] if links.is_absolute else []),
            link("root", links.root(), JSON),
            link("parent", parent, JSON),
            *_children(children, links, folders),
            *(link("items", href, media) for media, href in (items or {}).items()),
            *(
                []
                if links.is_absolute
                else [link("item", links.item(one), GEOJSON, item_id(one)) for one, _ in rows]
            ),
        ],
    }


def catalog_json(
    folder: str,
    links: Links,
    *,
    folders: Mapping[str, Sequence[str]],
    children: Sequence[str],
    title: str,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the catalog of a folder without assets of its own, or the topmost one.

    Args:
        folder: The folder; empty for the topmost catalog.
        links: Hrefs from the catalog.
        folders: What `folders_of` returns.
        children: The folders that are directly in it.
        title: What it is called.
        facts: What the topmost one says of the commit.
    """
    above = folder_of(folder)
    parents = [] if not folder else [
        link("parent", links.folder(above, is_collection=bool(folders.get(above)))
             if above else links.root(), JSON)
    ]  # fmt: skip
    own = links.root() if not folder else links.folder(folder, is_collection=False)
    is_top = not folder and bool(folders.get(""))
    return {
        "type": "Catalog",
        "stac_version": VERSION,
        "stac_extensions": [],
        "id": collection_id(folder) if folder else "geobatch",
        "title": title,
        "description": f"The folder `{folder}` of a geobatch store."
        if folder
        else "The published assets of a geobatch store.",
        **({} if facts is None else {PREFIX + key: value for key, value in facts.items()}),
        "links": [
            *([link("self", own, JSON)] if links.is_absolute else []),
            link("root", links.root(), JSON),
            *parents,
            *([link("child", links.folder("", is_collection=True), JSON)] if is_top else []),
            *_children(children, links, folders),
        ],
    }


def _children(
    children: Sequence[str], links: Links, folders: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    return [
        link("child", links.folder(one, is_collection=bool(folders.get(one))), JSON, one)
        for one in children
    ]


def _license(rows: Sequence[tuple[str, Row]]) -> str:
    """Return the property `license` if all assets have the same; else `other`, as STAC has it."""
    found = {dict(row.properties).get("license") for _, row in rows}
    only = found.pop() if len(found) == 1 else None
    return str(only) if is_license(only) else "other"


def _interval(rows: Sequence[tuple[str, Row]]) -> list[str | None]:
    """Return the earliest start and the latest end of those assets that have a time."""
    starts = [instant(row.start_time) for _, row in rows if row.start_time is not None]
    ends = [
        instant(row.start_time)
        if row.end_time is None
        else last_instant(row.start_time, row.end_time)
        for _, row in rows
        if row.start_time is not None
    ]
    return [min(starts, key=_order), max(ends, key=_order)] if starts else [None, None]


def _order(time: str) -> tuple[str, str]:
    return (time[:19], time[19:].strip(".Z").ljust(6, "0"))
