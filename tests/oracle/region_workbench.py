"""A workbench for the executor alone: resolved assets in, records and pixels out, all in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from reference_pyramid import Values
from workbench import Document, is_fill

from geobatch.declare import validate
from geobatch.execute import Counts, Observer, SilentObserver, TaskContext, execute
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.format.codec import decode
from geobatch.model.assets.asset import AnyImage
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.plans.plan import AssetChange, BandWork, Op, Start
from geobatch.model.published import ArrayKey, AssetRecord, Head, PageRef, Tree, TreeEntry
from geobatch.model.tiles import TileSet
from geobatch.resolve import resolve
from geobatch.sources.geotiff import Reader
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.index import Index
from geobatch.store.objects import Objects


def resolved(folder: Path, document: Document) -> AnyImage:
    """Return the asset of an image spec."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return resolve(validate([path])).images[0]


def tile_shape(asset: AnyImage, band: str, level: int = 0) -> tuple[int, int]:
    """Return (rows, columns) of tiles of a band at a level."""
    geobox = asset.grid(asset.band(band).grid).geobox
    return geobox.tile_shape(tile=asset.tile, level=level)


def change_of(asset: AnyImage, work: Sequence[BandWork] | None = None) -> AssetChange:
    """Return the change that does some work, or everything from the sources."""
    if work is None:
        work = [
            BandWork(
                band=band.id,
                start=Start.SOURCES,
                tiles=TileSet.full(tile_shape(asset, band.id)),
            )
            for band in asset.bands
        ]
    return AssetChange(id=asset.id, op=Op.CREATE, asset=asset, work=tuple(work))


def head_of(*records: AssetRecord) -> Head:
    """Return a published state that holds some records."""
    entries = [
        TreeEntry(
            id=record.asset.id,
            kind=record.asset.kind.value,
            content="0" * 64,
            stored="0" * 64,
            fingerprint=asset_fingerprint(record.asset),
        )
        for record in records
    ]
    return Head(number=1, digest="1" * 64, tree=Tree(entries=tuple(entries)))


Roots = dict[ArrayKey, PageRef | None]


@dataclass(kw_only=True)
class Executor:
    """Objects in memory, and what runs on them."""

    objects: Objects = field(default_factory=lambda: Objects(MemoryBackend()))

    def __post_init__(self) -> None:
        self.index = Index(self.objects)

    def execute(
        self,
        *changes: AssetChange,
        records: Mapping[str, AssetRecord] | None = None,
        workers: int = 1,
        observer: Observer | None = None,
    ) -> tuple[list[AssetRecord], Counts]:
        """Execute some changes; return the finished assets, in the order of the changes."""
        counts = Counts()
        with Reader() as reader:
            finished = {
                record.asset.id: record
                for record in execute(
                    [(ThreadExecutor(workers), changes)],
                    base_commit=None,
                    records=records or {},
                    context=TaskContext(objects=self.objects, index=self.index, reader=reader),
                    observer=observer or SilentObserver(),
                    counts=counts,
                )
            }
        return [finished[change.id] for change in changes], counts

    def build(self, asset: AnyImage, *, workers: int = 1) -> AssetRecord:
        """Compute an asset from its sources alone."""
        (record,), _ = self.execute(change_of(asset), workers=workers)
        return record

    def plane(self, record: AssetRecord, key: ArrayKey) -> Values:
        """Return the pixels of an array, fill where no tile is stored; padding must be fill."""
        asset = record.image
        band = asset.band(key.band)
        geobox = asset.grid(band.grid).geobox.level(key.level)
        dtype, fill = ("uint8", 0) if key.is_mask else (band.dtype, band.fill)
        rows, cols = tile_shape(asset, band.id, key.level)
        whole = np.full((rows * asset.tile, cols * asset.tile), fill, dtype=dtype)
        for entry in self.index.entries((rows, cols), record.root(key)):
            data = self.objects.get(bytes(entry["stored"]).hex())
            top, left = int(entry["row"]) * asset.tile, int(entry["col"]) * asset.tile
            whole[top : top + asset.tile, left : left + asset.tile] = decode(
                asset.codec, data, dtype, asset.tile
            )
        for padding in (whole[geobox.height :], whole[:, geobox.width :]):
            assert is_fill(padding, fill).all()
        return whole[: geobox.height, : geobox.width]


def roots(record: AssetRecord) -> Roots:
    """Return the index root per array."""
    return dict(record.arrays)


def contents(record: AssetRecord) -> dict[ArrayKey, str | None]:
    """Return the content digest of the index root per array."""
    return {key: None if root is None else root.content for key, root in record.arrays}
