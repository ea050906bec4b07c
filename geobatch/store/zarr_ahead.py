"""Folders of new assets for the Zarr tree, filled while their tiles are put.

Such a folder stands in the folder of the run, and is moved into the tree by one rename once its
commit is published: readers of the tree see a new asset whole or not at all, and nobody waits for
its links to be made. Nothing relies on it: what is not there is built by the sync. That goes for
what would be many files, which the run after a killed one would have to remove.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from geobatch.errors import GeobatchError
from geobatch.model.asset import Asset
from geobatch.model.record import ArrayKey, AssetRecord, TreeEntry, array_keys
from geobatch.store.backend import Backend
from geobatch.store.local import LocalBackend
from geobatch.store.objects import Objects
from geobatch.store.zarr_files import FOLDER, Files
from geobatch.store.zarr_metadata import array_path, documents, tile_plane

_MOST_FILES = 1 << 16
"""Files that a run may make ahead."""

Tiles = Mapping[ArrayKey, Iterable[tuple[int, int, bytes, bytes, int]]]
"""Per array its tiles: row, column, content digest, digest and length of the object."""


class Ahead:
    """The folders that one run makes ahead of its commit; for one thread."""

    def __init__(self, backend: Backend) -> None:
        # Without a local disk there is no tree.
        self._backend = backend if isinstance(backend, LocalBackend) else None
        self._count = itertools.count()
        self._room = _MOST_FILES
        self._places: dict[str, Path | None] = {}
        self._files: dict[str, Files] = {}
        self._finished: dict[str, str] = {}

    def place(self, asset: Asset, tiles: Tiles) -> None:
        """Show tiles that were put of an asset that has none but those that are so placed."""
        try:
            files = self._open(asset)
            if files is None:
                return
            for key, rows in tiles.items():
                path = array_path(asset, key)
                for row, col, _, stored, _ in rows:
                    files.place(Objects.path(stored.hex()), f"{path}/c/{row}/{col}")
        except (OSError, GeobatchError):
            self._drop(asset.id)

    def finish(self, entry: TreeEntry) -> None:
        """Note what asset it is whose tiles are all placed."""
        if entry.id in self._files:
            self._finished[entry.id] = entry.stored

    def move(self, entry: TreeEntry, tree: Files) -> bool:
        """Move the folder of an asset into the tree; return whether there was one, and room."""
        place = self._places.get(entry.id)
        if place is None or self._finished.get(entry.id) != entry.stored:
            return False
        files = self._files[entry.id]
        self._drop(entry.id)
        return tree.adopt(place, entry.id, made_by=files)

    def _open(self, asset: Asset) -> Files | None:
        if self._backend is None or asset.id in self._places:
            return self._files.get(asset.id)
        self._places[asset.id] = None
        # A folder in the tree is brought up to date where it stands.
        if os.path.lexists(self._backend.root / FOLDER / asset.id):
            return None
        keys = tuple(array_keys(asset))
        tiles = sum(math.prod(tile_plane(asset, key)) for key in keys)
        if tiles > self._room:
            return None
        # What describes an asset follows from what it shall be.
        record = AssetRecord(asset=asset, arrays=tuple((k, None) for k in keys), fingerprints=())
        texts = documents(record)
        self._room -= tiles + len(texts)
        place = self._backend.aside(f"{FOLDER}/{next(self._count)}")
        files = Files(sources=self._backend.root, folder=place)
        for path, text in texts.items():
            files.write(path, text)
        self._places[asset.id], self._files[asset.id] = place, files
        return files

    def _drop(self, asset_id: str) -> None:
        self._places[asset_id] = None
        self._files.pop(asset_id, None)
        self._finished.pop(asset_id, None)
