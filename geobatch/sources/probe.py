"""The state of sources: from the cache if their stat is unchanged, else they are read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct

from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.look import Look, file_stat
from geobatch.sources.geotiff.probing import Inspected, LookCache, crs_reader, look_at, remembered
from geobatch.sources.threads import Meanwhile, nothing, on_threads

_APART_FROM = 1000
"""New files from which processes are worth starting: each takes 0.3 s, as long as 300 files."""


class Inspection(Struct, frozen=True, kw_only=True):
    """The state of all sources of a run."""

    sources: Mapping[Path, Inspected]
    """By path."""
    hashed: int
    """How many were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""


def inspect(
    files: Mapping[Path, str],
    *,
    cache: LookCache | None = None,
    workers: int = 1,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> Inspection:
    """Return the state of source files; files that did not change are not opened.

    Args:
        files: Uri, as messages shall call it, by absolute path.
        cache: What is known from earlier runs, and is told of this one.
        workers: Threads that open and digest files; where very many are new, processes.
        rehash: Whether to believe no earlier look.
        meanwhile: May be called by this thread while others look at files.

    Raises:
        SourceError: A source is missing, cannot be read, or changed while it was looked at.
    """
    names = {os.fspath(path): path for path in files}
    earlier = {} if cache is None or rehash else cache.get_looks(names)
    known = trusted_looks(earlier)
    crs: dict[str, Crs | None] = {"": None}
    sources: dict[Path, Inspected] = {}

    def take(name: str, look: Look) -> None:
        path = names[name]
        real = os.path.realpath(name) if look.is_linked else name
        header = remembered(look, files[path], real, crs)
        if header is not None:
            sources[path] = Inspected(
                header=header, digest=look.digest, stat=look.stat, is_proven=look.is_proven
            )

    for name, look in known.items():
        take(name, look)
    new = [name for name, path in names.items() if path not in sources and name not in earlier]
    if len(new) >= _APART_FROM and workers > 1:
        from geobatch.sources.geotiff.probing_by_processes import looks_at  # noqa: PLC0415 - needed seldom

        found_apart = looks_at(new, workers=workers, cache=cache, meanwhile=meanwhile)
        meanwhile = nothing
        for number, look, table in found_apart:
            take(new[number], look)
            _remember(new[number], look, table, cache)
    others = [path for path in names.values() if path not in sources]
    before = [earlier.get(os.fspath(path)) for path in others]
    trusted = [known.get(os.fspath(path)) for path in others]

    found = on_threads(
        partial(look_at, known_crs=crs, read_crs=crs_reader(cache)),
        others,
        [files[path] for path in others],
        before,
        trusted,
        workers=workers,
        name="source",
        meanwhile=meanwhile,
    )
    for path, (sources[path], look, table) in zip(others, found, strict=True):
        _remember(os.fspath(path), look, table, cache)
    return Inspection(sources=sources, hashed=len(names) - len(known), by_stat=len(known))


def _remember(name: str, look: Look, table: BlockTable | None, cache: LookCache | None) -> None:
    if cache is not None:
        cache.put_looks({name: look})
        if table is not None:
            cache.put_table(look.digest, table)


def trusted_looks(looks: Mapping[str, Look]) -> dict[str, Look]:
    """Return the cached states whose files are still the same."""
    trusted = {}
    for name, look in looks.items():
        try:
            found = os.stat(name)  # noqa: PTH116 - a tenth of the time of Path, for 100,000 files
        except (OSError, ValueError):
            continue  # opening it later reports what is wrong
        if look.is_trusted(file_stat(found)):
            trusted[name] = look
    return trusted
