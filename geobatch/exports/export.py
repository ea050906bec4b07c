"""One published asset as files for other tools: find it, select, write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any, Literal, overload

from geobatch.errors import ExportError
from geobatch.exports.cog import CogExport, export_cog
from geobatch.exports.destination import Destination
from geobatch.exports.options import COMPRESSIONS, parse_options
from geobatch.exports.records import TFRecordExport, export_tfrecord
from geobatch.exports.selection import select
from geobatch.exports.table import TABLE_FORMATS, TableExport, export_table
from geobatch.model.geobox import Bounds
from geobatch.processors import processor_count
from geobatch.store.entries import find_entry
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.tilestore import TileStore

Progress = Callable[[int, int], object]
"""Receives how much is done, and of how much."""


@overload
def export(
    asset: str,
    destination: str | os.PathLike[str],
    *,
    format: Literal["cog"],
    store: StoreText = ...,
    at: str | int | None = ...,
    bands: Iterable[str] = ...,
    level: int = ...,
    region: Bounds | None = ...,
    overwrite: bool = ...,
    workers: int | None = ...,
    file_dimensions: tuple[int, int] | None = ...,
    compression: Literal["zstd", "deflate", "lzw", "none"] = ...,
    progress: Progress | None = ...,
) -> CogExport: ...


@overload
def export(
    asset: str,
    destination: str | os.PathLike[str],
    *,
    format: Literal["parquet", "csv"],
    store: StoreText = ...,
    at: str | int | None = ...,
    overwrite: bool = ...,
    progress: Progress | None = ...,
) -> TableExport: ...


@overload
def export(
    asset: str,
    destination: str | os.PathLike[str],
    *,
    format: Literal["tfrecord"],
    store: StoreText = ...,
    at: str | int | None = ...,
    bands: Iterable[str] = ...,
    level: int = ...,
    region: Bounds | None = ...,
    overwrite: bool = ...,
    workers: int | None = ...,
    options: Mapping[str, Any] | None = ...,
    progress: Progress | None = ...,
) -> TFRecordExport | TableExport: ...


def export(
    asset: str,
    destination: str | os.PathLike[str],
    *,
    format: Literal["cog", "tfrecord", "parquet", "csv"],  # noqa: A002 - the word of the command line
    store: StoreText = "store",
    at: str | int | None = None,
    bands: Iterable[str] = (),
    level: int = 0,
    region: Bounds | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    file_dimensions: tuple[int, int] | None = None,
    compression: Literal["zstd", "deflate", "lzw", "none"] = "zstd",
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> CogExport | TFRecordExport | TableExport:
    """Write a published asset as COGs, as TFRecord, or a table as GeoParquet or CSV.

    Args:
        asset: Asset id.
        destination: Folder and prefix of the files; with a folder alone, the prefix is the last
            part of the id.
        format: `cog` or `tfrecord`; of a table `tfrecord`, `parquet` or `csv`.
        store: Folder of the store, or its url.
        at: A commit (digest or unique prefix, number, `HEAD~n`); the newest by default.
        bands: Bands and array bands, in this order; by default all.
        level: Which level; 0 is the finest.
        region: (left, bottom, right, top) in the asset's CRS: the pixels that this box touches.
        overwrite: Whether files of an earlier export are replaced.
        workers: Threads; by default one per processor.
        file_dimensions: (width, height) of a COG, multiples of 512; by default there is one COG.
        compression: Of COGs: `zstd`, `deflate`, `lzw` or `none`; all keep every bit.
        options: Format options of TFRecord, by the names of Earth Engine's guide or in snake_case.
        progress: Receives how many pixels, patches or rows are done, and of how many.

    Returns:
        The files that were written.

    Raises:
        NoStoreError: There is no store.
        NotFoundError: There is no such asset or commit.
        ExportError: It cannot be exported so, files are in the way, or the disk refused.
        LockedError: Another export is writing the same files.
        CorruptObjectError: A tile is damaged; no file is written.
        SourceError: A COG of an external image is not in the state that was applied.
        InterruptedRunError: The user stopped the run; no file is written.
        ValueError: An argument is wrong.
    """
    _check_arguments(format, compression, workers, region)
    names = (bands,) if isinstance(bands, str) else tuple(bands)
    target = Destination.parse(os.fspath(destination), asset_id=asset)
    count, tell = workers or processor_count(), progress or (lambda *_: None)
    if format == "cog" and options is not None:
        raise ExportError("`options` has no effect on COGs")
    if format != "cog" and (file_dimensions is not None or compression != COMPRESSIONS[0]):
        raise ExportError("`file_dimensions` and `compression` have an effect on COGs alone")
    location = StoreLocation.of(store)
    with closing(TileStore.open(location)) as tiles:
        head = tiles.head() if at is None else tiles.at(str(at))
        record = tiles.record(find_entry(head, asset))
        if record.table is not None:
            if format == "cog":
                raise ExportError(
                    f"`{asset}` is a table and has no pixels",
                    hint="write it as `parquet`, `csv` or `tfrecord`",
                )
            if names or level or region is not None or options:
                raise ExportError(f"`{asset}` is a table: only whole tables can be exported")
            return export_table(
                tiles, record, target, kind=format, overwrite=overwrite, progress=tell
            )
        if format in ("parquet", "csv"):
            raise ExportError(
                f"`{asset}` is an image, and `{format}` is for tables",
                hint="write it as `cog` or `tfrecord`",
            )
        selection = select(record, location=location, names=names, level=level, region=region)
        if format == "cog":
            return export_cog(
                tiles,
                selection,
                target,
                file_dimensions=file_dimensions,
                compression=compression,
                overwrite=overwrite,
                workers=count,
                progress=tell,
            )
        return export_tfrecord(
            tiles,
            selection,
            target,
            parse_options(options or {}),
            overwrite=overwrite,
            workers=count,
            progress=tell,
        )


def _check_arguments(
    kind: str, compression: str, workers: int | None, region: Bounds | None
) -> None:
    if kind == "stac":
        raise ValueError(
            "`format` cannot be `stac` here: `open_store(...).stac()` gives items and collections,"
            " and the command `geobatch export --format stac` writes a catalog"
        )
    if kind not in ("cog", *TABLE_FORMATS):
        raise ValueError(f"`format` must be `cog`, `tfrecord`, `parquet` or `csv`, got `{kind}`")
    if compression not in COMPRESSIONS:
        raise ValueError(f"`compression` must be one of {COMPRESSIONS}, got `{compression}`")
    if workers is not None and workers < 1:
        raise ValueError(f"`workers` must be at least 1, got `{workers}`")
    if region is not None:
        _check_region(region)


def _check_region(region: Bounds) -> None:
    left, bottom, right, top = region
    if not (left < right and bottom < top):
        raise ValueError(
            f"`region` must be (left, bottom, right, top), the smaller values first, got `{region}`"
        )
