"""The keys of a document: normalised spelling, unknown and repeated keys, positions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

from msgspec import Struct, field

from geobatch.declare.fields.descriptions import descriptions
from geobatch.declare.fields.manifest import Part
from geobatch.declare.hints import did_you_mean, show
from geobatch.declare.loading.enough import MAX_HINTED
from geobatch.declare.specs import Loc, Positions
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode
from geobatch.errors import Problem


def to_camel(name: str) -> str:
    """Return the lowerCamelCase spelling of a snake_case name."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


@cache
def spellings(part: type[Part]) -> dict[str, str]:
    """Return the snake_case name by every spelling that a mapping's keys may have."""
    names = [*part.model_fields, *part.unsupported, *part.barred]
    found = {spelling: name for name in names for spelling in (name, to_camel(name))}
    for wrong, meant in part.misspelt.items():
        found |= {wrong: meant, to_camel(wrong): meant}
    return found


def fields_of(part: type[Part]) -> list[str]:
    """Return the keys that a mapping may have, in canonical order."""
    return [name for name in part.model_fields if name not in part.barred]


@cache
def part_of(part: type[Part], name: str) -> type[Part] | None:
    """Return what a field holds when it holds a mapping or a list of them."""
    return _find_part(part.model_fields[name].annotation)


def _inside(part: type[Part], key: str) -> str | None:
    """Return a hint where a key belongs, if it is one of a mapping inside this one."""
    inner = {name: found for name in fields_of(part) if (found := part_of(part, name))}
    for name, one in inner.items():
        if spellings(one).get(key) in fields_of(one):
            return f"write it inside `{name}`"
    for name, one in inner.items():
        if further := _inside(one, key):
            return f"{further}, inside `{name}`"
    return None


def _find_part(annotation: Any) -> type[Part] | None:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    found = (_find_part(argument) for argument in get_args(annotation))
    return next((part for part in found if part is not None), None)


class Shape(Struct, kw_only=True):
    """A document as plain values with snake_case keys, and their positions."""

    path: str
    """Spec file, as the user named it."""
    value: Any = None
    """Mappings, lists and scalars, ready for the manifest's types."""
    by_loc: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    """(line, column) by loc: of a scalar itself, of the key that leads to a list or mapping."""
    keys: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    """(line, column) of the key that leads to an element; empty until `trace` is called."""
    owners: dict[Loc, tuple[ListNode | MappingNode, Node]] = field(default_factory=dict)
    """The node around an element, and its own; likewise."""
    problems: list[Problem] = field(default_factory=list)
    """Problems of the keys."""
    _is_traced: bool = False

    @classmethod
    def of(cls, root: Node, part: type[Part], *, path: str) -> Shape:
        """Return the shape of a document, read as a `part`."""
        shape = cls(path=path)
        shape.by_loc[()] = (root.line, root.column)
        shape.value = shape._walk(root, part, ())
        return shape

    def trace(self, root: Node, part: type[Part]) -> None:
        """Record the keys and owners too; only problems need them."""
        traced = Shape(path=self.path, _is_traced=True)
        traced.by_loc[()] = (root.line, root.column)
        traced._walk(root, part, ())
        self.keys, self.owners = traced.keys, traced.owners

    @property
    def positions(self) -> Positions:
        """Only the positions."""
        return Positions(path=self.path, by_loc=self.by_loc)

    def prune(self, locs: Iterable[Loc]) -> set[Loc]:
        """Take the nearest elements that exist out of the document's nodes and return their locs.

        The empty loc among them is the document itself, which stays.
        """
        nearest = {self._nearest(loc) for loc in locs}
        owners: dict[int, ListNode | MappingNode] = {}
        gone: set[int] = set()
        for loc in nearest - {()}:
            owner, child = self.owners[loc]
            owners[id(owner)] = owner
            gone.add(id(child))
        for owner in owners.values():
            if isinstance(owner, ListNode):
                owner.items = [item for item in owner.items if id(item) not in gone]
            else:
                owner.entries = [entry for entry in owner.entries if id(entry[1]) not in gone]
        return nearest

    def _nearest(self, loc: Loc) -> Loc:
        while loc and loc not in self.owners:
            loc = loc[:-1]
        return loc

    def report(self, node: Node, rule: str, message: str, hint: str | None) -> None:
        """Record a problem at a node."""
        self.problems.append(
            Problem(
                path=self.path,
                line=node.line,
                column=node.column,
                rule=rule,
                message=message,
                hint=hint,
            )
        )

    def _walk(self, node: Node, part: type[Part] | None, loc: Loc) -> Any:
        if isinstance(node, ScalarNode):
            return node.value
        if isinstance(node, ListNode):
            values = []
            for index, item in enumerate(node.items):
                here = (*loc, index)
                self.by_loc[here] = (item.line, item.column)
                if self._is_traced:
                    self.owners[here] = (node, item)
                values.append(self._walk(item, part, here))
            return values
        if not isinstance(node, MappingNode):
            raise TypeError(type(node).__name__)
        return self._walk_part(node, part, loc) if part else self._walk_free(node, loc)

    def _enter(self, owner: MappingNode, key: ScalarNode, node: Node, loc: Loc) -> None:
        first = node if isinstance(node, ScalarNode) else key
        self.by_loc[loc] = (first.line, first.column)
        if self._is_traced:
            self.keys[loc] = (key.line, key.column)
            self.owners[loc] = (owner, node)

    def _walk_free(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        values = {}
        for key, child in node.entries:
            here = (*loc, key.text)
            self._enter(node, key, child, here)
            values[key.text] = self._walk(child, None, here)
        return values

    def _walk_part(self, node: MappingNode, part: type[Part], loc: Loc) -> dict[str, Any]:
        values: dict[str, Any] = {}
        seen: dict[str, ScalarNode] = {}
        names = spellings(part)
        for key, child in node.entries:
            name = names.get(key.text)
            if name is not None and name in part.barred:
                message = f"the key {show(key.text)} is not allowed here"
                self.report(key, "unknown-key", message, part.barred[name])
            elif name is None:
                is_early = len(self.problems) < MAX_HINTED
                hint = None
                if is_early:
                    hint = _inside(part, key.text) or did_you_mean(key.text, fields_of(part))
                self.report(key, "unknown-key", f"unknown key {show(key.text)}", hint)
            elif name in part.unsupported:
                why = part.unsupported[name]
                message = f"the key {show(key.text)} is not supported here, because {why}"
                self.report(key, "unsupported", message, "remove it")
            elif name in seen:
                message = f"the key {show(key.text)} appears here as {show(seen[name].text)} too"
                hint = f"line {seen[name].line} already has it; keep one"
                self.report(key, "duplicate-key", message, hint)
            else:
                seen[name] = key
                here = (*loc, name)
                self._enter(node, key, child, here)
                inner = part_of(part, name)
                one = MappingNode if inner else ScalarNode
                if name in part.one_or_many and isinstance(child, one):
                    item = (*here, 0)
                    self.by_loc[item] = self.by_loc[here]
                    values[name] = [self._walk(child, inner, item)]
                else:
                    values[name] = self._walk(child, inner, here)
        for name in part.required:
            if name not in seen:
                path, line, column = self.positions.where(loc)
                message = f"the key `{name}` is missing"
                hint = f"add `{name}`: {' '.join(descriptions(part)[name].split())}"
                self.problems.append(
                    Problem(
                        path=path,
                        line=line,
                        column=column,
                        rule="missing-key",
                        message=message,
                        hint=hint,
                    )
                )
        return values
