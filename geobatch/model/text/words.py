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


def count_text(count: int, noun: str) -> str:
    """Return a number with its noun: `1 tile`, `1,204 tiles`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
