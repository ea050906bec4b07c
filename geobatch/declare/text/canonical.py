"""The canonical form of a spec file: snake_case keys in their order, two spaces, comments kept."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import yaml

from geobatch.declare.fields.collection import document_part
from geobatch.declare.fields.keys import Shape, part_of, spellings
from geobatch.declare.fields.manifest import Manifest, Part
from geobatch.declare.loading.load import raise_all
from geobatch.declare.text.comments import Comments, attach, remarks
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode, parse_plain
from geobatch.declare.text.read import LOADER, File, read

WIDTH = 120
"""Longest line of a list or mapping in brackets."""
UNPRINTED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


def fmt_text(text: str, *, path: str) -> str:
    """Return a spec file's text in canonical form, or as it is where `canonical` returns none."""
    found = canonical(text, path=path)
    return text if found is None else found


def canonical(text: str, *, path: str) -> str | None:
    """Return a spec file's text in canonical form.

    What the file means is not changed, and formatting again changes nothing. There is no such text
    for files that use YAML's anchors, merge keys or directives, whose order carries meaning, nor
    where a comment would be lost.

    Args:
        text: Contents of the file.
        path: Its name: JSON if it ends in `.json`, else YAML; messages bear it.

    Raises:
        SpecError: The text is no YAML or JSON, or a key appears twice.
    """
    file = read(text.encode("utf-8", "surrogatepass"), path=str(path))
    problems = list(file.problems)
    for root in file.documents:
        shape = Shape.of(root, _part(root), path=str(path))
        problems += [one for one in shape.problems if one.rule == "duplicate-key"]
    raise_all(problems)
    if str(path).lower().endswith(".json"):
        return "".join(_json(root, _part(root), "") + "\n" for root in file.documents)
    formatted = _settled(file, path)
    return None if formatted is None or not _is_same(file, formatted, path) else formatted


def _settled(file: File, path: str) -> str | None:
    """Return the text formatted a second time, which merges blank lines that were moved."""
    formatted = _yaml(file)
    again = None if formatted is None else read(formatted.encode(), path=path)
    return formatted if again is None or again.problems else _yaml(again)


def _yaml(file: File) -> str | None:
    """Return the formatted text; None if the file cannot be rearranged safely."""
    starts = _document_starts(file.text)
    if file.has_aliases or starts is None:
        return None
    if not all(isinstance(root, MappingNode) for root in file.documents):
        return None
    found = remarks(file.text, [s for root in file.documents for s in _scalars(root)])
    parts: list[str] = []
    for index, root in enumerate(file.documents):
        low = max((start for start in starts if start <= root.start), default=0)
        later = file.documents[index + 1 :]
        high = len(file.text)
        if later:
            high = max(start for start in starts if start <= later[0].start)
        low = low if index else 0
        mine = [remark for remark in found if low <= remark.start < high]
        comments = attach(root, file.text, mine)
        lines = [*comments.head, *Emitter(comments, file.text).block(root, _part(root), "")]
        parts.append("\n".join([*lines, *comments.tail]).strip("\n") + "\n")
    return "---\n".join(parts)


def _part(root: Node) -> type[Part]:
    return document_part(root) if isinstance(root, MappingNode) else Manifest


def _document_starts(text: str) -> list[int] | None:
    starts: list[int] = []
    events: Any = yaml.parse(text, Loader=LOADER)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if event.version or event.tags:
                return None
            mark: Any = event.start_mark
            starts.append(mark.index)
        elif isinstance(event, yaml.DocumentEndEvent) and event.explicit:
            return None
    return starts


def _is_same(file: File, formatted: str, path: str) -> bool:
    """Return whether the formatted text keeps meaning and comments, and is a fixed point."""
    again = read(formatted.encode(), path=path)
    if again.problems or len(again.documents) != len(file.documents):
        return False
    pairs = zip(file.documents, again.documents, strict=True)
    if not all(_value(one) == _value(two) for one, two in pairs):
        return False
    contents = [_contents(one) for one in (file, again)]
    return contents[0] == contents[1] and _yaml(again) == formatted


def _value(root: Node) -> str:
    value = Shape.of(root, _part(root), path="").value
    return json.dumps(value, sort_keys=True)


def _contents(file: File) -> Counter[str]:
    scalars = [scalar for root in file.documents for scalar in _scalars(root)]
    return Counter(remark.text for remark in remarks(file.text, scalars) if remark.text)


def _scalars(node: Node) -> list[ScalarNode]:
    if isinstance(node, ScalarNode):
        return [node]
    if isinstance(node, ListNode):
        return [scalar for item in node.items for scalar in _scalars(item)]
    if isinstance(node, MappingNode):
        return [s for pair in node.entries for part in pair for s in _scalars(part)]
    return []


def _ordered(
    node: MappingNode, part: type[Part] | None
) -> list[tuple[str | None, ScalarNode, Node, type[Part] | None]]:
    """Return (canonical name, key, value, part of the value), known keys first in their order."""
    if part is None:
        return [(None, key, value, None) for key, value in node.entries]
    names, order = spellings(part), list(part.model_fields)
    rows: list[tuple[str | None, ScalarNode, Node, type[Part] | None]] = []
    for key, value in node.entries:
        name = names.get(key.text)
        inner = part_of(part, name) if name in order else None
        rows.append((name, key, value, inner))
    return sorted(rows, key=lambda row: order.index(row[0]) if row[0] in order else len(order))


class Emitter:
    """Writes nodes as YAML."""

    def __init__(self, comments: Comments, source: str) -> None:
        self._comments = comments
        self._source = source

    def block(self, node: Node, part: type[Part] | None, indent: str) -> list[str]:
        """Return the lines of a list or mapping, one element below the other."""
        lines: list[str] = []
        if isinstance(node, ListNode):
            for item in node.items:
                lines += self._around(item, self._item(item, part, indent), indent)
        elif isinstance(node, MappingNode):
            for name, key, value, inner in _ordered(node, part):
                head = f"{indent}{name or _scalar(key)}:"
                lines += self._around(key, self._entry(head, key, value, inner, indent), indent)
        return lines

    def _around(self, node: Node, lines: list[str], indent: str) -> list[str]:
        before = self._comments.before.get(id(node), [])
        after = self._comments.after.get(id(node), [])
        return [*_indented(before, indent), *lines, *_indented(after, indent)]

    def _entry(
        self, head: str, key: ScalarNode, value: Node, part: type[Part] | None, indent: str
    ) -> list[str]:
        beside = self._comments.beside.get(id(key))
        tail = f"  {beside}" if beside else ""
        if (lines := self._block_scalar(head, value, indent)) is not None:
            return lines
        inline = self._inline(value, part)
        if inline is not None and self._fits(head, inline, value):
            return [f"{head} {inline}".rstrip(" ") + tail]
        return [head + tail, *self.block(value, part, indent + "  ")]

    def _item(self, item: Node, part: type[Part] | None, indent: str) -> list[str]:
        beside = self._comments.beside.get(id(item))
        head = f"{indent}-"
        if (lines := self._block_scalar(head, item, indent)) is not None:
            return lines
        inline = self._inline(item, part)
        if inline is not None and self._fits(head, inline, item):
            return [f"{head} {inline}".rstrip(" ") + (f"  {beside}" if beside else "")]
        lines = self.block(item, part, indent + "  ")
        skip = 0
        while not lines[skip].strip() or lines[skip].lstrip().startswith("#"):
            skip += 1
        above = [line.strip() for line in lines[:skip]]
        first = f"{head} {lines[skip].removeprefix(indent + '  ')}"
        above += [beside] if beside else []
        return [*_indented(above, indent), first, *lines[skip + 1 :]]

    def _fits(self, head: str, inline: str, value: Node) -> bool:
        if isinstance(value, ScalarNode) or inline in ("[]", "{}"):
            return True
        return len(head) + 1 + len(inline) <= WIDTH

    def _inline(self, node: Node, part: type[Part] | None) -> str | None:
        """Return a value on one line; None if it is a block."""
        if isinstance(node, ScalarNode):
            return _scalar(node)
        if id(node) in self._comments.opened:
            return None
        if isinstance(node, ListNode) and (node.is_flow or not node.items):
            return f"[{', '.join(self._flow(item, part) for item in node.items)}]"
        if isinstance(node, MappingNode) and (node.is_flow or not node.entries):
            rows = _ordered(node, part)
            entries = (f"{n or _scalar(k)}: {self._flow(v, p)}" for n, k, v, p in rows)
            return f"{{{', '.join(entries)}}}"
        return None

    def _flow(self, node: Node, part: type[Part] | None) -> str:
        return self._inline(node, part) or "null"

    def _block_scalar(self, head: str, node: Node, indent: str) -> list[str] | None:
        """Return a literal or folded text with new indentation; None if the value would change."""
        if not isinstance(node, ScalarNode) or node.style not in ("|", ">"):
            return None
        first, *body = self._source[node.start : node.end].splitlines()
        while body and not body[-1].strip(" \t"):
            body.pop()
        if "+" in first[:3] or re.match(r"[|>][-+]?\d", first) or not body:
            return [f"{head} {_quoted(node.text)}"]
        full = next(line for line in body if line.strip(" \t"))
        margin = len(full) - len(full.lstrip(" "))
        return [
            f"{head} {first.rstrip(' ')}",
            *_indented([b[margin:] for b in body], indent + "  "),
        ]


def _indented(lines: list[str], indent: str) -> list[str]:
    return [indent + line if line else "" for line in lines]


def _scalar(node: ScalarNode) -> str:
    text = node.text
    is_line = not re.search("[\n\r\x85\u2028\u2029\ufeff]", text)
    if not node.style:
        is_plain = is_line and repr(parse_plain(text)) == repr(node.value)
        return text if is_plain else _quoted(text)
    if node.style == "'" and is_line:
        return "'" + text.replace("'", "''") + "'"
    return _quoted(text)


def _quoted(text: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return UNPRINTED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _json(node: Node, part: type[Part] | None, indent: str) -> str:
    """Return a value as JSON; what holds only scalars and is short stays on one line."""
    deeper = indent + "  "
    if isinstance(node, ScalarNode):
        return _quoted(node.text) if node.style else node.text
    if isinstance(node, ListNode):
        brackets, children = "[]", node.items
        rows = [_json(item, part, deeper) for item in node.items]
    elif isinstance(node, MappingNode):
        ordered = _ordered(node, part)
        brackets, children = "{}", [row[2] for row in ordered]
        rows = [f"{_quoted(n or k.text)}: {_json(v, p, deeper)}" for n, k, v, p in ordered]
    else:
        raise TypeError(type(node).__name__)
    line = brackets[0] + ", ".join(rows) + brackets[1]
    if all(isinstance(child, ScalarNode) for child in children) and len(line) <= WIDTH - 20:
        return line
    inner = ",\n".join(deeper + row for row in rows)
    return f"{brackets[0]}\n{inner}\n{indent}{brackets[1]}"
