"""The pure comparison of what shall be with what is."""

from geobatch.plan.complete import complete
from geobatch.plan.planner import (
    block_pairs,
    fingerprints_of,
    needed_records,
    plan,
    wanted_bands,
)
from geobatch.plan.selection import choose, deletions

__all__ = [
    "block_pairs", "choose", "complete", "deletions", "fingerprints_of", "needed_records", "plan",
    "wanted_bands",
]  # fmt: skip
