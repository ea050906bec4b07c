"""Probes many new rasters in several processes: threads would wait for Python's lock.

It saved 41 % of a first plan on free processors (docs/decisions/020-hashing-by-processes.md), and
32 % of that of 2,000 files on a busy machine (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import GeobatchError
from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.processes.pool import MOST_SENT, Keep, Work, start
from geobatch.processes.worker import serve
from geobatch.sources.gdal import gdal_environment
from geobatch.sources.geotiff.headers.alike import AlikeHeaders
from geobatch.sources.geotiff.probe import probe_file
from geobatch.sources.probe_cache import ProbeCache, crs_reader
from geobatch.sources.threads import Meanwhile, nothing

_AT_A_TIME = 32
_WORTH = 300
"""Number of files from which another process is worth starting."""
_PROGRAM = "from geobatch.sources.geotiff.probe_processes import main; main()"


class _Found(Struct, frozen=True, kw_only=True, array_like=True):
    """The state of some files; a CRS, which is long, is stored once."""

    numbers: list[int]
    probes: list[CachedProbe]
    tables: list[BlockTable | None]
    texts: list[str]
    crs: list[int]


Result = tuple[int, CachedProbe, BlockTable | None]
"""Number of a file, its state and its block table."""


def probe_by_processes(
    paths: Sequence[str],
    *,
    workers: int,
    cache: ProbeCache | None = None,
    meanwhile: Meanwhile = nothing,
) -> Iterator[Result]:
    """Yield the state of rasters that are not cached, in any order.

    Files that fail are omitted, and all if no process can be started: probing them again reports
    what is wrong.

    Args:
        paths: The files.
        workers: Most processes at work, this one among them.
        cache: Cache of CRSs.
        meanwhile: Is called in this process while the others start.
    """
    pool = start(_Probing(crs_reader(cache)), others=min(workers - 1, len(paths) // _WORTH))
    if pool is None:
        return
    count = max(_AT_A_TIME, -(-len(paths) // MOST_SENT))
    parts = [paths[first : first + count] for first in range(0, len(paths), count)]
    for number, found in pool.map(parts, meanwhile=meanwhile):
        rows = zip(found.numbers, found.probes, found.tables, found.crs, strict=True)
        for place, cached, table, crs in rows:
            yield number * count + place, replace(cached, crs=found.texts[crs]), table


class _Probing(Work[Sequence[str], _Found]):
    """The work of a pool: an item is some paths, and its value the state of the files."""

    module = __name__

    def __init__(self, read_crs: Callable[[str], Crs]) -> None:
        self._read_crs = read_crs
        self._alike = AlikeHeaders()
        self._decode = msgspec.msgpack.Decoder(_Found).decode

    def pack(self, item: Sequence[str], _: Keep) -> bytes:
        return b"\0".join(map(os.fsencode, item))

    def unpack(self, answer: bytes) -> _Found:
        return self._decode(answer)

    def run(self, item: Sequence[str]) -> _Found:
        with gdal_environment():
            return _probe_files(item, self._read_crs, self._alike)


def _probe_files(
    paths: Sequence[str], read_crs: Callable[[str], Crs], alike: AlikeHeaders
) -> _Found:
    found = _Found(numbers=[], probes=[], tables=[], texts=[], crs=[])
    positions: dict[str, int] = {}
    for number, path in enumerate(paths):
        with suppress(GeobatchError):
            source = DeclaredSource(uri="", path=Path(path), source=0)
            _, cached, table = probe_file(
                source, None, None, known_crs={}, read_crs=read_crs, alike=alike
            )
            found.numbers.append(number)
            found.probes.append(replace(cached, crs=""))
            found.tables.append(table)
            found.crs.append(positions.setdefault(cached.crs, len(positions)))
    found.texts.extend(positions)
    return found


def main() -> None:
    """Be one of the processes of a pool."""
    encode = msgspec.msgpack.Encoder().encode
    read_crs, alike = crs_reader(), AlikeHeaders()
    serve(
        lambda item: encode(_probe_files([*map(os.fsdecode, item.split(b"\0"))], read_crs, alike))
    )
