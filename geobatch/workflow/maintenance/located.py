"""The sources of published assets, found again: by their specs if these exist, else by their uris.

A record has the uri and the digest of each source, and the commit has the spec file of each asset.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import AssetSpec, expand, load
from geobatch.declare.files.find import folder_of
from geobatch.declare.files.uris import declared, found_files
from geobatch.declare.projects.find import Projects
from geobatch.errors import CorruptObjectError, SourceError, SpecError
from geobatch.model.assets.asset import Asset, Source, Table, Tileset
from geobatch.model.assets.table import TableSource
from geobatch.model.published import AssetRecord, Head
from geobatch.model.sources.declared import MIXER, DeclaredSource
from geobatch.sources.driver import AnyProbe, ProbeOptions
from geobatch.sources.registry import driver_named, probe_rows, probe_sources
from geobatch.store.caches.cache import SourceCache
from geobatch.store.origins import path_of
from geobatch.store.tilestore import TileStore


class LostSource(Struct, frozen=True, kw_only=True, order=True):
    """A source that is not, or no longer, what was published."""

    uri: str
    """As it was declared."""
    problem: str
    """What is wrong: it changed, it is missing, it cannot be read."""


class LocatedAsset(Struct, frozen=True, kw_only=True):
    """A published asset with the local files of its sources."""

    asset: Asset
    """The asset as published; those sources that are as they were have a path."""
    lost: tuple[LostSource, ...] = ()
    """The others, each once."""
    unavailable: Mapping[str, frozenset[int]] = {}
    """Their positions, by tileset."""


class _Where(Struct, frozen=True, kw_only=True):
    """Where the files of one asset are searched for."""

    declared: Mapping[str, DeclaredSource] = {}
    """What its spec declares now, by uri."""
    spec: str = ""
    """The spec file that published it; empty if unknown."""


def locate_assets(
    store: TileStore,
    head: Head,
    records: Sequence[AssetRecord],
    *,
    folder: Path,
    options: ProbeOptions,
    cache: SourceCache,
) -> dict[str, LocatedAsset]:
    """Return assets with their sources, by asset id; no pixel is read.

    Args:
        store: The open store.
        head: The commit that has the assets.
        records: The assets.
        folder: Folder from which spec files and COGs are found; see `StoreLocation.base`.
        options: How sources are probed.
        cache: Results of spec files.
    """
    where = _find_specs(store, head, records, folder=folder, cache=cache)
    wanted = {
        (record.asset.id, source.uri): _declared(source, where[record.asset.id], folder=folder)
        for record in records
        for source in sources_of(record.asset)
    }
    files = [one for one in wanted.values() if isinstance(one, DeclaredSource)]
    tables = {record.asset.id for record in records if isinstance(record.asset, Table)}
    rows = {one for (name, _), one in wanted.items() if name in tables}
    probes = _probe_all([one for one in files if one not in rows], options)
    shards = _probe_rows([one for one in files if one in rows], options)
    return {
        record.asset.id: _located(record.asset, wanted, {**probes, **shards}) for record in records
    }


def sources_of(asset: Asset) -> Iterator[Source | TableSource]:
    """Yield the sources of any asset."""
    if isinstance(asset, Table):
        yield from asset.sources
    else:
        for tileset in asset.tilesets:
            yield from tileset.sources


def _find_specs(
    store: TileStore,
    head: Head,
    records: Sequence[AssetRecord],
    *,
    folder: Path,
    cache: SourceCache,
) -> dict[str, _Where]:
    """Return where the files of each asset are searched for, by asset id."""
    try:
        origins = store.origins(head)
    except CorruptObjectError:
        origins = {}
    files = {name: path_of(origin, store=folder) for name, origin in origins.items()}
    ids = {record.asset.id for record in records}
    specs: dict[str, AssetSpec] = {}
    for path in sorted({files[name] for name in ids if name in files}):
        for keeps_prefix in (False, True):
            for spec in _specs_in(Path(path), keeps_prefix=keeps_prefix, cache=cache):
                specs.setdefault(spec.id, spec)
                if spec.moved_from is not None:
                    specs.setdefault(spec.moved_from, spec)
    return {
        name: _Where(
            declared=_files_of(specs[name]) if name in specs else {}, spec=files.get(name, "")
        )
        for name in ids
    }


def _specs_in(path: Path, *, keeps_prefix: bool, cache: SourceCache) -> Sequence[AssetSpec]:
    """Return the specs of a file; none if it is missing or wrong."""
    if not path.is_file():
        return ()
    try:
        return load([path], keep_project_prefix=keeps_prefix, cache=cache).specs
    except SpecError:
        return ()


def _files_of(spec: AssetSpec) -> dict[str, DeclaredSource]:
    expansion = found_files(spec) or expand(spec)
    files = [file for tileset in expansion.tilesets for file in tileset]
    return {file.uri: file for file in (*expansion.table, *files)}


def _declared(source: Source | TableSource, where: _Where, *, folder: Path) -> DeclaredSource | str:
    """Return a source with its files, or why they are unknown."""
    pin = source.pin if isinstance(source, Source) else None
    found = where.declared.get(source.uri)
    if found is not None and found.is_external != (pin is not None):
        found = None  # the spec has another kind now
    if pin is not None and found is None:
        is_remote = pin.remote is not None
        path = quote(pin.location, safe="") if is_remote else path_of(pin.location, store=folder)
        return DeclaredSource(
            uri=source.uri,
            path=Path(path),
            source=0,
            url=pin.location if is_remote else "",
            is_external=True,
            allow_unpinned=True,
        )
    if found is not None:
        # Several variables of one file have one uri.
        return replace(found, variable=source.variable) if isinstance(source, Source) else found
    is_raster = isinstance(source, Source)
    if is_raster and source.uri.lower().endswith(MIXER):
        return "no spec declares which shards belong to this mixer"
    base = folder_of(where.spec) if where.spec else Path("/")
    place = Projects().of(base).locate(source.uri, base)
    if not where.spec and not place.is_away and not os.path.isabs(source.uri):  # noqa: PTH117 - a uri
        return "it is unknown which spec declared it"
    found = declared(place, source=0)
    return replace(found, variable=source.variable) if isinstance(source, Source) else found


_State: TypeAlias = AnyProbe | TableSource
"""The state of a source."""
_Found = Mapping[DeclaredSource, "_State | str"]
"""The state of each source, or what is wrong with it."""


def _probe_all(files: Iterable[DeclaredSource], options: ProbeOptions) -> _Found:
    """Return the state of rasters; one that cannot be read does not hide the others."""
    several = list(dict.fromkeys(files))
    there = [one for one in several if one.url or one.path.is_file()]
    found: dict[DeclaredSource, _State | str] = dict.fromkeys(several, "is missing")
    try:
        found.update(zip(there, probe_sources(there, options).probes, strict=True))
    except SourceError:
        for one in there:
            try:
                (found[one],) = probe_sources([one], options).probes
            except SourceError as error:
                found[one] = f"cannot be read: {error.message}"
    return found


def _probe_rows(files: Iterable[DeclaredSource], options: ProbeOptions) -> _Found:
    """Return the state of the files of tables."""
    found: dict[DeclaredSource, _State | str] = {}
    for one in dict.fromkeys(files):
        if not one.url and not one.path.is_file():
            found[one] = "is missing"
            continue
        try:
            (found[one],) = probe_rows([one], options).sources
        except SourceError as error:
            found[one] = f"cannot be read: {error.message}"
    return found


def _located(
    asset: Asset, wanted: Mapping[tuple[str, str], DeclaredSource | str], found: _Found
) -> LocatedAsset:
    lost: dict[str, LostSource] = {}
    unavailable: dict[str, set[int]] = {}

    def state(source: Source | TableSource) -> _State | None:
        declared = wanted[asset.id, source.uri]
        known = declared if isinstance(declared, str) else found[declared]
        if not isinstance(known, str) and known.digest == source.digest:
            return known
        problem = known if isinstance(known, str) else "has changed since"
        lost[source.uri] = LostSource(uri=source.uri, problem=problem)
        return None

    def filled(tileset: Tileset, number: int, source: Source) -> Source:
        probe = state(source)
        if probe is None or isinstance(probe, TableSource):
            unavailable.setdefault(tileset.id, set()).add(number)
            return source
        return driver_named(probe.driver).with_files(source, probe, features=tileset.features)

    made: Asset
    if isinstance(asset, Table):
        states = [(source, state(source)) for source in asset.sources]
        rows = tuple(now if isinstance(now, TableSource) else was for was, now in states)
        made = replace(asset, sources=rows)
    else:
        made = replace(
            asset,
            tilesets=tuple(
                replace(
                    tileset,
                    sources=tuple(
                        filled(tileset, number, source)
                        for number, source in enumerate(tileset.sources)
                    ),
                )
                for tileset in asset.tilesets
            ),
        )
    return LocatedAsset(
        asset=made,
        lost=tuple(sorted(lost.values())),
        unavailable={name: frozenset(numbers) for name, numbers in unavailable.items()},
    )
