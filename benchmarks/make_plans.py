"""Makes what `million_plans.py` measures: files, and a store in which all images are published."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import rasterio
from make_many import COLLECTION
from rasterio.transform import from_origin

from geobatch.declare import SpecSet, validate
from geobatch.model.assets.asset import Image
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.digest import Digest
from geobatch.model.published import AssetRecord, BandTiles, Head, TreeEntry
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.workflow.publication import declared_in
from geobatch.workflow.request import Request

DISTINCT = 100
_FOLDER = 10_000
_PAGE = 5_000
_BAND = "B1"
_SPEC = COLLECTION.replace("scenes/*.tif", "scenes/*/*.tif")


def make_files(folder: Path, images: int) -> None:
    """Make the spec and its files."""
    originals = folder / "originals"
    originals.mkdir(parents=True)
    (folder / "collection.yaml").write_text(_SPEC)
    random = np.random.default_rng(7)
    for number in range(DISTINCT):
        with rasterio.open(
            originals / f"{number}.tif", "w", driver="GTiff", width=16, height=16, count=1,
            dtype="uint8", crs="EPSG:32632", transform=from_origin(500_000, 5_000_000, 10, 10),
        ) as file:  # fmt: skip
            file.write(random.integers(1, 256, (1, 16, 16), dtype=np.uint8))
    for start in range(0, images, _FOLDER):
        scenes = folder / "scenes" / f"{start // _FOLDER:03}"
        scenes.mkdir(parents=True)
        for number in range(start, min(start + _FOLDER, images)):
            os.link(originals / f"{number % DISTINCT}.tif", scenes / f"i{number:07}.tif")


def fill(folder: Path, images: int) -> None:
    """Publish all images, as an `apply` would, with the tiles of those that are published."""
    request = Request.of(folder / "collection.yaml", store=str(folder / "store"))
    with SourceCache(request.store) as cache, closing(TileStore.create(request.store)) as store:
        base = store.head()
        tiles = _tiles_by_fingerprint(store, base)
        specs = validate(request.paths, cache=cache)
        changes: dict[str, TreeEntry | None] = {}
        for image in _images(specs, cache, workers=request.workers):
            entry = store.put_record(_record(image, tiles))
            published = base.tree.entry(image.id)
            assert published in (None, entry), f"{entry} is not what was published: {published}"
            changes[entry.id] = entry
        origins, checkouts = declared_in(specs, request.store.base)
        head = store.publish(
            base=base,
            changes=changes,
            message="all",
            tools={},
            origins=origins,
            checkouts=checkouts,
        )
    assert head.tree.count == images


def _tiles_by_fingerprint(store: TileStore, head: Head) -> dict[Digest, BandTiles]:
    records = map(store.record, head.tree.each())
    return {dict(one.fingerprints)[_BAND].pyramid: one.tiles_of(_BAND) for one in records}


def _images(specs: SpecSet, cache: SourceCache, *, workers: int) -> Iterator[Image]:
    """Yield all images resolved, some at a time."""
    for start in range(0, len(specs.ids), _PAGE):
        some = specs.named(specs.ids[start : start + _PAGE])
        yield from resolve(some, workers=workers, cache=cache).images  # type: ignore[misc]


def _record(image: Image, tiles: Mapping[Digest, BandTiles]) -> AssetRecord:
    fingerprint = band_fingerprint(image, _BAND)
    arrays = tiles[fingerprint.pyramid].named(_BAND)
    return AssetRecord(
        asset=image, arrays=tuple(arrays.items()), fingerprints=((_BAND, fingerprint),)
    )


def compare(folder: Path) -> None:
    """Compare a store that was filled with one that was applied."""
    trees = [TileStore.open(folder / name).head().tree for name in ("store", "applied")]
    assert trees[0] == trees[1], "the store is not what an apply publishes"


if __name__ == "__main__":
    step, folder, *counts = sys.argv[1:]
    {"files": make_files, "fill": fill, "compare": compare}[step](Path(folder), *map(int, counts))
