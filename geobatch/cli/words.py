"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from geobatch.model.text.words import byte_text, count_text

__all__ = ["byte_text", "columns", "count_text", "dropped_text"]


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
