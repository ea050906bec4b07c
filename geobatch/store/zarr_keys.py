"""The keys of a commit seen as Zarr v3, and the bytes of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from geobatch.model.digest import Digest
from geobatch.model.record import Head, PageRef
from geobatch.store.tilestore import TileStore
from geobatch.store.zarr_metadata import (
    DOCUMENT,
    array_path,
    documents,
    folders_above,
    join,
    parse_place,
    plain_group,
    tile_plane,
)

_ASSETS_KEPT = 64


class _Chunk(NamedTuple):
    """A stored tile."""

    digest: Digest
    """Digest of its bytes."""
    size: int
    """Length of its bytes."""


class _Tiles(NamedTuple):
    """Where the tiles of an array are."""

    shape: tuple[int, int]
    """(rows, columns) of the tile plane."""
    root: PageRef | None
    """Root of the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asset:
    """One asset as Zarr."""

    documents: dict[str, bytes]
    """Metadata and coordinates by path within the asset."""
    arrays: dict[str, _Tiles]
    """Tiles by path of their array within the asset."""


class Keys:
    """Every key of a commit: `<asset id>/0/b1/c/3/4`, `zarr.json`.

    Documents are made when they are asked for. Nothing exists where there is no commit. Methods
    may be called from any thread, and raise `CorruptObjectError` where stored bytes do not match
    their digest.
    """

    def __init__(self, store: TileStore, head: Head) -> None:
        self._store = store
        self._entries = {e.id: e for e in head.tree.entries if not e.is_table}
        folders = sorted(folders_above(self._entries) - self._entries.keys())
        self.plain = {join(folder, DOCUMENT): plain_group() for folder in folders}
        """Documents of the groups above the assets, by key."""
        if head.digest is not None:
            self.plain[DOCUMENT] = plain_group()
        self._asset = lru_cache(maxsize=_ASSETS_KEPT)(self._load)

    def read(self, key: str) -> bytes | None:
        """Return the bytes of a key, verified, or None where there is no such key."""
        found = self._find(key)
        return self._store.objects.get(found.digest) if isinstance(found, _Chunk) else found

    def size(self, key: str) -> int | None:
        """Return the number of bytes of a key, or None where there is no such key."""
        found = self._find(key)
        if isinstance(found, _Chunk):
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
        asset = record.asset
        return _Asset(
            documents=documents(record),
            arrays={
                array_path(asset, key): _Tiles(tile_plane(asset, key), root)
                for key, root in record.arrays
            },
        )

    def _split(self, key: str) -> tuple[_Asset, str] | None:
        """Return the asset that a key is in, and the path within it."""
        asset_id = key.rpartition("/")[0]
        while asset_id:
            if asset_id in self._entries:
                return self._asset(asset_id), key[len(asset_id) + 1 :]
            asset_id = asset_id.rpartition("/")[0]
        return None

    def _find(self, key: str) -> bytes | _Chunk | None:
        if key in self.plain:
            return self.plain[key]
        found = self._split(key)
        if found is None:
            return None
        asset, path = found
        if path in asset.documents:
            return asset.documents[path]
        array, _, text = path.partition("/c/")
        tiles, place = asset.arrays.get(array), parse_place(text)
        if tiles is None or place is None:
            return None
        entry = self._store.index.lookup(tiles.shape, tiles.root, row=place[0], col=place[1])
        return (
            None if entry is None else _Chunk(entry["stored"].tobytes().hex(), int(entry["size"]))
        )

    def _keys(self, asset_id: str, prefix: str) -> Iterator[str]:
        """Yield the keys of an asset, but no chunks of arrays that cannot have the prefix."""
        asset = self._asset(asset_id)
        yield from (f"{asset_id}/{path}" for path in asset.documents)
        for path, tiles in asset.arrays.items():
            chunks = f"{asset_id}/{path}/c/"
            if chunks.startswith(prefix) or prefix.startswith(chunks):
                yield from (f"{chunks}{row}/{col}" for row, col in self._places(tiles))

    def _names(self, asset: _Asset, start: str) -> set[str]:
        """Return the names below a folder of an asset; `start` is empty or ends with a slash."""
        inside = (path for path in asset.documents if path.startswith(start))
        names = {path[len(start) :].partition("/")[0] for path in inside}
        array, _, row = start.removesuffix("/").partition("/c")
        tiles = asset.arrays.get(array)
        if tiles is None or tiles.root is None:
            return names
        if start == f"{array}/":
            return names | {"c"}
        if start == f"{array}/c/":
            return {str(place[0]) for place in self._places(tiles)}
        return {str(place[1]) for place in self._places(tiles) if f"/{place[0]}" == row}

    def _places(self, tiles: _Tiles) -> Iterator[tuple[int, int]]:
        entries = self._store.index.entries(tiles.shape, tiles.root)
        return zip(entries["row"].tolist(), entries["col"].tolist(), strict=True)
