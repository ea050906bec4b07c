"""Every key of a document reaches its spec: the two lists of fields have the same names."""

from __future__ import annotations

import pytest
import yaml
from msgspec import Struct

from geobatch.declare.fields.keys import part_of
from geobatch.declare.fields.manifest import Manifest, Part
from geobatch.declare.fields.members import INLINE, TUPLES
from geobatch.declare.fields.table import TableManifest
from geobatch.declare.loading.document import draft
from geobatch.declare.specs import (
    BandSpec,
    CheckSpec,
    ExternalImageSpec,
    FeatureSpec,
    FootprintSpec,
    ImageSpec,
    MaskBandSpec,
    SourceSpec,
    TableSpec,
    TfrecordSpec,
    TilesetSpec,
)
from geobatch.declare.text.read import read
from geobatch.declare.text.written import write_spec

BY_HAND = frozenset({"kind", "name", "tiling", "codec"})
"""Keys that rules turn into fields of other names or values."""
OWN = frozenset({"positions", "project", "absent", "tile", "codec"})
"""Fields that no single key declares."""
NOT_EXTERNAL = frozenset({"grid.bounds", "grid.max_tiles"})
PARTS: dict[str, type[Struct]] = {
    "tilesets": TilesetSpec, "sources": SourceSpec, "tfrecord": TfrecordSpec,
    "features": FeatureSpec, "bands": BandSpec, "mask_bands": MaskBandSpec,
    "footprint": FootprintSpec, "checks": CheckSpec,
}  # fmt: skip


def keys_of(part: type[Part]) -> dict[str, type[Part] | None]:
    """Return the keys that fields of a spec may name, and what each holds."""
    found: dict[str, type[Part] | None] = {}
    for key in part.model_fields:
        inner = part_of(part, key)
        if inner in INLINE and inner is not None:
            found |= {f"{key}.{name}": None for name in inner.model_fields}
        else:
            found[key] = None if inner in TUPLES else inner
    return found


def compare(part: type[Part], spec: type[Struct]) -> None:
    """Compare a part and its spec, and what is inside."""
    keys = keys_of(part)
    assert set(spec.__struct_encode_fields__) == keys.keys(), part.__name__
    for key, inner in keys.items():
        if inner is not None:
            compare(inner, PARTS[key])


def test_every_key_of_an_image_is_a_field() -> None:
    keys = keys_of(Manifest).keys() - BY_HAND
    image, external = (
        set(kind.__struct_encode_fields__) - OWN for kind in (ImageSpec, ExternalImageSpec)
    )
    assert image | external == keys
    assert keys - image == {"allow_unpinned"}
    assert keys - external == NOT_EXTERNAL
    for key, inner in keys_of(Manifest).items():
        if inner is not None and key not in BY_HAND:
            compare(inner, PARTS[key])


def test_every_key_of_a_table_is_a_field() -> None:
    keys = keys_of(TableManifest).keys() - BY_HAND
    sources = part_of(TableManifest, "sources")
    assert sources is not None
    keys = (keys | sources.model_fields.keys()) - {"uris"}
    keys -= {"column_data_type_overrides", "csv_column_data_type_overrides"}
    assert set(TableSpec.__struct_encode_fields__) - OWN - {"types"} == keys


def test_a_field_that_is_missing_is_noticed() -> None:
    class Wrong(Struct):
        id: str
        crs: str

    with pytest.raises(AssertionError, match="TilesetManifest"):
        compare(PART, Wrong)


PART = part_of(Manifest, "tilesets") or Part


WRITTEN = """\
kind: external_image
id: e
tilesets:
  - sources:
      - uris: [x.tif]
bands:
  - {id: a, tileset_band_index: 0, missing_data: {values: []}}
missing_data: {values: [.nan, 0]}
allow_unpinned: true
---
kind: table
id: t
uri_prefix: d/
sources:
  - {uris: [x.tfrecord], charset: iso8859-1, crs: EPSG:32633, x_column: "", y_column: ""}
  - {uris: [y.tfrecord], charset: iso8859-1, crs: EPSG:32633, x_column: "", y_column: ""}
column_data_type_overrides: {a: STRING, b: LONG}
lifecycle: {protect: true}
---
kind: image
id: i
moved_from: old
tilesets:
  - id: p
    data_type: FLOAT
    sources:
      - uris: [p.tfrecord, p.json]
    tfrecord: {kernel_size: [8, 0], features: [{name: f, data_type: UINT8, axis_order: CHW, depth: 2}, g]}
  - id: m
    sources:
      - uris: [m.tif]
        affine_transform: {scale_x: 10, translate_x: 0.5, shear_y: -0.0, scale_y: -10}
        dimensions: {width: 7, height: 9}
bands:
  - {id: a, tileset_id: p, feature: f, pyramiding_policy: MODE}
  - {id: b, tileset_id: p, tileset_band_index: 2}
array_bands: {both: [b, a]}
mask_bands: {tileset_id: m, feature: k, valid_value: 1}
skip_metadata_read: true
grid: {bounds: [0, 0.5, 20, 31], max_tiles: 5}
tiling: {tile: 256, shard: 512}
codec: {name: zstd, level: 9}
"""  # noqa: E501


@pytest.mark.parametrize("text", WRITTEN.split("---\n"))
def test_every_key_is_written(text: str) -> None:
    (root,) = read(text.encode(), path="a.yaml").documents
    made = draft(root, path="a.yaml")
    (spec,) = made.specs
    (again,) = read(write_spec(spec).encode(), path="a.yaml").documents
    assert repr(draft(again, path="a.yaml").specs[0]) == repr(spec)
    assert yaml.safe_load(write_spec(spec).replace(".nan", "7")) == yaml.safe_load(
        text.replace(".nan", "7")
    )
