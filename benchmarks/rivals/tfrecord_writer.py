"""Rival: rasterio, `tf.train.Example` and `tf.io.TFRecordWriter`, as a careful script has it.

    python benchmarks/rivals/tfrecord_writer.py SRC OUT GZIP|NONE

Reads a row of patches at a time and makes an Example of each. The floats are handed to protobuf as
a list: of an array it takes five times as long. What it writes parses as geobatch's export does.
"""

from __future__ import annotations

import sys
from pathlib import Path

import rasterio
import tensorflow as tf
from rasterio.windows import Window

SIDE = 256


def main(source: str, output: str, compression: str) -> None:
    """Write the whole patches of `source` into `output`/out.tfrecord."""
    Path(output).mkdir(parents=True)
    kind = "" if compression == "NONE" else compression
    options = tf.io.TFRecordOptions(compression_type=kind)
    with (
        rasterio.open(source) as raster,
        tf.io.TFRecordWriter(str(Path(output) / "out.tfrecord"), options) as writer,
    ):
        names = [f"b{number}" for number in raster.indexes]
        for row in range(raster.height // SIDE):
            strip = raster.read(window=Window(0, row * SIDE, raster.width, SIDE)).astype("float32")
            for col in range(raster.width // SIDE):
                patch = strip[:, :, col * SIDE : (col + 1) * SIDE]
                features = {
                    name: tf.train.Feature(
                        float_list=tf.train.FloatList(value=band.ravel().tolist())
                    )
                    for name, band in zip(names, patch, strict=True)
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())


if __name__ == "__main__":
    main(*sys.argv[1:])
