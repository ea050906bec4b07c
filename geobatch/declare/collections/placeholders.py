"""Where an image of a collection may hold placeholders, and their templates."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from geobatch.declare.collections.template import Placeholder, Template, parse_template
from geobatch.declare.fields.keys import Shape
from geobatch.declare.hints import show
from geobatch.declare.specs import RULE, Loc, Positions, RasterSpec

STAND_IN = "x"
"""Stand-ins that the other rules check instead of a template."""
LIKE_PLACEHOLDER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*(:[^{}]*)?\}")


def take_templates(shape: Shape) -> tuple[dict[Loc, Template], list[dict[str, Any]]]:
    """Put stand-ins for the templates of a collection's image, to check the rest.

    Args:
        shape: The document; its values are changed.

    Returns:
        The templates by loc in the image, and their problems, in the form of pydantic's errors.
    """
    image = shape.value.get("image")
    templates: dict[Loc, Template] = {}
    found: list[dict[str, Any]] = []
    if not isinstance(image, dict):
        return templates, found
    if "tilesets" not in image:
        image["tilesets"] = [{"sources": [{"uris": ["{file}"]}]}]
        place = shape.by_loc.get(("for_each", "files", 0)) or shape.by_loc.get(
            ("for_each", "files")
        )
        shape.by_loc["image", "tilesets"] = place or shape.by_loc["image",]
    for loc, value in list(_texts(image, ())):
        if not _may_vary(loc):
            if LIKE_PLACEHOLDER.search(value):
                message = f"placeholders are not allowed here: {show(value)}"
                hint = (
                    "they are allowed in `id`, `moved_from`, times, `properties`, `memo`, `crs`,"
                    " `uris`"
                )
                found.append(_error(loc, value, "placeholder", message, hint))
            continue
        try:
            template = parse_template(value)
        except PydanticCustomError as error:
            context = error.context or {}
            found.append(_error(loc, value, error.type, context["message"], context["hint"]))
            _put(image, loc)
            continue
        if template is not None:
            templates[loc] = template
            _put(image, loc)
        elif loc == ("id",):
            message = f"{show(value)} is the same for every file"
            found.append(_error(loc, value, "placeholder", message, "such as `'{stem}'`"))
    uris = [loc for loc, _ in _texts(image, ()) if _is_uri(loc)]
    if uris and not any(loc in templates for loc in uris):
        message = "no uri has a placeholder: every image would be the same"
        found.append(_error(uris[0], "", "placeholder", message, "write `'{file}'`"))
    return templates, found


def image_positions(positions: Positions) -> Positions:
    """Return the positions of a collection's image as those of a document, beside its rule."""
    places = {loc[1:]: place for loc, place in positions.by_loc.items() if loc[:1] == ("image",)}
    places |= {loc: place for loc, place in positions.by_loc.items() if loc == RULE}
    return Positions(path=positions.path, by_loc=places)


def are_matches(image: RasterSpec, templates: Mapping[Loc, Template]) -> bool:
    """Return whether each source of a collection's images is the file that the rule matches."""
    file = Template(parts=(Placeholder(name="file"),))
    locs = [
        ("tilesets", number, "sources", position, "uris", 0)
        for number, tileset in enumerate(image.tilesets)
        for position, source in enumerate(tileset.sources)
        if len(source.uris) == 1
    ]
    count = sum(len(tileset.sources) for tileset in image.tilesets)
    is_whole = len(locs) == count and not image.uri_prefix
    return is_whole and all(templates.get(loc) == file for loc in locs)


def _texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _texts(child, (*loc, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*loc, index))


def _may_vary(loc: Loc) -> bool:
    if len(loc) == 1:
        return loc[0] in ("id", "memo", "moved_from", "start_time", "end_time")
    if loc[0] == "properties":
        return len(loc) == 2
    return _is_uri(loc) or (len(loc) == 3 and loc[0] == "tilesets" and loc[2] == "crs")


def _is_uri(loc: Loc) -> bool:
    return len(loc) == 6 and loc[0] == "tilesets" and loc[2] == "sources" and loc[4] == "uris"


def _put(image: Any, loc: Loc) -> None:
    if loc[0] in ("start_time", "end_time"):
        del image[loc[0]]
        return
    for key in loc[:-1]:
        image = image[key]
    image[loc[-1]] = STAND_IN


def _error(loc: Loc, value: str, rule: str, message: str, hint: str | None) -> dict[str, Any]:
    return {
        "type": rule,
        "loc": ("image", *loc),
        "input": value,
        "ctx": {"message": message, "hint": hint or ""},
    }
