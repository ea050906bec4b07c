"""Assets as JSON: what a reader can see, what else is recorded, and the way back."""

from __future__ import annotations

from typing import Any, TypeAlias

from geobatch.model.assets.asset import (
    Asset,
    Band,
    Codec,
    Footprint,
    Grid,
    Kind,
    Masking,
    MaskSource,
    Number,
    Policy,
    Source,
    Table,
    Tileset,
)
from geobatch.model.assets.documents.table_json import rows_from_json, table_json
from geobatch.model.assets.image import IMAGES
from geobatch.model.checks.check import Check
from geobatch.model.digest import Json
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.number import number_from_json, number_to_json
from geobatch.model.sources.pin import Pin
from geobatch.model.sources.tfrecord import Feature

Members: TypeAlias = dict[str, Any]
"""A JSON object."""


def visible_json(asset: Asset) -> Members:
    """Return what a reader can see of an asset, without its tiles: its identity."""
    members = {
        "id": asset.id,
        "kind": asset.kind.value,
        "properties": {key: _property_to_json(value) for key, value in asset.properties},
        "start_time": asset.start_time,
        "end_time": asset.end_time,
    }
    if isinstance(asset, Table):
        return members
    arrays = {name: list(members) for name, members in asset.array_bands}
    return {
        **members,
        "tile": asset.tile,
        "grids": [_visible_grid(grid) for grid in asset.grids],
        "bands": [_visible_band(band) for band in asset.bands],
        # Absent if empty, as in assets written before this field existed.
        **({"array_bands": arrays} if arrays else {}),
    }


def recorded_json(asset: Asset) -> Members:
    """Return the rest of a resolved asset: its origin and how it is stored.

    What depends on this machine (local paths, stats, storage blocks) is omitted.
    """
    if isinstance(asset, Table):
        return {
            "crs": [_crs_json(asset.crs)],
            "table": table_json(asset),
            "memo": asset.memo,
            "is_protected": asset.is_protected,
        }
    footprint = asset.footprint
    return {
        "codec": codec_json(asset.codec),
        "crs": [_crs_json(grid.geobox.crs) for grid in asset.grids],
        "bands": [_recorded_band(band) for band in asset.bands],
        "tilesets": [_recorded_tileset(tileset) for tileset in asset.tilesets],
        "footprint": None
        if footprint is None
        else {"grid": footprint.grid, "points": points_json(footprint)},
        "memo": asset.memo,
        "is_protected": asset.is_protected,
        # Absent if empty, as in assets written before this field existed.
        **({"checks": [check.to_json() for check in asset.checks]} if asset.checks else {}),
    }


def asset_from_json(visible: Members, recorded: Members) -> Asset:
    """Return the asset of two documents.

    Raises:
        KeyError, TypeError, ValueError: The documents are not those of an asset.
    """
    if visible["kind"] == Kind.TABLE:
        return _table_from_json(visible, recorded)
    footprint = recorded["footprint"]
    return IMAGES[visible["kind"]](
        **_facts(visible, recorded),
        grids=tuple(
            _grid(grid, crs) for grid, crs in zip(visible["grids"], recorded["crs"], strict=True)
        ),
        bands=tuple(
            _band(seen, rest)
            for seen, rest in zip(visible["bands"], recorded["bands"], strict=True)
        ),
        tilesets=tuple(_tileset(tileset) for tileset in recorded["tilesets"]),
        array_bands=tuple(
            (name, tuple(members))
            for name, members in sorted(visible.get("array_bands", {}).items())
        ),
        tile=visible["tile"],
        codec=Codec(**recorded["codec"]),
        footprint=None
        if footprint is None
        else Footprint(
            grid=footprint["grid"], points=tuple((x, y) for x, y in footprint["points"])
        ),
        checks=tuple(Check.from_json(check) for check in recorded.get("checks", ())),
    )


def _table_from_json(visible: Members, recorded: Members) -> Table:
    rows = rows_from_json(recorded["table"], recorded["crs"][0])
    return Table(**_facts(visible, recorded), **rows)


def _facts(visible: Members, recorded: Members) -> Members:
    """Return the fields that every asset has."""
    return {
        "id": visible["id"],
        "properties": tuple(
            (key, _property_from_json(value))
            for key, value in sorted(visible["properties"].items())
        ),
        "start_time": visible["start_time"],
        "end_time": visible["end_time"],
        "memo": recorded["memo"],
        "is_protected": recorded["is_protected"],
    }


def geobox_json(geobox: GeoBox) -> Members:
    """Return the placement and the shape of a grid, the CRS by its identity."""
    return {
        "crs": geobox.crs.identity,
        "transform": [float(value) for value in geobox.transform],
        "shape": list(geobox.shape),
    }


def source_json(source: Source) -> Members:
    """Return the identity and the position of a source, without its name."""
    return {
        "digest": source.digest,
        "row": source.row,
        "col": source.col,
        "height": source.height,
        "width": source.width,
        "mask": source.mask,
    }


def codec_json(codec: Codec) -> Members:
    """Return a codec."""
    members: Members = {
        "name": codec.name,
        "level": codec.level,
        "compressor": codec.compressor,
        "shuffle": codec.shuffle,
    }
    return members | ({"chunk": codec.chunk} if codec.chunk else {})


def points_json(footprint: Footprint) -> list[list[float]]:
    """Return the ring of a footprint."""
    return [[float(x), float(y)] for x, y in footprint.points]


def pixel_json(value: Number, *, is_float: bool) -> Json:
    """Return a pixel value in the one spelling of its kind: `0` for integers, `0.0` for floats."""
    return number_to_json(float(value) if is_float else int(value))


def _crs_json(crs: Crs) -> Members:
    return {"code": crs.code, "wkt": crs.wkt, "cf": crs.cf}


def _visible_grid(grid: Grid) -> Members:
    shapes = {} if grid.shapes is None else {"levels": [list(shape) for shape in grid.shapes]}
    return {"name": grid.name, **geobox_json(grid.geobox), **shapes}


def _pin_json(source: Source) -> Members:
    return {} if source.pin is None else {"pin": source.pin.to_json()}


def _source(seen: Members) -> Source:
    pin = Pin.from_json(seen["pin"]) if "pin" in seen else None
    return Source(**{**seen, "pin": pin})


def _visible_band(band: Band) -> Members:
    return {
        "id": band.id,
        "grid": band.grid,
        "dtype": band.dtype,
        "policy": band.policy.value,
        "fill": pixel_json(band.fill, is_float=band.is_float),
        "mask_from_level": band.mask_from_level,
        "is_fill_masked": band.can_be_masked and band.masking.is_fill_free,
        "description": band.description,
        "unit": band.unit,
        "scale": _optional_float(band.scale),
        "offset": _optional_float(band.offset),
        "palette": None if band.palette is None else [list(colour) for colour in band.palette],
    }


def _recorded_tileset(tileset: Tileset) -> Members:
    members: Members = {
        "id": tileset.id,
        "grid": tileset.grid,
        "dtypes": list(tileset.dtypes),
        "sources": [
            {
                "uri": source.uri,
                **source_json(source),
                **({"is_placed": True} if source.is_placed else {}),
                **({"variable": source.variable} if source.variable else {}),
                **_pin_json(source),
            }
            for source in tileset.sources
        ],
    }
    if tileset.has_own_crs:
        members["has_own_crs"] = True
    if tileset.features:
        members["features"] = [_feature_json(feature) for feature in tileset.features]
    return members


def _feature_json(feature: Feature) -> Members:
    return {
        "name": feature.name,
        "dtype": feature.dtype,
        "depth": feature.depth,
        "is_channels_last": feature.is_channels_last,
        "margin": list(feature.margin),
    }


def _recorded_band(band: Band) -> Members:
    masking = band.masking
    return {
        "tileset": band.tileset,
        "index": band.index,
        "masking": {
            "source": masking.source.value,
            "values": [pixel_json(value, is_float=band.is_float) for value in masking.values],
            "tileset": masking.tileset,
            "is_partial": masking.is_partial,
            "has_gaps": masking.has_gaps,
            "is_fill_free": masking.is_fill_free,
            **({"is_near": True} if masking.is_near else {}),
            **({"valid_value": masking.valid_value} if masking.valid_value != 255 else {}),
        },
    }


def _grid(seen: Members, crs: Members) -> Grid:
    height, width = seen["shape"]
    a, b, c, d, e, f = seen["transform"]
    return Grid(
        name=seen["name"],
        shapes=tuple((rows, cols) for rows, cols in seen["levels"]) if "levels" in seen else None,
        geobox=GeoBox(
            crs=Crs(code=crs["code"], wkt=crs["wkt"], cf=crs["cf"]),
            transform=(a, b, c, d, e, f),
            height=height,
            width=width,
        ),
    )


def _band(seen: Members, rest: Members) -> Band:
    masking = rest["masking"]
    palette = seen["palette"]
    return Band(
        id=seen["id"],
        grid=seen["grid"],
        tileset=rest["tileset"],
        index=rest["index"],
        dtype=seen["dtype"],
        policy=Policy(seen["policy"]),
        fill=number_from_json(seen["fill"]),
        masking=Masking(
            source=MaskSource(masking["source"]),
            values=tuple(number_from_json(value) for value in masking["values"]),
            tileset=masking["tileset"],
            is_partial=masking["is_partial"],
            has_gaps=masking["has_gaps"],
            is_fill_free=masking["is_fill_free"],
            is_near=masking.get("is_near", False),
            valid_value=masking.get("valid_value", 255),
        ),
        description=seen["description"],
        unit=seen["unit"],
        scale=_optional_number(seen["scale"]),
        offset=_optional_number(seen["offset"]),
        palette=None
        if palette is None
        else tuple((red, green, blue, alpha) for red, green, blue, alpha in palette),
    )


def _tileset(seen: Members) -> Tileset:
    return Tileset(
        id=seen["id"],
        grid=seen["grid"],
        dtypes=tuple(seen["dtypes"]),
        sources=tuple(_source(source) for source in seen["sources"]),
        has_own_crs=seen.get("has_own_crs", False),
        features=tuple(
            Feature(**{**feature, "margin": (feature["margin"][0], feature["margin"][1])})
            for feature in seen.get("features", ())
        ),
    )


def _property_to_json(value: str | float) -> Json:
    """Return a property; a number that JSON lacks becomes an object, to differ from text."""
    if isinstance(value, str):
        return value
    plain = number_to_json(value)
    return {"number": plain} if isinstance(plain, str) else plain


def _property_from_json(value: Json) -> str | int | float:
    if isinstance(value, str):
        return value
    return number_from_json(value["number"] if isinstance(value, dict) else value)


def _optional_float(value: float | None) -> Json:
    return None if value is None else number_to_json(float(value))


def _optional_number(value: Json) -> float | None:
    return None if value is None else float(number_from_json(value))
