"""What executing a plan gave, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from geobatch.errors import Problem
from geobatch.model.assets.table import StoredTable
from geobatch.model.checks.result import CheckResult
from geobatch.model.plans.plan import Failure
from geobatch.model.plans.summary import BlockTotals
from geobatch.model.published import TreeEntry


class Executed(Struct, frozen=True, kw_only=True):
    """What executing a plan gave."""

    changes: Mapping[str, TreeEntry | None] = MappingProxyType({})
    """The new entry of each asset that changes; None to delete it."""
    tables: Mapping[str, StoredTable] = MappingProxyType({})
    """What was stored of tables, by asset id."""
    written: int = 0
    """Tiles whose object was put."""
    empty: int = 0
    """Fully masked tiles."""
    rows: int = 0
    """Rows of tables that were read."""
    bytes_read: int = 0
    """Source bytes that were read for pixels and rows."""
    bytes_written: int = 0
    """Bytes of tile and table objects that were put."""
    blocks: BlockTotals = BlockTotals()
    """Counts of the blocks of objects."""
    failures: tuple[Failure, ...] = ()
    """Assets whose sources failed."""
    checks: Mapping[str, tuple[CheckResult, ...]] = MappingProxyType({})
    """What became of the checks of each computed asset, by asset id."""
    warnings: tuple[Problem, ...] = ()
    """Warnings found in the pixels that were read."""
