"""Where documents of a catalog and files of a store are, seen from one document."""

from __future__ import annotations

import posixpath
from typing import Protocol
from urllib.parse import quote

from msgspec import Struct

from geobatch.stac.names import collection_id, item_id

FOLDER = "stac"
"""Folder of the catalog in a store."""
CATALOG = "catalog.json"
COLLECTION = "collection.json"
ITEMS = "items.parquet"
ITEM = ".item.json"
"""What follows the id of an asset in the name of its item; no asset has a dot in its id."""


class Links(Protocol):
    """Hrefs from one document of a catalog."""

    @property
    def is_absolute(self) -> bool:
        """Whether hrefs are urls, so that a document may name itself."""

    def root(self) -> str:
        """Return the href of the topmost catalog."""

    def folder(self, folder: str, *, is_collection: bool) -> str:
        """Return the href of the document of a folder; empty for the topmost collection."""

    def item(self, asset_id: str) -> str:
        """Return the href of an asset's item."""

    def items(self, folder: str) -> str:
        """Return the href of all items of a folder."""

    def file(self, name: str) -> str:
        """Return the href of a file or folder of the store."""


class FileLinks(Struct, frozen=True, kw_only=True):
    """Hrefs between files, relative to the folder of a document."""

    at: str
    """Folder of the document, below the catalog; empty for the topmost."""
    store: str | None = None
    """Where the store is, if the catalog is not in it."""

    @property
    def is_absolute(self) -> bool:
        """Whether hrefs are urls; see `Links`."""
        return False

    def root(self) -> str:
        """Return the href of the topmost catalog."""
        return self._from_here(CATALOG)

    def folder(self, folder: str, *, is_collection: bool) -> str:
        """Return the href of the document of a folder."""
        return self._from_here(folder_file(folder, is_collection=is_collection))

    def item(self, asset_id: str) -> str:
        """Return the href of an asset's item."""
        return self._from_here(asset_id + ITEM)

    def items(self, folder: str) -> str:
        """Return the href of the Parquet file of the items of a folder."""
        return self._from_here(items_file(folder))

    def file(self, name: str) -> str:
        """Return the href of a file or folder of the store."""
        if self.store is None:
            return "../" * len([FOLDER, *filter(None, self.at.split("/"))]) + name
        found = f"{self.store}/{name}"
        return found if "://" in found else posixpath.normpath(found)

    def _from_here(self, name: str) -> str:
        if name.startswith(f"{self.at}/"):  # most are, and a folder may have very many
            return f"./{name[len(self.at) + 1 :]}"
        # Both are absolute, so that the folder in which the program runs plays no part.
        found = posixpath.relpath(f"/{name}", f"/{self.at}")
        return found if found.startswith("../") else f"./{found}"


class UrlLinks(Struct, frozen=True, kw_only=True):
    """Urls of a service that answers as a STAC API does."""

    api: str
    """Url of the topmost document, without a slash behind."""
    store: str
    """Url below which the files of the store are, without a slash behind."""

    @property
    def is_absolute(self) -> bool:
        """Whether hrefs are urls; see `Links`."""
        return True

    def root(self) -> str:
        """Return the url of the topmost catalog."""
        return f"{self.api}/"

    def folder(self, folder: str, *, is_collection: bool) -> str:
        """Return the url of a collection; catalogs between are not served."""
        if not is_collection:
            return self.root()
        return f"{self.api}/collections/{quote(collection_id(folder))}"

    def item(self, asset_id: str) -> str:
        """Return the url of an asset's item."""
        above = self.folder(asset_id.rpartition("/")[0], is_collection=True)
        return f"{above}/items/{quote(item_id(asset_id))}"

    def items(self, folder: str) -> str:
        """Return the url of all items of a folder."""
        return f"{self.folder(folder, is_collection=True)}/items"

    def file(self, name: str) -> str:
        """Return the url of a file or folder of the store."""
        return f"{self.store}/{quote(name)}"


def items_file(folder: str) -> str:
    """Return the name of the Parquet file of the items of a folder, below the catalog."""
    return posixpath.join(folder, ITEMS)


def folder_file(folder: str, *, is_collection: bool) -> str:
    """Return the name of the document of a folder, below the catalog."""
    return posixpath.join(folder, COLLECTION if is_collection else CATALOG)
