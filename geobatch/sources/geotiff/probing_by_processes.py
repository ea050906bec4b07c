"""Reads many new rasters in several processes: threads would wait for Python's lock."""

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
from geobatch.model.sources.look import Look
from geobatch.processes import Crew, Item, alone, can_start, serve
from geobatch.sources.geotiff import gdal_environment
from geobatch.sources.geotiff.probing import LookCache, crs_reader, look_at
from geobatch.sources.threads import Meanwhile, nothing

_AT_A_TIME = 32
_WORTH = 300
"""Number of files from which another process is worth starting."""
_PROGRAM = "from geobatch.sources.geotiff.probing_by_processes import main; main()"


class _Found(Struct, frozen=True, kw_only=True, array_like=True):
    """The state of some files; a CRS, which is long, is stored once."""

    numbers: list[int]
    looks: list[Look]
    tables: list[BlockTable | None]
    texts: list[str]
    crs: list[int]


Result = tuple[int, Look, BlockTable | None]
"""Number of a file, its state and its block table."""


def looks_at(
    paths: Sequence[str],
    *,
    workers: int,
    cache: LookCache | None = None,
    meanwhile: Meanwhile = nothing,
) -> Iterator[Result]:
    """Yield the state of rasters that are not cached, in any order.

    Left out are those that fail, all that a process had taken that failed, and all of them where
    none can be started: reading them again reports what is wrong.

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
                found = _look_at(taken, read_crs)
            yield from _results(found)
        decoder = msgspec.msgpack.Decoder(_Found)
        for answer in crew.rest():
            yield from _results(decoder.decode(answer))


def _look_at(taken: Sequence[Item], read_crs: Callable[[str], Crs]) -> _Found:
    found = _Found(numbers=[], looks=[], tables=[], texts=[], crs=[])
    places: dict[str, int] = {}
    for number, path in taken:
        with suppress(GeobatchError):
            _, look, table = look_at(
                Path(os.fsdecode(path)), "", None, None, known_crs={}, read_crs=read_crs
            )
            found.numbers.append(number)
            found.looks.append(replace(look, crs=""))
            found.tables.append(table)
            found.crs.append(places.setdefault(look.crs, len(places)))
    found.texts.extend(places)
    return found


def _results(found: _Found) -> Iterator[Result]:
    rows = zip(found.numbers, found.looks, found.tables, found.crs, strict=True)
    for number, look, table, crs in rows:
        yield number, replace(look, crs=found.texts[crs]), table


def main() -> None:
    """Run as one of the processes: the worker's entry point."""
    encode = msgspec.msgpack.Encoder().encode
    read_crs = crs_reader()
    serve(lambda taken: encode(_look_at(taken, read_crs)))
