"""Names of items and collections, which have no slash: a url has each as one part."""

from __future__ import annotations

TOP = "~top"
"""Collection of the assets that are in no folder; no folder has this name."""


def item_id(asset_id: str) -> str:
    """Return the id of an asset's item: `s2.l2a.20250614` of `s2/l2a/20250614`.

    No asset has a dot in its id, so no two have the same item.
    """
    return asset_id.replace("/", ".")


def asset_id_of(item: str) -> str:
    """Invert `item_id`."""
    return item.replace(".", "/")


def folder_of(asset_id: str) -> str:
    """Return the folder of an asset, which is its collection; empty for none."""
    return asset_id.rpartition("/")[0]


def collection_id(folder: str) -> str:
    """Return the id of a folder's collection: `s2.l2a` of `s2/l2a`."""
    return item_id(folder) or TOP


def folder_named(collection: str) -> str:
    """Invert `collection_id`."""
    return "" if collection == TOP else asset_id_of(collection)
