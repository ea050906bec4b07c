"""Makes the benchmark's TFRecord export: the first bands of its raster as reflectances, in patches.

    python benchmarks/make_records.py RASTER [--side N] [--shards N] [--directory DIR]

Beside the shards and their mixer, the same pixels stand in a GeoTIFF that is not compressed: to
read them from there costs next to nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import rasterio
import tensorflow as tf
from rasterio.windows import Window

SIDE = 37
"""Patches a side: 37 x 37 of them hold 1.08 GB."""
PATCH = 256
FEATURES = ("red", "green", "blue")


def main(raster: str, *, side: int, shards: int, directory: Path) -> None:
    """Write `records-*` and `records.tif`, unless they are there."""
    mixer = directory / f"records-{side}-mixer.json"
    if mixer.exists():
        return
    with rasterio.open(raster) as source:
        profile = {
            "driver": "GTiff", "dtype": "float32", "count": len(FEATURES), "height": side * PATCH,
            "width": side * PATCH, "crs": source.crs, "transform": source.transform,
            "tiled": True, "blockxsize": 512, "blockysize": 512, "bigtiff": "if_safer",
        }  # fmt: skip
        with rasterio.open(directory / f"records-{side}.tif", "w", **profile) as target:
            edges = [side * side * number // shards for number in range(shards)]
            writer = None
            for number in range(side * side):
                if number in edges:
                    if writer is not None:
                        writer.close()
                    name = f"records-{side}-{edges.index(number):05}.tfrecord.gz"
                    writer = tf.io.TFRecordWriter(str(directory / name), "GZIP")
                row, col = divmod(number, side)
                window = Window(col * PATCH, row * PATCH, PATCH, PATCH)
                pixels = source.read([1, 2, 3], window=window).astype(np.float32) / 10_000
                target.write(pixels, window=window)
                features = {
                    name: tf.train.Feature(float_list=tf.train.FloatList(value=band.ravel()))
                    for name, band in zip(FEATURES, pixels, strict=True)
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString(deterministic=True))
            writer.close()
        a, b, c, d, e, f = source.transform[:6]
    mixer.write_text(
        json.dumps(
            {
                "projection": {
                    "crs": source.crs.to_string(),
                    "affine": {"doubleMatrix": [a, b, c, d, e, f]},
                },
                "patchDimensions": [PATCH, PATCH],
                "patchesPerRow": side,
                "totalPatches": side * side,
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("raster")
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--directory", type=Path, default=Path("benchmarks/work"))
    options = parser.parse_args()
    sys.exit(
        main(
            options.raster,
            side=options.side,
            shards=options.shards,
            directory=options.directory,
        )
    )
