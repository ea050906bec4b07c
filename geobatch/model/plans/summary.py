"""What a run did."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from geobatch.errors import Problem
from geobatch.model.checks.result import CheckResult
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import Failure, Plan


class TileTotals(Struct, frozen=True, kw_only=True):
    """Counts of the tiles of a run."""

    written: int
    """Tiles whose object the run wrote."""
    reused: int
    """Tiles of the planned assets that were kept, or existed already."""
    empty: int
    """Fully masked tiles, which are not stored."""


class ByteTotals(Struct, frozen=True, kw_only=True):
    """What a run read and wrote."""

    read: int
    """Source bytes read for pixels."""
    written: int
    """Bytes of tile objects that were written."""


class BlockTotals(Struct, frozen=True, kw_only=True):
    """What was read of objects that changed, to find out where."""

    fetched: int = 0
    """Blocks that were read and compared with those of the state that was ingested."""
    equal: int = 0
    """Those that are the same."""
    decoded: int = 0
    """Blocks of these objects and of all others that were decoded."""


class ApplySummary(Struct, frozen=True, kw_only=True):
    """What an apply did."""

    plan: Plan
    """The plan that was executed."""
    commit: Digest | None
    """Digest of the new commit; None when nothing had to change."""
    content_root: Digest
    """Content root of the published state after the run."""
    tiles: TileTotals
    """Tile counts, values and masks together."""
    bytes: ByteTotals
    """Byte counts."""
    seconds: float
    """Wall-clock time."""
    blocks: BlockTotals = BlockTotals()
    """Counts of the blocks of objects in buckets and on servers."""
    rows: int = 0
    """Rows of tables that were read."""
    failures: tuple[Failure, ...] = ()
    """Assets that failed; only with `--keep-going`."""
    checks: Mapping[str, tuple[CheckResult, ...]] = MappingProxyType({})
    """What became of the checks of assets that were computed, by asset id."""
    warnings: tuple[Problem, ...] = ()
    """Warnings found in pixels; warnings of specs and headers are known before."""
