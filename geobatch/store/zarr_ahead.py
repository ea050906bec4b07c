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

from msgspec import Struct

from geobatch.errors import GeobatchError
from geobatch.model.asset import Asset
from geobatch.model.digest import Digest
from geobatch.model.record import ArrayKey, AssetRecord, TreeEntry, array_keys
from geobatch.model.tile import StoredTile
from geobatch.store.backend import Backend
from geobatch.store.local import LocalBackend
from geobatch.store.objects import Objects
from geobatch.store.zarr_files import FOLDER, Files
from geobatch.store.zarr_metadata import array_path, documents, tile_plane

MOST_FILES = 1 << 16
"""Files that a run may make ahead."""

Tiles = Mapping[ArrayKey, Iterable[StoredTile]]
"""Per array its tiles: row, column, content digest, digest and length of the object."""

Handed = tuple[str, int, int]
"""A folder, and how many links and copies are in it."""


class _Made(Struct, kw_only=True, eq=False):
    """The folder of one asset."""

    folder: Path
    files: Files
    stored: Digest | None = None
    """Digest of the asset's document, once all its tiles are placed."""


class Ahead:
    """The folders that one run makes ahead of its commit; for one thread."""

    def __init__(self, backend: Backend, *, room: int = MOST_FILES) -> None:
        """Make nothing yet.

        Args:
            backend: Where the store is; without a local disk there is no tree.
            room: How many files may be made.
        """
        self.backend = backend if isinstance(backend, LocalBackend) else None
        """The local disk, if it is one."""
        self.room = room
        """How many files may still be made."""
        self._count = itertools.count()
        self._made: dict[str, _Made | None] = {}

    def place(self, asset: Asset, tiles: Tiles) -> None:
        """Show tiles that were put of an asset that has none but those that are so placed."""
        try:
            made = self._made[asset.id] if asset.id in self._made else self._begin(asset)
            if made is None:
                return
            for key, rows in tiles.items():
                path = array_path(asset, key)
                for tile in rows:
                    name = f"{path}/c/{tile.row}/{tile.col}"
                    made.files.place(Objects.path(tile.stored.hex()), name)
        except (OSError, GeobatchError):
            self._made[asset.id] = None

    def handed(self, asset_id: str) -> Handed | None:
        """Hand out the folder of an asset; None where there is none."""
        made = self._made.pop(asset_id, None)
        return None if made is None else (str(made.folder), made.files.linked, made.files.copied)

    def take_over(self, asset_id: str, handed: Handed | None) -> None:
        """Take what another process handed out, as if it had been placed here."""
        if handed is not None and self.backend is not None:
            folder, linked, copied = handed
            files = Files(sources=self.backend.root, folder=Path(folder))
            files.linked, files.copied = linked, copied
            self._made[asset_id] = _Made(folder=Path(folder), files=files)

    def finish(self, entry: TreeEntry) -> None:
        """Note what asset it is whose tiles are all placed."""
        made = self._made.get(entry.id)
        if made is not None:
            made.stored = entry.stored

    def move(self, entry: TreeEntry, tree: Files) -> bool:
        """Move the folder of an asset into the tree; return whether there was one, and a way.

        Afterwards, what had that name in the tree has the folder's former path.
        """
        made = self._made.get(entry.id)
        if made is None or made.stored != entry.stored:
            return False
        self._made[entry.id] = None
        return tree.put(made.folder, entry.id, made_by=made.files)

    def _begin(self, asset: Asset) -> _Made | None:
        """Make the folder of an asset, with all that describes it; None for one that gets none."""
        self._made[asset.id] = None
        # A folder in the tree is brought up to date where it stands.
        if self.backend is None or os.path.lexists(self.backend.root / FOLDER / asset.id):
            return None
        keys = tuple(array_keys(asset))
        tiles = sum(math.prod(tile_plane(asset, key)) for key in keys)
        if tiles > self.room:
            return None
        # What describes an asset follows from what it shall be.
        record = AssetRecord(asset=asset, arrays=tuple((k, None) for k in keys), fingerprints=())
        texts = documents(record)
        self.room -= tiles + len(texts)
        folder = self.backend.aside(f"{FOLDER}/{os.getpid()}-{next(self._count)}")
        made = _Made(folder=folder, files=Files(sources=self.backend.root, folder=folder))
        for path, text in texts.items():
            made.files.write(path, text)
        self._made[asset.id] = made
        return made
