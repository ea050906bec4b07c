"""What was probably meant by a name that is not known."""

from __future__ import annotations

import difflib
from bisect import bisect
from collections.abc import Iterable
from itertools import islice

_MOST_CHARACTERS = 200
"""More of a name is not compared: the time grows with its square."""
MOST_NAMES = 10_000
"""How many names are considered at most."""
_MOST_COMPARED = 400
"""How many of them are compared letter by letter: the next ones in alphabetical order."""


def closest(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known names that are most like one, the closest first; case does not count.

    Args:
        name: The name that is not known.
        known: The names that are; of two that differ in case alone, the first is found.
        most: How many to return at most.
        cutoff: How alike they must be: 0 is anything, 1 is equal.
    """
    lowered: dict[str, str] = {}
    for one in islice(known, MOST_NAMES):
        lowered.setdefault(one.lower(), one)
    word = name[:_MOST_CHARACTERS].lower()
    found = difflib.get_close_matches(word, _near(word, lowered), n=most, cutoff=cutoff)
    return [lowered[one] for one in found]


def _near(word: str, names: Iterable[str]) -> list[str]:
    """Return the names that come next to one in alphabetical order, in their own order if few."""
    every = list(names)
    if len(every) <= _MOST_COMPARED:
        return every
    every.sort()
    start = max(0, min(bisect(every, word) - _MOST_COMPARED // 2, len(every) - _MOST_COMPARED))
    return every[start : start + _MOST_COMPARED]


def suggestion(
    name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6
) -> str | None:
    """Return the hint `did you mean ...?` with what `closest` finds; None where it finds none."""
    close = closest(name, known, most=most, cutoff=cutoff)
    return f"did you mean {' or '.join(f'`{one}`' for one in close)}?" if close else None
