"""A spec written as YAML, in the canonical form, without values that it leaves open."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from msgspec import Struct
from msgspec.structs import fields, replace

from geobatch.declare.fields.manifest import Manifest, TilingManifest
from geobatch.declare.fields.table import COLUMN_TYPES, TableManifest
from geobatch.declare.fields.values import DATA_TYPES
from geobatch.declare.specs import (
    AssetSpec,
    FeatureSpec,
    ImageSpec,
    TableSpec,
)
from geobatch.declare.text.canonical import Emitter
from geobatch.declare.text.comments import Comments
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode, parse_plain
from geobatch.model.assets.asset import Codec

TYPE_NAMES = {numpy: name for name, numpy in reversed(DATA_TYPES.items())}
"""Earth Engine's name of each pixel type, by numpy's."""

_PLAIN = re.compile(r"[A-Za-z_./](?:[\w./+@*-]|:(?=[\w/.])| (?=[\w./]))*", re.ASCII)
_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
_NO_KEYS = frozenset({"positions", "project", "absent", "tile", "codec"})
"""Fields that no single key declares."""
_MIDNIGHT = "T00:00:00Z"
_AFFINE = ("scale_x", "shear_x", "translate_x", "shear_y", "scale_y", "translate_y")
_SHARED = (
    "crs", "x_column", "y_column", "charset", "primary_geometry_column", "csv_delimiter",
    "csv_qualifier", "date_format",
)  # fmt: skip
"""Keys of a table that are written in each of its sources."""
_BLOCKS = ("tilesets", "sources", "bands", "properties", "points", "footprint", "checks")
"""Keys whose lists and mappings are written one element below the other."""


def write_spec(
    spec: AssetSpec,
    *,
    head: Sequence[str] = (),
    above: Mapping[str, Sequence[str]] | None = None,
    beside: Mapping[str, str] | None = None,
) -> str:
    """Return the YAML text of a spec.

    Args:
        spec: The spec.
        head: Comments at the top, without `#`.
        above: Comments above top-level keys, likewise.
        beside: Comments at the end of the line of top-level keys, likewise.
    """
    root = _node(document_of(spec), is_flow=False)
    if not isinstance(root, MappingNode):
        raise TypeError(type(root).__name__)
    comments = Comments(head=[_comment(text) for text in head])
    for key, _ in root.entries:
        comments.before[id(key)] = [_comment(text) for text in (above or {}).get(key.text, ())]
        if text := (beside or {}).get(key.text):
            comments.beside[id(key)] = _comment(text)
    part = TableManifest if isinstance(spec, TableSpec) else Manifest
    lines = [*comments.head, *Emitter(comments, "").block(root, part, "")]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    # On one line, and of what YAML may hold: a file may have any name.
    return "# " + "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def document_of(spec: AssetSpec) -> dict[str, Any]:
    """Return a spec as plain values with snake_case keys; without defaults."""
    document = {"kind": spec.kind.value, **_members(spec)}
    if isinstance(spec, TableSpec):
        return _with_shared(document, spec)
    is_only = len(spec.tilesets) == 1 and not spec.tilesets[0].id
    for band in document.get("bands", ()):
        if "feature" not in band:
            band.setdefault("tileset_band_index", 0)
    masks = document.get("mask_bands", [])
    for part in (*document.get("bands", ()), *masks):
        # The id of a tileset may be empty, and then it is still one of several.
        if is_only and len(part) > 1:
            del part["tileset_id"]
    if len(masks) == 1:
        document["mask_bands"] = masks[0]
    if isinstance(spec, ImageSpec):
        if (tiling := _tiling(spec)) is not None:
            document["tiling"] = tiling
        if replace(spec.codec, chunk=0) != Codec():
            document["codec"] = _codec(spec.codec)
    return document


def _with_shared(document: dict[str, Any], table: TableSpec) -> dict[str, Any]:
    """Return the document of a table, whose sources share some keys."""
    shared = {key: document.pop(key) for key in _SHARED if key in document}
    document["sources"] = [source | shared for source in document["sources"]]
    if table.types:
        names = {kind: name for name, kind in COLUMN_TYPES.items()}
        document["column_data_type_overrides"] = {key: names[kind] for key, kind in table.types}
        del document["types"]
    return document


def _members(spec: Struct) -> dict[str, Any]:
    """Return the fields of a spec that have no default value, by their keys in a document."""
    found: dict[str, Any] = {}
    for one in fields(spec):
        value = getattr(spec, one.name)
        is_empty = one.required and value in ("", ()) and one.name != "tileset_id"
        if one.name in _NO_KEYS or is_empty or (value == one.default and not one.required):
            continue
        outer, _, inner = one.encode_name.partition(".")
        plain = _FORMS.get(outer, _plain)(value)
        if inner:
            found.setdefault(outer, {})[inner] = plain
        else:
            found[outer] = plain
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return _members(value)
    if isinstance(value, Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _feature(feature: FeatureSpec) -> Any:
    members = _members(feature)
    return members if len(members) > 1 else feature.name


def _affine(transform: Sequence[float]) -> dict[str, float]:
    return {
        key: _short(value)
        for key, value in zip(_AFFINE, transform, strict=True)
        if repr(value) != "0.0" or key.startswith("scale")
    }


def _grid(value: Any) -> Any:
    return [_short(edge) for edge in value] if isinstance(value, tuple) else value


def _tiling(spec: ImageSpec) -> dict[str, int] | None:
    if spec.codec.chunk:
        return {"tile": spec.codec.chunk, "shard": spec.tile}
    return {"tile": spec.tile} if spec.tile != TilingManifest().tile else None


def _codec(codec: Codec) -> Any:
    members = {"compressor": codec.compressor, "shuffle": codec.shuffle}
    inner = {key: value for key, value in members.items() if value}
    return {"name": codec.name, "level": codec.level, **inner}


def _time(time: str | None) -> str | None:
    return None if time is None else time.removesuffix(_MIDNIGHT)


def _short(value: float) -> float:
    is_whole = value.is_integer() and abs(value) < 1e15 and repr(value) != "-0.0"
    return int(value) if is_whole else value


_FORMS: dict[str, Callable[[Any], Any]] = {
    "data_type": TYPE_NAMES.__getitem__,
    "start_time": _time,
    "end_time": _time,
    "properties": dict,
    "array_bands": lambda arrays: {name: list(bands) for name, bands in arrays},
    "features": lambda features: [_feature(feature) for feature in features],
    "points": lambda points: [{"x": _short(x), "y": _short(y)} for x, y in points],
    "affine_transform": _affine,
    "dimensions": lambda size: {"width": size[0], "height": size[1]},
    "grid": _grid,
    "resolution": lambda size: [_short(one) for one in size],
}
"""How values are written that a document holds in another form, by key."""


def _node(value: Any, *, is_flow: bool, key: str = "") -> Node:
    if isinstance(value, dict):
        entries = [
            (_scalar(name, is_name=True), _node(child, is_flow=name not in _BLOCKS, key=name))
            for name, child in value.items()
        ]
        flow = is_flow and not any(name in _BLOCKS for name in value)
        return MappingNode(line=0, column=0, start=0, entries=entries, is_flow=flow)
    if isinstance(value, list):
        # An element of a block is a mapping on one line, if it holds no block itself.
        items = [_node(item, is_flow=key not in ("tilesets", "sources")) for item in value]
        return ListNode(line=0, column=0, start=0, items=items, is_flow=is_flow)
    return _scalar(value, is_name=key in ("start_time", "end_time"))


def _scalar(value: Any, *, is_name: bool = False) -> ScalarNode:
    """Return a value as a node; a name (a key, a time) is one of ours and needs fewer quotes."""
    if isinstance(value, str):
        is_plain = parse_plain(value) == value and (
            is_name or (_PLAIN.fullmatch(value) is not None and value.lower() not in _YAML_1_1)
        )
        text, style = value, "" if is_plain else '"'
    elif isinstance(value, bool):
        text, style = str(value).lower(), ""
    else:
        text, style = _number(value), ""
    return ScalarNode(line=0, column=0, start=0, value=value, text=text, style=style)


def _number(value: float) -> str:
    text = repr(value)
    return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(text, text)
