"""What an asset looks like as Zarr v3: every metadata document and coordinate chunk, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.format.zarr_codecs import zarr_codecs
from geobatch.format.zarr_layout.paths import MASKS, array_names, array_path, join
from geobatch.format.zarr_layout.pyramids import Step, bands_at, pyramids
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Json
from geobatch.model.number import number_to_json
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.views.zarr import attributes as zarr_attributes
from geobatch.views.zarr.attributes import GRID_MAPPING, TIME, Attributes
from geobatch.views.zarr.cf import classes

FOLDER = "zarr"
"""Folder of the tree in a store."""
DOCUMENT = "zarr.json"
"""File name of the metadata document of a group or an array."""

VIEW = 3
"""Raised whenever equal assets would get other documents: trees made by another are made current.

1 was that of trees which do not say; 2 had a group per grid, and masks beside their bands.
"""

_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Made once: `json.dumps` makes one for each of very many small documents."""

_REFERENCES = (GRID_MAPPING, "x", "y", TIME)

FLOAT64_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}]
"""Coordinates and the grid mapping are small, and every reader knows plain bytes."""


def tile_plane(asset: Raster, key: ArrayKey) -> tuple[int, int]:
    """Return how many (rows, columns) of tiles an array has."""
    return asset.grid(asset.band(key.band).grid).tile_shape(tile=asset.tile, level=key.level)


def parse_position(text: str) -> tuple[int, int] | None:
    """Return (row, column) of the end of a chunk key, or None where it is not written so."""
    row, _, col = text.partition("/")
    try:
        position = (int(row), int(col))
    except ValueError:
        return None
    return position if min(position) >= 0 and text == f"{position[0]}/{position[1]}" else None


def plain_group() -> bytes:
    """Return the document of a folder above assets."""
    return _text(_group({})).encode()


def documents(record: AssetRecord) -> dict[str, bytes]:
    """Return every Zarr metadata document and coordinate chunk of an asset.

    Arrays appear as `record.arrays` names them; shapes are the true, unpadded ones.

    Args:
        record: A published asset.

    Returns:
        Bytes by path relative to the asset's folder: `0/x/c/0`, `0/b1/zarr.json`, `0/zarr.json`,
        `zarr.json`. Whoever writes them in this order never announces what is not there yet:
        chunks, then arrays, then groups from the deepest up; the asset's own `zarr.json` is last.

    Source:
        Zarr v3 core; the conventions multiscales, proj and spatial at v0.1; CF 1.11; consolidated
        metadata inline as zarr-python writes it, in each group, since a reader that opens a group
        never looks above it.
    """
    asset = record.image
    chunks: dict[str, bytes] = {}
    arrays: dict[str, str] = {}
    groups: dict[str, Attributes] = {"": zarr_attributes.product(asset)}
    for pyramid in pyramids(asset):
        values = {step.name: _values(record, step) for step in pyramid.steps}
        masks = {step.name: found for step in pyramid.steps if (found := _masks(record, step))}
        for top, content in ((pyramid.path, values), (join(pyramid.path, MASKS), masks)):
            steps = [step for step in pyramid.steps if step.name in content]
            if not steps:
                continue
            about = zarr_attributes.multiscale(asset, steps, is_mask=content is masks)
            groups[top] = about | groups.get(top, {})
            for step in steps:
                path = join(top, step.name)
                groups[path] = zarr_attributes.level_group(asset, step.geobox)
                for name, document in content[step.name].items():
                    arrays[join(path, name)] = _text(document)
                for name, text in _references(asset, step).items():
                    arrays[join(path, name)] = text
                for name, chunk in _coordinates(asset, step).items():
                    chunks[join(path, name)] = chunk
    return {
        **chunks,
        **{join(path, DOCUMENT): text.encode() for path, text in arrays.items()},
        **consolidated(groups, arrays),
    }


def folders_above(asset_ids: Iterable[str]) -> frozenset[str]:
    """Return every folder above some assets: `a` and `a/b` above `a/b/c`."""
    found: set[str] = set()
    for asset_id in asset_ids:
        folder = asset_id.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


def _values(record: AssetRecord, step: Step) -> dict[str, Json]:
    """Return the documents of the bands of a step, by name, in band order."""
    asset = record.image
    keys = {key for key, _ in record.arrays}
    flags, names = classes(asset), array_names(asset)
    found: dict[str, Json] = {}
    for band, level in bands_at(asset, step):
        key = ArrayKey(band=band.id, level=level)
        if key not in keys:
            continue
        attributes = zarr_attributes.band_values(
            band,
            step.geobox,
            level=level,
            name=names[band.id],
            has_time=asset.start_time is not None,
            classes=flags.get(band.id),
        )
        mask = ArrayKey(band=band.id, level=level, is_mask=True)
        if mask in keys:
            attributes["mask"] = array_path(asset, mask)
        found[names[band.id]] = array(
            step.geobox.shape,
            dtype=band.dtype,
            chunk_shape=(asset.tile, asset.tile),
            fill=number_to_json(band.fill),
            codecs=zarr_codecs(asset.codec, band.dtype),
            dimensions=("y", "x"),
            attributes=attributes,
        )
    return found


def _masks(record: AssetRecord, step: Step) -> dict[str, Json]:
    """Return the documents of the masks of a step, by the names of their bands, in band order."""
    asset = record.image
    keys = {key for key, _ in record.arrays if key.is_mask}
    names = array_names(asset)
    return {
        names[band.id]: array(
            step.geobox.shape,
            dtype="uint8",
            chunk_shape=(asset.tile, asset.tile),
            fill=0,
            codecs=zarr_codecs(asset.codec, "uint8"),
            dimensions=("y", "x"),
            attributes=zarr_attributes.band_mask(
                band,
                step.geobox,
                level=level,
                name=names[band.id],
                has_time=asset.start_time is not None,
            ),
        )
        for band, level in bands_at(asset, step)
        if ArrayKey(band=band.id, level=level, is_mask=True) in keys
    }


def _references(asset: Raster, step: Step) -> dict[str, str]:
    """Return the documents of `spatial_ref`, of `x` and `y` if the grid has such axes, and `time`.

    The value of `spatial_ref` says nothing, so it is left to the fill value and has no chunk.
    """
    geobox = step.geobox
    mapping = array(
        (),
        dtype="int64",
        chunk_shape=(),
        fill=0,
        codecs=FLOAT64_CODECS,
        dimensions=(),
        attributes=zarr_attributes.grid_mapping(geobox),
    )
    found = {GRID_MAPPING: _text(mapping)}
    if geobox.is_axis_aligned:
        found["y"] = _axis_text(geobox.crs.cf, "y", geobox.height)
        found["x"] = _axis_text(geobox.crs.cf, "x", geobox.width)
    if asset.start_time is not None:
        found[TIME] = _time_text()
    return found


@lru_cache(maxsize=128)
def _axis_text(cf: str, axis: str, size: int) -> str:
    """Return the document of `x` or `y`, which is the same for images of one size and `Crs.cf`."""
    document = array(
        (size,),
        dtype="float64",
        chunk_shape=(size,),
        fill="NaN",
        codecs=FLOAT64_CODECS,
        dimensions=(axis,),
        attributes=zarr_attributes.coordinate(cf, axis),
    )
    return _text(document)


@cache
def _time_text() -> str:
    """Return the document of `time`."""
    document = array(
        (),
        dtype="float64",
        chunk_shape=(),
        fill="NaN",
        codecs=FLOAT64_CODECS,
        dimensions=(),
        attributes=zarr_attributes.time_coordinate(),
    )
    return _text(document)


def _coordinates(asset: Raster, step: Step) -> dict[str, bytes]:
    """Return the chunks of coordinates, little-endian float64: pixel centres, and the time."""
    geobox = step.geobox
    found: dict[str, npt.NDArray[np.floating[Any]]] = {}
    if geobox.is_axis_aligned:
        a, _, c, _, e, f = geobox.transform
        found["y/c/0"] = f + (np.arange(geobox.height) + 0.5) * e
        found["x/c/0"] = c + (np.arange(geobox.width) + 0.5) * a
    if asset.start_time is not None:
        # Microseconds reach further than any year of four digits; nanoseconds do not.
        moment = np.datetime64(asset.start_time.removesuffix("Z")).astype("datetime64[us]")
        found[f"{TIME}/c"] = np.asarray(moment.astype(np.int64) / 1000)
    return {name: values.astype("<f8").tobytes() for name, values in found.items()}


def array(
    shape: tuple[int, ...],
    *,
    dtype: str,
    chunk_shape: tuple[int, ...],
    fill: Json,
    codecs: Sequence[Json],
    dimensions: tuple[str, ...],
    attributes: Attributes,
) -> Json:
    """Return the document of an array.

    Args:
        shape: Its shape.
        dtype: Numpy name of its type.
        chunk_shape: Shape of a chunk.
        fill: Value of absent chunks.
        codecs: How a chunk is encoded.
        dimensions: Names of its dimensions.
        attributes: Its attributes.
    """
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk_shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": codecs,
        "dimension_names": dimensions,
        "storage_transformers": [],
        "attributes": attributes,
    }


def _group(attributes: Attributes) -> Json:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def consolidated(groups: Mapping[str, Attributes], arrays: Mapping[str, str]) -> dict[str, bytes]:
    """Return the group documents, deepest first, each with the documents of all that is below it.

    Texts are spliced, not encoded again: a document appears in every group above it.
    """
    plain = {path: _text(_group(attributes)) for path, attributes in groups.items()}
    nodes = sorted({**plain, **arrays}.items(), key=lambda node: _order(node[0]))
    found: dict[str, bytes] = {}
    for path in sorted(plain, key=lambda path: (-path.count("/") - bool(path), path)):
        prefix = f"{path}/" if path else ""
        below = ",".join(
            f"{_quoted(name[len(prefix) :])}:{text}"
            for name, text in nodes
            if name.startswith(prefix) and name
        )
        inline = f'{{"kind":"inline","must_understand":false,"metadata":{{{below}}}}}'
        found[join(path, DOCUMENT)] = (
            f'{plain[path][:-1]},"consolidated_metadata":{inline}}}'.encode()
        )
    return found


@lru_cache(maxsize=1024)
def _quoted(name: str) -> str:
    return json.dumps(name)


@lru_cache(maxsize=1024)
def _order(path: str) -> list[tuple[bool, str]]:
    """Return what sorts the nodes of consolidated metadata: what arrays refer to comes first.

    GDAL 3.13 finds the CRS of an array only among the nodes that it has read before.
    """
    above, _, name = path.rpartition("/")
    return [*((True, part) for part in above.split("/")), (name not in _REFERENCES, name)]


def _text(document: Json) -> str:
    return _ENCODE(document)
