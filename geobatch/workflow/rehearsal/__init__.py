"""Rehearsals: a plan is executed without publishing it, and its result is published later."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.workflow.rehearsal.publish import apply_rehearsed
    from geobatch.workflow.rehearsal.sample import sample_plan
else:
    # These load what decodes and encodes pixels, and what publishes.
    __getattr__ = late(
        __name__,
        {
            "apply_rehearsed": "publish",
            "sample_plan": "sample",
        },
    )

__all__ = ["apply_rehearsed", "sample_plan"]
