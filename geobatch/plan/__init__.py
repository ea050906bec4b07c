"""The pure comparison of what shall be with what is."""

from geobatch.plan.planner import needed_records, plan

__all__ = ["needed_records", "plan"]
