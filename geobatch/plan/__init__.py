"""The pure comparison of the declared state with the published one."""

from geobatch.plan.alike import refuse_alike
from geobatch.plan.complete import complete
from geobatch.plan.moves import moves, renamed_head, renamed_record
from geobatch.plan.planner import (
    block_pairs,
    fingerprints_of,
    needed_records,
    plan,
    wanted_bands,
)
from geobatch.plan.selection import choose, deletions, is_selected, is_under, may_be_selected

__all__ = [
    "block_pairs", "choose", "complete", "deletions", "fingerprints_of", "is_selected", "is_under",
    "may_be_selected", "moves", "needed_records", "plan", "refuse_alike", "renamed_head",
    "renamed_record", "wanted_bands",
]  # fmt: skip
