"""Finished regions, remembered by what determines them: a run that was killed resumes there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from geobatch.errors import GeobatchError
from geobatch.execute.region import BandTask, Region, RegionResult
from geobatch.model.digest import Digest, canonical_json, digest_json
from geobatch.model.published import ArrayKey, BandFingerprint
from geobatch.model.tile import StoredTile
from geobatch.store.objects import Objects


class Memory(Protocol):
    """Small values by name, kept between runs as long as nobody minds; may forget at any time."""

    def get(self, name: Digest) -> bytes | None:
        """Return a value, or None."""

    def put(self, name: Digest, value: bytes) -> None:
        """Keep a value; a failure is silent."""


def region_fingerprint(
    region: Region,
    tasks: Sequence[BandTask],
    fingerprints: dict[str, BandFingerprint],
    *,
    base: Digest | None,
) -> Digest:
    """Return the hash of everything that determines what a region puts.

    Args:
        region: The region.
        tasks: What is computed in it.
        fingerprints: Per band id.
        base: Commit whose tiles the work builds upon; None where it builds upon none.
    """
    pieces = []
    for task in tasks:
        levels = range(region.level, min(region.level + region.span, len(task.dirty) - 1) + 1)
        dirty = [
            task.dirty[level][region.box(level, task.stored.plane_shape(level)).slices].tolist()
            for level in levels
        ]
        pieces.append(
            [
                task.band.id, fingerprints[task.band.id].pyramid, repr(task.stored.codec),
                task.from_sources, task.can_stop, dirty,
            ]
        )  # fmt: skip
    place = [region.level, region.row, region.col, region.span]
    return digest_json(["geobatch region", base, place, pieces])


def to_bytes(result: RegionResult) -> bytes:
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
                [[key.band, key.level, key.is_mask], places]
                for key, places in result.removed.items()
            ],
            "changed": result.changed,
            "tiles": [result.written + result.reused, result.empty],
            "peaks": result.peaks,
        }
    )  # fmt: skip


def from_bytes(data: bytes, objects: Objects) -> RegionResult | None:
    """Return a remembered result, or None if it cannot be used: cut short, or its tiles damaged.

    Every tile is read and compared with its digest: nobody has published it yet.
    """
    try:
        value = json.loads(data)
        result = RegionResult()
        for key, rows in value["entries"]:
            result.entries[ArrayKey(band=key[0], level=key[1], is_mask=key[2])] = [
                StoredTile(row, col, bytes.fromhex(content), bytes.fromhex(stored), size)
                for row, col, content, stored, size in rows
            ]
        for key, places in value["removed"]:
            result.removed[ArrayKey(band=key[0], level=key[1], is_mask=key[2])] = [
                (row, col) for row, col in places
            ]
        result.changed = {
            band: [(row, col) for row, col in places] for band, places in value["changed"].items()
        }
        result.reused, result.empty = value["tiles"]
        result.peaks = {asset: dict(peaks) for asset, peaks in value["peaks"].items()}
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    try:
        for rows in result.entries.values():
            for tile in rows:
                if len(objects.get(tile.stored.hex())) != tile.size:
                    return None
    except GeobatchError:
        return None
    return result
