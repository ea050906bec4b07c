"""Rehearsals: a plan is executed without publishing it, and its result is published later."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.workflow.rehearsal.sample import sample_plan
else:
    # This loads what decodes and encodes pixels.
    __getattr__ = late(
        __name__,
        {
            "sample_plan": "sample",
        },
    )

__all__ = ["sample_plan"]
