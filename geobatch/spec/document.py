"""One document to one spec, with every problem in it at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from geobatch.errors import Problem
from geobatch.spec.check import Check, problem_at
from geobatch.spec.hints import did_you_mean, kind_of, listed, show
from geobatch.spec.manifest import Manifest
from geobatch.spec.nodes import MappingNode, Node, ScalarNode
from geobatch.spec.nouns import ImageSpec, Loc, Positions
from geobatch.spec.shape import Shape

EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "`true` or `false`",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
"""What pydantic's type errors asked for."""
LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}
"""The limit that each of pydantic's range errors names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a document declares, as far as its problems let it be known."""

    spec: ImageSpec | None
    """Without the parts that are wrong; None where nothing is left to know."""
    problems: tuple[Problem, ...]
    """In no order."""


def draft(root: Node, *, path: str) -> Draft:
    """Read a document.

    A part that is wrong is reported, taken out, and the rest judged without it, so that one
    mistake hides no other.
    """
    if not isinstance(root, MappingNode):
        got = kind_of(root.value) if isinstance(root, ScalarNode) else "a list"
        positions = Positions(path=path, places={(): (root.line, root.column)})
        message = f"a spec document is a mapping, got {got}"
        hint = "begin with `id: folder/asset`; separate assets by a line `---`"
        return Draft(spec=None, problems=(problem_at(positions, (), "wrong-type", message, hint),))
    if (problem := _other_kind(root, path)) is not None:
        return Draft(spec=None, problems=(problem,))
    shape = Shape.of(root, Manifest, path=path)
    problems = list(shape.problems)
    lost: set[str] = set()
    is_first = True
    while True:
        try:
            manifest = Manifest.model_validate(shape.value)
            break
        except ValidationError as error:
            found = error.errors(include_url=False)
        if is_first:
            problems += [_problem(one, shape) for one in found]
        is_first = False
        pruned = shape.prune(tuple(one["loc"]) for one in found)
        if () in pruned:
            return Draft(spec=None, problems=tuple(problems))
        lost |= {str(loc[0]) for loc in pruned if len(loc) <= 2 or loc[2] == "id"}
        shape = Shape.of(root, Manifest, path=path)
    check = Check(manifest=manifest, positions=shape.positions, lost=frozenset(lost))
    check.run()
    return Draft(spec=check.spec(), problems=(*problems, *check.problems))


def _other_kind(root: MappingNode, path: str) -> Problem | None:
    """Return why the document is no image, if it says so: its other keys are then not judged."""
    node = root.get("kind")
    if node is None:
        return None
    shape = Shape.of(MappingNode(line=1, column=1, start=0, entries=[]), Manifest, path=path)
    shape.value = {"kind": node.value if isinstance(node, ScalarNode) else []}
    shape.places["kind",] = (node.line, node.column)
    try:
        Manifest.model_validate(shape.value)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        if found["type"] == "unsupported-kind":
            return _problem(found, shape)
    return None


def _problem(error: Any, shape: Shape) -> Problem:
    """Return pydantic's error as a problem at its place, in the words of specs."""
    loc: Loc = tuple(error["loc"])
    rule, message, hint = _words(error, loc)
    if loc and loc[-1] == "[key]":
        line, column = shape.keys.get(loc[:-1], shape.places[()])
        return Problem(
            path=shape.path, line=line, column=column, rule=rule, message=message, hint=hint
        )
    return problem_at(shape.positions, loc, rule, message, hint)


def _words(error: Any, loc: Loc) -> tuple[str, str, str | None]:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if "message" in context:
        return (kind, context["message"], context["hint"] or None)
    if kind == "string_too_short":
        return ("empty-value", f"`{_field(loc)}` is empty", "give a value, or leave the key away")
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        hint = did_you_mean(str(value), choices)
        keys = [part for part in loc if isinstance(part, str)]
        return ("unknown-value", f"{show(value)} is no `{'.'.join(keys[-2:])}`", hint)
    if kind in LIMITS:
        limit, words = LIMITS[kind]
        got = f"{len(value)}" if kind.startswith("too_") else show(value)
        message = f"`{_field(loc)}` is {got}; expected {words} {context[limit]}"
        if kind.startswith("too_"):
            message = f"`{_field(loc)}` has {got} entries; expected {words} {context[limit]}"
        return ("out-of-range", message, None)
    expected = EXPECTED.get(kind, error["msg"])
    shown = f"{show(value)}, " if not isinstance(value, dict | list) else ""
    message = f"`{_field(loc)}`: got {shown}{kind_of(value)}; expected {expected}"
    return ("wrong-type", message, _type_hint(kind, value, loc))


def _field(loc: Loc) -> str:
    """Return the key that leads to an element, with the index in a list."""
    words = [str(part) for part in loc if part != "[key]"]
    if words and words[-1].isdigit() and len(words) > 1:
        return f"{words[-2]}[{words[-1]}]"
    return words[-1] if words else "document"


def _type_hint(kind: str, value: Any, loc: Loc) -> str | None:
    hint = None
    if value is None:
        hint = "give a value, or leave the key away"
    elif kind == "string_type" and isinstance(value, bool | int | float):
        hint = f"put it in quotes: `'{str(value).lower() if isinstance(value, bool) else value}'`"
    elif kind == "list_type" and not isinstance(value, dict | list):
        hint = f"write `[{str(value)[:60]}]`"
    elif loc and loc[-1] == "missing_data":
        hint = "write `missing_data: {values: [0]}`"
    elif kind in ("model_type", "model_attributes_type") and isinstance(value, list):
        hint = "leave the brackets away: one mapping is enough"
    elif kind == "bool_type" and isinstance(value, str):
        hint = f"one of {listed(('true', 'false'))}, without quotes"
    return hint
