"""One asset that is verified: what is computed of it, and what was found so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geobatch.errors import CorruptObjectError, SourceError
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import RegionTask, TableTask
from geobatch.execute.verification.comparison import TileFinding
from geobatch.execute.verification.tasks import tile_count, tile_total, verification_tasks
from geobatch.model.assets.asset import Image, Table
from geobatch.model.assets.fingerprint import band_fingerprint, table_fingerprint
from geobatch.model.assets.table import StoredTable
from geobatch.model.digest import Digest, digest_json
from geobatch.model.published import AssetRecord
from geobatch.store.value_diff import ValueDiff
from geobatch.workflow.maintenance.located import LocatedAsset, LostSource
from geobatch.workflow.maintenance.report import AssetVerification, LevelFinding, TableFinding

MOST_TILES = 10_000
"""Tiles that are named of one band at one level."""
_MOST_PROBLEMS = 8
_EPOCH = "made by earlier rules for pixels: this geobatch may compute other ones"
_EXTERNAL = "its pixels stay in COGs: only the state of these was compared"


class AssetWork:
    """Collects what was found of an asset."""

    def __init__(self, record: AssetRecord, located: LocatedAsset, *, seed: int) -> None:
        """Find nothing yet.

        Args:
            record: The published asset.
            located: The asset with its sources.
            seed: The number by which regions are drawn.
        """
        self.record = record
        self.located = located
        self.id = record.asset.id
        self.is_table = isinstance(record.asset, Table)
        self.table_key = digest_json(["geobatch verify", seed, self.id])
        self.left = 0
        """Drawn regions that are not computed yet."""
        self._seed = seed
        self._lost = {source.uri: source for source in located.lost}
        self._regions = self._regions_checked = self._regions_different = 0
        self._tiles = self._computable = self._checked = self._different = self._failed = 0
        self._found: dict[tuple[str, int], _LevelFound] = {}
        self._damages: list[str] = []
        self._table: TableFinding | None = None

    def tasks(self, inputs: Inputs) -> Iterator[RegionTask]:
        """Yield the tasks that compute all that can be computed of an image.

        Args:
            inputs: Receives what the tasks name.
        """
        located = self.located
        if isinstance(located.asset, Image):
            yield from verification_tasks(
                self.record,
                located.asset,
                unavailable=located.unavailable,
                seed=self._seed,
                inputs=inputs,
            )

    def all_tasks(self, inputs: Inputs) -> Iterator[RegionTask | TableTask]:
        """Yield the tasks of an image, or the one that reads a table."""
        table = self.located.asset
        if isinstance(table, Table):
            yield TableTask(key=self.table_key, asset=inputs.add(table))
        yield from self.tasks(inputs)

    def keys(self) -> list[Digest]:
        """Return the keys of the regions that can be computed; a table is one, if it can."""
        found = [self.table_key] if self.is_table and not self._lost else []
        for task in self.tasks(Inputs()):
            found.append(task.key)
            self._computable += tile_count(task, self.record.image)
        if found or not self.record.asset.is_external:
            self._tiles = 0 if self.is_table else tile_total(self.record.image)
        self._regions = len(found)
        return found

    def add_region(self, tiles: int, found: Sequence[TileFinding]) -> None:
        """Note that a region was computed, with so many tiles, and what differs in it."""
        self._checked += tiles
        self._regions_checked += 1
        self._regions_different += bool(found)
        for one in found:
            self._different += one.arrays
            self._found.setdefault((one.band, one.position.level), _LevelFound()).add(one)

    def add_table(self, computed: StoredTable) -> None:
        """Note that the rows of a table were read again."""
        if self.record.table is not None:
            self._table = TableFinding(published=self.record.table, computed=computed)
            self._regions_checked += 1
            self._regions_different += not self._table.is_equal

    def add_error(self, error: SourceError | CorruptObjectError, *, tiles: int) -> None:
        """Note that tiles could not be computed, because a source or a tile cannot be read."""
        self._failed += tiles
        if isinstance(error, CorruptObjectError):
            self._damages.append(error.message)
            return
        for one in error.every:
            lost = LostSource(uri=one.uri, problem=one.message)
            self._lost.setdefault(one.uri or one.message, lost)

    def result(self) -> AssetVerification:
        """Return what was found."""
        return AssetVerification(
            id=self.id,
            kind=self.record.asset.kind.value,
            tiles=self._tiles,
            checked=self._checked,
            different=self._different,
            unreadable=max(0, self._tiles - self._computable) + self._failed,
            regions=self._regions,
            regions_checked=self._regions_checked,
            regions_different=self._regions_different,
            findings=tuple(found.finding(*key) for key, found in sorted(self._found.items())),
            table=self._table,
            lost=tuple(sorted(self._lost.values())),
            damages=tuple(sorted(set(self._damages))),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        asset, table = self.record.asset, self.record.table
        if asset.is_external:
            yield _EXTERNAL
        elif isinstance(asset, Table):
            if table is not None and table.fingerprint != table_fingerprint(asset):
                yield _EPOCH
        elif any(band_fingerprint(asset, name) != one for name, one in self.record.fingerprints):
            yield _EPOCH


class _LevelFound:
    """What differs of one band at one level, in bounded memory."""

    def __init__(self) -> None:
        self._count = 0
        self._tiles: list[tuple[int, int]] = []
        self._values: ValueDiff | None = None
        self._problems: set[str] = set()

    def add(self, one: TileFinding) -> None:
        self._count += 1
        self._tiles.append((one.position.row, one.position.col))
        if len(self._tiles) > 2 * MOST_TILES:
            self._tiles = self._first()
        if one.values is not None:
            self._values = one.values if self._values is None else self._values + one.values
        if one.problem and len(self._problems) < _MOST_PROBLEMS:
            self._problems.add(one.problem)

    def _first(self) -> list[tuple[int, int]]:
        return sorted(self._tiles)[:MOST_TILES]

    def finding(self, band: str, level: int) -> LevelFinding:
        return LevelFinding(
            band=band,
            level=level,
            count=self._count,
            tiles=tuple(self._first()),
            values=self._values,
            problems=tuple(sorted(self._problems)),
        )
