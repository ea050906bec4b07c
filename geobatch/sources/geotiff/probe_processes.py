"""Probes many new rasters in several processes: threads would wait for Python's lock."""

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
from geobatch.processes import Crew, Item, alone, can_start, serve
from geobatch.sources.geotiff import gdal_environment
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

    Files that fail are omitted, and so are those of a process that failed, and all if no process
    can be started: probing them again reports what is wrong.

    Args:
        paths: The files.
        workers: Most processes at work, this one among them.
        cache: Cache of CRSs.
        meanwhile: Is called in this process while the others start.
    """
    if not can_start():
        return
    others = min(workers - 1, len(paths) // _WORTH)
    try:
        crew = Crew(_PROGRAM, map(os.fsencode, paths), others=others, at_a_time=_AT_A_TIME)
    except OSError:
        return
    with crew:
        meanwhile()
        read_crs = crs_reader(cache)
        while taken := crew.take():
            with alone(), gdal_environment():  # not across a yield
                found = _probe_files(taken, read_crs)
            yield from _results(found)
        decoder = msgspec.msgpack.Decoder(_Found)
        for answer in crew.rest():
            yield from _results(decoder.decode(answer))


def _probe_files(taken: Sequence[Item], read_crs: Callable[[str], Crs]) -> _Found:
    found = _Found(numbers=[], probes=[], tables=[], texts=[], crs=[])
    positions: dict[str, int] = {}
    for number, path in taken:
        with suppress(GeobatchError):
            _, cached, table = probe_file(
                Path(os.fsdecode(path)), "", None, None, known_crs={}, read_crs=read_crs
            )
            found.numbers.append(number)
            found.probes.append(replace(cached, crs=""))
            found.tables.append(table)
            found.crs.append(positions.setdefault(cached.crs, len(positions)))
    found.texts.extend(positions)
    return found


def _results(found: _Found) -> Iterator[Result]:
    rows = zip(found.numbers, found.probes, found.tables, found.crs, strict=True)
    for number, cached, table, crs in rows:
        yield number, replace(cached, crs=found.texts[crs]), table


def main() -> None:
    """Run as one of the processes: the worker's entry point."""
    encode = msgspec.msgpack.Encoder().encode
    read_crs = crs_reader()
    serve(lambda taken: encode(_probe_files(taken, read_crs)))
