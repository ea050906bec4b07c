"""The keys of a commit seen as Zarr v3, and the bytes of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from msgspec import Struct

from geobatch.errors import CorruptObjectError, InternalError
from geobatch.format.zarr_layout.paths import array_path, join
from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey, AssetRecord, Head, PageRef
from geobatch.store.backends.protocol import Data
from geobatch.store.commits.drops import dropped_error
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.metadata import (
    DOCUMENT,
    documents,
    folders_above,
    parse_position,
    plain_group,
    tile_plane,
)

_ASSETS_KEPT = 64


class Chunks(Protocol):
    """Where the pixels of external images are decoded."""

    @property
    def threads(self) -> Executor:
        """Threads to decode in; `read` may be called from others too."""

    def read(self, record: AssetRecord, key: ArrayKey, *, row: int, col: int) -> memoryview | None:
        """Return the plain pixels of a tile, or None where all of it is masked.

        Raises:
            SourceError: A COG is not in the state that was pinned.
        """

    async def read_together(
        self, record: AssetRecord, key: ArrayKey, *, row: int, col: int
    ) -> memoryview | None:
        """Return what `read` does; what many tiles need of objects is fetched at once.

        Raises:
            SourceError: A COG is not in the state that was pinned.
        """


class _Chunk(NamedTuple):
    """A stored tile."""

    digest: Digest
    """Digest of its bytes."""
    size: int
    """Length of its bytes."""


class _Outside(NamedTuple):
    """A tile of an external image."""

    record: AssetRecord
    """The asset."""
    key: ArrayKey
    """Its array."""
    row: int
    """Row of the tile."""
    col: int
    """Column of the tile."""

    @property
    def size(self) -> int:
        """Length of its bytes, where it is not all masked."""
        asset, key = self.record.image, self.key
        dtype = "uint8" if key.is_mask else asset.band(key.band).dtype
        return asset.tile * asset.tile * np.dtype(dtype).itemsize


class _Tiles(NamedTuple):
    """Where the tiles of an array are."""

    shape: tuple[int, int]
    """(rows, columns) of the tile plane."""
    root: PageRef | None
    """Root of the index."""
    key: ArrayKey
    """The array."""


class _Asset(Struct, frozen=True, kw_only=True):
    """One asset as Zarr."""

    documents: dict[str, bytes]
    """Metadata and coordinates by path within the asset."""
    arrays: dict[str, _Tiles]
    """Tiles by path of their array within the asset."""
    external: AssetRecord | None
    """The asset, if its pixels are not stored."""


class Keys:
    """Every key of a commit: `<asset id>/0/b1/c/3/4`, `zarr.json`.

    Documents are made when they are asked for. Nothing exists where there is no commit. Methods
    may be called from any thread, and raise `CorruptObjectError` where stored bytes do not match
    their digest.
    """

    def __init__(self, store: TileStore, head: Head, chunks: Chunks | None = None) -> None:
        self._number = head.number
        self._store = store
        self._chunks = chunks
        self._entries = {e.id: e for e in head.tree.entries if not e.is_table}
        folders = sorted(folders_above(self._entries) - self._entries.keys())
        self.plain = {join(folder, DOCUMENT): plain_group() for folder in folders}
        """Documents of the groups above the assets, by key."""
        if head.digest is not None:
            self.plain[DOCUMENT] = plain_group()
        self._asset = lru_cache(maxsize=_ASSETS_KEPT)(self._load)

    def external(self, key: str) -> tuple[AssetRecord, ArrayKey, int, int] | None:
        """Return which tile of an external image a key is; None for any other key."""
        try:
            found = self._find(key)
        except CorruptObjectError:
            return None  # which `read` reports
        return (*found,) if isinstance(found, _Outside) else None

    def read(self, key: str) -> bytes | memoryview | None:
        """Return the bytes of a key, verified, or None where there is no such key.

        Raises:
            NotFoundError: `gc` dropped the commit since it was opened.
            CorruptObjectError: Bytes are missing, or do not match their digest.
        """
        try:
            return self._read(key)
        except CorruptObjectError:
            if self._number in self._store.commits.drops.numbers():
                raise dropped_error(self._number) from None
            raise

    def _read(self, key: str) -> bytes | memoryview | None:
        found = self._find(key)
        if isinstance(found, _Outside):
            if self._chunks is None:
                raise InternalError(f"`{key}`: pixels of external images cannot be decoded here")
            return self._chunks.read(found.record, found.key, row=found.row, col=found.col)
        return self._store.objects.get(found.digest) if isinstance(found, _Chunk) else found

    def read_cached(self, key: str) -> Data | None:
        """Return the bytes of a stored tile, verified, if that needs no wait for a disk.

        None else, of any other key, and where `read` reports damage.
        """
        try:
            found = self._find(key) if "/c/" in key else None
        except CorruptObjectError:
            return None
        return self._store.objects.get_cached(found.digest) if isinstance(found, _Chunk) else None

    def size(self, key: str) -> int | None:
        """Return the number of bytes of a key, or None where there is no such key."""
        found = self._find(key)
        if isinstance(found, _Chunk | _Outside):
            return found.size
        return None if found is None else len(found)

    def starting_with(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with a prefix; only assets that can have one are read."""
        yield from (key for key in self.plain if key.startswith(prefix))
        for asset_id in self._entries:
            if f"{asset_id}/".startswith(prefix) or prefix.startswith(f"{asset_id}/"):
                yield from (key for key in self._keys(asset_id, prefix) if key.startswith(prefix))

    def below(self, folder: str) -> list[str]:
        """Return the names right below a folder, sorted; the folder's name has no slash behind."""
        start = f"{folder}/" if folder else ""
        above = [*self.plain, *self._entries]
        names = {key[len(start) :].partition("/")[0] for key in above if key.startswith(start)}
        found = self._split(start + DOCUMENT)
        if found is not None:
            asset, path = found
            names |= self._names(asset, path.removesuffix(DOCUMENT))
        return sorted(names)

    def _load(self, asset_id: str) -> _Asset:
        record = self._store.record(self._entries[asset_id])
        asset = record.image
        return _Asset(
            documents=documents(record),
            arrays={
                array_path(asset, key): _Tiles(tile_plane(asset, key), root, key)
                for key, root in record.arrays
            },
            external=record if asset.is_external else None,
        )

    def _split(self, key: str) -> tuple[_Asset, str] | None:
        """Return the asset that a key is in, and the path within it."""
        asset_id = key.rpartition("/")[0]
        while asset_id:
            if asset_id in self._entries:
                return self._asset(asset_id), key[len(asset_id) + 1 :]
            asset_id = asset_id.rpartition("/")[0]
        return None

    def _find(self, key: str) -> bytes | _Chunk | _Outside | None:
        if key in self.plain:
            return self.plain[key]
        found = self._split(key)
        if found is None:
            return None
        asset, path = found
        if path in asset.documents:
            return asset.documents[path]
        array, _, text = path.rpartition("/c/")  # a band may be called `c`
        tiles, position = asset.arrays.get(array), parse_position(text)
        if tiles is None or position is None:
            return None
        if asset.external is not None:
            is_inside = position[0] < tiles.shape[0] and position[1] < tiles.shape[1]
            return _Outside(asset.external, tiles.key, *position) if is_inside else None
        entry = self._store.index.lookup(tiles.shape, tiles.root, row=position[0], col=position[1])
        return None if entry is None else _Chunk(entry.stored.hex(), entry.size)

    def _keys(self, asset_id: str, prefix: str) -> Iterator[str]:
        """Yield the keys of an asset, but no chunks of arrays that cannot have the prefix."""
        asset = self._asset(asset_id)
        yield from (f"{asset_id}/{path}" for path in asset.documents)
        for path, tiles in asset.arrays.items():
            chunks = f"{asset_id}/{path}/c/"
            if chunks.startswith(prefix) or prefix.startswith(chunks):
                yield from (f"{chunks}{row}/{col}" for row, col in self._positions(asset, tiles))

    def _names(self, asset: _Asset, start: str) -> set[str]:
        """Return the names below a folder of an asset; `start` is empty or ends with a slash."""
        inside = (path for path in asset.documents if path.startswith(start))
        names = {path[len(start) :].partition("/")[0] for path in inside}
        own = start.removesuffix("/")
        is_array = own in asset.arrays
        array, _, row = (own, "", "") if is_array else own.rpartition("/c")
        tiles = asset.arrays.get(array)
        if tiles is None or (tiles.root is None and asset.external is None):
            return names
        if is_array:
            return names | {"c"}
        if start == f"{array}/c/":
            return {str(row) for row, _ in self._positions(asset, tiles)}
        return {str(c) for r, c in self._positions(asset, tiles) if f"/{r}" == row}

    def _positions(self, asset: _Asset, tiles: _Tiles) -> Iterator[tuple[int, int]]:
        if asset.external is not None:  # which pixels are masked is unknown before they are read
            return itertools.product(range(tiles.shape[0]), range(tiles.shape[1]))
        entries = self._store.index.entries(tiles.shape, tiles.root)
        return zip(entries["row"].tolist(), entries["col"].tolist(), strict=True)
