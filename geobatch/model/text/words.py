"""Numbers as people read them."""

from __future__ import annotations


def byte_text(count: int) -> str:
    """Return a byte count in decimal units: `1.8 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{count} B"


def duration_text(seconds: float) -> str:
    """Return an estimated time in two digits or so: `0.4 s`, `12 s`, `3 min`, `1 h 20 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.1):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes, -1), 60)
    return f"{hours:,} h {minutes} min" if hours < 10 and minutes else f"{hours:,} h"


def estimate_text(seconds: float, runs: int, *, is_same_machine: bool) -> str:
    """Return how long an apply may take: `takes about 12 s, by the last 3 runs`."""
    last = "the last run" if runs == 1 else f"the last {runs:,} runs"
    where = "" if is_same_machine else " on other machines"
    return f"takes about {duration_text(seconds)}, by {last}{where}"


def count_text(count: int, noun: str) -> str:
    """Return a number with its noun: `1 tile`, `1,204 tiles`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
