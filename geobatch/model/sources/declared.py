"""A source as a spec declares it, with the location of its files."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from geobatch.model.sources.servers import Servers


class DeclaredSource(Struct, frozen=True, kw_only=True):
    """A source as a spec declares it: one file, or the mixer of TFRecord shards with its shards."""

    uri: str
    """As the spec spells it, with prefix and expanded glob."""
    path: Path
    """Absolute."""
    source: int
    """Index of the source in its tileset."""
    uri_index: int = 0
    """Index of the uri in its source."""
    world: Path | None = None
    """World file with its transform, if one is declared."""
    projection: Path | None = None
    """File with the WKT of its CRS, if one is declared."""
    shards: tuple[DeclaredSource, ...] = ()
    """Shards that a mixer places, in the order of their records; empty for a TIFF."""
    is_external: bool = False
    """Whether its pixels stay where they are, as those of an external image."""
    url: str = ""
    """Url of an external image's file on a server; the path is then only a unique key."""
    generation: str = ""
    """What follows `#` in the uri of an external image."""
    allow_unpinned: bool = False
    """Whether its server may omit what distinguishes one state of it from the next."""
    servers: Servers | None = None
    """The servers that may be asked for it; None for all."""
