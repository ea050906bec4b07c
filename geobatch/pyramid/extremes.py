"""The lower and the higher of pixels, with and without weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geobatch.pyramid.pixels import Mask, Values


def lower(a: Values, b: Values) -> Values:
    """Return the lower of two, pixel by pixel; of equals the first."""
    # numpy's minimum of -0.0 and 0.0 depends on the machine: of equals, take the first.
    return np.where(b < a, b, a) if a.dtype.kind == "f" else np.minimum(a, b)


def higher(a: Values, b: Values) -> Values:
    """Return the higher of two, pixel by pixel; of equals the first."""
    return np.where(b > a, b, a) if a.dtype.kind == "f" else np.maximum(a, b)


def weighted_extreme(
    members: list[Values],
    masks: list[Mask],
    *,
    neutral: float,
    better: Callable[[Values, Values], Values],
) -> Values:
    """Return the best valid pixel of each group.

    Args:
        members: Pixels per member of the groups.
        masks: Their masks.
        neutral: Value in place of masked pixels; no value is worse.
        better: Returns the better of two, pixel by pixel; of equals the first.
    """
    candidates = (
        np.where(mask > 0, member, member.dtype.type(neutral))
        for member, mask in zip(members, masks, strict=True)
    )
    result = next(candidates)
    for candidate in candidates:
        result = better(result, candidate)
    return result
