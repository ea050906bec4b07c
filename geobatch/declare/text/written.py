"""A spec written as YAML, in the canonical form, without values that it leaves open."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from geobatch.declare.fields.manifest import Manifest, TilingManifest
from geobatch.declare.fields.table import COLUMN_TYPES, TableManifest, TableSourceManifest
from geobatch.declare.fields.values import DATA_TYPES
from geobatch.declare.specs import (
    AssetSpec,
    BandSpec,
    CheckSpec,
    ExternalImageSpec,
    FeatureSpec,
    ImageSpec,
    MaskBandSpec,
    SourceSpec,
    TableSpec,
    TfrecordSpec,
    TilesetSpec,
)
from geobatch.declare.text.canonical import Emitter
from geobatch.declare.text.comments import Comments
from geobatch.declare.text.nodes import ListNode, MappingNode, Node, ScalarNode, parse_plain
from geobatch.model.assets.asset import Codec

TYPE_NAMES = {numpy: name for name, numpy in reversed(DATA_TYPES.items())}
"""Earth Engine's name of each pixel type, by numpy's."""

_PLAIN = re.compile(r"[A-Za-z_./](?:[\w./+@*-]|:(?=[\w/.])| (?=[\w./]))*", re.ASCII)
_YAML_1_1 = frozenset({"y", "n", "yes", "no", "on", "off"})
_MIDNIGHT = "T00:00:00Z"
_AFFINE = ("scale_x", "shear_x", "translate_x", "shear_y", "scale_y", "translate_y")
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
    if isinstance(spec, TableSpec):
        return _table_document(spec)
    only = len(spec.tilesets) == 1 and not spec.tilesets[0].id
    footprint = spec.footprint
    masks = [_mask(mask, only=only) for mask in spec.mask_bands]
    document = {
        "kind": spec.kind.value,
        "id": spec.id,
        "moved_from": spec.moved_from,
        "uri_prefix": spec.uri_prefix,
        "tilesets": [_tileset(tileset) for tileset in spec.tilesets],
        "bands": [_band(band, only=only) for band in spec.bands or ()],
        "mask_bands": masks[0] if len(masks) == 1 else masks,
        "array_bands": {name: list(members) for name, members in spec.array_bands},
        "missing_data": _missing(spec.missing_data),
        "pyramiding_policy": spec.pyramiding_policy and spec.pyramiding_policy.value,
        "footprint": None
        if footprint is None
        else _without_defaults(
            points=[{"x": _short(x), "y": _short(y)} for x, y in footprint.points],
            band_id=footprint.band_id,
        ),
        "start_time": _time(spec.start_time),
        "end_time": _time(spec.end_time),
        "properties": dict(spec.properties),
        "skip_metadata_read": spec.skip_metadata_read or None,
        "memo": spec.memo,
        "lifecycle": {"protect": True} if spec.is_protected else None,
        "checks": [_check(check) for check in spec.checks],
    }
    if isinstance(spec, ExternalImageSpec):
        return _without_defaults(**document, allow_unpinned=spec.allow_unpinned or None)
    bounds = None if spec.bounds is None else [_short(value) for value in spec.bounds]
    return _without_defaults(
        **document,
        grid=_without_defaults(bounds=bounds, max_tiles=spec.max_tiles),
        tiling=_tiling(spec),
        codec=None if replace(spec.codec, chunk=0) == Codec() else _codec(spec.codec),
    )


def _table_document(table: TableSpec) -> dict[str, Any]:
    said = {
        "crs": table.crs,
        # An empty name means no points, and must be written.
        "x_column": table.x_column,
        "y_column": table.y_column,
        "charset": None if table.charset == TableSourceManifest().charset else table.charset,
    }
    shared = {key: value for key, value in said.items() if value is not None}
    names = {kind: name for name, kind in COLUMN_TYPES.items()}
    return _without_defaults(
        kind=table.kind.value,
        id=table.id,
        moved_from=table.moved_from,
        uri_prefix=table.uri_prefix,
        sources=[{"uris": list(source.uris), **shared} for source in table.sources],
        column_data_type_overrides={name: names[kind] for name, kind in table.types},
        start_time=_time(table.start_time),
        end_time=_time(table.end_time),
        properties=dict(table.properties),
        memo=table.memo,
        lifecycle={"protect": True} if table.is_protected else None,
    )


def _without_defaults(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in (None, "", [], {})}


def _tileset(tileset: TilesetSpec) -> dict[str, Any]:
    return _without_defaults(
        id=tileset.id,
        data_type=tileset.dtype and TYPE_NAMES[tileset.dtype],
        crs=tileset.crs,
        tfrecord=None if tileset.tfrecord is None else _tfrecord(tileset.tfrecord),
        sources=[_source(source) for source in tileset.sources],
    )


def _tfrecord(records: TfrecordSpec) -> dict[str, Any]:
    return _without_defaults(
        kernel_size=list(records.kernel_size) if any(records.kernel_size) else None,
        features=[_feature(feature) for feature in records.features],
        data_type=records.dtype and TYPE_NAMES[records.dtype],
    )


def _feature(feature: FeatureSpec) -> Any:
    members = _without_defaults(
        data_type=feature.dtype and TYPE_NAMES[feature.dtype],
        axis_order=feature.axis_order,
        depth=feature.depth,
    )
    return {"name": feature.name, **members} if members else feature.name


def _source(source: SourceSpec) -> dict[str, Any]:
    affine, size = source.affine_transform, source.dimensions
    return _without_defaults(
        uris=list(source.uris),
        affine_transform=None
        if affine is None
        else {
            key: _short(value)
            for key, value in zip(_AFFINE, affine, strict=True)
            if repr(value) != "0.0" or key.startswith("scale")
        },
        dimensions=None if size is None else {"width": size[0], "height": size[1]},
    )


def _band(band: BandSpec, *, only: bool) -> dict[str, Any]:
    members = _without_defaults(
        id=band.id,
        pyramiding_policy=band.pyramiding_policy and band.pyramiding_policy.value,
        missing_data=_missing(band.missing_data),
    )
    # The id of a tileset may be empty, and then it is still one of several.
    named = {} if only else {"tileset_id": band.tileset_id}
    if band.feature is not None:
        return members | named | {"feature": band.feature}
    return members | named | {"tileset_band_index": band.tileset_band_index}


def _mask(mask: MaskBandSpec, *, only: bool) -> dict[str, Any]:
    members = _without_defaults(
        band_ids=list(mask.band_ids), feature=mask.feature, valid_value=mask.valid_value
    )
    return members | ({} if only and members else {"tileset_id": mask.tileset_id})


def _missing(values: Sequence[float] | None) -> dict[str, Any] | None:
    return None if values is None else {"values": list(values)}


def _check(check: CheckSpec) -> dict[str, Any]:
    size = check.resolution
    return _without_defaults(
        range=None if check.range is None else list(check.range),
        classes=None if check.classes is None else list(check.classes),
        max_masked=check.max_masked,
        max_changed=check.max_changed,
        resolution=None if size is None else [_short(one) for one in size],
        crs=check.crs,
        bands=list(check.bands),
        severity=None if check.severity == CheckSpec().severity else check.severity,
    )


def _tiling(spec: ImageSpec) -> dict[str, int] | None:
    if spec.codec.chunk:
        return {"tile": spec.codec.chunk, "shard": spec.tile}
    return {"tile": spec.tile} if spec.tile != TilingManifest().tile else None


def _codec(codec: Codec) -> Any:
    members = _without_defaults(compressor=codec.compressor, shuffle=codec.shuffle)
    return {"name": codec.name, "level": codec.level, **members}


def _time(time: str | None) -> str | None:
    return None if time is None else time.removesuffix(_MIDNIGHT)


def _short(value: float) -> float:
    is_whole = value.is_integer() and abs(value) < 1e15 and repr(value) != "-0.0"
    return int(value) if is_whole else value


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
