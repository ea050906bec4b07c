"""One policy: how a group of pixels becomes one, and what plans and views ask about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Mask, Values, members_of

Unweighted: TypeAlias = Callable[[Values, Values], None]
"""Makes one pixel per group of a plane, as if all its masks were equal: (values, out).

`values` has an even number of rows and columns, or one of them beyond an odd edge. `out` takes the
pixels, half as many rows and columns, in the dtype of the plane.
"""

Weighted: TypeAlias = Callable[[list[Values], list[Mask]], Values]
"""Makes one pixel per group whose masks differ: (members, masks).

There is one array of pixels and one of masks per member of the groups, in row-major order of the
group, and of any shape. The values under mask 0 do not matter. The result of a group without a
valid pixel has no meaning.
"""


Masked: TypeAlias = Callable[[Values, Mask, Values, Mask], None]
"""Makes one pixel per group of a plane whose masks differ: (values, mask, out, weights).

Planes as for `Unweighted`. `weights` has the mean of the masks of each group, and is raised to 1
where that is 0 and a pixel is valid. A pixel of `out` without a valid one has no meaning.
"""


class Reducer(Struct, frozen=True, kw_only=True):
    """All that geobatch knows of a policy."""

    policy: Policy
    """Its name in specs and in the store."""
    resampling: str
    """The word of GDAL and of the multiscales convention for it."""
    unweighted: Unweighted
    """Reduces groups whose masks are equal: the weights drop out."""
    weighted: Weighted | None
    """Reduces groups whose masks differ. None for a policy that ignores masks: it reduces them as
    it reduces the values; other policies take their mean."""
    masked_floats: Masked | None = None
    """Reduces all groups of a plane of floats with a mask at once, where that is faster."""
    makes_values: bool = False
    """Whether a result may be a value that no pixel of the group has: a NaN of infinities, or the
    band's fill value."""
    mixes_classes: bool = False
    """Whether it makes wrong classes of classes; a plan names this as a risk."""
    is_for_classes: bool = False
    """Whether it is the policy for classes; of several bands of integers, the one that has it is
    the one whose classes the properties of an asset name."""


def by_members(reduce: Callable[[list[Values]], Values]) -> Unweighted:
    """Return the unweighted form of a function that takes one plane per member of the groups."""

    def unweighted(values: Values, out: Values) -> None:
        out[:] = reduce(members_of(values))

    return unweighted
