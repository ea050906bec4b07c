"""Long names in messages: cut in the middle, and never where they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

GAP = "..."


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters: its middle is left out where it is longer."""
    if len(text) <= most:
        return text
    room = most - len(GAP)
    return f"{text[: room - room // 2]}{GAP}{text[-(room // 2) :]}"


def all_shortened(names: Iterable[str], most: int) -> dict[str, str]:
    """Return how names are shown that stand together: no two of them alike.

    Where a cut would make several the same, what they differ by is kept, between their ends.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[shortened(name, most)].append(name)
    shown: dict[str, str] = {}
    for short, alike in groups.items():
        if len(alike) == 1:
            shown[alike[0]] = short
            continue
        cut = {name: _around_difference(name, alike, most) for name in alike}
        shown |= cut if len(set(cut.values())) == len(alike) else {name: name for name in alike}
    return shown


def _common(texts: list[str]) -> int:
    """Return how many characters texts have in common at their beginning."""
    least, most = min(texts), max(texts)
    pairs = enumerate(zip(least, most, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(least))


def _around_difference(name: str, alike: list[str], most: int) -> str:
    """Return the ends of a name and, between them, the part that the others have otherwise."""
    first = _common(alike)
    last = _common([other[first:][::-1] for other in alike])
    end = (most - 2 * len(GAP)) // 4
    start, stop = max(first - end // 2, end), min(len(name) - last + end // 2, len(name) - end)
    before = GAP if start > end else ""
    after = GAP if stop < len(name) - end else ""
    return f"{name[:end]}{before}{name[start:stop]}{after}{name[len(name) - end :]}"
