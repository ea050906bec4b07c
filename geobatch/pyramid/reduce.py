"""One level from the level below: 2x2 groups of masked pixels become one, by pyramiding policy.

The semantics are Earth Engine's pyramiding policies, with the open points decided in
docs/design.md: masks are weights, integer arithmetic is exact, and a result depends on the four
pixels of its group alone, never on what else the plane holds.
"""

from __future__ import annotations

import numpy as np

from geobatch.model.assets.asset import Number, Policy
from geobatch.pyramid.pixels import Mask, Plane, Values
from geobatch.pyramid.unweighted import members_of, plain_reduce
from geobatch.pyramid.weighted import WEIGHTED

_FEW = 1 / 8
"""Share of groups whose masks differ up to which these are picked out and reduced by themselves."""


def reduce_plane(plane: Plane, *, policy: Policy, fill: Number, out: Values | None = None) -> Plane:
    """Return the plane of the level above.

    Args:
        plane: (height, width) pixels; the values under mask 0 do not matter.
        policy: How a group becomes a pixel.
        fill: Value of masked result pixels.
        out: Takes the values of the result, if given; part of a larger plane, perhaps.

    Returns:
        Pixels of shape (ceil(height / 2), ceil(width / 2)) in the same dtype.

    Groups start at pixel (0, 0). Pixels beyond an odd edge do not exist: the groups there have two
    members or one.
    """
    values, mask = plane
    height, width = values.shape
    shape = ((height + 1) // 2, (width + 1) // 2)
    if out is None:
        out = np.empty(shape, dtype=values.dtype)
    if mask is not None and not mask.any():
        out[:] = fill
        return Plane(out, np.zeros(shape, dtype=np.uint8))
    weights = [
        (
            (rows, cols),
            _reduce_groups(
                values[down, right],
                None if mask is None else mask[down, right],
                policy=policy,
                fill=fill,
                out=out[rows, cols],
            ),
        )
        for rows, down in _parts(height)
        for cols, right in _parts(width)
    ]
    if len(weights) == 1:
        return Plane(out, weights[0][1])
    # Without a mask, only infinities can make one: their mean may be NaN, which is always masked.
    is_masked = any(part is not None for _, part in weights)
    out_mask = np.full(shape, 255, dtype=np.uint8) if is_masked else None
    for place, part in weights:
        if out_mask is not None and part is not None:
            out_mask[place] = part
    return Plane(out, out_mask)


def _parts(size: int) -> list[tuple[slice, slice]]:
    """Return (result slice, slice) for the paired part of an axis and for its odd end."""
    even = size - size % 2
    parts = [(slice(0, even // 2), slice(0, even))] if even else []
    return [*parts, (slice(even // 2, None), slice(even, None))] if size % 2 else parts


def _reduce_groups(
    values: Values, mask: Mask | None, *, policy: Policy, fill: Number, out: Values
) -> Mask | None:
    """Reduce a plane of an even number of rows and columns, or one of them; return the weights."""
    plain_reduce(values, policy, out=out)
    weights: Mask | None = None
    if mask is not None and policy is Policy.SAMPLE:
        weights = np.empty(out.shape, dtype=np.uint8)
        plain_reduce(mask, policy, out=weights)
    elif mask is not None:
        weights = _mean_mask(mask, out.shape)
        members, masks = members_of(values), members_of(mask)
        uneven = np.zeros(out.shape, dtype=np.bool_)
        for other in masks[1:]:
            uneven |= other != masks[0]
        count = np.count_nonzero(uneven)
        if count > _FEW * uneven.size:
            np.copyto(out, WEIGHTED[policy](members, masks), where=uneven)
        elif count:
            places = uneven.nonzero()
            picked = [member[places] for member in members], [member[places] for member in masks]
            out[places] = WEIGHTED[policy](*picked)
    if out.dtype.kind == "f" and policy in {Policy.MEAN, Policy.MEDIAN}:
        weights = _mask_nan(out, weights)
    if weights is not None:
        np.copyto(out, out.dtype.type(fill), where=weights == 0)
    return weights


def _mask_nan(values: Values, mask: Mask | None) -> Mask | None:
    invalid = np.isnan(values)
    if not invalid.any():
        return mask
    masked = np.full(values.shape, 255, dtype=np.uint8) if mask is None else mask
    masked[invalid] = 0
    return masked


def _mean_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Return the mean of the masks, rounded half up, at least 1 where any of them is above 0."""
    mean = np.empty(shape, dtype=np.uint8)
    plain_reduce(mask, Policy.MEAN, out=mean)
    if not mean.all():
        for member in members_of(mask):
            np.maximum(mean, member > 0, out=mean)
    return mean
