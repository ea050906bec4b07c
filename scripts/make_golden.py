"""Make the golden store of a format: a small store with its sources, which stays readable for good.

    uv run python scripts/make_golden.py [ARCHIVE]     (default: tests/golden/store-2.tar.xz)

Make a new one only for a new version of the format, under a new name: the old one stays. It holds
each kind of asset and codec, three commits, a renamed and a deleted asset, and the views. The
archive keeps hard links. `specs.yaml` is what the head declares, `specs-N.yaml` what commit N did.
`expected.json` says what every array holds, as zarr-python reads it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
import zarr
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

import geobatch

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/store-2.tar.xz"
ROWS, COLS, PIXEL = 262, 100, 20


def write(path: Path, bands: Any, *, pixel: int = PIXEL, **options: Any) -> None:
    """Write bands (count, rows, columns) as a GeoTIFF."""
    count, height, width = bands.shape
    transform = Affine(pixel, 0, 500_000, 0, -pixel, 5_700_000)
    has_alpha = options.pop("has_alpha", False)
    with rasterio.open(
        path, "w", driver=options.pop("driver", "GTiff"), width=width, height=height, count=count,
        dtype=bands.dtype, crs="EPSG:32627", transform=transform, **options,
    ) as file:  # fmt: skip
        if has_alpha:
            colours = [ColorInterp.red, ColorInterp.green, ColorInterp.alpha]
            file.colorinterp = colours
        file.write(bands)


def make_sources(folder: Path) -> None:
    """Write the sources: planes of whole numbers, which are equal on every machine."""
    folder.mkdir(parents=True)
    rows, cols = np.mgrid[:ROWS, :COLS]
    classes = ((rows // 24 + cols // 31) % 7).astype(np.uint8)
    classes[200:, :40] = 255
    write(folder / "classes.tif", classes[None], nodata=255, compress="lzw")
    height = ((rows * 3 + cols * 2) // 8).astype(np.float32) / 2
    height[40:60, 20:70] = -9999
    write(folder / "height.tif", height[None], nodata=-9999, compress="lzw")
    alpha = np.where((rows + cols) % 97 < 90, 255, 0)
    alpha[:, :20] = 100
    picture = np.stack([rows // 4 % 256, cols // 4 % 256, alpha]).astype(np.uint8)
    write(folder / "picture.tif", picture, has_alpha=True, compress="lzw")
    fine = np.stack([rows + 1, rows // 8 * 8 + cols]).astype(np.uint16)
    write(folder / "fine.tif", fine, nodata=0, compress="lzw")
    coarse = (rows[::2, ::2] // 16 * 100 + 7).astype(np.int16)
    write(folder / "coarse.tif", coarse[None], pixel=2 * PIXEL, compress="lzw")
    options = {"compress": "lzw", "blocksize": 256, "overview_resampling": "nearest"}
    write(folder / "outside.tif", classes[None], driver="COG", nodata=255, **options)
    shutil.copy(ROOT / "specs/data/plots.tfrecord", folder)


def image(asset_id: str, *names: str, **more: Any) -> dict[str, Any]:
    """Return the spec of an image with a tileset for each source."""
    tilesets = [{"id": name, "sources": [{"uris": [f"sources/{name}.tif"]}]} for name in names]
    return {"kind": "image", "id": asset_id, "tilesets": tilesets, "tiling": {"tile": 64}} | more


def specs() -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the three commits declare."""
    classes = image("land/classes", "classes", pyramiding_policy="MODE", codec={"name": "zstd"})
    height = image("land/height", "height", codec={"name": "gzip"}, properties={"by": "hand"})
    picture = image("picture", "picture")
    scene = image("scene/a", "fine", "coarse", tiling={"tile": 32, "shard": 64})
    outside = image("outside", "outside") | {"kind": "external_image"}
    del outside["tiling"]
    table = {
        "kind": "table",
        "id": "land/plots",
        "sources": [
            {
                "uris": ["sources/plots.tfrecord"],
                "crs": "EPSG:32627",
                "x_column": "easting",
                "y_column": "northing",
            }
        ],
    }
    moved = scene | {"id": "scene/b", "moved_from": "scene/a"}
    sample = classes | {"pyramiding_policy": "SAMPLE"}
    return [classes, picture], [classes, height, picture, scene, outside, table], [
        sample, height, moved, outside, table,
    ]  # fmt: skip


def arrays(store: Path) -> dict[str, str]:
    """Return the SHA-256 of the pixels of every array of the plain tree, by path."""
    found = {}
    for path, node in zarr.open_group(store / "zarr", mode="r").members(max_depth=None):
        if isinstance(node, zarr.Array):
            pixels = np.ascontiguousarray(node[...])
            found[path] = hashlib.sha256(pixels.tobytes()).hexdigest()
    return dict(sorted(found.items()))


def main(archive: Path) -> None:
    """Make the archive."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "golden")
        make_sources(folder / "sources")
        store = folder / "store"
        roots = []
        for documents in specs():
            (folder / "specs.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
            options = geobatch.Options(is_pruning=True, max_delete="1")
            done = geobatch.apply(folder / "specs.yaml", store=store, options=options)
            roots.append(done.content_root)
            shutil.copy(folder / "specs.yaml", folder / f"specs-{len(roots)}.yaml")
        for below in ("cache", "runs"):
            shutil.rmtree(store / below)
        expected = {"content_roots": roots, "arrays": arrays(store)}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1))
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "w:xz") as file:
            file.add(folder, "golden", filter=_plain)
    print(f"{archive}: {archive.stat().st_size:,} bytes, content roots {roots}")


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member without anything that tells of the machine."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
