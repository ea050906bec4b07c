"""One level from the level below: 2x2 groups of masked pixels become one, by pyramiding policy.

The semantics are Earth Engine's pyramiding policies, with the open points decided in
docs/design.md: masks are weights, integer arithmetic is exact, and a result depends on the four
pixels of its group alone, never on what else the plane holds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geobatch.execute.pixels import Mask, Plane, Values
from geobatch.execute.plain import plain_reducer
from geobatch.execute.weighted import WEIGHTED
from geobatch.model.asset import Number, Policy

_FEW = 1 / 8
"""Share of groups whose masks differ up to which these are picked out and reduced by themselves."""


def reduce_plane(plane: Plane, *, policy: Policy, fill: Number) -> Plane:
    """Return the plane of the level above.

    Args:
        plane: (height, width) pixels; what stands under mask 0 does not matter.
        policy: How a group becomes a pixel.
        fill: Value of masked result pixels.

    Returns:
        Pixels of shape (ceil(height / 2), ceil(width / 2)) in the same dtype.

    Groups start at pixel (0, 0). Pixels beyond an odd edge do not exist: the groups there have two
    members or one.
    """
    values, mask = plane
    height, width = values.shape
    shape = ((height + 1) // 2, (width + 1) // 2)
    out = np.empty(shape, dtype=values.dtype)
    out_mask = None if mask is None else np.empty(shape, dtype=np.uint8)
    for rows, down in _halves(height):
        for cols, right in _halves(width):
            members = [(row, col) for row in down for col in right]
            result, result_mask = _reduce_members(
                [values[row, col] for row, col in members],
                None if mask is None else [mask[row, col] for row, col in members],
                plain=plain_reducer(values, policy, down=down, right=right),
                policy=policy,
                fill=fill,
            )
            out[rows, cols] = result
            if out_mask is None and result_mask is not None:
                # Only infinities can do this: their mean may be NaN, which is always masked.
                out_mask = np.full(shape, 255, dtype=np.uint8)
            if out_mask is not None:
                out_mask[rows, cols] = 255 if result_mask is None else result_mask
    return Plane(out, out_mask)


def _halves(size: int) -> list[tuple[slice, list[slice]]]:
    """Return (result slice, member slices) for the paired part of an axis and for its odd end."""
    even = size - size % 2
    parts = [(slice(0, even // 2), [slice(0, even, 2), slice(1, even, 2)])] if even else []
    return [*parts, (slice(even // 2, None), [slice(even, None)])] if size % 2 else parts


def _reduce_members(
    values: list[Values],
    masks: list[Mask] | None,
    *,
    plain: Callable[[list[Values]], Values],
    policy: Policy,
    fill: Number,
) -> tuple[Values, Mask | None]:
    """Reduce groups given as one plane per member, in row-major order of the group."""
    if policy is Policy.SAMPLE:
        if masks is None:
            return plain(values), None
        return np.where(masks[0] == 0, values[0].dtype.type(fill), plain(values)), masks[0]
    result = plain(values)
    if result.base is not None:
        result = result.copy()
    mask = None if masks is None else _mean_mask(masks)
    if masks is not None and mask is not None:
        uneven = np.zeros(result.shape, dtype=np.bool_)
        for other in masks[1:]:
            uneven |= other != masks[0]
        count = np.count_nonzero(uneven)
        if count > _FEW * uneven.size:
            np.copyto(result, WEIGHTED[policy](values, masks), where=uneven)
        elif count:
            picked = [member[uneven] for member in values], [member[uneven] for member in masks]
            result[uneven] = WEIGHTED[policy](*picked)
    if result.dtype.kind == "f" and policy in {Policy.MEAN, Policy.MEDIAN}:
        mask = _mask_nan(result, mask)
    if mask is not None:
        result[mask == 0] = fill
    return result, mask


def _mask_nan(values: Values, mask: Mask | None) -> Mask | None:
    invalid = np.isnan(values)
    if not invalid.any():
        return mask
    masked = np.full(values.shape, 255, dtype=np.uint8) if mask is None else mask
    masked[invalid] = 0
    return masked


def _mean_mask(masks: list[Mask]) -> Mask:
    """Return the mean of the masks, rounded half up, at least 1 where any of them is above 0."""
    count = len(masks)
    total = np.zeros(masks[0].shape, dtype=np.uint16)
    for mask in masks:
        total += mask
    mean = (total + np.uint16(count // 2)) >> np.uint16(count.bit_length() - 1)
    return np.maximum(mean.astype(np.uint8), total > 0, dtype=np.uint8)
