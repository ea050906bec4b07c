"""What `why` answers about an asset: its bands, the last change and the next apply."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from geobatch.explain.origin import SourceUnder
from geobatch.explain.table_why import TableWhy
from geobatch.model.assets.asset import Asset, Band
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import Because
from geobatch.model.published import Head
from geobatch.model.tile import TilePosition
from geobatch.model.window import Window


class Verdict(StrEnum):
    """What the next apply does with a tile, or with a band."""

    KEEP = "kept"
    """Nothing that it depends on changed."""
    REDO = "recomputed"
    """Something that it depends on changed."""
    TAKEN = "reused"
    """It was computed before, and is still in the store."""
    RECODE = "encoded again"
    """Its pixels stay the same, in another codec."""
    GONE = "removed"
    """The asset has no such tile any more."""
    UNKNOWN = "unknown"
    """Sources are missing, or cannot be resolved."""
    UNDECLARED = "not touched"
    """The given specs do not declare the asset."""


class NextApply(Struct, frozen=True, kw_only=True):
    """What the next apply does."""

    verdict: Verdict
    """What it does."""
    because: tuple[Because, ...] = ()
    """Why, as far as it concerns these pixels."""
    problems: tuple[str, ...] = ()
    """Why it is not known."""
    tiles: int = 0
    """How many tiles of the band are computed, values only."""
    can_stop: bool = False
    """Whether it stays unchanged if the tiles below turn out unchanged."""


class LastChange(Struct, frozen=True, kw_only=True):
    """The commit that changed pixels last."""

    head: Head
    """That commit."""
    because: tuple[Because, ...]
    """What changed in that commit, as far as it concerns these pixels."""


class BandWhy(Struct, frozen=True, kw_only=True):
    """The explanation of a tile of one band, or of the whole band."""

    band: Band
    """The band as it was resolved: what decides its pixels."""
    values: Digest | None
    """Content digest of the tile, or of the band's level 0; None where nothing is stored."""
    masks: Digest | None
    """The same for the mask array; None also where there is no mask array."""
    size: int
    """Bytes of the tile's objects, or none for a band."""
    window: Window
    """Pixels of level 0 that decide it."""
    children: tuple[TilePosition, ...]
    """Tiles of the level below that it is built from."""
    sources: tuple[SourceUnder, ...]
    """Sources under the window."""
    last: LastChange
    """When it last changed."""
    edited: LastChange | None = None
    """When the pixels changed before, where the last change has only cut them into other tiles."""
    next: NextApply | None = None
    """What the next apply does; None where no specs were given."""


class Why(Struct, frozen=True, kw_only=True):
    """The explanation of an asset, or of a tile of it."""

    head: Head
    """The newest commit."""
    asset: Asset
    """The asset in it."""
    place: TilePosition | None
    """The tile; None for whole bands."""
    bands: tuple[BandWhy, ...]
    """Per band, in the order of the asset."""
    table: TableWhy | None = None
    """Of a table, in place of bands."""
