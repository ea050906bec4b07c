"""The pure comparison of what shall be with what is."""

from geobatch.plan.planner import needs_record, plan

__all__ = ["needs_record", "plan"]
