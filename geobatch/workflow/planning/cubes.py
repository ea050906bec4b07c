"""Which collections have cubes, as the specs of a run declare it."""

from __future__ import annotations

from geobatch.declare import SpecSet
from geobatch.model.plans.plan import Plan
from geobatch.planner import with_cubes
from geobatch.workflow.request import Base


def with_declared_cubes(plan: Plan, specs: SpecSet, base: Base) -> Plan:
    """Return a plan with what it does to cubes; see `with_cubes`."""
    settings = cube_settings(specs, plan)
    return with_cubes(plan, base=base.head, settings=settings, image=base.image)


def cube_settings(specs: SpecSet, plan: Plan) -> dict[str, bool]:
    """Return whether collections have cubes, by id: those of the specs that a plan covers.

    If assets were selected, a collection is covered if any of its images is.
    """
    declared = {one.id: one.has_cubes for one in specs.seen.collections}
    if not plan.not_selected or not declared:
        return declared
    ids = [change.id for change in plan.changed if change.asset is not None]
    return {
        one: has_cubes
        for one, has_cubes in declared.items()
        if any(asset_id.startswith(f"{one}/") for asset_id in ids)
    }
