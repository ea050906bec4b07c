"""Bytes of a spec file to nodes: YAML through PyYAML's events, JSON through its own tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from geobatch.declare.loading.similar import MAX_EVENTS, SimilarDocuments
from geobatch.declare.specs import AssetSpec
from geobatch.declare.text.compose import Composer, Position, UnreadableError
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode, parse_plain
from geobatch.errors import Problem
from geobatch.model.limits import SPEC_BYTES

STRING = json.JSONDecoder()
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
JSON_BREAK = re.compile(r"\r\n|[\n\r]")
FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters outside YAML's printable set. Source: https://yaml.org/spec/1.2.2/#51-character-set"""
JSON_TOKEN = re.compile(r'[\[\]{}"]|[^\s\[\]{}",:]+')


class File(Struct, frozen=True, kw_only=True):
    """A spec file, read as far as it can be."""

    documents: tuple[Node, ...]
    """Root nodes; empty documents are left out."""
    problems: tuple[Problem, ...]
    """What is wrong with the file as YAML or JSON."""
    text: str = ""
    """The characters, without a byte order mark."""
    has_aliases: bool = False
    """Whether it uses YAML's anchors."""


def read(data: bytes, *, path: str) -> File:
    """Read the bytes of a spec file; JSON if the path ends in `.json`, else YAML.

    Never raises for what the bytes hold: every defect becomes a problem with a position.
    """
    reading = Reading(data, path=path)
    documents = tuple(node for node in reading if isinstance(node, Node))
    return File(
        documents=documents,
        problems=tuple(reading.problems),
        text=reading.text,
        has_aliases=reading.has_aliases,
    )


class Reading:
    """A spec file that is read document by document, to save memory."""

    def __init__(self, data: bytes, *, path: str, similar: SimilarDocuments | None = None) -> None:
        self._data = data
        self._composer = Composer(path)
        self._similar = similar
        self.events: list[Any] = []
        """The parse events of the last document; empty where they were too many, or for JSON."""
        self.text = ""
        """The characters, without a byte order mark; known with the first document."""

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the file as YAML or JSON, as far as it was read."""
        return self._composer.problems

    @property
    def has_aliases(self) -> bool:
        """Whether anchors were met."""
        return self._composer.has_aliases

    def __iter__(self) -> Iterator[Node | AssetSpec]:
        """Yield the root nodes; of a document that is like one before, the spec.

        Empty documents are left out.
        """
        composer = self._composer
        is_empty = True
        is_json = composer.path.lower().endswith(".json")
        try:
            self.text = _decode(self._data, composer)
            for found in self._json() if is_json else self._yaml():
                if not (isinstance(found, ScalarNode) and found.value is None):
                    is_empty = False
                    yield found
        except UnreadableError as error:
            composer.problems.append(error.problem)
        if is_empty and not composer.problems:
            start = Position(1, 1, 0, 0)
            hint = "declare an asset: `id`, `tilesets`, `bands`"
            composer.report(start, "empty-file", "the file holds no document", hint)

    def _yaml(self) -> Iterator[Node | AssetSpec]:
        """Yield the documents of YAML.

        Events wait until their document ends, or proves long; they may be like some before.
        """
        composer, similar, waiting = self._composer, self._similar, self.events
        is_waiting = similar is not None
        try:
            for event in yaml.parse(self.text, Loader=LOADER):
                kind = type(event)
                if kind is yaml.StreamStartEvent or kind is yaml.StreamEndEvent:
                    continue
                is_end = kind is yaml.DocumentEndEvent
                if similar is not None and is_waiting:
                    waiting.append(event)
                    if not is_end and len(waiting) <= MAX_EVENTS:
                        continue
                    spec = similar.find(waiting, path=composer.path) if is_end else None
                    if spec is not None:
                        yield spec
                    else:
                        _take_all(waiting, composer)
                else:
                    _take(event, composer)
                if is_end:
                    while composer.documents:
                        yield composer.documents.pop()
                    is_waiting = similar is not None
                else:
                    is_waiting = False
                waiting.clear()
        except yaml.YAMLError as error:
            _take_all(waiting, composer)
            raise UnreadableError(_yaml_problem(error, self.text, composer)) from None

    def _json(self) -> Iterator[Node]:
        _compose_json(self.text, self._composer)
        yield from self._composer.documents


def _take_all(events: list[Any], composer: Composer) -> None:
    for event in events:
        _take(event, composer)


def position_at(text: str, index: int) -> Position:
    """Return line and column of an offset in a text."""
    line, start = 1, 0
    for match in BREAK.finditer(text, 0, index):
        line, start = line + 1, match.end()
    return Position(line, index - start + 1, index, index)


def _decode(data: bytes, composer: Composer) -> str:
    if len(data) > (most := SPEC_BYTES.value):
        message = f"a spec file may hold at most {most} bytes, got more"
        hint = f"split the file; or, {SPEC_BYTES.hint()}"
        problem = composer.problem(Position(1, 1, 0, 0), "too-large", message, hint)
        raise UnreadableError(problem)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        position = position_at(before, len(before))
        message = "this byte is not UTF-8"
        problem = composer.problem(position, "encoding", message, "save the file as UTF-8")
        raise UnreadableError(problem) from None
    text = text.removeprefix("\ufeff")
    if match := FORBIDDEN.search(text):
        message = f"the character `U+{ord(match[0]):04X}` is not allowed in a spec"
        problem = composer.problem(position_at(text, match.start()), "encoding", message, None)
        raise UnreadableError(problem)
    return text


def _yaml_problem(error: yaml.YAMLError, text: str, composer: Composer) -> Problem:
    if not isinstance(error, yaml.MarkedYAMLError):
        return composer.problem(Position(1, 1, 0, 0), "yaml-syntax", str(error), None)
    mark = error.problem_mark or error.context_mark
    position = Position(mark.line + 1, mark.column + 1, 0, 0) if mark else Position(1, 1, 0, 0)
    end = position_at(text, len(text))
    if (position.line, position.column) > (end.line, end.column):
        position = end  # the parser adds a line break of its own
    if error.problem == "exceeded maximum nesting depth":
        # libyaml reads ahead, and since 0.2.6 it gives up by itself at a thousand.
        return composer.too_deep(position)
    message = ", ".join(part for part in (error.context, error.problem) if part)
    lines = BREAK.split(text)
    hint = _line_hint(
        lines[position.line - 1][:_MOST_HINTED] if position.line <= len(lines) else ""
    )
    hint = hint or (
        "quote text that holds `: `, ` #`, or starts with one of `*&!%@{[|>`; in a list, also text"
        " that holds one of `[]{},`"
    )
    return composer.problem(position, "yaml-syntax", message or "not YAML", hint)


_MOST_HINTED = 1000
"""Characters of a line that are compared for a hint: the time grows faster than their number."""
_TAB = re.compile(r" *\t")
_PLACEHOLDER = re.compile(
    r"[^'\"]*?(?:: +|- +)(\{(?![^{}]*: )[A-Za-z_][^{}'\"]*\}[^#'\"]*[^#'\"\s])\s*(?:#.*)?"
)


def _line_hint(line: str) -> str | None:
    """Return a common cause why YAML cannot read a line."""
    if _TAB.match(line):
        return "YAML does not allow tabs: replace each with two spaces"
    if _PLACEHOLDER.fullmatch(line):
        return "put text with placeholders in quotes, as in `'{date} {tile}'`"
    return None


def _take(event: Any, composer: Composer) -> None:
    kind = type(event)
    first = event.start_mark
    line, column, start = first.line + 1, first.column + 1, first.index
    if kind is yaml.ScalarEvent and event.tag is None and event.anchor is None:
        text, style = event.value, event.style or ""
        composer.attach(
            ScalarNode(
                line=line,
                column=column,
                start=start,
                end=event.end_mark.index,
                value=text if style else parse_plain(text),
                text=text,
                style=style,
            )
        )
        return
    position = Position(line, column, start, event.end_mark.index)
    if kind is yaml.ScalarEvent:
        style = event.style or ""
        composer.scalar(position, event.value, style=style, tag=event.tag, anchor=event.anchor)
    elif kind is yaml.MappingStartEvent:
        flow = bool(event.flow_style)
        mapping = MappingNode(line=line, column=column, start=start, is_flow=flow)
        if event.tag is not None:
            _check_tag(event, position, composer, "map")
        composer.open(position, mapping, event.anchor)
    elif kind is yaml.SequenceStartEvent:
        flow = bool(event.flow_style)
        node = ListNode(line=line, column=column, start=start, is_flow=flow)
        if event.tag is not None:
            _check_tag(event, position, composer, "seq")
        composer.open(position, node, event.anchor)
    elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
        composer.close(position)
    elif kind is yaml.AliasEvent:
        composer.alias(position, event.anchor or "")
    elif kind is yaml.DocumentStartEvent:
        composer.start_document()


def _check_tag(event: Any, position: Position, composer: Composer, name: str) -> None:
    if event.tag not in ("!", f"tag:yaml.org,2002:{name}"):
        composer.report(position, "yaml-tag", "unknown tag", "remove the tag")


def _compose_json(text: str, composer: Composer) -> None:
    """Check with the standard parser, then walk the tokens: those alone know their positions."""
    if not text.strip():
        return
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        hint = "JSON allows no comments, no trailing commas, and only double quotes"
        problem = composer.problem(position_at(text, error.pos), "json-syntax", error.msg, hint)
        raise UnreadableError(problem) from None
    except RecursionError:
        problem = composer.problem(Position(1, 1, 0, 0), "too-deep", "nested too deep", None)
        raise UnreadableError(problem) from None
    composer.start_document()
    index, line, line_start = 0, 1, 0
    while match := JSON_TOKEN.search(text, index):
        for broken in JSON_BREAK.finditer(text, index, match.start()):
            line, line_start = line + 1, broken.end()
        start, index = match.span()
        value = ""
        if match[0] == '"':
            value, index = STRING.raw_decode(text, start)
        position = Position(line, start - line_start + 1, start, index)
        _take_json(match[0], value, position, composer)


def _take_json(token: str, value: str, position: Position, composer: Composer) -> None:
    line, column, start = position.line, position.column, position.start
    match token:
        case "[":
            composer.open(position, ListNode(line=line, column=column, start=start, is_flow=True))
        case "{":
            composer.open(
                position, MappingNode(line=line, column=column, start=start, is_flow=True)
            )
        case "]" | "}":
            composer.close(position)
        case '"':
            if any("\ud800" <= character <= "\udfff" for character in value):
                message = "half of a surrogate pair is not valid text"
                raise UnreadableError(composer.problem(position, "json-syntax", message, None))
            composer.scalar(position, value, style='"')
        case _:
            composer.scalar(position, token)
