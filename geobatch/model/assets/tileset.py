"""Tilesets: sets of rasters that form a mosaic."""

from __future__ import annotations

from typing import ClassVar

from geobatch.model.compared import Compared
from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.pin import Pin, Remote
from geobatch.model.sources.servers import Servers
from geobatch.model.sources.tfrecord import Feature, Records


class Source(Compared, frozen=True, kw_only=True):
    """One raster of a tileset, placed on the tileset's canvas."""

    beside: ClassVar[frozenset[str]] = frozenset(
        {
            "block",
            "is_pixel_interleaved",
            "is_placed",
            "path",
            "stat",
            "is_proven",
            "records",
            "driver",
            "remote",
            "servers",
        }
    )

    uri: str
    """Uri as the spec gives it, globs and prefix expanded; of TFRecord shards, the mixer's."""
    digest: Digest
    """What identifies its pixels."""
    row: int
    """Canvas row of the source's first row; may be negative under `grid.bounds`."""
    col: int
    """Canvas column of the source's first column; may be negative under `grid.bounds`."""
    height: int
    """Rows of the source."""
    width: int
    """Columns of the source."""
    variable: str = ""
    """Name of the raster within the file; empty if the file holds one without a name."""
    mask: str | None = None
    """Its own mask: `alpha`, `internal`, or None."""
    block: tuple[int, int] = (1, 1)
    """(rows, columns) of a storage block; decides how to read, not what."""
    is_pixel_interleaved: bool = False
    """Whether one block holds all bands."""
    is_placed: bool = False
    """Whether the spec or a sidecar declares its placement, not the file itself."""
    path: str = ""
    """Local path, or the url of an object; empty when read back from a store."""
    stat: FileStat | None = None
    """The file as it was when it was digested."""
    is_proven: bool = True
    """Whether an equal stat proves the bytes that were digested; else its blocks are compared."""
    pin: Pin | None = None
    """The state of the COG that the pixels stay in; None where they are ingested."""
    driver: str = "geotiff"
    """Name of the driver that reads it; the default when read back from a store."""
    records: Records | None = None
    """The shards of a TFRecord source; None for a TIFF, or when read back from a store."""
    remote: Remote | None = None
    """The state of an object that is ingested; None for a file, or when read back from a store."""
    servers: Servers | None = None
    """The servers that may be asked for it; None for all."""

    @property
    def state(self) -> Remote | None:
        """The state of an object in which it must be read; None for a file."""
        return self.remote if self.pin is None else self.pin.remote

    @property
    def size(self) -> int | None:
        """Bytes of its files; None where they are not known."""
        if self.stat is None:
            return None
        shards = self.records.shards if self.records is not None else ()
        return self.stat.size + sum(shard.stat.size for shard in shards)


class Tileset(Compared, frozen=True, kw_only=True):
    """Sources that share one structure and are mosaicked; a later source wins where it is valid."""

    beside: ClassVar[frozenset[str]] = frozenset({"has_own_crs"})

    id: str
    """Unique within the asset; may be empty."""
    grid: str
    """Name of the grid that the canvas is."""
    dtypes: tuple[str, ...]
    """Numpy dtype of each band in the files."""
    sources: tuple[Source, ...]
    """In the order of the spec, globs sorted by name with digits as numbers."""
    has_own_crs: bool = False
    """Whether the spec or a sidecar declares the CRS, not the sources."""
    features: tuple[Feature, ...] = ()
    """Features that are read from TFRecord sources; empty for TIFFs."""
