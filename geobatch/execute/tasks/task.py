"""Tasks: values that say what to compute, and what each puts; any process can run them."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from msgspec import Struct, field

from geobatch.execute.upkeep.tasks import UpkeepTask
from geobatch.model.assets.asset import Codec
from geobatch.model.assets.table import StoredTable
from geobatch.model.checks.measure import BandMeasures, Measure
from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey, PageRef
from geobatch.model.tile import StoredTile
from geobatch.model.tiles import TileSet
from geobatch.model.window import Box

if TYPE_CHECKING:
    # They load what keeps a store, which few runs need.
    from geobatch.store.maintenance.quarantine import Removed
    from geobatch.store.maintenance.sweeping.sweep import Sweep

Peaks: TypeAlias = dict[str, int]
"""The highest weight that was read of the masks of files, by tileset."""
Roots: TypeAlias = dict[ArrayKey, PageRef | None]
"""The index root per array; None where no tile is stored."""


class Region(Struct, frozen=True, kw_only=True):
    """A square of tiles at a base level, with the levels above it up to one tile."""

    level: int
    """Base level, whose pixels are ingested or read back from the store."""
    row: int
    """First tile row at the base level; a multiple of 2^span."""
    col: int
    """First tile column at the base level; a multiple of 2^span."""
    span: int
    """Levels above the base; the region's side is 2^span tiles."""

    def box(self, level: int, plane: tuple[int, int]) -> Box:
        """Return the region's tiles at a level whose plane has `plane` (rows, columns) of tiles."""
        up = level - self.level
        side = 1 << (self.span - up)
        row, col = self.row >> up, self.col >> up
        return Box(
            row=row, col=col, height=min(side, plane[0] - row), width=min(side, plane[1] - col)
        )


class BandTask(Struct, frozen=True, kw_only=True):
    """What a region computes of one band."""

    band: str
    """Id of the band."""
    dirty: tuple[TileSet, ...]
    """The tiles of the region to recompute, level by level from the region's base."""
    from_sources: bool
    """Whether level 0 is ingested; else the base is read from the store."""
    can_stop: bool = False
    """Whether a tile that equals the stored one leaves its ancestors unchanged."""
    is_counted: bool = False
    """Whether the pixels of level 0 are counted for the checks of the band."""


class RegionTask(Struct, frozen=True, kw_only=True):
    """The work of one region: it depends on this value, its asset, the store and the sources."""

    key: Digest
    """Fingerprint of everything that determines the result."""
    asset: Digest
    """The asset, with its sources, as `Inputs` resolves it."""
    roots: Digest | None
    """The index roots of its stored arrays, likewise; None if it has none yet."""
    grid: str
    """Name of the grid of the bands."""
    region: Region
    """Which tiles of the grid."""
    bands: tuple[BandTask, ...]
    """What is computed of each band."""
    is_cached: bool
    """Whether the result is loaded from the region cache if possible, and else kept there."""
    is_whole: bool = False
    """Whether it is all that is computed of a new image."""
    is_portable: bool = True
    """Whether another process can run it: it can read the sources, or none is read."""
    is_streamed: bool = False
    """Whether it reads sources from their start, as each process would do again."""

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return (self.asset,) if self.roots is None else (self.asset, self.roots)


class PagesTask(Struct, frozen=True, kw_only=True):
    """Regions of a square of tiles, one after the other, and the index pages of their tiles."""

    key: Digest
    """Fingerprint of everything that determines the result."""
    asset: Digest
    """The asset, with its sources, as `Inputs` resolves it."""
    roots: Digest | None
    """The index roots of its stored arrays, likewise; None if it has none yet."""
    grid: str
    """Name of the grid of the bands."""
    square: Region
    """Which tiles of the base level: whole regions."""
    span: int
    """Levels above the base that are computed; the side of a region is 2^span tiles."""
    bands: tuple[BandTask, ...]
    """What is computed of each band, in the whole square."""
    is_cached: bool
    """Whether results are loaded from the region cache if possible, and else kept there."""
    is_portable: bool = True
    """Whether another process can run it: it can read the sources, or none is read."""
    is_streamed: bool = False
    """Whether it reads sources from their start, as each process would do again."""

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return (self.asset,) if self.roots is None else (self.asset, self.roots)


class JoinTask(Struct, frozen=True, kw_only=True):
    """One index page, of parts of it that several `PagesTask` have put."""

    asset_id: str
    """Id of the asset, for whoever shows what runs."""
    array: ArrayKey
    """The array."""
    root: PageRef | None
    """Its index root before; None if no tile was stored."""
    plane: tuple[int, int]
    """(rows, columns) of tiles of the array."""
    row: int
    """Row of the page among the pages of tiles."""
    col: int
    """Its column."""
    side: int
    """Tiles on a side of a part."""
    parts: bytes
    """Some of `PART`."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: no source is read."""
        return True

    @property
    def is_streamed(self) -> bool:
        """Whether it reads sources from their start: none is read."""
        return False

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return ()


class RecodeTask(Struct, frozen=True, kw_only=True):
    """Some tiles of an array that are encoded again: the same pixels with another codec."""

    asset_id: str
    """Id of the asset, for whoever shows what runs."""
    array: ArrayKey
    """The array."""
    root: PageRef | None
    """Its index root; None if no tile is stored."""
    plane: tuple[int, int]
    """(rows, columns) of tiles of the array."""
    box: Box
    """Which of its tiles; those that are not stored are reported, too."""
    dtype: str
    """Pixel type of the array."""
    side: int
    """Side of a tile."""
    before: Codec
    """Codec of the stored tiles."""
    codec: Codec
    """Codec of the tiles that are put."""
    has_pages: bool = False
    """Whether index pages are put, too: the tiles are those of whole pages."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: no source is read."""
        return True

    @property
    def is_streamed(self) -> bool:
        """Whether it reads sources from their start: none is read."""
        return False

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return ()


class CheckTask(Struct, frozen=True, kw_only=True):
    """Some stored level-0 tiles of a band that are read and counted for its checks."""

    asset: Digest
    """The asset, as `Inputs` resolves it."""
    roots: Digest
    """The index roots of its level 0, likewise."""
    band: str
    """Id of the band."""
    tiles: tuple[tuple[int, int], ...]
    """(row, column) of the tiles."""
    names: tuple[Digest, ...] = ()
    """What is counted."""
    before: Digest | None = None
    """The asset whose tiles were there before, if they are read, too."""
    before_roots: Digest | None = None
    """The index roots of its level 0."""
    is_compared: bool = False
    """Whether the pixels that differ from those before are counted."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: no source is read."""
        return True

    @property
    def is_streamed(self) -> bool:
        """Whether it reads sources from their start: none is read."""
        return False

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        named = (self.asset, self.roots, self.before, self.before_roots)
        return tuple(one for one in named if one is not None)


class TableTask(Struct, frozen=True, kw_only=True):
    """The rows of a table, which are read from its sources and put as one object."""

    key: Digest
    """Fingerprint of everything that determines the result."""
    asset: Digest
    """The table, with its sources, as `Inputs` resolves it."""
    is_portable: bool = True
    """Whether another process can run it."""

    @property
    def is_streamed(self) -> bool:
        """Whether it reads sources from their start, as each process would do again: no other."""
        return False

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return (self.asset,)


ComputingTask: TypeAlias = RegionTask | PagesTask
"""What computes tiles of an image."""
Task: TypeAlias = ComputingTask | JoinTask | RecodeTask | CheckTask | TableTask | UpkeepTask
"""What an executor runs."""


PART = np.dtype([("row", "<u2"), ("col", "<u2"), ("stored", "u1", (32,))])
"""A part of an index page: its position among the parts of the page, and the digest of a page that
has its tiles; zeros for no tile."""


class TaskResult(Struct, kw_only=True):
    """What a task put: plain data, ready to be indexed by the coordinator."""

    entries: dict[ArrayKey, list[StoredTile]] = field(default_factory=dict)
    """Tiles per array."""
    removed: dict[ArrayKey, list[tuple[int, int]]] = field(default_factory=dict)
    """(row, column) of tiles that hold no valid pixel, per array."""
    changed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """(row, column) of the tiles at the region's top level that differ from the base, per band."""
    pages: dict[ArrayKey, bytes] = field(default_factory=dict)
    """Index pages that were put in place of entries, per array: some of `PAGE_ENTRY`."""
    parts: dict[ArrayKey, tuple[int, bytes]] = field(default_factory=dict)
    """Parts of index pages that are to be joined: the side of each in tiles, and `PAGE_ENTRY`, with
    positions among squares of that side."""
    written: int = 0
    """Tiles whose object this task put."""
    reused: int = 0
    """Tiles whose object was there already."""
    empty: int = 0
    """Fully masked tiles."""
    bytes_written: int = 0
    """Bytes of the objects put."""
    bytes_read: int = 0
    """Source bytes that were read by another process than the coordinator's."""
    peaks: dict[str, Peaks] = field(default_factory=dict)
    """The highest weight that was read of masks, by asset and tileset."""
    measures: BandMeasures = field(default_factory=dict)
    """What was counted of the level-0 pixels of bands."""
    measures_before: BandMeasures = field(default_factory=dict)
    """The same of the tiles that were there before."""
    differing: dict[str, Measure] = field(default_factory=dict)
    """Pixels that differ from those before, per band."""
    kept: list[tuple[Digest, bytes]] = field(default_factory=list)
    """Bytes that another machine put in its memory: of a run that only compares."""
    puts: list[tuple[Future[bool], int]] = field(default_factory=list)
    """Tiles that are being put: whether each is new, once that is known, and its length."""
    table: StoredTable | None = None
    """The rows that were put."""
    document: Digest | None = None
    """The document of a table, which was put and says the same, in place of many columns."""
    damaged: list[int] = field(default_factory=list)
    """Which of the objects that were read are not whole, by their number in the task."""
    swept: Sweep | None = None
    """What a part of a list gave."""
    deleted: Removed | None = None
    """What was deleted from quarantine."""
    sunk: bytes = b""
    """What the sink of another process made of an image that is one task; see `TileSink.pack`."""

    @property
    def tiles(self) -> int:
        """Tiles that were computed."""
        return self.written + self.reused + self.empty + len(self.puts)

    def settle(self) -> None:
        """Wait for the tiles that are being put, and count them.

        Raises:
            StoreError: The store cannot be written.
        """
        for is_new, size in self.puts:
            if is_new.result():
                self.written += 1
                self.bytes_written += size
            else:
                self.reused += 1
        self.puts.clear()
