"""One level from the level below: 2x2 groups of masked pixels become one, by pyramiding policy.

The semantics are Earth Engine's pyramiding policies, with the open points decided in
docs/design.md: masks are weights, integer arithmetic is exact, and a result depends on the four
pixels of its group alone, never on what else the plane holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from geobatch.model.assets.asset import Number
from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Mask, Plane, Values, members_at, members_of, places_of
from geobatch.pyramid.reducer import Weighted
from geobatch.pyramid.reducers import REDUCERS, mask_reducer

_STRIP = 1 << 20
"""Bytes of values that are reduced at a time. With more, what is made in between leaves the caches;
with fewer, the calls themselves take longer than what they do."""
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
        for rows, down in _strips(height, width * values.itemsize)
        for cols, right in _parts(width)
    ]
    # Without a mask, only infinities can make one: their mean may be NaN, which is always masked.
    is_masked = mask is not None or any(part is not None for _, part in weights)
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


def _strips(height: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Yield (result slice, slice) for the rows that are reduced at a time."""
    most = max(_STRIP // row_bytes, 2) // 2 * 2
    even = height - height % 2
    for top in range(0, even, most):
        bottom = min(top + most, even)
        yield slice(top // 2, bottom // 2), slice(top, bottom)
    if height % 2:
        yield slice(even // 2, None), slice(even, None)


def _reduce_groups(
    values: Values, mask: Mask | None, *, policy: Policy, fill: Number, out: Values
) -> Mask | None:
    """Reduce a plane of an even number of rows and columns, or one of them; return the weights.

    They are None where all pixels are valid.
    """
    reducer = REDUCERS[policy]
    if mask is not None and mask.min() == 255:
        mask = None
    elif mask is not None and not mask.max():
        out[:] = fill
        return np.zeros(out.shape, dtype=np.uint8)
    weights: Mask | None = None
    if mask is not None:
        weights = np.empty(out.shape, dtype=np.uint8)
        mask_reducer(policy).unweighted(mask, weights)
    if mask is not None and weights is not None and out.dtype.kind == "f" and reducer.masked_floats:
        reducer.masked_floats(values, mask, out, weights)
    else:
        reducer.unweighted(values, out)
        if mask is not None and weights is not None and reducer.weighted is not None:
            _weigh(values, mask, weighted=reducer.weighted, out=out, weights=weights)
    if out.dtype.kind == "f" and reducer.makes_values:
        weights = _mask_nan(out, weights)
    if weights is not None:
        np.copyto(out, out.dtype.type(fill), where=weights == 0)
    return weights


def _weigh(values: Values, mask: Mask, *, weighted: Weighted, out: Values, weights: Mask) -> None:
    """Reduce again, by their weights, the groups whose masks differ."""
    first, *others = masks = members_of(mask)
    if not weights.all():  # the mean of masks is at least 1 where any of them is above 0
        for member in masks:
            np.maximum(weights, (member > 0).view(np.uint8), out=weights)
    uneven = np.zeros(out.shape, dtype=np.bool_)
    for other in others:
        uneven |= other != first
    count = np.count_nonzero(uneven)
    if count > _FEW * uneven.size:
        np.copyto(out, weighted(members_of(values), masks), where=uneven)
    elif count:
        places = places_of(uneven)
        out[places] = weighted(members_at(values, places), members_at(mask, places))


def _mask_nan(values: Values, mask: Mask | None) -> Mask | None:
    invalid = np.isnan(values)
    if not invalid.any():
        return mask
    masked = np.full(values.shape, 255, dtype=np.uint8) if mask is None else mask
    masked[invalid] = 0
    return masked
