"""Windows of the blocks of an image, decoded by imagecodecs: what GDAL returns, in less time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
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

_SLACK_BYTES = 1 << 16
"""Bytes that a stored block may have more than its pixels."""


class KeptBlocks:
    """Blocks of which a read needed a part, those last used; threads share it."""

    def __init__(self) -> None:
        """Keep nothing yet."""
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

    def clear(self) -> None:
        """Forget everything."""
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
        self._buffer: npt.NDArray[np.uint8] | None = None

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
        counts = self._sizes.counts
        box = window.in_tiles((self._sizes.rows, self._sizes.cols))
        into = out.view(self._unsigned)
        # Of bands in blocks of their own, one after another; else all from the same block.
        planes = [(0, list(bands), into)]
        if len(counts) > 1:
            planes = [(band, [0], into[number : number + 1]) for number, band in enumerate(bands)]
        try:
            return all(
                self._fill(plane, block, samples, window, target)
                for plane, samples, target in planes
                for block in box
            )
        except (RuntimeError, ValueError):
            return False

    def _fill(
        self,
        plane: int,
        block: tuple[int, int],
        samples: Sequence[int],
        window: Window,
        out: npt.NDArray[Any],
    ) -> bool:
        """Fill the part of a window that a block has; return whether it could be read."""
        pixels = self._pixels(block)
        part = window.intersect(pixels)
        if part is None:
            return True
        target = out[:, *window.within(part)]
        rows, cols = pixels.within(part)
        if part == pixels:
            stored = self._stored(plane, block)
            if stored is None:
                return False
            for number, sample in enumerate(samples):
                self._restore(stored[rows, cols, sample], target[number])
            return True
        key = (self._name, plane, *block)
        whole = self._kept.get(key)
        if whole is None:
            stored = self._stored(plane, block)
            if stored is None:
                return False
            whole = np.empty_like(stored)
            for sample in range(stored.shape[2]):
                self._restore(stored[:, :, sample], whole[:, :, sample])
            self._kept.put(key, whole)
        for number, sample in enumerate(samples):
            target[number] = whole[rows, cols, sample]
        return True

    def _pixels(self, block: tuple[int, int]) -> Window:
        """Return the pixels of the image that a block has."""
        row, col = block[0] * self._sizes.rows, block[1] * self._sizes.cols
        return Window(
            row=row,
            col=col,
            height=min(self._sizes.rows, self._encoding.height - row),
            width=min(self._sizes.cols, self._encoding.width - col),
        )

    def _stored(self, plane: int, block: tuple[int, int]) -> Samples | None:
        """Return a block without its compression; None if it is not there, or not whole.

        The next call may use the same memory.
        """
        sizes, encoding = self._sizes, self._encoding
        count = int(sizes.counts[plane, *block])
        rows = sizes.rows if encoding.is_tiled else self._pixels(block).height
        shape = (rows, sizes.cols, encoding.bands if len(sizes.counts) == 1 else 1)
        size = rows * sizes.cols * shape[2] * self._unsigned.itemsize
        if not 0 < count <= 2 * size + _SLACK_BYTES or sizes.offsets is None:
            return None
        offset = int(sizes.offsets[plane, *block])
        data = self._read(offset, offset + count)
        if len(data) != count:
            return None
        if encoding.compression == "NONE":
            if count < size:
                return None
            return np.frombuffer(data, self._unsigned, size // self._unsigned.itemsize).reshape(
                shape
            )
        if self._buffer is None or self._buffer.size < size:
            self._buffer = np.empty(size, np.uint8)
        buffer = self._buffer[:size]
        decode = deflate_decode if encoding.compression == "DEFLATE" else zstd_decode
        if len(decode(data, out=buffer.data)) != size:
            return None
        return buffer.view(self._unsigned).reshape(shape)

    def _restore(self, stored: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write what a band of a block holds, from its first column on: (row, col)."""
        if self._encoding.has_differences:
            delta_decode(stored, axis=1, out=out)
        else:
            out[:] = stored
