"""What a random sample says of the whole: exact, for sampling without replacement."""

from __future__ import annotations

import math

CONFIDENCE = 0.95
"""How sure a bound is."""


def most_likely_to_differ(total: int, checked: int, found: int) -> int:
    """Return how many of all things differ at most, at 95 % confidence.

    It is the largest number for which a sample with so few findings is not rarer than 1 in 20: the
    upper bound of the hypergeometric distribution.

    Args:
        total: How many things there are.
        checked: How many of them were drawn at random and checked.
        found: How many of those differ.
    """
    if not checked:
        return total
    low, high = found, total - (checked - found)
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(found, total=total, differing=middle, checked=checked) >= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle - 1
    return low


def _at_most(found: int, *, total: int, differing: int, checked: int) -> float:
    """Return the probability of at most so many findings."""
    first = max(0, checked - (total - differing))
    last = min(found, checked, differing)
    ways = _log_ways(total, checked)
    return math.fsum(
        math.exp(
            _log_ways(differing, number) + _log_ways(total - differing, checked - number) - ways
        )
        for number in range(first, last + 1)
    )


def _log_ways(count: int, chosen: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)
