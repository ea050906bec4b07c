"""Units and classes of bands in the words of CF, such that no reader takes a number for a time."""

from __future__ import annotations

import re

import numpy as np

from geobatch.model.assets.asset import Band
from geobatch.model.assets.image import Raster
from geobatch.pyramid.reducers import REDUCERS

DURATIONS = frozenset(
    {"days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"}
)
"""Units by which xarray decodes numbers as durations; it compares the whole text."""

_SINCE = re.compile(r"\bsince\b", re.IGNORECASE)
_CLASS = re.compile("class_(0|[1-9][0-9]{0,18})")
_FLAG_SIGNS = frozenset("_-.+@")


def numeric_unit(unit: str) -> str | None:
    """Return a unit as `units` may hold it; None where no spelling of it leaves numbers numbers.

    xarray decodes a variable in `days` or in any text with `since` as times, whatever its name.
    The singular says the same to UDUNITS and decodes nothing, as does `from` for `since`.

    Source:
        xarray.coding.times, from 0.10 to 2026.9; the grammar of UDUNITS-2, whose shift operator is
        one of `@`, `after`, `from`, `ref`, `since`.
    """
    if unit.strip().lower() in DURATIONS:
        return unit.strip()[:-1]
    spelled = _SINCE.sub("from", unit)
    return None if "since" in spelled.lower() else spelled


def classes(asset: Raster) -> dict[str, tuple[list[int], str]]:
    """Return values and meanings of the classes of bands, as CF's flags, by band.

    Properties `class_N` name them. They belong to the one band of integers; of several, to the one
    whose policy is for classes (MODE).

    Source: CF 1.11 section 3.5: meanings are words of letters, digits and `_-.+@`, blanks between.
    """
    named = {
        int(found[1]): str(value)
        for key, value in asset.properties
        if (found := _CLASS.fullmatch(key))
    }
    band = _classified(asset) if named else None
    if band is None:
        return {}
    limits = np.iinfo(band.dtype)
    values = [value for value in sorted(named) if limits.min <= value <= limits.max]
    meanings = " ".join(_word(named[value]) or f"class_{value}" for value in values)
    return {band.id: (values, meanings)} if values else {}


def _classified(asset: Raster) -> Band | None:
    """Return the band whose classes the properties name; None where that is not clear."""
    whole = [band for band in asset.bands if not band.is_float]
    of_classes = [band for band in whole if REDUCERS[band.policy].is_for_classes]
    found = whole if len(whole) == 1 else of_classes
    return found[0] if len(found) == 1 else None


def _word(text: str) -> str:
    """Return a text as one word: characters that it may not contain become `_`."""
    signs = (sign if sign.isalnum() or sign in _FLAG_SIGNS else "_" for sign in text.strip())
    return "".join(signs)
