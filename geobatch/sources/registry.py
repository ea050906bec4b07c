"""The drivers: which one is for a declared source, and which one a source names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from geobatch.errors import InternalError, SourceError
from geobatch.model.assets.asset import Raster, Resolution
from geobatch.model.assets.table import TableSource
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources.cog.driver import Cog
from geobatch.sources.csv.rows import CsvRows
from geobatch.sources.driver import AnyProbe, Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.geotiff.driver import GeoTiff
from geobatch.sources.jpeg2000.driver import Jpeg2000
from geobatch.sources.netcdf.driver import NetCdf
from geobatch.sources.rows import RowDriver, RowProbes
from geobatch.sources.tfrecord.driver import TFRecord
from geobatch.sources.tfrecord.rows import TFRecordRows

_OWN: tuple[Driver, ...] = (GeoTiff(), Jpeg2000(), NetCdf(), TFRecord(), Cog())
_ROWS: tuple[RowDriver, ...] = (CsvRows(), TFRecordRows())
"""Of tables; the first that matches is used, and the last matches every file."""
_drivers: dict[str, Driver] = {driver.name: driver for driver in _OWN}
"""By name, the first that matches last; sources are probed in this order too."""


def driver_named(name: str) -> Driver:
    """Return the driver that probes and sources name."""
    if name not in _drivers:
        raise InternalError(f"no driver is named `{name}`")
    return _drivers[name]


def driver_names() -> tuple[str, ...]:
    """Return the names of all drivers, in the order in which they are asked."""
    return tuple(_drivers)


def driver_of(source: DeclaredSource) -> Driver:
    """Return the driver for a declared source: of those that match, the one registered last.

    Raises:
        SourceError: No driver matches.
    """
    found = next((one for one in reversed(_drivers.values()) if one.matches(source)), None)
    if found is None:
        raise SourceError(f"`{source.uri}`: no driver reads such a source")
    return found


def row_driver_of(uri: str) -> RowDriver:
    """Return the driver for a file of a table."""
    return next(driver for driver in _ROWS if driver.matches(uri))


def drivers_of(asset: Raster) -> list[Driver]:
    """Return the drivers of an asset's sources, each once."""
    names = {source.driver for tileset in asset.tilesets for source in tileset.sources}
    return [driver_named(name) for name in sorted(names)]


def libraries() -> list[str]:
    """Return the packages that shape the pixels of any kind of source, sorted."""
    return sorted({name for driver in _drivers.values() for name in driver.libraries})


@contextmanager
def registered(driver: Driver) -> Iterator[None]:
    """Add a driver for a while; it is asked before all others whether it matches.

    Worker processes do not have it, so such a driver is not portable.
    """
    if driver.name in _drivers:
        raise ValueError(f"a driver is named `{driver.name}` already")
    _drivers[driver.name] = driver
    try:
        yield
    finally:
        del _drivers[driver.name]


@contextmanager
def session() -> Iterator[None]:
    """Prepare the calling thread for many reads of any source.

    Each read prepares its thread if it must; to do it once for many saves time.
    """
    with ExitStack() as stack:
        for driver in list(_drivers.values()):
            stack.enter_context(driver.session())
        yield


def stay_in_session() -> None:
    """Prepare the calling thread for reads until it ends; for threads that only read sources."""
    for driver in list(_drivers.values()):
        driver.stay_in_session()


def probe_sources(sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
    """Return the state of sources of every kind.

    Raises:
        SourceError: A source is missing, cannot be read, or changed while it was probed.
    """
    positions: dict[str, list[int]] = {}
    for position, source in enumerate(sources):
        driver = driver_of(source)
        if source.variable and not driver.has_variables:
            raise SourceError(
                f"`{source.uri}`: the tileset declares `variable: {source.variable}`, but such a"
                " file has no variables",
                hint="omit `variable`; the names of NetCDF files end with `.nc`",
            )
        positions.setdefault(driver.name, []).append(position)
    probes: dict[int, AnyProbe] = {}
    hashed, by_stat = 0, 0
    for name, driver in list(_drivers.items()):
        if name in positions:
            found = driver.probe([sources[position] for position in positions[name]], options)
            probes.update(zip(positions[name], found.probes, strict=True))
            hashed, by_stat = hashed + found.hashed, by_stat + found.by_stat
    return Probes(
        probes=[probes[position] for position in range(len(sources))],
        hashed=hashed,
        by_stat=by_stat,
    )


def probe_rows(sources: Sequence[DeclaredSource], options: ProbeOptions) -> RowProbes:
    """Return the state of files of tables, of every kind.

    Raises:
        SourceError: A file is missing, cannot be read, or changed while it was probed.
    """
    found: dict[DeclaredSource, TableSource] = {}
    hashed, by_stat = 0, 0
    for driver in _ROWS:
        chosen = [source for source in sources if row_driver_of(source.uri) is driver]
        if chosen:
            probes = driver.probe(chosen, options)
            found.update(zip(chosen, probes.sources, strict=True))
            hashed, by_stat = hashed + probes.hashed, by_stat + probes.by_stat
    return RowProbes(sources=[found[source] for source in sources], hashed=hashed, by_stat=by_stat)


def table_reader(
    resolution: Resolution, cache: ReaderCache, *, reads_objects: bool = False
) -> Callable[[Digest], BlockTable | None]:
    """Return a function that returns the block table of a source, by its digest, or None.

    The function makes the late tables of drivers that have some.

    Args:
        resolution: The assets whose sources are meant.
        cache: The tables that are known; receives those that are made.
        reads_objects: Whether objects on servers and in buckets are read whole for their tables.
    """
    late = {name for name, driver in _drivers.items() if driver.has_late_tables}
    sources = {
        source.digest: source
        for asset in resolution.images
        for tileset in asset.tilesets
        for source in tileset.sources
        if source.driver in late and (reads_objects or source.remote is None)
    }

    def table(digest: Digest) -> BlockTable | None:
        known = cache.get_table(digest)
        if known is not None or digest not in sources:
            return known
        source = sources[digest]
        made = driver_named(source.driver).make_table(source, cache)
        if made is not None:
            cache.put_table(digest, made)
        return made

    return table
