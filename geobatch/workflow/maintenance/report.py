"""What a verification found."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.assets.table import StoredTable
from geobatch.model.published import Head
from geobatch.model.sampling import most_likely_to_differ
from geobatch.store.value_diff import ValueDiff
from geobatch.workflow.maintenance.located import LostSource


class LevelFinding(Struct, frozen=True, kw_only=True):
    """What differs of one band at one level."""

    band: str
    """Band id."""
    level: int
    """Level."""
    count: int
    """How many tiles differ."""
    tiles: tuple[tuple[int, int], ...]
    """(row, column) of these, sorted; the first ones of very many."""
    values: ValueDiff | None
    """How their pixels differ, from the published ones to those computed."""
    problems: tuple[str, ...] = ()
    """Tiles that differ and are damaged, so that their pixels cannot be compared."""


class TableFinding(Struct, frozen=True, kw_only=True):
    """How the rows of a table differ."""

    published: StoredTable
    """As published."""
    computed: StoredTable
    """As read again from the sources."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that differ or that only one has, sorted."""
        was = {one.name: one for one in self.published.columns}
        now = {one.name: one for one in self.computed.columns}
        return tuple(
            sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
        )

    @property
    def is_equal(self) -> bool:
        """Whether nothing that a reader can see differs."""
        was, now = self.published, self.computed
        sides = [(one.rows, one.geometry, one.bounds) for one in (was, now)]
        return sides[0] == sides[1] and not self.columns


class AssetVerification(Struct, frozen=True, kw_only=True):
    """What was found of one asset; tiles are counted over values and masks."""

    id: str
    """Asset id."""
    kind: str
    """Asset kind."""
    tiles: int = 0
    """Tiles that the asset can have."""
    checked: int = 0
    """Tiles that were computed again and compared."""
    different: int = 0
    """Those of them that differ."""
    unreadable: int = 0
    """Tiles that could not be computed, because sources have changed or cannot be read."""
    regions: int = 0
    """Regions of tiles that could be computed: of them the sample is drawn."""
    regions_checked: int = 0
    """Regions that were computed again."""
    regions_different: int = 0
    """Regions in which a tile differs."""
    findings: tuple[LevelFinding, ...] = ()
    """What differs, by band and level."""
    table: TableFinding | None = None
    """How the rows of a table compare, if they were read again."""
    lost: tuple[LostSource, ...] = ()
    """Sources that are not, or no longer, what was published."""
    damages: tuple[str, ...] = ()
    """Published tiles that could not be read, so that levels above them were not computed."""
    notes: tuple[str, ...] = ()
    """What limits the comparison."""

    @property
    def equal(self) -> int:
        """Tiles that were compared and are equal."""
        return self.checked - self.different

    @property
    def not_drawn(self) -> int:
        """Tiles that are not in the sample."""
        return self.tiles - self.checked - self.unreadable

    @property
    def is_different(self) -> bool:
        """Whether anything differs, or is damaged."""
        is_other = self.table is not None and not self.table.is_equal
        return bool(self.different or self.damages) or is_other


class Verification(Struct, frozen=True, kw_only=True):
    """What was found of some assets of a commit."""

    store_id: str
    """Uuid of the store."""
    head: Head
    """The commit."""
    sample: float
    """The share of the regions that was drawn, from 0 to 1."""
    seed: int
    """The number by which it was drawn."""
    assets: tuple[AssetVerification, ...]
    """Sorted by id."""
    seconds: float
    """How long it took."""

    @property
    def is_different(self) -> bool:
        """Whether any asset differs."""
        return any(asset.is_different for asset in self.assets)

    @property
    def is_unchecked(self) -> bool:
        """Whether nothing could be compared though there was something to compare."""
        return not self.regions_checked and any(asset.lost for asset in self.assets)

    @property
    def regions(self) -> int:
        """Regions that could be computed; a table is one."""
        return sum(asset.regions for asset in self.assets)

    @property
    def regions_checked(self) -> int:
        """Regions that were computed again."""
        return sum(asset.regions_checked for asset in self.assets)

    @property
    def most_different(self) -> int:
        """How many regions differ at most, at 95 % confidence."""
        found = sum(asset.regions_different for asset in self.assets)
        return most_likely_to_differ(self.regions, self.regions_checked, found)
