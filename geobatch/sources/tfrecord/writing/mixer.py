"""The mixer: the JSON beside TFRecord shards with the positions of their patches."""

from __future__ import annotations

import json
from decimal import Decimal

from geobatch.model.geobox import GeoBox

_PLAIN = range(-3, 7)
"""Decimal exponents of the numbers that Java writes without one."""


def mixer_text(geobox: GeoBox, *, patch: tuple[int, int], per_row: int, total: int) -> str:
    """Return a mixer with exactly the bytes that Earth Engine writes.

    Args:
        geobox: Placement of the first patch: its CRS and transform, whatever the margin.
        patch: (width, height) of a patch in pixels, without the margin.
        per_row: Patches of a row.
        total: Patches of all rows.

    Source:
        Mixer files that Earth Engine wrote; the numbers are those of Java's `Double.toString`.
    """
    numbers = ", ".join(java_text(float(number)) for number in geobox.transform)
    crs = json.dumps(geobox.crs.identity, ensure_ascii=False)
    return f"""\
{{
  "projection": {{
    "crs": {crs},
    "affine": {{
      "doubleMatrix": [{numbers}]
    }}
  }},
  "patchDimensions": [{patch[0]}, {patch[1]}],
  "patchesPerRow": {per_row},
  "totalPatches": {total}
}}
"""


def java_text(number: float) -> str:
    """Return the shortest text that reads back as the same finite float64, as in Java."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    power = len(digits) + int(exponent) - 1
    minus = "-" if sign else ""
    if not text:
        return f"{minus}0.0"
    if power not in _PLAIN:
        return f"{minus}{text[0]}.{text[1:] or '0'}E{power}"
    if power < 0:
        return f"{minus}0.{'0' * (-power - 1)}{text}"
    whole = text[: power + 1].ljust(power + 1, "0")
    return f"{minus}{whole}.{text[power + 1 :] or '0'}"
