"""The JSON Schema of a spec document, for editors."""

from __future__ import annotations

from typing import Any

from geobatch.spec.manifest import Manifest, Part
from geobatch.spec.shape import to_camel
from geobatch.spec.values import PROPERTY_KEY


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one spec document.

    Every key is allowed in snake_case and in lowerCamelCase, none beside.
    """
    made = Manifest.model_json_schema()
    definitions = made.pop("$defs")
    parts = {part.__name__: part for part in _all_parts(Part)}
    for name, definition in definitions.items():
        _complete(definition, parts[name])
    _complete(made, Manifest)
    made["allOf"] = [_either("id", "name"), *made.get("allOf", [])]
    made["required"] = ["tilesets"]
    properties = made["properties"]
    properties["tilesets"]["minItems"] = 1
    properties["properties"]["propertyNames"] = {"pattern": PROPERTY_KEY}
    for name in ("mask_bands", "maskBands"):
        one = properties[name]
        words = {key: one.pop(key) for key in ("description", "default")}
        properties[name] = words | {"anyOf": [dict(one), dict(one["items"])]}
    codec = definitions["CodecManifest"]
    names = codec["properties"]["name"]["enum"]
    words = {"description": codec.pop("description")}
    definitions["CodecManifest"] = words | {"anyOf": [{"enum": names}, codec]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "geobatch asset",
        "description": made.pop("description"),
        **{key: value for key, value in made.items() if key not in ("title", "properties")},
        "properties": properties,
        "$defs": definitions,
    }


def _all_parts(root: type[Part]) -> list[type[Part]]:
    return [part for child in root.__subclasses__() for part in (child, *_all_parts(child))]


def _complete(definition: dict[str, Any], part: type[Part]) -> None:
    """Add the camelCase keys, and ask for the required ones in either spelling."""
    definition.pop("title", None)
    properties: dict[str, Any] = {}
    for name, field in definition["properties"].items():
        field.pop("title", None)
        _drop_null(field)
        if name in part.required:
            field.pop("default", None)
        properties[name] = field
        if to_camel(name) != name:
            properties[to_camel(name)] = dict(field)
    definition["properties"] = properties
    single = [name for name in part.required if to_camel(name) == name]
    if single:
        definition["required"] = single
    either = [_either(name, to_camel(name)) for name in part.required if name not in single]
    if either:
        definition["allOf"] = either


def _either(one: str, other: str) -> dict[str, Any]:
    return {"anyOf": [{"required": [one]}, {"required": [other]}]}


def _drop_null(field: dict[str, Any]) -> None:
    """Absent is spelled by leaving the key away, never by null."""
    if field.get("default", 0) is None:
        del field["default"]
    choices = field.get("anyOf", [])
    if {"type": "null"} in choices:
        left = [choice for choice in choices if choice != {"type": "null"}]
        del field["anyOf"]
        if len(left) == 1:
            words = {key: field.pop(key) for key in ("description",) if key in field}
            field.update(left[0])
            field.update(words)
        else:
            field["anyOf"] = left
