"""What an asset looks like as Zarr v3: every metadata document and coordinate chunk, as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from geobatch.format.zarr_codecs import zarr_codecs
from geobatch.model.assets.asset import Grid
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Json, number_to_json
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.views.zarr import attributes as zarr_attributes
from geobatch.views.zarr.attributes import GRID_MAPPING, MASK_SUFFIX, Attributes
from geobatch.views.zarr.cf import classes

FOLDER = "zarr"
"""Folder of the tree in a store."""
DOCUMENT = "zarr.json"
"""File name of the metadata document of a group or an array."""

VIEW = 2
"""Raised whenever equal assets would get other documents: trees made by another are made current.

1 was that of trees which do not say.
"""

FLOAT64_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}]
"""Coordinates and the grid mapping are small, and every reader knows plain bytes."""


def array_path(asset: Raster, key: ArrayKey) -> str:
    """Return the path of an array within its asset: `0/b1`, `1/b1.mask`, `10m/0/b1`.

    Raises:
        StopIteration: The asset has no such band.
    """
    name = f"{key.band}{MASK_SUFFIX}" if key.is_mask else key.band
    return join(asset.group(asset.band(key.band).grid), str(key.level), name)


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
    for grid in asset.grids:
        top = asset.group(grid.name)
        groups[top] = zarr_attributes.multiscale(grid, asset.bands_of(grid.name)) | groups.get(
            top, {}
        )
        for level in range(grid.level_count):
            geobox = grid.level(level)
            path = join(top, str(level))
            groups[path] = zarr_attributes.level_group(geobox)
            for name, document in _bands(record, grid, level).items():
                arrays[join(path, name)] = _text(document)
            for name, document in _references(geobox).items():
                arrays[join(path, name)] = _text(document)
            for name, chunk in _centres(geobox).items():
                chunks[join(path, name, "c/0")] = chunk
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


def join(*parts: str) -> str:
    """Return a `/`-separated path of the parts that are not empty."""
    return "/".join(part for part in parts if part)


def _bands(record: AssetRecord, grid: Grid, level: int) -> dict[str, Json]:
    """Return the documents of the value and mask arrays of a level, by name, in band order."""
    asset = record.image
    keys = {key for key, _ in record.arrays}
    geobox = grid.level(level)
    flags = classes(asset)
    found: dict[str, Json] = {}
    for band in asset.bands_of(grid.name):
        has_mask = ArrayKey(band=band.id, level=level, is_mask=True) in keys
        if ArrayKey(band=band.id, level=level) in keys:
            found[band.id] = array(
                geobox.shape,
                dtype=band.dtype,
                chunk_shape=(asset.tile, asset.tile),
                fill=number_to_json(band.fill),
                codecs=zarr_codecs(asset.codec, band.dtype),
                dimensions=("y", "x"),
                attributes=zarr_attributes.band_values(
                    band, geobox, level=level, has_mask=has_mask, classes=flags.get(band.id)
                ),
            )
        if has_mask:
            found[band.id + MASK_SUFFIX] = array(
                geobox.shape,
                dtype="uint8",
                chunk_shape=(asset.tile, asset.tile),
                fill=0,
                codecs=zarr_codecs(asset.codec, "uint8"),
                dimensions=("y", "x"),
                attributes=zarr_attributes.band_mask(band, geobox, level=level),
            )
    return found


def _references(geobox: GeoBox) -> dict[str, Json]:
    """Return the documents of `spatial_ref`, and of `x` and `y` where the grid has such axes.

    The value of `spatial_ref` says nothing, so it is left to the fill value and has no chunk.
    """
    found = {
        GRID_MAPPING: array(
            (),
            dtype="int64",
            chunk_shape=(),
            fill=0,
            codecs=FLOAT64_CODECS,
            dimensions=(),
            attributes=zarr_attributes.grid_mapping(geobox),
        )
    }
    if geobox.is_axis_aligned:
        for axis, size in (("y", geobox.height), ("x", geobox.width)):
            found[axis] = array(
                (size,),
                dtype="float64",
                chunk_shape=(size,),
                fill="NaN",
                codecs=FLOAT64_CODECS,
                dimensions=(axis,),
                attributes=zarr_attributes.coordinate(geobox, axis),
            )
    return found


def _centres(geobox: GeoBox) -> dict[str, bytes]:
    """Return the coordinates of pixel centres, little-endian float64, for `y` and `x`."""
    if not geobox.is_axis_aligned:
        return {}
    a, _, c, _, e, f = geobox.transform
    return {
        "y": (f + (np.arange(geobox.height) + 0.5) * e).astype("<f8").tobytes(),
        "x": (c + (np.arange(geobox.width) + 0.5) * a).astype("<f8").tobytes(),
    }


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
    nodes = sorted({**plain, **arrays}.items())
    found: dict[str, bytes] = {}
    for path in sorted(plain, key=lambda path: (-path.count("/") - bool(path), path)):
        prefix = f"{path}/" if path else ""
        below = ",".join(
            f"{json.dumps(name[len(prefix) :])}:{text}"
            for name, text in nodes
            if name.startswith(prefix) and name
        )
        inline = f'{{"kind":"inline","must_understand":false,"metadata":{{{below}}}}}'
        found[join(path, DOCUMENT)] = (
            f'{plain[path][:-1]},"consolidated_metadata":{inline}}}'.encode()
        )
    return found


def _text(document: Json) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)
