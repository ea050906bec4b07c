"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence


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


def dropped_text(count: int) -> str:
    """Return what is unknown where `gc` dropped commits: `, or one of the 3 dropped commits...`."""
    if not count:
        return ""
    which = "the dropped commit" if count == 1 else f"one of the {count:,} dropped commits"
    return f", or {which} before it"


def columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Yield rows of text as lines with aligned columns, two spaces apart.

    Args:
        rows: Cells, the same number in every row.
        right: Numbers of the columns that are aligned to the right.
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
