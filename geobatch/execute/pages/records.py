"""Records of finished squares: the run after a killed one takes over their pages.

A record names pages, and these name tiles; so no tile is asked for where what was put stays. That
is so in a bucket, for as long as no `gc` can have moved it; and on a disk while the system that
wrote it runs, if sizes and times of the files show it. In all other cases each tile is read.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec
import numpy as np
from msgspec import Struct

from geobatch.errors import GeobatchError
from geobatch.execute.tasks.task import Peaks, TaskResult
from geobatch.model.checks.measure import Measure
from geobatch.model.digest import Digest
from geobatch.model.published import PAGE_ENTRY, ArrayKey
from geobatch.store.commits.drops import Drops
from geobatch.store.index import Index
from geobatch.store.maintenance.guard import LEAST_GRACE
from geobatch.store.objects import Objects

_YOUNG = LEAST_GRACE / 2
"""Age up to which no `gc` has moved what a record names: it moves nothing younger than a day."""
_CLOCKS = timedelta(days=1)
"""By how much the clocks of two computers may differ."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_Key: TypeAlias = tuple[str, int, bool]


class _Record(Struct, frozen=True, kw_only=True, array_like=True):
    """What a square has put; see `TaskResult`."""

    time_ns: int
    """When, by the clock of who put it."""
    system: str
    """Which running system put it."""
    pages: list[tuple[_Key, bytes]]
    parts: list[tuple[_Key, int, bytes]]
    changed: dict[str, list[tuple[int, int]]]
    tiles: tuple[int, int]
    peaks: dict[str, Peaks]
    measures: dict[str, dict[str, bytes]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def to_bytes(result: TaskResult) -> bytes:
    """Return the record of a square whose tiles and pages are all put."""
    return _encode(
        _Record(
            time_ns=time.time_ns(),
            system=_system(),
            pages=[(_tuple(key), rows) for key, rows in result.pages.items()],
            parts=[(_tuple(key), side, rows) for key, (side, rows) in result.parts.items()],
            changed=result.changed,
            tiles=(result.tiles - result.empty, result.empty),
            peaks=result.peaks,
            measures={
                band: {name: msgspec.json.encode(one.to_json()) for name, one in found.items()}
                for band, found in result.measures.items()
            },
        )
    )


def from_bytes(data: bytes, objects: Objects, index: Index) -> TaskResult | None:
    """Return the result of a recorded square, or None if it cannot be used."""
    try:
        record = _decode(data)
        result = TaskResult()
        result.pages = {_key(key): rows for key, rows in record.pages}
        result.parts = {_key(key): (side, rows) for key, side, rows in record.parts}
        result.changed = record.changed
        result.reused, result.empty = record.tiles
        result.peaks = record.peaks
        result.measures = {
            band: {name: Measure.from_json(msgspec.json.decode(one)) for name, one in found.items()}
            for band, found in record.measures.items()
        }
        is_there = _is_kept(record, objects) or _is_whole(record, objects, index)
    except (GeobatchError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return result if is_there else None


def _is_kept(record: _Record, objects: Objects) -> bool:
    """Return whether what a record names is certainly where it was put, in a bucket."""
    if not objects.backend.is_remote:
        return False
    made = datetime.fromtimestamp(record.time_ns / 1e9, UTC)
    last = Drops(objects.backend).last_run()
    is_moved = last is not None and last > made - LEAST_GRACE - _CLOCKS
    return abs(datetime.now(UTC) - made) < _YOUNG and not is_moved


def _is_whole(record: _Record, objects: Objects, index: Index) -> bool:
    """Return whether each page and each tile is there, and undamaged."""
    is_here = record.system == _system() and not objects.backend.is_remote
    for rows in (*(rows for _, rows in record.pages), *(rows for _, _, rows in record.parts)):
        for tiles, sizes in _tiles(rows, index):
            if is_here and _are_untouched(tiles, sizes, record.time_ns, objects):
                continue
            found = objects.get_all(tiles)
            if any(len(data) != size for data, size in zip(found, sizes, strict=True)):
                return False
    return True


def _are_untouched(
    tiles: Sequence[Digest], sizes: Sequence[int], time_ns: int, objects: Objects
) -> bool:
    """Return whether files are as long as they must be, and not modified since a time."""
    states = objects.backend.states([objects.path(one) for one in tiles])
    return all(
        state is not None and state.size == size and state.modified_ns <= time_ns
        for state, size in zip(states, sizes, strict=True)
    )


def _tiles(rows: bytes, index: Index) -> Iterator[tuple[list[Digest], list[int]]]:
    """Yield the tiles of some pages, which are read: their digests and sizes."""
    for entry in np.frombuffer(rows, dtype=PAGE_ENTRY):
        if entry["tiles"]:
            children = index.page(entry["stored"].tobytes().hex(), 1).children
            stored = children["stored"].tobytes().hex()
            yield (
                [stored[at : at + 64] for at in range(0, len(stored), 64)],
                children["size"].tolist(),
            )


def _tuple(key: ArrayKey) -> _Key:
    return key.band, key.level, key.is_mask


def _key(key: _Key) -> ArrayKey:
    return ArrayKey(band=key[0], level=key[1], is_mask=key[2])


def _system() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()} unknown"
