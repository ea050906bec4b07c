"""What `why` answers: of an asset, its bands, the last change and the next apply."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from geobatch.explain.origin import SourceUnder
from geobatch.explain.table_why import TableWhy
from geobatch.model.asset import Asset, Band
from geobatch.model.digest import Digest
from geobatch.model.plan import Because
from geobatch.model.record import Head
from geobatch.model.tile import TilePosition
from geobatch.model.window import Window


class Verdict(StrEnum):
    """What the next apply does with a tile, or with a band."""

    KEEP = "kept"
    """Nothing that decides it differs."""
    REDO = "recomputed"
    """Something that decides it differs."""
    TAKEN = "taken over"
    """It was made before, and is still in the store."""
    RECODE = "encoded anew"
    """Its pixels stay, in another codec."""
    GONE = "removed"
    """The asset has no such tile any more."""
    UNKNOWN = "not known"
    """Sources are missing, or cannot be resolved."""
    UNDECLARED = "left alone"
    """The given specs do not declare the asset."""


class NextApply(Struct, frozen=True, kw_only=True):
    """What the next apply does."""

    verdict: Verdict
    """What it does."""
    because: tuple[Because, ...] = ()
    """Why, as far as it is about these pixels."""
    problems: tuple[str, ...] = ()
    """Why it is not known."""
    tiles: int = 0
    """How many tiles of the band are computed, values only."""
    can_stop: bool = False
    """Whether it is left as it is if the tiles below come out as they are."""


class LastChange(Struct, frozen=True, kw_only=True):
    """The commit since which pixels are as they are."""

    head: Head
    """That commit."""
    because: tuple[Because, ...]
    """What was decided otherwise in it, as far as it is about these pixels."""


class BandWhy(Struct, frozen=True, kw_only=True):
    """Why a tile of one band, or the whole band, is as it is."""

    band: Band
    """The band as it was resolved: what decides its pixels."""
    values: Digest | None
    """Content digest of the tile, or of the band's level 0; None where nothing is stored."""
    masks: Digest | None
    """Likewise of the mask array; None without one, too."""
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
    """Why an asset, or a tile of it, is as it is."""

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
