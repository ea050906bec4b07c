"""The content of a spec file, as nodes with line and column."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct, field

Plain: TypeAlias = bool | int | float | str | None
"""What a scalar may be."""

WORDS: dict[str, Plain] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
REAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)")
NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)")
MAX_DIGITS = 400
"""Digits past this cannot be a number that a raster holds; such a word stays text."""


class Node(Struct, kw_only=True, eq=False):
    """A value in a file."""

    line: int
    """1-based line."""
    column: int
    """1-based column, in characters."""
    start: int
    """Offset of the first character."""
    end: int = 0
    """Offset past the last character."""
    weight: int = 1
    """How many nodes it has when every alias is expanded."""
    depth: int = 1
    """How deep the nesting below goes."""


class ScalarNode(Node, kw_only=True, eq=False):
    """A single value."""

    value: Plain
    """As the YAML 1.2 core schema reads it."""
    text: str
    """The characters, quotes and escapes resolved."""
    style: str = ""
    """Empty for plain, else the quote or the block indicator."""


class ListNode(Node, kw_only=True, eq=False):
    """A list."""

    items: list[Node] = field(default_factory=list)
    """In the order of the file."""
    is_flow: bool = False
    """Whether it is written in brackets."""


class MappingNode(Node, kw_only=True, eq=False):
    """A mapping; merge keys are followed, duplicate keys are gone."""

    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    """(key, value) in the order of the file."""
    is_flow: bool = False
    """Whether it is written in braces."""

    def get(self, *names: str) -> Node | None:
        """Return the value of the first key that has one of the names."""
        return next((value for key, value in self.entries if key.text in names), None)


@lru_cache(maxsize=8192)
def parse_plain(text: str) -> Plain:
    """Return what an unquoted word means in the YAML 1.2 core schema.

    Only that schema: dates, `no`, `on` and `12:30` stay text.
    Source: https://yaml.org/spec/1.2.2/#103-core-schema
    """
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > MAX_DIGITS:
        return text
    if INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if REAL.fullmatch(text):
        return float(text)
    if match := INFINITE.fullmatch(text):
        return float(f"{match[1]}inf")
    return float("nan") if NOT_A_NUMBER.fullmatch(text) else text
