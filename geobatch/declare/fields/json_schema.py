"""The JSON Schema of a spec document, for editors."""

from __future__ import annotations

from typing import Any

from geobatch.declare.fields.collection import CollectionManifest
from geobatch.declare.fields.descriptions import descriptions
from geobatch.declare.fields.keys import to_camel
from geobatch.declare.fields.manifest import Manifest, Part
from geobatch.declare.fields.names import BAND_ID, PROPERTY_KEY
from geobatch.declare.fields.table import TableManifest

SCHEMA_ID = "https://geobatch.github.io/geobatch/schema/geobatch.v1.json"
"""Its address, which never names another version."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one spec document.

    Every key is allowed in snake_case and in lowerCamelCase, and no other. The `kind` decides
    which keys there are.
    """
    definitions: dict[str, Any] = {}
    for part in (Manifest, CollectionManifest, TableManifest):
        made = part.model_json_schema()
        definitions |= made.pop("$defs")
        definitions[part.__name__] = made
    parts = {part.__name__: part for part in _all_parts(Part)}
    for name, definition in definitions.items():
        _complete(definition, parts[name])
    _name_properties(definitions["TableManifest"])
    for name in ("Manifest", "TemplateManifest"):
        _complete_image(definitions[name])
    definitions["Manifest"]["required"] = ["tilesets"]
    for name in ("Manifest", "CollectionManifest", "TableManifest"):
        made = definitions[name]
        made["allOf"] = [_either("id", "name"), *made.get("allOf", [])]
    definitions["CollectionManifest"]["required"] = ["kind", "image"]
    rule = definitions["ForEachManifest"]["properties"]
    for name in ("files", "pattern"):
        _allow_one(rule, name)
    for name in ("CodecManifest", "FeatureManifest"):
        whole = definitions[name]
        words = {"description": whole.pop("description")}
        short = {k: v for k, v in whole["properties"]["name"].items() if k != "description"}
        definitions[name] = words | {"anyOf": [short, whole]}
    is_collection = {"properties": {"kind": {"const": "image_collection"}}, "required": ["kind"]}
    is_table = {
        "anyOf": [
            {"properties": {"kind": {"const": "table"}}, "required": ["kind"]},
            {"required": ["sources"], "not": {"anyOf": [{"required": ["kind"]},
                                                        {"required": ["tilesets"]}]}},
        ]
    }  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "geobatch asset",
        "description": "A geobatch asset, or a collection of images made by one rule.",
        "type": "object",
        "if": is_collection,
        "then": {"$ref": "#/$defs/CollectionManifest"},
        "else": {
            "if": is_table,
            "then": {"$ref": "#/$defs/TableManifest"},
            "else": {"$ref": "#/$defs/Manifest"},
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _complete_image(made: dict[str, Any]) -> None:
    properties = made["properties"]
    properties["tilesets"]["minItems"] = 1
    _name_properties(made)
    for name in ("array_bands", "arrayBands"):
        properties[name]["propertyNames"] = {"pattern": BAND_ID}
    for name in ("mask_bands", "maskBands"):
        _allow_one(properties, name)


def _name_properties(made: dict[str, Any]) -> None:
    made["properties"]["properties"]["propertyNames"] = {"pattern": PROPERTY_KEY}


def _allow_one(properties: dict[str, Any], name: str) -> None:
    """Allow a single item instead of a list."""
    one = properties[name]
    words = {key: one.pop(key) for key in ("description", "default") if key in one}
    properties[name] = words | {"anyOf": [dict(one), dict(one["items"])]}


def _all_parts(root: type[Part]) -> list[type[Part]]:
    return [part for child in root.__subclasses__() for part in (child, *_all_parts(child))]


def _complete(definition: dict[str, Any], part: type[Part]) -> None:
    """Add descriptions and camelCase keys, and ask for the required ones in either spelling."""
    definition.pop("title", None)
    words = descriptions(part)
    properties: dict[str, Any] = {}
    for name, field in definition["properties"].items():
        if name in part.barred:
            continue
        field.pop("title", None)
        field = {"description": words[name], **field}  # noqa: PLW2901 - as pydantic orders them
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
    """Remove null: an absent value is an absent key."""
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
