"""Errors of services and networks, explained: who asked for what, what is missing, what helps."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.buckets.explanations.explanation import explain
else:
    # Only what fails is explained.
    __getattr__ = late(__name__, {"explain": "explanation"})

__all__ = ["explain"]
