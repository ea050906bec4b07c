"""What tasks computed, compared with what is published; nothing is written to the store."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.execute.tasks.task import RegionTask, TaskResult
from geobatch.format.codec import decode
from geobatch.model.assets.asset import Band
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.model.tile import TilePosition
from geobatch.model.window import Box
from geobatch.store.backends.finished import known
from geobatch.store.backends.protocol import Data
from geobatch.store.objects import Objects
from geobatch.store.pixels import BandPixels, Values, tile_pixels
from geobatch.store.tilestore import TileStore
from geobatch.store.value_diff import ValueDiff, difference


class Rebuilt(Objects):
    """The objects of a store for tasks that only compare: what they put is kept in memory.

    A tile that equals the published one is never put, so only those that differ are here, and only
    until they are compared.
    """

    def __init__(self, objects: Objects) -> None:
        super().__init__(objects.backend)
        self._kept: dict[Digest, tuple[bytes, int]] = {}
        self._lock = threading.Lock()

    def put(self, data: Data) -> tuple[Digest, bool]:
        """Keep bytes in memory; see `Objects.put`."""
        digest = digest_bytes(data)
        with self._lock:
            _, count = self._kept.get(digest, (b"", 0))
            self._kept[digest] = (bytes(data), count + 1)
        return digest, True

    def add(self, kept: Iterable[tuple[Digest, bytes]]) -> None:
        """Take in what another machine put, once for each time that it was put."""
        with self._lock:
            for digest, data in kept:
                _, count = self._kept.get(digest, (b"", 0))
                self._kept[digest] = (data, count + 1)

    def put_soon(self, data: Data) -> tuple[Digest, Future[bool]]:
        """Keep bytes in memory; see `Objects.put_soon`."""
        digest, is_new = self.put(data)
        return digest, known(is_new)

    def take(self, digest: Digest) -> bytes:
        """Return bytes that were put, and forget them once they were taken as often."""
        with self._lock:
            data, count = self._kept.pop(digest)
            if count > 1:
                self._kept[digest] = (data, count - 1)
        return data


class Unkept(Objects):
    """The objects of a store for what is put only to be digested: nothing is kept."""

    def put(self, data: Data) -> tuple[Digest, bool]:
        """Return the digest of bytes; see `Objects.put`."""
        return digest_bytes(data), False

    def put_soon(self, data: Data) -> tuple[Digest, Future[bool]]:
        """Return the digest of bytes; see `Objects.put_soon`."""
        return digest_bytes(data), known(is_new=False)


class TileFinding(Struct, frozen=True, kw_only=True):
    """One tile of a band that differs from the published one, in its values or its mask."""

    band: str
    """Band id."""
    position: TilePosition
    """Which tile."""
    arrays: int
    """How many of its arrays differ: the values, the mask, or both."""
    values: ValueDiff | None
    """How its pixels differ, from the published ones to those computed; None if unknown."""
    problem: str = ""
    """Why that is unknown: the published tile is damaged."""


def findings(
    task: RegionTask, result: TaskResult, *, record: AssetRecord, store: TileStore, kept: Rebuilt
) -> Iterator[TileFinding]:
    """Yield the tiles that a task computed and that differ from the published ones.

    Args:
        task: What was computed.
        result: What it put.
        record: The published image.
        store: The open store.
        kept: Where the bytes are that it put.
    """
    for one in task.bands:
        band = record.image.band(one.band)
        made: dict[tuple[int, int, int], dict[bool, bytes | None]] = {}
        for key, tiles in result.entries.items():
            if key.band == one.band:
                for tile in tiles:
                    data = kept.take(tile.stored.hex())
                    made.setdefault((key.level, tile.row, tile.col), {})[key.is_mask] = data
        for key, positions in result.removed.items():
            if key.band == one.band:
                for row, col in positions:
                    if _is_stored(store, record, key, row, col):
                        made.setdefault((key.level, row, col), {})[key.is_mask] = None
        for (level, row, col), arrays in sorted(made.items()):
            position = TilePosition(level=level, row=row, col=col)
            yield _finding(band, position, arrays, record=record, store=store)


def _is_stored(store: TileStore, record: AssetRecord, key: ArrayKey, row: int, col: int) -> bool:
    asset = record.image
    plane = asset.grid(asset.band(key.band).grid).tile_shape(tile=asset.tile, level=key.level)
    return store.index.lookup(plane, record.root(key), row=row, col=col) is not None


def _finding(
    band: Band,
    position: TilePosition,
    arrays: dict[bool, bytes | None],
    *,
    record: AssetRecord,
    store: TileStore,
) -> TileFinding:
    asset = record.image
    pixels = BandPixels(store, record, band, position.level)
    at = (position.row, position.col)

    def read(key: ArrayKey) -> Values | None:
        if key.is_mask not in arrays:
            return pixels.read_array(*at, key)
        data = arrays[key.is_mask]
        dtype = "uint8" if key.is_mask else band.dtype
        return None if data is None else decode(asset.codec, data, dtype, asset.tile)

    shape = Box.of_tile(*at).window(pixels.plane.shape, tile=asset.tile).shape
    try:
        now = tile_pixels(band, position.level, shape, read)
        values = difference(pixels.tile(*at), now, band=band.id, level=position.level)
    except CorruptObjectError as error:
        return TileFinding(
            band=band.id,
            position=position,
            arrays=len(arrays),
            values=None,
            problem=error.message,
        )
    return TileFinding(band=band.id, position=position, arrays=len(arrays), values=values)
