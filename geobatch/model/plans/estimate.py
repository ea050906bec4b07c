"""How long an apply may take, by how long the last ones took."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from geobatch.model.digest import Json
from geobatch.model.plans.plan import Plan

_BYTES_PER_RUN = 70_000_000
"""Bytes of pixels that take as long as to start, to plan and to publish."""
_BYTES_PER_ASSET = 1_500_000
"""Bytes of pixels that take as long as what an asset takes besides its pixels."""
_MOST_RUNS = 5
"""Runs that an estimate is made of: those that did the most similar amount of work."""


class Run(Struct, frozen=True, kw_only=True):
    """An apply that was completed."""

    machine: str
    """Digest that tells the computer from others."""
    work: int
    """How much it had to do; see `work_of`."""
    seconds: float
    """How long it took."""


class Estimate(Struct, frozen=True, kw_only=True):
    """How long an apply may take."""

    seconds: float
    """The median of what the runs say."""
    runs: int
    """How many runs it is made of."""
    is_same_machine: bool
    """Whether they ran on this computer."""

    def to_json(self) -> dict[str, Json]:
        """Return it as a plan states it."""
        return {
            "seconds": round(self.seconds, 2),
            "runs": self.runs,
            "is_same_machine": self.is_same_machine,
        }


def work_of(plan: Plan) -> int:
    """Return how much a plan has to do, in bytes of pixels that take as long; 0 for nothing."""
    done = [one for one in plan.changed if not one.blocked]
    if not done:
        return 0
    pixels = sum(change.bytes_read + change.bytes_write_max for change in done)
    return _BYTES_PER_RUN + _BYTES_PER_ASSET * len(done) + pixels


def estimate(work: int, runs: Sequence[Run], *, machine: str) -> Estimate | None:
    """Return how long some work may take; None if there is no run to go by.

    Args:
        work: How much there is to do.
        runs: The last runs, of any computers.
        machine: This computer: runs of others count only if it has none.
    """
    here = [run for run in runs if run.machine == machine]
    known = [run for run in here or runs if run.work > 0 and run.seconds > 0]
    if not known or work <= 0:
        return None
    nearest = sorted(known, key=lambda run: max(run.work, work) / min(run.work, work))[:_MOST_RUNS]
    rates = sorted(run.seconds / run.work for run in nearest)
    middle = len(rates) // 2
    rate = rates[middle] if len(rates) % 2 else (rates[middle - 1] + rates[middle]) / 2
    return Estimate(seconds=work * rate, runs=len(nearest), is_same_machine=bool(here))
