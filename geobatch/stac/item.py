"""The item of a published asset."""

from __future__ import annotations

from typing import Any

from geobatch.model.assets.facts import Kind
from geobatch.model.assets.image import Raster
from geobatch.model.published import AssetRecord, TreeEntry
from geobatch.stac.files import JSON, TREE, ZARR, assets_json, projection_json, table_json
from geobatch.stac.links import Links
from geobatch.stac.names import collection_id, folder_of, item_id
from geobatch.stac.outline import outline_of
from geobatch.stac.properties import PREFIX, properties_json
from geobatch.stac.times import item_times

VERSION = "1.1.0"
"""Of STAC."""
GEOJSON = "application/geo+json"
_EXTENSIONS = {
    "file:": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "proj:": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster:": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "table:": "https://stac-extensions.github.io/table/v1.2.0/schema.json",
    "version": "https://stac-extensions.github.io/version/v1.2.0/schema.json",
}
"""By how their fields begin."""


def item_json(
    entry: TreeEntry, record: AssetRecord, links: Links, *, has_tree: bool = True
) -> dict[str, Any]:
    """Return the item of an asset: a function of what is published of it, and of where it is.

    Args:
        entry: The asset in a commit.
        record: Its record.
        links: Hrefs from the item.
        has_tree: Whether the store has `zarr/` and `parquet/`.

    Raises:
        SourceError: PROJ cannot read its database.
    """
    asset = record.asset
    folder = folder_of(asset.id)
    is_elsewhere = asset.kind is not Kind.IMAGE
    outline = outline_of(asset, record.table)
    properties: dict[str, Any] = {
        **properties_json(asset),
        **item_times(asset.start_time, asset.end_time),
        "version": entry.content,
        f"{PREFIX}id": asset.id,
        f"{PREFIX}kind": asset.kind.value,
    }
    if isinstance(asset, Raster) and len(asset.grids) == 1:
        properties |= projection_json(asset.grids[0].geobox)
    if record.table is not None:
        properties |= table_json(record.table)
    assets = assets_json(asset, record.table, links, has_tree=has_tree)
    collection = links.folder(folder, is_collection=True)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": _extensions(properties, assets),
        "id": item_id(asset.id),
        "geometry": outline.geometry,
        **({} if outline.bbox is None else {"bbox": list(outline.bbox)}),
        "properties": properties,
        "links": [
            *([link("self", links.item(asset.id), GEOJSON)] if links.is_absolute else []),
            link("root", links.root(), JSON),
            link("parent", collection, JSON),
            link("collection", collection, JSON),
            *([link("store", links.file(TREE), ZARR)] if has_tree and not is_elsewhere else []),
        ],
        "assets": assets,
        "collection": collection_id(folder),
    }


def link(rel: str, href: str, media: str, title: str | None = None) -> dict[str, str]:
    """Return a link."""
    return {"rel": rel, "href": href, "type": media, **({} if title is None else {"title": title})}


def _extensions(properties: dict[str, Any], assets: dict[str, dict[str, Any]]) -> list[str]:
    """Return the schemas of the extensions whose fields are used."""
    keys = {*properties}
    for one in assets.values():
        keys |= one.keys()
        keys |= {key for band in one.get("bands", ()) for key in band}
    return [url for start, url in _EXTENSIONS.items() if any(key.startswith(start) for key in keys)]
