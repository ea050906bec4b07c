"""What was probably meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

_MOST_CHARACTERS = 200
"""More of a name is not compared: the time grows with its square."""


def closest(name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6) -> list[str]:
    """Return the known names that are most like one, the closest first; case does not count.

    Args:
        name: The name that is not known.
        known: The names that are; of two that differ in case alone, the first is found.
        most: How many to return at most.
        cutoff: How alike they must be: 0 is anything, 1 is equal.
    """
    import difflib  # noqa: PLC0415  (only errors need it)

    lowered: dict[str, str] = {}
    for one in known:
        lowered.setdefault(one.lower(), one)
    word = name[:_MOST_CHARACTERS].lower()
    found = difflib.get_close_matches(word, lowered, n=most, cutoff=cutoff)
    return [lowered[one] for one in found]


def suggestion(
    name: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.6
) -> str | None:
    """Return the hint `did you mean ...?` with what `closest` finds; None where it finds none."""
    close = closest(name, known, most=most, cutoff=cutoff)
    return f"did you mean {' or '.join(f'`{one}`' for one in close)}?" if close else None
