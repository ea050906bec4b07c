"""Assets as a STAC catalog of its own: the documents of `stac/`, in any folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import ExportError
from geobatch.exports.destination import Destination
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.stac.links import CATALOG, ITEM, items_file
from geobatch.store.identity import ZarrView, read_views, store_around
from geobatch.store.tilestore import TileStore
from geobatch.views.stac.documents import Documents
from geobatch.views.zarr.survey import attributes_of


class CatalogExport(Struct, frozen=True, kw_only=True):
    """What an export of a catalog wrote."""

    file: Path
    """The topmost catalog."""
    items: int
    """How many items there are."""
    collections: int
    """How many collections they are in."""
    bytes: int
    """Bytes of all files."""


def export_catalog(
    store: TileStore,
    head: Head,
    entries: Sequence[TreeEntry],
    destination: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> CatalogExport:
    """Write a folder with the items of some assets, their collections, and files of all items.

    Items name the files of the store by its folder or url. The folder appears complete.

    Args:
        store: The store.
        head: Its newest commit, whose assets are in `zarr/`.
        entries: The assets.
        destination: The folder; it must not exist, or be empty.
        overwrite: Whether a catalog that is there is replaced.
        progress: Receives how many items are made, and of how many.

    Raises:
        ExportError: Something else is in the way, it is inside a store, or the disk refused.
        CorruptObjectError: The document of an asset is damaged; nothing is written.
        LockedError: Another export writes the same folder.
        SourceError: pyarrow is not installed.
    """
    target = Path(os.path.realpath(destination))
    _check_free(target, destination, overwrite=overwrite)
    local = store.backend.local
    documents = Documents(
        store,
        replace(head, tree=Tree(entries=tuple(entries))),
        has_tree=read_views(store.backend) is not ZarrView.NONE,
        base=store.backend.location if local is None else os.path.realpath(local.root),
    )
    size = 0
    try:
        with Destination(folder=target.parent, prefix=target.name).writing() as hidden:
            made = hidden / "catalog"
            for name, data in _documents(documents, head, progress):
                path = made / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
                size += len(data)
            os.sync()
            if target.exists():
                target.rename(hidden / "replaced")
            made.rename(target)
    except OSError as error:
        raise ExportError(
            f"cannot write `{destination}`: {error.strerror or error}",
            hint="remove the cause, then run the same command again",
        ) from error
    return CatalogExport(
        file=destination / CATALOG,
        items=len(documents.entries),
        collections=sum(map(bool, documents.folders.values())),
        bytes=size,
    )


def _check_free(target: Path, destination: Path, *, overwrite: bool) -> None:
    """Refuse a folder that has something; a catalog is replaced if that is asked for."""
    if (around := store_around(target)) is not None:
        raise ExportError(
            f"`{destination}` is inside the store `{around}`",
            hint="name a folder outside of it; `geobatch init --views stac=files` keeps a catalog"
            " in the store",
        )
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    is_catalog = (target / CATALOG).is_file()
    if is_catalog and overwrite:
        return
    hint = "name a folder that does not exist or is empty"
    if is_catalog:
        hint = "use `--overwrite` to replace the catalog, or name another folder"
    raise ExportError(f"`{destination}` exists already", hint=hint)


def _documents(
    documents: Documents, head: Head, progress: Callable[[int, int], object]
) -> Iterator[tuple[str, bytes]]:
    """Yield all documents with their names; the topmost catalog is the last."""
    done = 0
    for folder, ids in documents.folders.items():
        items = []
        for asset_id in ids:
            items.append(documents.item(documents.entries[asset_id]))
            yield asset_id + ITEM, items[-1]
            progress(done := done + 1, len(documents.entries))
        if (name := documents.folder_file(folder)) is not None:
            yield name, documents.folder(folder)
        if items:
            yield items_file(folder), documents.items(folder, items)
    yield CATALOG, documents.root(attributes_of(head))
