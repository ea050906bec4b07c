"""The order of files that a glob matches: by name, with digits as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_DIGITS = re.compile("([0-9]+)")
_OUTLINE = bytes.maketrans(b"123456789", b"000000000")
_FIRST = 2
"""How many names a message shows at the beginning of an order."""
_LAST = 2
"""How many it shows at the end."""

Key = tuple[tuple[str | tuple[int, str], ...], str]


def file_key(name: str) -> Key:
    """Return what a name is sorted by: runs of ASCII digits as numbers, all else as text.

    `_9.tif` comes before `_10.tif`. Names that differ by leading zeros alone are sorted as text, so
    that the order is total and the same on every platform.
    """
    parts = _DIGITS.split(name)
    # A number is compared with text as its digits would be: `a.tif` stays before `a1.tif`.
    texts = [f"{text}0" for text in parts[:-1:2]]
    numbers = [_number(digits) for digits in parts[1::2]]
    pairs = (part for pair in zip(texts, numbers, strict=True) for part in pair)
    return (*pairs, parts[-1]), name


def in_order(names: Iterable[str]) -> list[str]:
    """Return names of files in the order in which they are taken."""
    every = list(names)
    # Names that differ only in digits at the same positions, as most do, are in the order of text.
    outlines = {name.encode(errors="surrogatepass").translate(_OUTLINE) for name in every}
    return sorted(every, key=None if len(outlines) <= 1 else file_key)


def shown_order(names: Sequence[str]) -> str:
    """Return an order in words: the first names, the last ones and their count."""
    # Whole names: they differ at the end, where `hints.show` would cut them.
    every = [f"`{name}`" for name in names]
    if len(every) > _FIRST + _LAST:
        every[_FIRST:-_LAST] = ["..."]
    return f"{', '.join(every)} ({len(names):,} files)"


def _number(digits: str) -> tuple[int, str]:
    # As text, since Python refuses to convert thousands of digits.
    significant = digits.lstrip("0")
    return len(significant), significant
