"""The state of a source: what it is identified by, and its header."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Remote
from geobatch.model.sources.servers import Servers
from geobatch.model.sources.tfrecord import Feature, Records


class Probe(Struct, frozen=True, kw_only=True):
    """The state of a source, before pixels are read."""

    header: Header
    """Its header."""
    digest: Digest
    """What identifies its pixels."""
    stat: FileStat
    """The file as it was then."""
    records: Records | None = None
    """The shards, if it is the mixer of some."""
    layout: CogLayout | None = None
    """Layout of the COG of an external image."""
    remote: Remote | None = None
    """State of the object, if it is on a server or in a bucket."""
    servers: Servers | None = None
    """The servers that may be asked for it; None for all."""
    driver: str = "geotiff"
    """Name of the driver that reads it."""
    is_proven: bool = True
    """Whether an equal stat proves the bytes that were digested: see `CachedProbe.is_proven`."""

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that are read, if it is an export; each makes a band or several."""
        return () if self.records is None else self.records.features
