"""Results of finished regions, by fingerprint: the run after a killed one continues from there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from geobatch.errors import GeobatchError
from geobatch.execute.tasks.task import BandTask, Region, TaskResult
from geobatch.model.assets.asset import Codec
from geobatch.model.checks.measure import Measure
from geobatch.model.digest import Digest, canonical_json, digest_json
from geobatch.model.published import ArrayKey, BandFingerprint
from geobatch.model.tile import StoredTile
from geobatch.store.objects import Objects


class RegionCache(Protocol):
    """Small values by name, kept between runs; any of them may be lost at any time."""

    def get(self, name: Digest) -> bytes | None:
        """Return a value, or None."""

    def put(self, name: Digest, value: bytes) -> None:
        """Keep a value; a failure is silent."""

    def forget(self, names: Iterable[Digest]) -> None:
        """Delete values; a failure is silent."""


def region_fingerprint(
    region: Region,
    bands: Sequence[BandTask],
    fingerprints: Mapping[str, BandFingerprint],
    *,
    codec: Codec,
    base: Digest | None,
    counted: Mapping[str, Collection[Digest]] = MappingProxyType({}),
    is_packed: bool = False,
) -> Digest:
    """Return the hash of everything that determines what a region puts.

    Args:
        region: The region.
        bands: What is computed in it.
        fingerprints: Per band id.
        codec: Codec of the tiles.
        base: Commit whose tiles the work builds upon; None if it builds upon none.
        counted: What is counted of bands, besides, by band id.
        is_packed: Whether it is a square of many tiles, of which a list would take long.
    """
    pieces = [
        [
            task.band, fingerprints[task.band].pyramid, repr(codec),
            task.from_sources, task.can_stop,
            [[*tiles.shape, tiles.bits.hex()] if is_packed else tiles.mask.tolist()
             for tiles in task.dirty],
        ]
        for task in bands
    ]  # fmt: skip
    position = [region.level, region.row, region.col, region.span]
    names = {task.band: sorted(counted.get(task.band, ())) for task in bands if task.is_counted}
    # Absent without checks, so that regions of the version before them are found.
    extra = [names] if names else []
    return digest_json(["geobatch region", base, position, pieces, *extra])


def to_bytes(result: TaskResult) -> bytes:
    """Return a region's result as bytes: what it put, not how many of it were new."""
    return canonical_json(
        {
            "entries": [
                [[key.band, key.level, key.is_mask],
                 [[tile.row, tile.col, tile.content.hex(), tile.stored.hex(), tile.size]
                  for tile in rows]]
                for key, rows in result.entries.items()
            ],
            "removed": [
                [[key.band, key.level, key.is_mask], positions]
                for key, positions in result.removed.items()
            ],
            "changed": result.changed,
            "tiles": [result.tiles - result.empty, result.empty],
            "peaks": result.peaks,
            "measures": {
                band: {name: measure.to_json() for name, measure in found.items()}
                for band, found in result.measures.items()
            },
        }
    )  # fmt: skip


def from_bytes(data: bytes, objects: Objects) -> TaskResult | None:
    """Return a cached result, or None if it cannot be used: cut short, or its tiles damaged.

    Every tile is read and compared with its digest: it is not published yet.
    """
    try:
        value = json.loads(data)
        result = TaskResult()
        for key, rows in value["entries"]:
            result.entries[ArrayKey(band=key[0], level=key[1], is_mask=key[2])] = [
                StoredTile(row, col, bytes.fromhex(content), bytes.fromhex(stored), size)
                for row, col, content, stored, size in rows
            ]
        for key, positions in value["removed"]:
            result.removed[ArrayKey(band=key[0], level=key[1], is_mask=key[2])] = [
                (row, col) for row, col in positions
            ]
        result.changed = {
            band: [(row, col) for row, col in positions]
            for band, positions in value["changed"].items()
        }
        result.reused, result.empty = value["tiles"]
        result.peaks = {asset: dict(peaks) for asset, peaks in value["peaks"].items()}
        result.measures = {
            band: {name: Measure.from_json(one) for name, one in found.items()}
            for band, found in value["measures"].items()
        }
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    try:
        tiles = [tile for rows in result.entries.values() for tile in rows]
        found = objects.get_all([tile.stored.hex() for tile in tiles])
        if any(len(data) != tile.size for tile, data in zip(tiles, found, strict=True)):
            return None
    except GeobatchError:
        return None
    return result
