"""The pure comparison of what shall be with what is."""

from geobatch.plan.complete import complete
from geobatch.plan.planner import needed_records, plan
from geobatch.plan.selection import choose, deletions

__all__ = ["choose", "complete", "deletions", "needed_records", "plan"]
