"""What a spec, a mixer and a first record decide of an export, and what they may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from record_workbench import Export, Pixels, numbered
from workbench import write_tiff

from geobatch.declare import validate
from geobatch.errors import GeobatchError, PlanError, SourceError, SpecError
from geobatch.model.assets.asset import AnyImage, MaskSource
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.resolve import resolve

PIXELS = numbered(8, 12)
KINDS = {"count": "int64_list", "flag": "bytes_list"}
BANDS: dict[str, Pixels] = {
    "p": PIXELS,
    "count": PIXELS,
    "flag": PIXELS.astype(np.uint8),
    "probs": np.stack([PIXELS] * 3, axis=2),
}


def resolved(folder: Path, text: str) -> AnyImage:
    path = folder / "x.yaml"
    path.write_text(text)
    (asset,) = resolve(validate([path])).images
    return asset


def document(options: str = "", **more: Any) -> str:
    tileset: dict[str, Any] = {"sources": [{"uris": ["pred-*.tfrecord.gz", "pred-mixer.json"]}]}
    if options:
        tileset["tfrecord"] = yaml.safe_load(options)
    return yaml.safe_dump({"id": "x", "tilesets": [tileset | more.pop("tileset", {})], **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Export(bands=BANDS, patch=(4, 6), kinds=KINDS, kernel=(2, 3)).write(tmp_path, splits=[2])
    return tmp_path


K = "kernel_size: [3, 2]"


def test_a_kind_has_a_pixel_type(folder: Path) -> None:
    asset = resolved(folder, document(f"{{{K}, features: [p, count, flag]}}"))
    assert [(b.id, b.dtype) for b in asset.bands] == [
        ("p", "float32"), ("count", "int64"), ("flag", "uint8"),
    ]  # fmt: skip
    (grid,) = asset.grids
    assert grid.geobox.shape == (8, 12)
    assert str(grid.geobox.crs) == "EPSG:32633"
    (source,) = asset.tilesets[0].sources
    assert source.uri == "pred-mixer.json"
    assert source.block == (4, 6)


@pytest.mark.parametrize(
    ("options", "tileset", "dtype"),
    [
        (f"{{{K}, features: [count], data_type: UINT8}}", {}, "uint8"),
        (f"{{{K}, features: [{{name: count, data_type: INT16}}], data_type: UINT8}}", {}, "int16"),
        (f"{{{K}, features: [count]}}", {"data_type": "FLOAT"}, "float32"),
        (f"{{{K}, features: [count], data_type: UINT8}}", {"data_type": "UINT16"}, "uint16"),
    ],
)
def test_the_nearest_declared_pixel_type_holds(
    folder: Path, options: str, tileset: dict[str, Any], dtype: str
) -> None:
    asset = resolved(folder, document(options, tileset=tileset))
    assert asset.bands[0].dtype == dtype


@pytest.mark.parametrize("order", ["CHW", "HWC"])
def test_values_of_a_pixel_are_bands(folder: Path, order: str) -> None:
    options = f"{{{K}, features: [p, {{name: probs, axis_order: {order}}}]}}"
    asset = resolved(folder, document(options))
    assert [band.id for band in asset.bands] == ["p", "probs_1", "probs_2", "probs_3"]
    bands = [{"id": "third", "tileset_band_index": 3}, {"id": "p", "feature": "p"}]
    asset = resolved(folder, document(options, bands=bands))
    assert [(band.id, band.index) for band in asset.bands] == [("third", 3), ("p", 0)]


def test_bands_may_name_their_features(folder: Path) -> None:
    bands = [{"id": "one", "feature": "flag"}, {"id": "two", "feature": "p"}]
    asset = resolved(folder, document(f"{{{K}}}", bands=bands))
    assert [(b.id, b.index, b.dtype) for b in asset.bands] == [
        ("one", 0, "uint8"), ("two", 1, "float32"),
    ]  # fmt: skip


def test_what_else_is_read_of_the_records_is_no_matter_to_a_band(folder: Path) -> None:
    one = resolved(folder, document(f"{{{K}, features: [p]}}"))
    two = resolved(folder, document(f"{{{K}, features: [flag, p]}}"))
    assert band_fingerprint(one, "p") == band_fingerprint(two, "p")
    assert band_fingerprint(two, "p") != band_fingerprint(two, "flag")


def test_a_feature_is_the_mask(folder: Path) -> None:
    text = document(
        f"{{{K}}}", bands=[{"id": "p", "feature": "p"}], mask_bands={"feature": "count"}
    )
    asset = resolved(folder, text)
    assert asset.bands[0].masking.source is MaskSource.BAND
    assert asset.tilesets[0].dtypes == ("float32", "uint8")


def test_a_file_with_one_feature_is_taken_as_it_is(tmp_path: Path) -> None:
    Export(bands={"only one!": PIXELS}, patch=(4, 6)).write(tmp_path)
    asset = resolved(tmp_path, document())
    assert [band.id for band in asset.bands] == ["b1"]  # no band may have such a name


def test_names_of_features_are_taken_where_they_are_free(tmp_path: Path) -> None:
    Export(bands={"b2": PIXELS}, patch=(4, 6)).write(tmp_path)
    write_tiff(tmp_path / "o.tif", [PIXELS])
    other = {"id": "o", "sources": [{"uris": ["o.tif"]}]}
    both = yaml.safe_load(document())["tilesets"]
    text = yaml.safe_dump({"id": "x", "tilesets": [*both, other, {**other, "id": "q"}]})
    assert [band.id for band in resolved(tmp_path, text).bands] == ["b2", "b1", "b3"]


FEATURES = "`count`, `flag`, `p`, `probs`"


@pytest.mark.parametrize(
    ("text", "kind", "words", "hint"),
    [
        (document(f"{{{K}}}"), SpecError, f"the records have 4 features: {FEATURES}", "features"),
        (document(f"{{{K}, features: [Prob]}}"), SourceError,
         f"record 0 has no feature `Prob`; it has {FEATURES}", "did you mean `probs`?"),
        (document(f"{{{K}, features: [probs]}}"), SpecError,
         "`probs` has 3 values per pixel, and their order is not declared", "axis_order"),
        (document(f"{{{K}, features: [{{name: probs, axis_order: CHW}}]}}",
                  bands=[{"id": "band", "feature": "probs"}]),
         SpecError, "`probs` has 3 values per pixel, one band each", "tileset_band_index"),
        (document("{features: [p]}"), SourceError,
         "feature `p`: expected 24 values (6 x 4), got 54", "kernel_size: [columns, rows]"),
        (document("{kernel_size: [2, 2], features: [p]}"), SourceError,
         "expected 48 values (8 x 6) or 24 values (6 x 4), got 54", "kernel_size"),
        (document(f"{{{K}, features: [p]}}", bands=[{"id": "band", "feature": "flag"}]),
         SpecError, "`flag` is not among the `features`", "add it there"),
        (document(f"{{{K}, features: [p, flag]}}", mask_bands={"feature": "p"}),
         SpecError, "the mask `p` is listed before other features", "last"),
        (document(f"{{{K}, features: [p]}}", bands=[{"id": "band", "tileset_band_index": 1}]),
         SpecError, "each source has 1 band", "start at zero"),
        (document(f"{{{K}, features: [{{name: flag, data_type: INT32}}]}}"), SourceError,
         "expected one value of INT32 pixels, got 54 bytes", None),
        (document(f"{{{K}, features: [p, count]}}", mask_bands={"tileset_id": ""}),
         PlanError, "expected UINT8", "as UINT8"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    folder: Path, text: str, kind: type[GeobatchError], words: str, hint: str | None
) -> None:
    with pytest.raises(kind) as caught:
        resolved(folder, text)
    error = caught.value
    assert words in error.message
    if isinstance(error, SpecError):
        assert error.problems[0].line > 1
        assert hint is None or hint in (error.problems[0].hint or "")
    else:
        assert hint is None or hint in (error.hint or "")


def test_a_square_margin_is_guessed_in_the_hint(tmp_path: Path) -> None:
    Export(bands={"p": numbered(8, 8)}, patch=(4, 4), kernel=(2, 2)).write(tmp_path)
    with pytest.raises(SourceError) as caught:
        resolved(tmp_path, document())
    assert "kernel_size: [2, 2]" in (caught.value.hint or "")


@pytest.mark.parametrize("key", ["tfrecord", "feature", "mask"])
def test_features_of_a_tiff_are_refused(tmp_path: Path, key: str) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS])
    tileset: dict[str, Any] = {"sources": [{"uris": ["a.tif"]}]}
    found: dict[str, Any] = {"id": "x", "tilesets": [tileset]}
    if key == "tfrecord":
        tileset["tfrecord"] = {"kernel_size": [1, 1]}
    elif key == "feature":
        found["bands"] = [{"id": "p", "feature": "p"}]
    else:
        found["mask_bands"] = {"feature": "p"}
    with pytest.raises(SpecError, match="are not TFRecord files"):
        resolved(tmp_path, yaml.safe_dump(found))


def test_a_tileset_is_of_one_kind(folder: Path) -> None:
    write_tiff(folder / "a.tif", [PIXELS])
    found = yaml.safe_load(document(f"{{{K}, features: [p]}}"))
    found["tilesets"][0]["sources"].append({"uris": ["a.tif"]})
    with pytest.raises(PlanError, match=r"differ in their features.*`a\.tif` has none"):
        resolved(folder, yaml.safe_dump(found))


def test_a_crs_that_is_none_is_said(tmp_path: Path) -> None:
    Export(bands={"p": PIXELS}, patch=(4, 6)).write(tmp_path)
    mixer = tmp_path / "pred-mixer.json"
    mixer.write_text(mixer.read_text().replace("EPSG:32633", "EPSG:999999"))
    with pytest.raises(SourceError, match=r"`pred-mixer\.json`: `EPSG:999999` is no"):
        resolved(tmp_path, document())
