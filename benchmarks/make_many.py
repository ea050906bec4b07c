"""Makes a folder of tiny GeoTIFFs and the specs over them, for what many assets cost.

    python benchmarks/make_many.py DIRECTORY --count N [--side PIXELS] [--distinct N]

In the folder: `scenes/`; `documents.yaml`, one YAML document per file; `collection.yaml`, one rule
for all of them. A folder that is whole is used again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

DOCUMENT = """\
---
kind: image
id: many/{name}
tilesets:
  - id: main
    sources:
      - uris: [scenes/{name}.tif]
bands:
  - {{id: B1, tileset_id: main}}
start_time: 2025-01-01
properties: {{number: {number}}}
"""
COLLECTION = """\
kind: image_collection
id: many
for_each:
  files: scenes/*.tif
  pattern: 'i(?P<number>[0-9]+)[.]tif'
image:
  id: '{stem}'
  bands:
    - {id: B1}
  start_time: 2025-01-01
  properties: {number: '{number}'}
"""


def make_raster(path: Path, *, number: int, side: int) -> None:
    """Write one raster of a single band whose pixels and place follow from its number."""
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint16",
        "crs": "EPSG:32632", "transform": Affine(10, 0, 600000 + 10 * side * number, 0, -10, 5e6),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        pixels = np.arange(side * side).reshape(1, side, side) + number
        raster.write((pixels % 65536).astype(np.uint16))


def make_many(directory: Path, *, count: int, side: int, distinct: int) -> None:
    """Write the rasters and both specs, unless they are there.

    Args:
        directory: Folder for them.
        count: How many rasters.
        side: Width and height of each, in pixels.
        distinct: How many of them are written as rasters; the others are copies of these.
    """
    done = directory / "collection.yaml"
    if done.exists():
        return
    shutil.rmtree(directory, ignore_errors=True)
    scenes = directory / "scenes"
    scenes.mkdir(parents=True)
    names = [f"i{number:06d}" for number in range(count)]
    for number, name in enumerate(names[:distinct]):
        make_raster(scenes / f"{name}.tif", number=number, side=side)
    contents = [(scenes / f"{name}.tif").read_bytes() for name in names[:distinct]]
    for number, name in enumerate(names[distinct:]):
        (scenes / f"{name}.tif").write_bytes(contents[number % distinct])
    documents = [DOCUMENT.format(name=name, number=number) for number, name in enumerate(names)]
    (directory / "documents.yaml").write_text("".join(documents))
    done.write_text(COLLECTION)


def main() -> int:
    """Make the folder that the options ask for."""
    parser = argparse.ArgumentParser(description="Make a folder of tiny GeoTIFFs, and specs.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--side", type=int, default=64, help="width and height in pixels")
    parser.add_argument("--distinct", type=int, help="the others are copies  [default: all]")
    arguments = parser.parse_args()
    make_many(
        arguments.directory,
        count=arguments.count,
        side=arguments.side,
        distinct=min(arguments.distinct or arguments.count, arguments.count),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
