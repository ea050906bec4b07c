"""Foreign text in a report: nothing in it is invisible, and nothing in it becomes markup.

What comes from specs, from sources or from an edited plan is foreign: ids, uris, values, messages.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

from geobatch.model.text.shortened import shortened

MOST_LETTERS = 160
"""Characters of a foreign text that a report shows."""
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Categories of characters that steer a text or are not seen: controls, directions, halves."""
_TICKS = re.compile("`+")


def visible(text: str, most: int = MOST_LETTERS) -> str:
    r"""Return a text in one line; characters that are not seen become `\u202e` and the like.

    Args:
        text: Any text.
        most: The middle of a longer one is omitted.
    """
    line = " ".join(text[: 8 * most].split()) if len(text) <= 8 * most else shortened(text, most)
    shown = "".join(map(_shown, line))
    return shortened(shown, most)


def _shown(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    if unicodedata.category(character) in _HIDDEN:
        number = ord(character)
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
    return character


def code_span(text: str, *, most: int = MOST_LETTERS, is_cell: bool = False) -> str:
    r"""Return a text as a code span of Markdown: no mention, link or markup is found in it.

    Source: https://github.github.com/gfm/#code-spans

    Args:
        text: Any text.
        most: The middle of a longer one is omitted.
        is_cell: Whether it is in a table, where `|` ends a cell even in a code span.
    """
    shown = visible(text, most) or " "
    if is_cell:
        # Programs differ in what `\\|` means in a cell: no backslash is left before the bar.
        shown = re.sub(r"\\(?=\|)", r"\\ ", shown).replace("|", r"\|")
    fence = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    pad = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def code_html(text: str, *, most: int = MOST_LETTERS) -> str:
    """Return a text as `<code>`, for HTML and for HTML within Markdown."""
    return f"<code>{html_text(text, most=most)}</code>"


def html_text(text: str, *, most: int = MOST_LETTERS) -> str:
    """Return a text for HTML."""
    return escape(visible(text, most))
