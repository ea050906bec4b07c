"""TFRecord exports: what plain TensorFlow reads of them is what the guide says, pixel for pixel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from depth import examples
from export_workbench import Pixels, export, filled, parsed, patches, records
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import geobatch
from workbench import PIXEL, X0, Y0, Workbench, image, write_tiff

NAMES = ("red", "green", "blue")
BANDS = [{"id": name, "tileset_band_index": place} for place, name in enumerate(NAMES)]


def noise(shape: tuple[int, int], dtype: str, seed: int = 0) -> Pixels:
    random = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return random.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workbench, dict[str, Pixels], Pixels]:
    """A store with the image `a/scene`: three float bands of 700 x 600, some of it masked."""
    bench = Workbench(folder=tmp_path_factory.mktemp("scene"))
    values = {name: noise((600, 700), "float32", seed) for seed, name in enumerate(NAMES)}
    masks = np.full((600, 700), 255, dtype=np.uint8)
    masks[100:300, 250:400] = 0
    masks[np.random.default_rng(9).random(masks.shape) < 0.1] = 0
    for band in values.values():
        band[masks == 0] = np.nan
    write_tiff(bench.folder / "scene.tif", list(values.values()))
    bench.apply(
        image("a/scene", "scene.tif", tile=128, bands=BANDS, array_bands={"gb": ["green", "blue"]})
    )
    return bench, values, masks


Scene = tuple[Workbench, dict[str, Pixels], Pixels]


def test_a_patch_is_256_by_256_and_has_a_feature_per_band(scene: Scene, tmp_path: Path) -> None:
    bench, values, masks = scene
    done = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--bands", "red,blue",
        "--default-value", "-7",
    )  # fmt: skip
    said = done.record("export")
    assert said["files"] == [str(tmp_path / "x-00000.tfrecord.gz")]
    assert said["mixer"] == str(tmp_path / "x-mixer.json")
    assert (said["records"], said["patches"], said["patches_per_row"]) == (4, 4, 2)
    assert said["dropped_pixels"] == 700 * 600 - 512 * 512
    expected = {
        name: list(patches(filled(values[name], masks, -7), -7, patch=(256, 256)))
        for name in ("red", "blue")
    }
    found = [parsed(one, red=[256, 256], blue=[256, 256]) for one in records(said["files"])]
    assert len(found) == 4
    for place, one in enumerate(found):
        for name in ("red", "blue"):
            np.testing.assert_array_equal(one[name], expected[name][place])


def test_a_kernel_of_128_makes_384_with_neighbours_and_default(
    scene: Scene, tmp_path: Path
) -> None:
    bench, values, masks = scene
    options = {"patchDimensions": [256, 256], "kernelSize": [128, 128], "defaultValue": 3.5}
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--bands", "red",
        "--format-options", json.dumps(options),
    ).record("export")  # fmt: skip
    whole = filled(values["red"], masks, 3.5)
    expected = patches(whole, 3.5, patch=(256, 256), kernel=(128, 128))
    for one, patch in zip(records(said["files"]), expected, strict=True):
        np.testing.assert_array_equal(parsed(one, red=[384, 384])["red"], patch)


def test_the_mixer_places_the_patches_without_their_margin(scene: Scene, tmp_path: Path) -> None:
    bench, _, _ = scene
    box = f"{X0 + 95},{Y0 - 5000},{X0 + 6000},{Y0 - 200}"
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--region", box,
        "--patch-dimensions", "100,50", "--kernel-size", "8", "--level", "1",
    ).record("export")  # fmt: skip
    mixer = json.loads(Path(said["mixer"]).read_text())
    # x 95 lies in pixel 4 of 20 m; y 200 is the upper edge of row 10.
    assert mixer == {
        "projection": {
            "crs": "EPSG:32633",
            "affine": {
                "doubleMatrix": [2 * PIXEL, 0.0, X0 + 80, 0.0, -2 * PIXEL, Y0 - 200],
            },
        },
        "patchDimensions": [100, 50],
        "patchesPerRow": 2,
        "totalPatches": 2 * 4,
    }


def test_a_region_reads_neighbours_beyond_itself(scene: Scene, tmp_path: Path) -> None:
    bench, values, masks = scene
    box = f"{X0 + 1000},{Y0 - 3000},{X0 + 3000},{Y0 - 1000}"
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--region", box,
        "--patch-dimensions", "100", "--kernel-size", "20", "--bands", "green",
    ).record("export")  # fmt: skip
    whole = filled(values["green"], masks, 0)
    found = [parsed(one, green=[120, 120])["green"] for one in records(said["files"])]
    assert len(found) == 4
    np.testing.assert_array_equal(found[0], whole[90:210, 90:210])
    np.testing.assert_array_equal(found[3], whole[190:310, 190:310])


def test_an_array_band_is_a_tensor_of_depth_rows_columns(scene: Scene, tmp_path: Path) -> None:
    bench, values, masks = scene
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord",
        "--tensor-depths", "gb=3", "--default-value", "1",
    ).record("export")  # fmt: skip
    one = parsed(records(said["files"])[0], red=[256, 256], gb=[3, 256, 256])
    for place, name in enumerate(("green", "blue")):
        np.testing.assert_array_equal(one["gb"][place], filled(values[name], masks, 1)[:256, :256])
    assert (one["gb"][2] == 1).all()
    said = export(
        bench.store, "a/scene", tmp_path / "y", "--format", "tfrecord", "--bands", "gb",
        "--tensor-depths", "gb=1",
    ).record("export")  # fmt: skip
    one = parsed(records(said["files"])[0], gb=[1, 256, 256])
    np.testing.assert_array_equal(one["gb"][0], filled(values["green"], masks, 0)[:256, :256])


def test_array_bands_are_seen_in_the_tree_and_by_info(scene: Scene) -> None:
    bench, _, _ = scene
    arrays = {"gb": ["green", "blue"]}
    assert bench.group("a/scene").attrs["geobatch"]["array_bands"] == arrays  # type: ignore[index, call-overload]
    assert geobatch("--store", bench.store, "--json", "info", "a/scene").record("asset")[
        "array_bands"
    ] == arrays  # fmt: skip
    assert "gb: green, blue" in geobatch("--store", bench.store, "info", "a/scene").out


def test_collapsed_bands_are_one_tensor_named_after_the_first(scene: Scene, tmp_path: Path) -> None:
    bench, values, masks = scene
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--collapse-bands",
        "--bands", "blue,gb,red",
    ).record("export")  # fmt: skip
    one = parsed(records(said["files"])[1], blue=[4, 256, 256])["blue"]
    for place, name in enumerate(("blue", "green", "blue", "red")):
        np.testing.assert_array_equal(one[place], filled(values[name], masks, 0)[:256, 256:512])


@pytest.mark.parametrize("collapse", [False, True])
def test_sequence_data_has_a_record_per_pixel(scene: Scene, tmp_path: Path, collapse: bool) -> None:
    bench, values, masks = scene
    more = ["--collapse-bands"] if collapse else []
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--sequence-data", *more,
        "--patch-dimensions", "30,20", "--max-file-size", "50000",
        "--region", f"{X0},{Y0 - 400},{X0 + 600},{Y0}",
    ).record("export")  # fmt: skip
    assert said["records"] == 4 * 600
    assert len(said["files"]) > 1
    flat = {
        name: np.concatenate([
            patch.ravel()
            for patch in patches(filled(band, masks, 0)[:40, :60], 0, patch=(30, 20))
        ])
        for name, band in values.items()
    }  # fmt: skip
    lists = ("red", "green", "blue") if collapse else ("green", "blue")
    for place, one in enumerate(records(said["files"])):
        context, sequences = tf.io.parse_single_sequence_example(
            one,
            context_features={} if collapse else {"red": tf.io.FixedLenFeature([1], tf.float32)},
            sequence_features={
                "red" if collapse else "gb": tf.io.FixedLenSequenceFeature([], tf.float32)
            },
        )
        (steps,) = sequences.values()
        assert steps.numpy().tolist() == [flat[name][place] for name in lists]
        if not collapse:
            assert context["red"].numpy().tolist() == [flat["red"][place]]


def test_a_masked_threshold_drops_patches_and_the_mixer(scene: Scene, tmp_path: Path) -> None:
    bench, values, masks = scene
    share = [
        float((patch == 0).mean())
        for patch in patches(masks.astype(np.float32), 0, patch=(100, 100))
    ]
    assert len(set(share)) > 3
    threshold = sorted(share)[len(share) // 2]
    said = export(
        bench.store, "a/scene", tmp_path / "x", "--format", "tfrecord", "--bands", "red",
        "--patch-dimensions", "100", "--masked-threshold", repr(threshold),
    ).record("export")  # fmt: skip
    assert said["mixer"] is None
    assert not list(tmp_path.glob("*.json"))
    every = patches(filled(values["red"], masks, 0), 0, patch=(100, 100))
    kept = [patch for patch, masked in zip(every, share, strict=True) if masked <= threshold]
    assert said["dropped_patches"] == len(share) - len(kept) > 0
    for one, patch in zip(records(said["files"]), kept, strict=True):
        np.testing.assert_array_equal(parsed(one, red=[100, 100])["red"], patch)


def test_equal_exports_have_equal_bytes_whatever_the_workers(scene: Scene, tmp_path: Path) -> None:
    bench, _, _ = scene
    for workers in (1, 3):
        export(
            bench.store, "a/scene@1", tmp_path / str(workers) / "x", "--format", "tfrecord",
            "--patch-dimensions", "64", "--max-file-size", "500000", "-j", str(workers),
        )  # fmt: skip
    files = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert len(files) > 3
    assert files == sorted(path.name for path in (tmp_path / "3").iterdir())
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


# --- any image, any patches ---------------------------------------------------------------------

DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64")


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    size = st.integers(1, 90)
    side = st.integers(1, 40)
    extra = st.integers(0, 9)
    return {
        "shape": (draw(size), draw(size)),
        "dtype": draw(st.sampled_from(DTYPES)),
        "alpha": draw(st.booleans()),
        "patch": (draw(side), draw(side)),
        "kernel": (draw(extra), draw(extra)),
        "pad": draw(st.booleans()),
        "max_file_size": draw(st.sampled_from([1024, 5000, 1 << 30])),
        "default": draw(st.sampled_from([0, 2.75, -3.5, 300.0, -1e39])),
        "threshold": draw(st.sampled_from([1, 1, 0.9, 0.5, 0])),
        "compressed": draw(st.booleans()),
    }


def default_in(dtype: str, default: float) -> float:
    """Return a default value as the guide says: whole, and within the range of the band."""
    if dtype.startswith("float"):
        return max(default, -float(np.finfo(np.float32).max))
    limits = np.iinfo(dtype)
    return max(limits.min, min(limits.max, int(default)))


@settings(max_examples=examples(10, 30), deadline=None)
@given(case=cases())
def test_any_patches_of_any_image(tmp_path_factory: pytest.TempPathFactory, case: Any) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("any"))
    height, width = case["shape"]
    values = noise(case["shape"], case["dtype"], height)
    masks = np.full(case["shape"], 255, dtype=np.uint8)
    is_byte = case["dtype"] == "uint8" and case["alpha"]
    if is_byte:
        masks = np.random.default_rng(width).choice([0, 1, 254, 255, 255], case["shape"])
        masks = masks.astype(np.uint8)
        masks[0, 0] = 255
    planes = [values, masks] if is_byte else [values]
    write_tiff(bench.folder / "a.tif", planes, has_alpha=is_byte)
    bench.apply(image("a", "a.tif", tile=32))
    pw, ph = case["patch"]
    options = {
        "patchDimensions": case["patch"], "kernelSize": case["kernel"],
        "maxFileSize": case["max_file_size"], "defaultValue": case["default"],
        "maskedThreshold": case["threshold"], "compressed": case["compressed"],
    }  # fmt: skip
    argv = ["export", "a", str(bench.folder / "out" / "x"), "--format", "tfrecord",
            "--format-options", json.dumps(options)] + ["--pad-border"] * case["pad"]  # fmt: skip
    done = geobatch("--store", bench.store, "--json", *argv)
    if not case["pad"] and (pw > width or ph > height):
        assert done.code == 1
        assert f"{pw} x {ph} pixels fits into {width} x {height}" in done.record("error")["message"]
        assert not (bench.folder / "out").exists()
        return
    assert done.code == 0, done.out
    said = done.record("export")
    default = default_in(case["dtype"], case["default"])
    how = {"patch": case["patch"], "pad": case["pad"]}
    every = list(patches(filled(values, masks, default), default, kernel=case["kernel"], **how))
    is_masked = patches((masks < 255).astype(np.float32), 1, **how)
    kept = [
        patch
        for patch, masked in zip(every, is_masked, strict=True)
        if masked.mean(dtype=np.float64) <= case["threshold"]
    ]
    found = records(said["files"])
    shape = every[0].shape
    for one, patch in zip(found, kept, strict=True):
        np.testing.assert_array_equal(parsed(one, b1=shape)["b1"], patch)
    framed = len(found[0]) + 16 if found else 1
    per_shard = max(1, case["max_file_size"] // framed)
    assert len(said["files"]) == -(-len(found) // per_shard)
    assert (said["mixer"] is None) == (case["threshold"] != 1)
    if said["mixer"]:
        mixer = json.loads(Path(said["mixer"]).read_text())
        assert mixer["totalPatches"] == len(found)
        assert mixer["patchesPerRow"] == -(-width // pw) if case["pad"] else width // pw
