"""Windows of the blocks of an image, decoded by imagecodecs: what GDAL returns, in less time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock, local
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from imagecodecs import deflate_decode, delta_decode, zstd_decode

from geobatch.model.window import Window
from geobatch.sources.geotiff.headers.encoding import Encoding
from geobatch.sources.geotiff.headers.tiff import BlockSizes

KEPT_BYTES = 64 << 20
"""Most bytes of decoded blocks that are kept."""

Samples: TypeAlias = npt.NDArray[Any]
"""A block: (row, col, band); unsigned numbers as wide as a pixel."""
ReadBytes: TypeAlias = Callable[[int, int], bytes]
"""Returns the bytes of a file from one position to another, or fewer at its end."""
_Key: TypeAlias = tuple[object, int, int, int]

_RUN_BYTES = 1 << 19
"""Bytes of strips that are decoded one after another, before their differences are summed up."""
_SLACK_BYTES = 1 << 16
"""Bytes that a stored block may have more than its pixels."""


class KeptBlocks:
    """Blocks of which a read needed a part, those last used; threads share it."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._local = local()
        self._lock = Lock()
        self._blocks: OrderedDict[_Key, Samples] = OrderedDict()
        self._size = 0

    def get(self, key: _Key) -> Samples | None:
        """Return a block; None if it is not kept."""
        with self._lock:
            found = self._blocks.get(key)
            if found is not None:
                self._blocks.move_to_end(key)
            return found

    def put(self, key: _Key, block: Samples) -> None:
        """Keep a block, and drop those that were used longest ago."""
        with self._lock:
            if key not in self._blocks:
                self._blocks[key] = block
                self._size += block.nbytes
            while self._size > KEPT_BYTES:
                self._size -= self._blocks.popitem(last=False)[1].nbytes

    def scratch(self, size: int) -> npt.NDArray[np.uint8]:
        """Return bytes for a block that is not kept; the next call in this thread has the same."""
        found: npt.NDArray[np.uint8] | None = getattr(self._local, "scratch", None)
        if found is None or found.size < size:
            found = self._local.scratch = np.empty(size, np.uint8)
        return found[:size]

    def clear(self) -> None:
        """Forget everything."""
        self._local = local()
        with self._lock:
            self._blocks.clear()
            self._size = 0


class Blocks:
    """The blocks of an image, for one thread."""

    def __init__(
        self,
        sizes: BlockSizes,
        encoding: Encoding,
        read: ReadBytes,
        *,
        name: object,
        kept: KeptBlocks,
    ) -> None:
        """Read nothing yet.

        Args:
            sizes: Where they are.
            encoding: How they are encoded.
            read: Reads the file.
            name: What tells the state of the image from any other.
            kept: Keeps blocks of which a read needs a part.
        """
        self._sizes, self._encoding, self._read, self._name = sizes, encoding, read, name
        self._kept = kept
        self._unsigned = np.dtype(f"<u{np.dtype(encoding.dtype).itemsize}")

    def read(self, window: Window, bands: Sequence[int], out: npt.NDArray[Any]) -> bool:
        """Fill an array with a window of some bands.

        Args:
            window: In pixels of the image, and inside it.
            bands: Zero-based indexes.
            out: (band, row, col) in the dtype of the image.

        Returns:
            Whether it was filled. If not, GDAL knows what the file means, or what is wrong with
            it: blocks that are not stored, or that are damaged.
        """
        into = out.view(self._unsigned)
        # Of bands in blocks of their own, one after another; else all from the same block.
        planes = [(0, list(bands), into)]
        if len(self._sizes.counts) > 1:
            planes = [(band, [0], into[number : number + 1]) for number, band in enumerate(bands)]
        pieces = self._pieces(window)
        try:
            return all(
                self._fill(plane, piece, samples, window, target)
                for plane, samples, target in planes
                for piece in pieces
            )
        except (RuntimeError, ValueError):
            return False

    def _pieces(self, window: Window) -> list[Window]:
        """Return the pixels of each block that a window touches; strips in it, several at once."""
        sizes, encoding = self._sizes, self._encoding
        rows, cols = sizes.rows, sizes.cols
        box = window.in_tiles((rows, cols))
        if encoding.is_tiled or window.width < encoding.width:
            steps = [(row * rows, rows) for row in range(box.row, box.row + box.height)]
        else:
            steps = _runs(window, rows, max(1, _RUN_BYTES // self._size(rows)))
        return [
            Window(
                row=row,
                col=col * cols,
                height=min(height, encoding.height - row),
                width=min(cols, encoding.width - col * cols),
            )
            for row, height in steps
            for col in range(box.col, box.col + box.width)
        ]

    def _fill(
        self,
        plane: int,
        piece: Window,
        samples: Sequence[int],
        window: Window,
        out: npt.NDArray[Any],
    ) -> bool:
        """Fill the part of a window that a piece has; return whether it could be read."""
        part = window.intersect(piece)
        if part is None:
            return True
        target = out[:, *window.within(part)]
        rows, cols = piece.within(part)
        if part == piece:
            stored = self._stored(plane, piece)
            if stored is None:
                return False
            for number, sample in enumerate(samples):
                self._restore(stored[rows, cols, sample], target[number])
            return True
        key = (self._name, plane, piece.row, piece.col)
        whole = self._kept.get(key)
        if whole is None:
            stored = self._stored(plane, piece)
            if stored is None:
                return False
            whole = np.empty_like(stored)
            for sample in range(stored.shape[2]):
                self._restore(stored[:, :, sample], whole[:, :, sample])
            self._kept.put(key, whole)
        for number, sample in enumerate(samples):
            target[number] = whole[rows, cols, sample]
        return True

    def _size(self, rows: int) -> int:
        """Return the bytes of decoded rows of a block."""
        samples = self._encoding.bands if len(self._sizes.counts) == 1 else 1
        return rows * self._sizes.cols * samples * self._unsigned.itemsize

    def _stored(self, plane: int, piece: Window) -> Samples | None:
        """Return a piece without its compression; None if it is not there, or not whole.

        The next call may use the same memory.
        """
        sizes, encoding = self._sizes, self._encoding
        if sizes.offsets is None:
            return None
        first, col = piece.row // sizes.rows, piece.col // sizes.cols
        at = (plane, slice(first, -(-(piece.row + piece.height) // sizes.rows)), col)
        offsets, counts = sizes.offsets[at].tolist(), sizes.counts[at].tolist()
        rows = sizes.rows if encoding.is_tiled else piece.height
        size, step = self._size(rows), self._size(min(rows, sizes.rows))
        buffer = self._kept.scratch(size)
        for number, (offset, count) in enumerate(zip(offsets, counts, strict=True)):
            out = buffer[number * step : (number + 1) * step]
            if not 0 < count <= 2 * out.size + _SLACK_BYTES:
                return None
            data = self._read(offset, offset + count)
            if len(data) != count or not self._decompress(data, out):
                return None
        return buffer.view(self._unsigned).reshape(rows, sizes.cols, -1)

    def _decompress(self, data: bytes, out: npt.NDArray[np.uint8]) -> bool:
        """Write what a block holds; return whether it is as much as expected."""
        compression = self._encoding.compression
        if compression == "DEFLATE":
            return len(deflate_decode(data, out=out.data)) == out.size
        if compression == "ZSTD":
            return len(zstd_decode(data, out=out.data)) == out.size
        if len(data) < out.size:
            return False
        out[:] = np.frombuffer(data, np.uint8, out.size)
        return True

    def _restore(self, stored: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write what a band of a piece holds, from its first column on: (row, col)."""
        if self._encoding.has_differences:
            delta_decode(stored, axis=1, out=out)
        else:
            out[:] = stored


def _runs(window: Window, rows: int, most: int) -> list[tuple[int, int]]:
    """Return (first row, rows) of runs of at most so many strips; those cut by a window, alone."""
    found = []
    row, end = window.row // rows * rows, window.row + window.height
    while row < end:
        inside = min(most, (end - row) // rows) if row >= window.row else 0
        height = max(inside, 1) * rows
        found.append((row, height))
        row += height
    return found
