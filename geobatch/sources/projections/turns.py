"""The length of x around the Earth in a projected CRS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, repeat
from statistics import median
from typing import TYPE_CHECKING

from geobatch.sources.projections.proj import proj

if TYPE_CHECKING:
    from pyproj import CRS


def turn_of_plane(crs: CRS) -> float | None:
    """Return the turn of a projected CRS, by the meridians of each degree at two latitudes."""
    if not crs.is_projected or crs.geodetic_crs is None:
        return None
    transformer = proj().Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    lons = [float(lon) for lon in range(-180, 180)]
    rows = [transformer.transform(lons, [lat] * len(lons)) for lat in (0.0, 40.0)]
    (x, _), _ = rows
    steps = _steps(x)
    step = math.nan if any(map(math.isnan, steps)) else median(steps)
    if not math.isfinite(step) or step == 0:
        return None
    slack = abs(step) * 1e-6
    for xs, ys in rows:
        # Meridians are a step apart, but where the plane ends, and parallels are straight.
        odd = sum(not abs(found - step) <= 1e-8 + 1e-9 * abs(step) for found in _steps(xs))
        if odd > 1 or not all(_is_near(y, ys[0], slack) for y in ys):
            return None
    if not all(map(_is_near, rows[0][0], rows[1][0], repeat(slack))):
        return None
    return abs(step) * 360


def _steps(values: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(values)]


def _is_near(value: float, expected: float, slack: float) -> bool:
    return value == expected or abs(value - expected) <= slack + 1e-5 * abs(expected)
