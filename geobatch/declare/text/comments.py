"""Comments and blank lines of a YAML document, each attached to the element that it describes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode
from geobatch.declare.text.read import BREAK

COMMENT = re.compile(r"(?:^|(?<=[ \t]))#")
MODELINE = re.compile(r"#\s*(yaml-language-server:|-\*-|vim?:)")


class Remark(Struct, frozen=True, kw_only=True):
    """A comment, or a blank line."""

    text: str
    """With its `#`; empty for a blank line."""
    line: int
    """1-based line."""
    column: int
    """1-based column."""
    start: int
    """Offset of the first character."""
    is_alone: bool
    """Whether it is alone on its line."""


class Element(Struct, frozen=True, kw_only=True):
    """A mapping's entry or a list's item, which a comment can describe."""

    node: Node
    """The entry's key, or the item."""
    line: int
    """1-based line where it starts."""
    column: int
    """1-based column: of the key, or of the item's dash."""
    last_line: int
    """1-based line where it ends, if it is written in one piece."""


class Comments(Struct, kw_only=True):
    """Where every remark of a document goes, by the identity of the element's node."""

    head: list[str] = field(default_factory=list)
    """At the top of the document."""
    before: dict[int, list[str]] = field(default_factory=dict)
    """On the lines above an element."""
    beside: dict[int, str] = field(default_factory=dict)
    """At the end of an element's first line."""
    after: dict[int, list[str]] = field(default_factory=dict)
    """Below an element and all it holds."""
    tail: list[str] = field(default_factory=list)
    """At the end of the document."""
    opened: set[int] = field(default_factory=set)
    """Nodes in brackets or braces that hold a comment, so that they must become blocks."""


def remarks(text: str, scalars: list[ScalarNode]) -> list[Remark]:
    """Return the comments and blank lines of a text, except those inside scalars."""
    spans = sorted((scalar.start, scalar.end) for scalar in scalars)
    found: list[Remark] = []
    line_start, number, passed = 0, 1, 0
    for end, following in _lines(text):
        line = text[line_start:end]
        while passed < len(spans) and spans[passed][1] <= line_start:
            passed += 1
        if not line.strip(" \t"):
            if not _is_inside(spans[passed : passed + 1], line_start):
                found.append(
                    Remark(text="", line=number, column=1, start=line_start, is_alone=True)
                )
        elif "#" in line:
            found += _comment(line, line_start, number, spans[passed:])
        line_start, number = following, number + 1
    return found


def _lines(text: str) -> Iterator[tuple[int, int]]:
    for match in BREAK.finditer(text):
        yield match.span()
    if not text.endswith("\n"):
        yield len(text), len(text)


def _is_inside(spans: list[tuple[int, int]], index: int) -> bool:
    return any(start < index < end for start, end in spans)


def _comment(
    line: str, line_start: int, number: int, spans: list[tuple[int, int]]
) -> Iterator[Remark]:
    for match in COMMENT.finditer(line):
        start = line_start + match.start()
        nearby = [span for span in spans[: len(line)] if span[0] < line_start + len(line)]
        if any(first <= start < last for first, last in nearby):
            continue
        yield Remark(
            text=line[match.start() :].rstrip(" \t"),
            line=number,
            column=match.start() + 1,
            start=start,
            is_alone=not line[: match.start()].strip(" \t"),
        )
        return


def attach(root: Node, text: str, found: list[Remark]) -> Comments:
    """Attach the comments of one document to its elements.

    A comment alone on its line describes what follows, unless it is indented deeper: then it
    belongs below what precedes. Comments at the top, up to a blank line, are the document's.
    """
    comments = Comments()
    written = [remark.start for remark in found if remark.text]
    elements = list(_elements(root, text, written, comments.opened))
    blanks: list[str] = []
    index = 0
    for remark in found:
        while index < len(elements) and elements[index].node.start < remark.start:
            index += 1
            blanks = []
        if not remark.text:
            blanks = [""]
            continue
        previous = elements[index - 1] if index else None
        if not remark.is_alone and previous is not None:
            shares = remark.line in (previous.line, previous.last_line)
            if shares and id(previous.node) not in comments.beside:
                comments.beside[id(previous.node)] = remark.text
                continue
        following = elements[index] if index < len(elements) else None
        position = _place(comments, elements[:index], following, remark)
        position += [*blanks, remark.text]
        blanks = []
    _attach_blanks(comments, elements, found)
    _split_head(comments, elements)
    return comments


def _place(
    comments: Comments, preceding: list[Element], following: Element | None, remark: Remark
) -> list[str]:
    if following is not None and (remark.column <= following.column or not remark.is_alone):
        return comments.before.setdefault(id(following.node), [])
    if remark.column > 1:
        for element in reversed(preceding):
            if 1 < element.column <= remark.column:
                return comments.after.setdefault(id(element.node), [])
            if element.column == 1:
                break
    if following is not None:
        return comments.before.setdefault(id(following.node), [])
    return comments.tail


def _attach_blanks(comments: Comments, elements: list[Element], found: list[Remark]) -> None:
    """Keep one blank line right above an element."""
    blank = {remark.line for remark in found if not remark.text}
    seen: set[int] = set()
    for element in elements:
        if element.line - 1 in blank and element.line not in seen:
            comments.before.setdefault(id(element.node), []).append("")
        seen.add(element.line)


def _split_head(comments: Comments, elements: list[Element]) -> None:
    if not elements:
        return
    first = comments.before.get(id(elements[0].node), [])
    cut = max(
        (i + 1 for i, text in enumerate(first) if not text or MODELINE.match(text)), default=0
    )
    comments.head = first[:cut]
    if cut:
        comments.before[id(elements[0].node)] = first[cut:]


def _elements(node: Node, text: str, written: list[int], opened: set[int]) -> Iterator[Element]:
    if isinstance(node, ScalarNode):
        return
    if isinstance(node, ListNode | MappingNode) and node.is_flow:
        if not any(node.start < start < node.end for start in written):
            return
        opened.add(id(node))
    if isinstance(node, ListNode):
        for item in node.items:
            yield _element(item, item, text, dash=2)
            yield from _elements(item, text, written, opened)
    elif isinstance(node, MappingNode):
        for key, child in node.entries:
            yield _element(key, child, text, dash=0)
            yield from _elements(child, text, written, opened)


def _element(node: Node, value: Node, text: str, *, dash: int) -> Element:
    is_piece = isinstance(value, ScalarNode) or getattr(value, "is_flow", False)
    breaks = len(BREAK.findall(text, value.start, value.end)) if is_piece else 0
    last = value.line + breaks if is_piece else node.line
    column = max(node.column - dash, 1)
    return Element(node=node, line=node.line, column=column, last_line=last)
