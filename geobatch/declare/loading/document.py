"""One document to one spec, with every problem in it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from geobatch.declare.checks.image import Check, asset_id_of, identity_problems
from geobatch.declare.checks.image_spec import image_spec
from geobatch.declare.checks.other_files import other_file_problem
from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.checks.table import TableCheck
from geobatch.declare.collections.cubes import cube_problems
from geobatch.declare.collections.expand import Collection
from geobatch.declare.collections.optional import optional_problems
from geobatch.declare.collections.placeholders import image_positions, take_templates
from geobatch.declare.collections.template import Template
from geobatch.declare.earth_engine.other_documents import foreign_problem
from geobatch.declare.fields.collection import CollectionManifest, document_part
from geobatch.declare.fields.keys import Shape
from geobatch.declare.fields.manifest import Manifest, Part
from geobatch.declare.fields.table import TableManifest
from geobatch.declare.fields.values import parse_kind
from geobatch.declare.hints import did_you_mean, kind_of, placeholder_hint, show
from geobatch.declare.loading.spec_cache import SpecCache
from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import (
    AssetSpec,
    CollectionSpec,
    ExternalImageSpec,
    ImageSpec,
    Loc,
    Positions,
)
from geobatch.declare.text.nodes import MappingNode, Node, ScalarNode
from geobatch.errors import Problem
from geobatch.model.limits import SPEC_PROBLEMS

P = TypeVar("P", bound=Part)
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
"""The expected value of pydantic's type errors."""
LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
    "too_short": ("min_length", "at least"),
    "too_long": ("max_length", "at most"),
}
"""The limit that each of pydantic's range errors names."""


class Draft(Struct, frozen=True, kw_only=True):
    """What a document declares, as far as its problems allow."""

    specs: Sequence[AssetSpec] = ()
    """Without the invalid parts; empty if nothing valid is left."""
    problems: tuple[Problem, ...] = ()
    """In no order."""
    collection: CollectionSpec | None = None
    """The collection, if the document declares one."""


def draft(
    root: Node, *, path: str, project: Project = NO_PROJECT, cache: SpecCache | None = None
) -> Draft:
    """Read a document; of a collection, also the names of its files and its table.

    A wrong part is reported and removed, and the rest is checked without it, so that one
    mistake hides no other.

    Args:
        root: The document.
        path: Its file, as the user named it.
        project: What holds for all specs of its project.
        cache: Rules of collections in which earlier runs found no mistake.
    """
    if not isinstance(root, MappingNode):
        got = kind_of(root.value) if isinstance(root, ScalarNode) else "a list"
        positions = Positions(path=path, by_loc={(): (root.line, root.column)})
        message = f"a spec document must be a mapping, got {got}"
        hint = "begin with `id: folder/asset`; separate assets by a line `---`"
        return Draft(problems=(problem_at(positions, (), "wrong-type", message, hint),))
    problem = foreign_problem(root, path) or _other_file(root, path) or _other_kind(root, path)
    if problem is not None:
        return Draft(problems=(problem,))
    if document_part(root) is CollectionManifest:
        return _collection(root, path, project, cache or SpecCache())
    if document_part(root) is TableManifest:
        return _table(root, path, project)
    checked = check_fields(root, Manifest, path)
    if checked.value is None:
        return Draft(problems=tuple(checked.problems))
    check = Check(
        manifest=checked.value,
        positions=checked.shape.positions,
        project=project,
        lost=frozenset(str(loc[0]) for loc in checked.lost if len(loc) <= 2 or loc[2] == "id"),
    )
    check.run()
    spec = image_spec(checked.value, checked.shape.positions, project)
    found = optional_problems(spec, is_of_collection=False)
    return Draft(specs=(spec,), problems=(*checked.problems, *check.problems, *found))


def _other_file(root: MappingNode, path: str) -> Problem | None:
    return other_file_problem(
        root,
        (Manifest, TableManifest, CollectionManifest),
        path=path,
        what="a spec",
        hint="a spec begins with `id: folder/asset`; keep other files out of the folder of specs",
    )


class Checked(Struct, Generic[P], kw_only=True):
    """A document whose fields were checked one by one."""

    value: P | None
    """Its valid parts; None if nothing valid is left."""
    shape: Shape
    """Positions, and plain values."""
    problems: list[Problem]
    """What is wrong."""
    lost: set[Loc]
    """What was removed."""
    templates: dict[Loc, Template]
    """Texts with placeholders, by loc in the image."""


def check_fields(root: MappingNode, part: type[P], path: str) -> Checked[P]:
    """Read a mapping as a part, with the problems of each field."""
    problems: list[Problem] = []
    lost: set[Loc] = set()
    while True:
        shape = Shape.of(root, part, path=path)
        if not lost:
            problems += shape.problems
        templates: dict[Loc, Template] = {}
        found: list[Any] = []
        if part is CollectionManifest:
            templates, found = take_templates(shape)
        try:
            value: P | None = part.model_validate(shape.value)
        except ValidationError as error:
            value = None
            found += error.errors(include_url=False)
        if found:
            shape.trace(root, part)
        if not lost:
            problems += [_problem(one, shape) for one in found[: SPEC_PROBLEMS.value + 1]]
        pruned = shape.prune(tuple(one["loc"]) for one in found)
        lost |= pruned
        if value is not None or () in pruned:
            return Checked(
                value=value, shape=shape, problems=problems, lost=lost, templates=templates
            )


def _collection(root: MappingNode, path: str, project: Project, cache: SpecCache) -> Draft:
    checked = check_fields(root, CollectionManifest, path)
    found, positions = checked.value, checked.shape.positions
    if found is None:
        return Draft(problems=tuple(checked.problems))
    lost = {str(loc[0]) for loc in checked.lost if len(loc) == 1}
    problems = [*checked.problems, *identity_problems(found, positions, lost, project)]
    named = CollectionSpec(
        id=asset_id_of(found, project),
        positions=positions,
        project=project,
        has_cubes=found.cube,
    )
    base: ImageSpec | ExternalImageSpec | None = None
    if found.image is not None:
        check = Check(
            manifest=found.image,
            positions=image_positions(positions),
            project=project,
            lost=frozenset(
                str(loc[1])
                for loc in checked.lost
                if loc[:1] == ("image",) and (2 <= len(loc) <= 3 or loc[3:4] == ("id",))
            ),
        )
        check.run()
        problems += check.problems
        base = image_spec(found.image, check.positions, project)
        if not check.problems:
            problems += optional_problems(base, is_of_collection=True)
    rule = found.for_each
    if rule is None or any(loc[0] == "for_each" for loc in checked.lost):
        return Draft(problems=tuple(problems), collection=named)
    collection = Collection(
        id=named.id, rule=rule, positions=positions, project=project, cache=cache
    )
    uris = collection.files()
    if collection.has_fields:
        collection.check_names(checked.templates)
    problems += collection.problems
    if problems or base is None:
        return Draft(problems=tuple(problems), collection=named)
    specs = collection.images(base, checked.templates, uris, is_held=named.has_cubes)
    found_in_images = [*collection.problems, *cube_problems(named, specs)]
    return Draft(specs=specs, problems=tuple(found_in_images), collection=named)


def _table(root: MappingNode, path: str, project: Project) -> Draft:
    checked = check_fields(root, TableManifest, path)
    if checked.value is None:
        return Draft(problems=tuple(checked.problems))
    check = TableCheck(
        manifest=checked.value,
        positions=checked.shape.positions,
        project=project,
        lost=frozenset(str(loc[0]) for loc in checked.lost),
    )
    return Draft(specs=(check.spec(),), problems=(*checked.problems, *check.problems()))


def _other_kind(root: MappingNode, path: str) -> Problem | None:
    """Return why the kind of a document is not supported; its other keys are then not checked."""
    node = root.get("kind")
    if not isinstance(node, ScalarNode):
        return None
    try:
        parse_kind(node.value)
    except PydanticCustomError as error:
        if error.type == "unsupported-kind":
            positions = Positions(path=path, by_loc={(): (node.line, node.column)})
            context = error.context or {}
            return problem_at(positions, (), error.type, context["message"], context["hint"])
    return None


def _problem(error: Any, shape: Shape) -> Problem:
    """Return pydantic's error as a problem at its position, in the words of specs."""
    loc: Loc = tuple(error["loc"])
    rule, message, hint = _words(error, loc)
    if loc and loc[-1] == "[key]":
        line, column = shape.keys.get(loc[:-1], shape.by_loc[()])
        return Problem(
            path=shape.path, line=line, column=column, rule=rule, message=message, hint=hint
        )
    return problem_at(shape.positions, loc, rule, message, hint)


def _words(error: Any, loc: Loc) -> tuple[str, str, str | None]:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if "message" in context:
        return (kind, context["message"], context["hint"] or None)
    if kind == "string_too_short":
        return ("empty-value", f"`{_field(loc)}` is empty", "give a value, or remove the key")
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        hint = did_you_mean(str(value), choices)
        keys = [part for part in loc if isinstance(part, str)]
        return ("unknown-value", f"{show(value)} is not a valid `{'.'.join(keys[-2:])}`", hint)
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
        hint = "give a value, or remove the key"
    elif kind == "string_type" and isinstance(value, dict):
        hint = placeholder_hint(value)
    elif kind == "string_type" and isinstance(value, bool | int | float):
        hint = f"put it in quotes: `'{str(value).lower() if isinstance(value, bool) else value}'`"
    elif kind == "list_type" and not isinstance(value, dict | list):
        hint = f"write `[{str(value)[:60]}]`"
    elif loc and loc[-1] == "missing_data":
        hint = "write `missing_data: {values: [0]}`"
    elif kind in ("model_type", "model_attributes_type") and isinstance(value, list):
        hint = "remove the brackets: this key takes one mapping"
    elif kind == "int_type" and isinstance(value, str) and value.strip("-").isdecimal():
        hint = f"write `{value[:60]}`, without quotes"
    elif kind == "bool_type" and isinstance(value, str):
        hint = "write `true` or `false`, without quotes"
    return hint
