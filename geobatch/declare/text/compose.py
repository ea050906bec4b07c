"""Nodes from a stream of parse events: duplicate keys, merge keys, aliases, and every bound."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

from geobatch.declare.loading.enough import is_enough
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, Plain, ScalarNode, parse_plain
from geobatch.errors import Problem
from geobatch.model.limits import SPEC_VALUES

MAX_DEPTH = 64
"""Nesting beyond this is refused; a spec needs eight."""

TAG = "tag:yaml.org,2002:"
SCALAR_TAGS: dict[str, tuple[type, ...]] = {
    TAG + "int": (int,),
    TAG + "float": (int, float),
    TAG + "bool": (bool,),
    TAG + "null": (type(None),),
}


class Position(NamedTuple):
    """The position of an event."""

    line: int
    """1-based line."""
    column: int
    """1-based column, in characters."""
    start: int
    """Offset of the first character."""
    end: int
    """Offset past the last character."""


class UnreadableError(Exception):
    """The rest of the file cannot be read; holds the reason."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Frame(Struct):
    """A list or mapping that is still open."""

    node: ListNode | MappingNode
    anchor: str | None
    items: list[Node] | None
    key: Node | None = None
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


class Composer(Struct):
    """Builds the documents of one file; a loop with its own stack, so that depth is a number."""

    path: str
    """Spec file, as the user named it."""
    documents: list[Node] = field(default_factory=list)
    """Roots of the finished documents."""
    problems: list[Problem] = field(default_factory=list)
    """Problems that do not stop reading."""
    has_aliases: bool = False
    """Whether any anchor, alias or merge key was met."""
    _count: int = 0
    """Values of the document so far, aliases and merged keys followed."""
    _most: int = field(default_factory=lambda: SPEC_VALUES.value)
    _anchors: dict[str, Node] = field(default_factory=dict)
    _open_anchors: list[str] = field(default_factory=list)
    _stack: list[Frame] = field(default_factory=list)

    def problem(
        self, position: Position | Node, rule: str, message: str, hint: str | None
    ) -> Problem:
        """Return a problem at a position of this file."""
        return Problem(
            path=self.path,
            line=position.line,
            column=position.column,
            rule=rule,
            message=message,
            hint=hint,
        )

    def report(
        self, position: Position | Node, rule: str, message: str, hint: str | None = None
    ) -> None:
        """Record a problem and continue.

        Raises:
            UnreadableError: These are enough.
        """
        self.problems.append(self.problem(position, rule, message, hint))
        if is_enough(self.problems):
            raise UnreadableError(self.problems.pop())

    def start_document(self) -> None:
        """Forget the anchors and the count: they hold within one document."""
        self._anchors.clear()
        self._count = 0

    def scalar(
        self,
        position: Position,
        text: str,
        *,
        style: str = "",
        tag: str | None = None,
        anchor: str | None = None,
    ) -> None:
        """Take a single value."""
        value = text if style or tag == "!" else parse_plain(text)
        if tag is not None and tag != "!":
            value = text if tag == TAG + "str" else self._tagged(position, text, tag)
        node = ScalarNode(
            line=position.line,
            column=position.column,
            start=position.start,
            end=position.end,
            value=value,
            text=text,
            style=style,
        )
        if anchor is not None:
            self._name(anchor, node)
        self.attach(node)

    def open(
        self, position: Position, node: ListNode | MappingNode, anchor: str | None = None
    ) -> None:
        """Take the start of a list or mapping.

        Raises:
            UnreadableError: It is nested too deep.
        """
        if len(self._stack) >= MAX_DEPTH:
            raise UnreadableError(self.too_deep(position))
        if anchor is not None:
            self.has_aliases = True
            self._anchors.pop(anchor, None)
        self._stack.append(Frame(node, anchor, node.items if isinstance(node, ListNode) else None))

    def close(self, position: Position) -> None:
        """Take the end of the innermost list or mapping."""
        frame = self._stack.pop()
        node = frame.node
        node.end = position.end
        children = frame.items
        if children is None:
            children = [part for pair in frame.pairs for part in pair]
        weight, depth = 1, 0
        for child in children:
            weight += child.weight
            depth = max(depth, child.depth)
        node.weight, node.depth = weight, depth + 1
        if isinstance(node, MappingNode):
            node.entries = self._entries(frame.pairs)
        self._name(frame.anchor, node)
        self.attach(node)

    def alias(self, position: Position, anchor: str) -> None:
        """Take an alias.

        Raises:
            UnreadableError: It names no anchor, an anchor around itself, or nests too deep.
        """
        self.has_aliases = True
        node = self._anchors.get(anchor)
        if node is None:
            is_open = any(frame.anchor == anchor for frame in self._stack)
            why = "is inside its own anchor" if is_open else "has no anchor before it"
            # No name of a file that may be something else is quoted, here and below.
            message = f"an alias {why}"
            raise UnreadableError(self.problem(position, "yaml-alias", message, None))
        if len(self._stack) + node.depth > MAX_DEPTH:
            raise UnreadableError(self.too_deep(position))
        self.attach(node, is_alias=True)

    def too_deep(self, position: Position) -> Problem:
        """Return the problem of an element that is nested too deep."""
        message = f"nested more than {MAX_DEPTH} levels deep"
        return self.problem(position, "too-deep", message, "a spec needs fewer than 10")

    def _name(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            self.has_aliases = True
            self._anchors[anchor] = node

    def attach(self, node: Node, *, is_alias: bool = False) -> None:
        """Add a finished node to the open list or mapping, or to the documents.

        Raises:
            UnreadableError: The document holds too many values.
        """
        self._add(node.weight if is_alias else 1, node)
        if not self._stack:
            self.documents.append(node)
            return
        frame = self._stack[-1]
        if frame.items is not None:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            frame.pairs.append((frame.key, node))
            frame.key = None

    def _add(self, count: int, node: Node) -> None:
        self._count += count
        if self._count > self._most:
            message = f"a document may hold at most {self._most:,} values, got more"
            hint = "aliases and merge keys multiply values; remove them, or split the file; or,"
            raise UnreadableError(
                self.problem(node, "too-large", message, f"{hint} {SPEC_VALUES.hint()}")
            )

    def _tagged(self, position: Position, text: str, tag: str) -> Plain:
        value = parse_plain(text)
        types = SCALAR_TAGS.get(tag)
        if types is None:
            self.report(position, "yaml-tag", "unknown tag", "remove the tag")
        elif type(value) not in types:
            self.report(
                position, "yaml-tag", f"the text does not fit its tag `!!{tag.rpartition(':')[2]}`"
            )
        return value

    def _entries(self, pairs: list[tuple[Node, Node]]) -> list[tuple[ScalarNode, Node]]:
        entries: dict[str, tuple[ScalarNode, Node]] = {}
        merges: list[tuple[ScalarNode, Node]] = []
        for key, value in pairs:
            if not isinstance(key, ScalarNode):
                self.report(key, "wrong-type", "a key must be text, got a list or a mapping")
            elif key.text == "<<" and not key.style:
                merges.append((key, value))
                self.has_aliases = True
            elif key.text in entries:
                first = entries[key.text][0]
                message = "this key appears a second time"
                hint = f"line {first.line} already has it; keep one"
                self.report(key, "duplicate-key", message, hint)
            else:
                entries[key.text] = (key, value)
        if len(merges) > 1:
            hint = "write one list: `<<: [*a, *b]`"
            self.report(merges[1][0], "duplicate-key", "a second merge key", hint)
        for _, value in merges[:1]:
            for source in value.items if isinstance(value, ListNode) else [value]:
                if not isinstance(source, MappingNode):
                    hint = "write `<<: *name` or `<<: [*a, *b]`"
                    self.report(source, "wrong-type", "a merge key must be given mappings", hint)
                    continue
                self._add(len(source.entries), source)
                for key, merged in source.entries:
                    entries.setdefault(key.text, (key, merged))
        return list(entries.values())
