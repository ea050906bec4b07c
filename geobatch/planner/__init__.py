"""The pure comparison of the declared state with the published one; this is its only door."""

from geobatch.planner.because import because_of
from geobatch.planner.changes import (
    Fingerprints,
    block_pairs,
    fingerprints_of,
    narrowed,
    needed_records,
    plan,
    source_pairs,
    wanted_bands,
)
from geobatch.planner.checks import grid_results, pending_results, pixel_results
from geobatch.planner.complete import complete
from geobatch.planner.cubes import with_cubes
from geobatch.planner.dirty import Blocks, changed_sources
from geobatch.planner.moves import moves, renamed_head, renamed_record
from geobatch.planner.names_by_case import refuse_alike
from geobatch.planner.selection import (
    Choice,
    Kept,
    choose,
    deletions,
    is_selected,
    is_under,
    keep,
    may_be_selected,
)

__all__ = [
    "Blocks", "Choice", "Fingerprints", "Kept", "because_of", "block_pairs", "changed_sources",
    "choose", "complete", "deletions", "fingerprints_of", "grid_results", "is_selected", "is_under",
    "keep", "may_be_selected", "moves", "narrowed", "needed_records", "pending_results",
    "pixel_results", "plan", "refuse_alike", "renamed_head", "renamed_record", "source_pairs",
    "wanted_bands", "with_cubes",
]  # fmt: skip
