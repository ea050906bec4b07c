"""Predictions in TFRecord shards become the asset that the same pixels in a GeoTIFF become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_workbench import CRS, PIXEL, X0, Y0, Export, Pixels, numbered
from workbench import Workbench, image, write_tiff

from geobatch.model.plans.plan import Op
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

FROM_RECORDS = settings(
    max_examples=examples(8, 25), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
DTYPES = {
    "float_list": ["float32", "float64", "uint8", "int16"],
    "int64_list": ["int64", "int8", "uint16", "int32", "uint32", "float32"],
    "bytes_list": ["uint8", "int16", "float32", "float64", "uint64"],
}


def records_image(asset_id: str, options: Any = None, **more: Any) -> dict[str, Any]:
    """Return an image spec of one export, `pred`."""
    source = {"uris": ["pred-*.tfrecord*", "pred-mixer.json"]}
    tileset = {"sources": [source], **({"tfrecord": options} if options else {})}
    return image(asset_id, tileset=tileset, **more)


def tiff_image(asset_id: str, path: Path, bands: dict[str, Pixels], **more: Any) -> dict[str, Any]:
    """Return an image spec of a GeoTIFF with the same bands."""
    write_tiff(path, list(bands.values()))
    named = [
        {"id": name, "tileset_id": "t", "tileset_band_index": index}
        for index, name in enumerate(bands)
    ]
    return image(asset_id, path.name, bands=named, **more)


def content_roots(folder: Path, *specs: dict[str, Any]) -> list[str]:
    """Apply each spec to a store of its own."""
    roots = []
    for number, spec in enumerate(specs):
        bench = Workbench(folder=folder)
        path = bench.write_spec([spec], f"{number}.yaml")
        roots.append(apply([path], store=folder / f"store{number}", workers=2).content_root)
    return roots


@FROM_RECORDS
@given(data=st.data())
def test_any_export_is_the_raster_that_it_was_cut_from(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")
    patch = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    grid = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    kernel = data.draw(st.tuples(st.integers(0, 7), st.integers(0, 7)))
    height, width = patch[0] * grid[0], patch[1] * grid[1]
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    bands: dict[str, Pixels] = {}
    pieces: dict[str, Pixels] = {}
    features: list[dict[str, Any]] = []
    kinds, orders = {}, {}
    for name in "abc"[: data.draw(st.integers(1, 3))]:
        kind = kinds[name] = data.draw(st.sampled_from(sorted(DTYPES)))
        dtype = data.draw(st.sampled_from(DTYPES[kind]))
        depth = data.draw(st.integers(1, 2))
        orders[name] = data.draw(st.sampled_from(["CHW", "HWC"]))
        pixels = rng.integers(0, 100, (height, width, depth)).astype(dtype)
        pieces[name] = pixels if depth > 1 else pixels[:, :, 0]
        for channel in range(depth):
            band = name if depth == 1 else f"{name}_{channel + 1}"
            bands[band] = np.ascontiguousarray(pixels[:, :, channel])
        said: dict[str, Any] = {"name": name, "data_type": dtype.upper()}
        if depth > 1 or data.draw(st.booleans()):
            said["axis_order"] = orders[name]
        padded = (patch[0] + kernel[0]) * (patch[1] + kernel[1])
        has_two_readings = any(kernel) and padded * depth % (patch[0] * patch[1]) == 0
        if has_two_readings or data.draw(st.booleans()):
            said["depth"] = depth
        features.append(said)
    export = Export(bands=pieces, patch=patch, kernel=kernel, kinds=kinds, orders=orders)
    total = grid[0] * grid[1]
    splits = data.draw(st.lists(st.integers(0, total), max_size=3))
    compression = data.draw(st.sampled_from(["", "GZIP", "ZLIB"]))
    export.write(folder, splits=splits, compression=compression)
    options = {"kernel_size": [kernel[1], kernel[0]], "features": features}
    more: dict[str, Any] = {"missing_data": {"values": [7]}, "tile": 16}
    specs = [records_image("x", options, **more)]
    # A TIFF has one type for all bands: one file per band.
    tilesets = []
    for name, pixels in bands.items():
        write_tiff(folder / f"{name}.tif", [pixels])
        tilesets.append({"id": name, "sources": [{"uris": [f"{name}.tif"]}]})
    specs.append(
        {
            "id": "x", "tilesets": tilesets, "tiling": {"tile": 16},
            "bands": [{"id": name, "tileset_id": name} for name in bands],
            "missing_data": more["missing_data"],
        }
    )  # fmt: skip
    found, expected = content_roots(folder, *specs)
    assert found == expected


def test_pixels_lie_where_the_mixer_says(tmp_path: Path) -> None:
    pixels = numbered(512 + 256, 512)
    export = Export(bands={"b": pixels}, patch=(256, 128), kernel=(128, 128))
    export.write(tmp_path, splits=[2, 3, 9])
    bench = Workbench(folder=tmp_path)
    # As many values as three bands without a margin have.
    options = {"kernel_size": [128, 128], "features": [{"name": "b", "depth": 1}]}
    bench.apply(records_image("x", options, tile=256))
    assert np.array_equal(bench.array("x/0/b"), pixels)
    means = pixels.reshape(384, 2, 256, 2).astype(np.float64).mean(axis=(1, 3))
    assert np.array_equal(bench.array("x/1/b"), means.astype(np.float32))
    attributes = bench.group("x/0").attrs
    assert attributes["spatial:transform"] == [PIXEL, 0.0, X0, 0.0, -PIXEL, Y0]
    assert attributes["proj:code"] == CRS


def test_cropped_patches_are_taken_as_they_are_whatever_the_kernel(tmp_path: Path) -> None:
    bands = {"b": numbered(64, 96)}
    padded = Export(bands=bands, patch=(32, 32), kernel=(16, 16))
    cropped = Export(bands=bands, patch=(32, 32))
    for number, export in enumerate((padded, cropped)):
        export.write(tmp_path / str(number))
    spec = records_image("x", {"kernel_size": [16, 16]})
    specs = [{**spec, "uri_prefix": f"{number}/"} for number in range(2)]
    roots = content_roots(tmp_path, *specs)
    assert roots[0] == roots[1]


def test_any_split_of_the_records_is_the_same_asset(tmp_path: Path) -> None:
    export = Export(bands={"a": numbered(96, 128), "b": numbered(96, 128)}, patch=(32, 32))
    roots = set()
    for number, splits in enumerate(([], [1], [0, 0, 5, 12], range(1, 12))):
        export.write(tmp_path, splits=list(splits))
        spec = records_image("x", {"features": ["a", "b"]})
        path = Workbench(folder=tmp_path).write_spec([spec])
        summary = apply([path], store=tmp_path / f"store{number}", workers=1 + number % 2)
        roots.add(summary.content_root)
    assert len(roots) == 1


@pytest.mark.parametrize("name", ["pred-{}.tfrecord", "pred-{:05}-of-00012.tfrecord", "{}-p.gz"])
def test_a_patch_lies_where_its_shard_is_numbered(tmp_path: Path, name: str) -> None:
    """One record per shard: shard `i` holds nothing but `i`."""
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    export = Export(bands={"c": np.kron(values, np.ones((4, 4), np.float32))}, patch=(4, 4))
    shards = export.write(tmp_path, splits=range(1, 12), compression="")
    listed = [shard.rename(tmp_path / name.format(n)).name for n, shard in enumerate(shards)]
    bench = Workbench(folder=tmp_path)
    pattern = name.split("{", maxsplit=1)[0] + "*" + name.rpartition("}")[2]
    sources = [{"uris": [pattern, "pred-mixer.json"]}]
    by_text = [{"uris": [*sorted(listed), "pred-mixer.json"]}]
    bench.apply(image("x", tileset={"sources": by_text}, tile=16))
    is_padded = sorted(listed) == listed
    assert np.array_equal(bench.array("x/0/c")[::4, ::4], values) is is_padded
    spec = bench.write_spec([image("x", tileset={"sources": sources}, tile=16)])
    change = plan([spec], store=bench.store).changes[0]
    assert (change.op is Op.KEEP) is is_padded
    bench.apply_spec()
    assert np.array_equal(bench.array("x/0/c")[::4, ::4], values)


def test_a_feature_masks_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.random((64, 64), dtype=np.float32)
    weights = rng.choice(np.array([0, 128, 255]), (64, 64))
    export = Export(
        bands={"p": pixels, "quality": weights}, patch=(16, 32), kinds={"quality": "int64_list"}
    )
    export.write(tmp_path)
    write_tiff(tmp_path / "p.tif", [pixels])
    write_tiff(tmp_path / "q.tif", [weights.astype(np.uint8)])
    by_feature = records_image(
        "x", bands=[{"id": "p", "feature": "p"}], mask_bands={"feature": "quality"}
    )
    last = {"name": "quality", "data_type": "UINT8"}
    by_order = records_image("x", {"features": ["p", last]}, mask_bands={"tileset_id": "t"})
    # A mask of its own tileset lies upon the mosaic, which is the same where there is one source.
    tiff = image(
        "x", "p.tif", bands=[{"id": "p", "tileset_id": "t"}], mask_bands={"tileset_id": "q"},
        more_tilesets=[{"id": "q", "sources": [{"uris": ["q.tif"]}]}],
    )  # fmt: skip
    roots = content_roots(tmp_path, by_feature, by_order, tiff)
    assert roots[0] == roots[1]
    assert roots[0] == roots[2]


def test_records_and_tiffs_make_one_asset(tmp_path: Path) -> None:
    pixels, other = numbered(64, 64), numbered(64, 64, dtype="uint16")
    Export(bands={"probability": pixels}, patch=(32, 32)).write(tmp_path)
    write_tiff(tmp_path / "o.tif", [other])
    bench = Workbench(folder=tmp_path)
    bench.apply(
        records_image(
            "x",
            bands=[
                {"id": "p", "tileset_id": "t", "feature": "probability"},
                {"id": "o", "tileset_id": "u"},
            ],
            more_tilesets=[{"id": "u", "sources": [{"uris": ["o.tif"]}]}],
        )
    )
    assert bench.names("x/0") == {"p", "o"}  # one grid: one pyramid
    assert np.array_equal(bench.array("x/0/p"), pixels)
    assert np.array_equal(bench.array("x/0/o"), other)


def test_exports_are_mosaicked_and_cut_like_files(tmp_path: Path) -> None:
    left, right = numbered(32, 32), numbered(32, 32, step=-1)
    Export(bands={"b": left}, patch=(16, 16)).write(tmp_path, prefix="left")
    east = Export(bands={"b": right}, patch=(32, 16))
    east.write(tmp_path, prefix="right")
    mixer = tmp_path / "right-mixer.json"
    mixer.write_text(mixer.read_text().replace(str(X0), str(X0 + 32 * PIXEL)))
    sources = [{"uris": [f"{n}-*.tfrecord.gz", f"{n}-mixer.json"]} for n in ("left", "right")]
    spec = image("x", tileset={"sources": sources})
    bench = Workbench(folder=tmp_path)
    bench.apply(spec)
    assert np.array_equal(bench.array("x/0/b"), np.hstack([left, right]))
    # A canvas that is smaller than a patch, in the midst of two.
    bounds = [X0 + 280, Y0 - 50, X0 + 380, Y0 - 20]
    bench.apply({**spec, "grid": {"bounds": bounds}})
    assert np.array_equal(bench.array("x/0/b"), np.hstack([left, right])[2:5, 28:38])


def test_tensorflow_is_named_among_the_tools(tmp_path: Path) -> None:
    Export(bands={"b": numbered(8, 8)}, patch=(8, 8)).write(tmp_path)
    bench = Workbench(folder=tmp_path)
    bench.apply(records_image("x"))
    commit = TileStore.open(bench.store).head().commit
    assert commit is not None
    assert "tensorflow" in dict(commit.tools)
