"""An asset as TFRecord shards with their mixer, as Earth Engine exports images."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.exports.destination import Destination
from geobatch.exports.options import TFRecordOptions
from geobatch.exports.patches import PatchGrid, cut
from geobatch.exports.selection import Selection
from geobatch.exports.tensors import PatchReader, Tensor, tensors_of
from geobatch.sources.tfrecord.writing.mixer import mixer_text
from geobatch.sources.tfrecord.writing.shards import FRAME, ShardWriter
from geobatch.sources.tfrecord.writing.wire import RecordLayout, example_layout, sequence_layout
from geobatch.store.tilestore import TileStore

Progress: TypeAlias = Callable[[int, int], object]
"""Receives (done, total)."""

_CHUNK_BYTES = 8 << 20
"""Bytes that a task makes at a time, unless one patch is larger."""
_AHEAD = 2
"""Tasks waiting per worker, so that the writer never waits for one to begin."""
_MAX_RECORD = (1 << 31) - 1
"""Bytes of the largest message that protobuf reads."""
_MAX_SHARDS = 100_000
"""Beyond these the names no longer sort as the shards do."""


class TFRecordExport(Struct, frozen=True, kw_only=True):
    """What an export wrote."""

    shards: tuple[Path, ...]
    """Files of records, in order."""
    mixer: Path | None
    """The mixer; None where patches may be missing."""
    grid: PatchGrid
    """The patches."""
    patches: int
    """Patches that were written."""
    records: int
    """Records that were written: patches, or pixels of them."""
    rounded: tuple[str, ...]
    """Bands with values that float32 may not hold exactly."""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        files = (*self.shards, *([self.mixer] if self.mixer else []))
        return sum(path.stat().st_size for path in files)


class _Chunk(NamedTuple):
    """Patches side by side in a row of patches."""

    row: int
    first: int
    patches: int


class _Written(NamedTuple):
    """Those patches of a chunk that are kept."""

    records: bytes
    patches: int


def export_tfrecord(
    store: TileStore,
    selection: Selection,
    destination: Destination,
    options: TFRecordOptions,
    *,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> TFRecordExport:
    """Write a selection as TFRecord shards, and a mixer beside them.

    Patches are read and encoded by `workers` threads, and written by this one. At any time there
    are at most three chunks per worker, of 8 MiB or one patch, and 128 MiB of decoded tiles.

    Args:
        store: The store.
        selection: What to export.
        destination: Folder and prefix of the files.
        options: How.
        overwrite: Whether files of an earlier export are replaced.
        workers: Threads that read and encode.
        progress: Told of patches.

    Raises:
        ExportError: The options do not fit the selection, files are in the way, or the disk
            refused.
        CorruptObjectError: A tile is damaged; no file is written.
        InterruptedRunError: The user stopped the run.
    """
    grid = cut(selection.window.width, selection.window.height, options)
    tensors = tensors_of(selection, options)
    layout = _layout(tensors, grid, options)
    per_shard = _records_per_shard(layout, grid, options)
    names = re.compile(re.escape(destination.prefix) + r"-(\d{5}\.tfrecord(\.gz)?|mixer\.json)")
    destination.check_free(names, overwrite=overwrite)
    suffix = ".tfrecord.gz" if options.compressed else ".tfrecord"
    encoder = _Encoder(
        reader=PatchReader(store, selection, grid, tensors),
        grid=grid,
        layout=layout,
        options=options,
    )
    with destination.writing() as hidden:
        with ShardWriter(
            lambda number: hidden / f"{destination.prefix}-{number:05}{suffix}",
            records_per_shard=per_shard,
            is_compressed=options.compressed,
        ) as writer:
            patches = done = 0
            chunks = _chunks(grid, layout.size * encoder.records_per_patch)
            for chunk, written in encoder.run(chunks, workers):
                writer.write(written.records, size=layout.size)
                patches += written.patches
                done += chunk.patches
                progress(done, grid.count)
        files = list(writer.paths)
        has_mixer = options.masked_threshold == 1
        if has_mixer:
            text = mixer_text(
                selection.geobox,
                patch=options.patch_dimensions,
                per_row=grid.columns,
                total=grid.count,
            )
            files.append(hidden / f"{destination.prefix}-mixer.json")
            files[-1].write_text(text, encoding="utf-8")
        placed = destination.publish(files, replaced=names)
    return TFRecordExport(
        shards=placed[:-1] if has_mixer else placed,
        mixer=placed[-1] if has_mixer else None,
        grid=grid,
        patches=patches,
        records=writer.records,
        rounded=tuple(
            band.id
            for band in selection.bands
            if not np.can_cast(band.dtype, np.float32, casting="safe")
        ),
    )


def _layout(tensors: tuple[Tensor, ...], grid: PatchGrid, options: TFRecordOptions) -> RecordLayout:
    if options.sequence_data:
        context = [tensor.name for tensor in tensors if not tensor.is_array]
        lists = [(tensor.name, len(tensor.channels)) for tensor in tensors if tensor.is_array]
        return sequence_layout(context, lists)
    pixels = grid.stored_width * grid.stored_height
    size = pixels * 4 * sum(len(tensor.channels) for tensor in tensors)
    if size > _MAX_RECORD:
        raise ExportError(
            f"a patch of {grid.stored_width} x {grid.stored_height} pixels takes {size:,} bytes, "
            f"but a record holds at most {_MAX_RECORD:,}",
            hint="make `patchDimensions` smaller, or export fewer bands",
        )
    return example_layout([(tensor.name, len(tensor.channels) * pixels) for tensor in tensors])


def _records_per_shard(layout: RecordLayout, grid: PatchGrid, options: TFRecordOptions) -> int:
    per_shard = max(1, options.max_file_size // (layout.size + FRAME))
    pixels = grid.stored_width * grid.stored_height if options.sequence_data else 1
    shards = -(-grid.count * pixels // per_shard)
    if shards > _MAX_SHARDS:
        raise ExportError(
            f"`maxFileSize` of {options.max_file_size:,} bytes makes {shards:,} shards, "
            "but at most "
            f"{_MAX_SHARDS:,} can be named",
            hint="make it larger",
        )
    return per_shard


def _chunks(grid: PatchGrid, patch_bytes: int) -> Iterator[_Chunk]:
    """Yield all patches, row by row, as many at a time as stay small together."""
    most = max(1, _CHUNK_BYTES // patch_bytes)
    for row in range(grid.rows):
        for first in range(0, grid.columns, most):
            yield _Chunk(row, first, min(most, grid.columns - first))


class _Encoder(Struct, frozen=True, kw_only=True):
    """Makes records of patches."""

    reader: PatchReader
    grid: PatchGrid
    layout: RecordLayout
    options: TFRecordOptions

    @property
    def records_per_patch(self) -> int:
        """One, or one for each pixel."""
        return self.grid.stored_width * self.grid.stored_height if self.options.sequence_data else 1

    def run(self, chunks: Iterator[_Chunk], workers: int) -> Iterator[tuple[_Chunk, _Written]]:
        """Yield the chunks encoded, in order; few are ahead of the one that is yielded."""
        waiting: deque[tuple[_Chunk, Future[_Written]]] = deque()
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="export") as pool:
            while True:
                for chunk in islice(chunks, workers * _AHEAD - len(waiting)):
                    waiting.append((chunk, pool.submit(self._encode, chunk)))
                if not waiting:
                    return
                chunk, future = waiting.popleft()
                yield chunk, future.result()

    def _encode(self, chunk: _Chunk) -> _Written:
        values, masked = self.reader.read(*chunk)
        pixels = self.grid.patch_width * self.grid.patch_height
        values = values[masked / pixels <= self.options.masked_threshold]
        count, channels, rows, columns = values.shape
        if self.options.sequence_data:
            shape = (count * rows * columns, channels)
            values = values.transpose(0, 2, 3, 1)
        else:
            shape = (count, channels * rows * columns)
        return _Written(self.layout.encode(values.reshape(shape)).tobytes(), count)
