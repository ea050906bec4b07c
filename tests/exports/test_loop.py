"""The loop closes: what is exported, predicted by a model and imported lies where it was."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from export_workbench import Pixels, export, parsed, records
from record_workbench import example, feature, write_shard
from workbench import Workbench, image, write_tiff

import geobatch

PATCH, MARGIN = 32, 8
NAMES = ("red", "nir")
SHAPE = (3 * PATCH + 5, 4 * PATCH + 9)


def inputs(seed: int) -> Pixels:
    return np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)


def identity(channels: int) -> tf.keras.Model:
    """Return a model that hands on its first band."""
    shape = tf.keras.Input((None, None, channels))
    return tf.keras.Model(shape, tf.keras.layers.Lambda(lambda pixels: pixels[..., :1])(shape))


def convolution(channels: int) -> tf.keras.Model:
    """Return a model that looks at the neighbours of a pixel: 3 x 3, as large as what it gets."""
    shape = tf.keras.Input((None, None, channels))
    layer = tf.keras.layers.Conv2D(1, 3, padding="same", use_bias=True)
    model = tf.keras.Model(shape, layer(shape))
    random = np.random.default_rng(3)
    layer.set_weights([random.normal(size=(3, 3, channels, 1)), random.normal(size=1)])
    return model


def convolved(model: tf.keras.Model, bands: list[Pixels]) -> Pixels:
    """Return what the convolution is over a whole image, by numpy; beyond it, pixels are 0."""
    kernel, bias = model.layers[-1].get_weights()
    rows, cols = bands[0].shape
    padded = np.pad(np.stack(bands, axis=-1).astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    total = np.full((rows, cols), float(bias[0]))
    for down in range(3):
        for right in range(3):
            part = padded[down : down + rows, right : right + cols]
            total += part @ kernel[down, right, :, 0].astype(np.float64)
    return total


def predict(model: tf.keras.Model, shards: list[str], side: int) -> list[Pixels]:
    """Return what a model says of each exported patch, as large as the patch with its margin."""
    patches = [
        np.stack([one[name] for name in NAMES], axis=-1)
        for one in (
            parsed(record, **{name: [side, side] for name in NAMES}) for record in records(shards)
        )
    ]
    found: Pixels = model.predict(np.stack(patches), batch_size=4, verbose=0)[..., 0]
    return list(found)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(
    ("make", "kernel"),
    # Without a margin, a model that looks at neighbours cannot know those beyond its patch.
    [(identity, 0), (identity, MARGIN), (convolution, MARGIN)],
    ids=["identity", "identity with a margin", "convolution with a margin"],
)
def test_predictions_come_back_to_their_place(
    tmp_path: Path, make: Any, kernel: int, shards: int
) -> None:
    bench = Workbench(folder=tmp_path)
    bands = [inputs(seed) for seed in range(2)]
    write_tiff(tmp_path / "scene.tif", bands)
    names = [{"id": name, "tileset_band_index": place} for place, name in enumerate(NAMES)]
    bench.apply(image("scene", "scene.tif", bands=names))

    said = export(
        bench.store, "scene", tmp_path / "out" / "scene", "--format", "tfrecord",
        "--patch-dimensions", f"{PATCH},{PATCH}", "--kernel-size", f"{kernel or 1},{kernel or 1}",
        "--max-file-size", "30000",
    ).record("export")  # fmt: skip
    assert len(said["files"]) > 1

    model = make(len(NAMES))
    predicted = predict(model, said["files"], PATCH + kernel)
    made = [example({"p": feature(patch.astype(np.float32), "float_list")}) for patch in predicted]
    cuts = np.linspace(0, len(made), shards + 1).astype(int).tolist()
    for number, (start, end) in enumerate(pairwise(cuts)):
        write_shard(tmp_path / f"p-{number:05}.tfrecord.gz", made[start:end])
    shutil.copy(said["mixer"], tmp_path / "p-mixer.json")
    tileset: dict[str, Any] = {"sources": [{"uris": ["p-*.tfrecord.gz", "p-mixer.json"]}]}
    if kernel:
        tileset["tfrecord"] = {"kernel_size": [kernel, kernel]}
    bench.apply(
        image("scene", "scene.tif", bands=names), {"id": "predicted", "tilesets": [tileset]}
    )

    found = np.asarray(geobatch.open_store(bench.store).open("predicted")["0/p"])
    whole = (3 * PATCH, 4 * PATCH)
    assert found.shape == whole
    if make is identity:
        np.testing.assert_array_equal(found, bands[0][: whole[0], : whole[1]])
    else:
        expected = convolved(model, bands)[: whole[0], : whole[1]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
