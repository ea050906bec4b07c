"""Names of bands whose values are classes or flags: one list for warnings and risks."""

from __future__ import annotations

import re
from itertools import pairwise

CLASS_WORDS = frozenset({
    "categorical", "categories", "category", "class", "classes", "classification", "classified",
    "cluster", "clusters", "code", "codes", "flag", "flags", "fmask", "label", "labels",
    "landcover", "landuse", "lcz", "lulc", "mask", "masks", "qa", "qc", "quality", "scl", "zone",
    "zones",
})  # fmt: skip
"""Words in the name of a band whose values are classes or bits, which have no mean."""
QUANTITY_WORDS = frozenset({
    "area", "confidence", "count", "density", "error", "fraction", "mean", "percent", "percentage",
    "prob", "probability", "proportion", "score", "share", "weight",
})  # fmt: skip
"""Words that turn a class into a quantity: `class_probability`."""
_WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PAIRS = {("land", "cover"): "landcover", ("land", "use"): "landuse"}


def is_class_like(name: str) -> bool:
    """Return whether the name of a band suggests classes or flags."""
    words = [word.lower() for word in _WORD.findall(name)]
    joined = {_PAIRS.get(pair, "") for pair in pairwise(words)}
    known = {*words, *joined}
    return bool(known & CLASS_WORDS) and not known & QUANTITY_WORDS
