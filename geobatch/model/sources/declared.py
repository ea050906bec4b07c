"""A source as a spec declares it, with the location of its files."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from geobatch.model.sources.pin import Remote
from geobatch.model.sources.servers import Servers

MIXER = ".json"
"""Ending of the file that says how patches in TFRecord files make an image."""
OF_RECORDS = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz", MIXER)
"""Endings of TFRecord files and of mixers; next to a mixer, shards may have any name."""


class DeclaredSource(Struct, frozen=True, kw_only=True):
    """A source as a spec declares it: one file, or the mixer of TFRecord shards with its shards."""

    uri: str
    """As the spec spells it, with prefix and expanded glob."""
    path: Path
    """Absolute; only a unique key of an object that has a url."""
    source: int
    """Index of the source in its tileset."""
    uri_index: int = 0
    """Index of the uri in its source."""
    variable: str = ""
    """Name of the raster within the file; empty for the only one."""
    world: DeclaredSource | None = None
    """World file with its transform, if one is declared."""
    projection: DeclaredSource | None = None
    """File with the WKT of its CRS, if one is declared."""
    shards: tuple[DeclaredSource, ...] = ()
    """Shards that a mixer places, in the order of their records; empty for a TIFF."""
    is_external: bool = False
    """Whether its pixels stay where they are, as those of an external image."""
    url: str = ""
    """Url of an object in a bucket or on a server; empty for a local file."""
    state: Remote | None = None
    """State of an object in a bucket, as a list or a head reported it; None if it was not asked
    for. Lists report no versions."""
    generation: str = ""
    """What follows `#` in the uri of an external image."""
    allow_unpinned: bool = False
    """Whether its server may omit what distinguishes one state of it from the next."""
    servers: Servers | None = None
    """The servers that may be asked for it; None for all."""
