"""Tables in HTML, for notebooks; everything in them is escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Sequence
from html import escape

MOST_ROWS = 100
"""Rows that a table shows; of more, it says how many there are."""

_STYLE = "text-align:left;vertical-align:top"
_LEFT = f' style="{_STYLE}"'
_WHOLE = f' style="{_STYLE};white-space:nowrap"'
_SHORT = 30
"""Longest line of a cell that is not wrapped."""


def html_table(
    caption: str,
    header: Sequence[str],
    rows: Collection[Sequence[str]],
    *,
    notes: Iterable[str] = (),
) -> str:
    """Return a table with a caption above it and notes below it, all of them plain text."""
    shown = [row for _, row in zip(range(MOST_ROWS), rows, strict=False)]
    more = len(rows) - len(shown)
    below = [*notes, *([f"and {more:,} more rows"] if more else [])]
    head = "".join(f"<th{_LEFT}>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in shown)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if shown else ""
    paragraphs = "".join(f"<p>{_lines(note)}</p>" for note in below)
    return f"<div><p><b>{escape(caption)}</b></p>{table}{paragraphs}</div>"


def html_picture(png: bytes, title: str) -> str:
    """Return a picture that is part of the page."""
    data = b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(title)}">'


def _cell(text: str) -> str:
    is_short = all(len(line) <= _SHORT for line in text.splitlines())
    return f"<td{_WHOLE if is_short else _LEFT}>{_lines(text)}</td>"


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
