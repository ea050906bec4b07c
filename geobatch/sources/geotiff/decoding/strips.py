"""Rows of rasters in strips, decoded once for all threads that read a part of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy.typing as npt
from msgspec import Struct, field

from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.window import Window

NARROW = 2048
"""Columns up to which strips are decoded again for each window: windows may be as wide."""
CACHE_BYTES = 192 << 20
"""Most bytes of decoded rows that are kept; two rows of regions are read at the same time."""
_PIECE_BYTES = 4 << 20
"""Bytes of rows that one thread decodes, while others decode the next ones."""

Decode: TypeAlias = Callable[[Window], npt.NDArray[Any]]
"""Decodes a window of the bands that are read: (band, row, col)."""
_Key: TypeAlias = tuple[str, Digest, tuple[int, ...], int, int]


class _Piece(Struct, eq=False):
    """Rows of some bands, which are decoded or will be soon."""

    size: int
    """Its bytes."""
    pixels: npt.NDArray[Any] | None = None
    """(band, row, col); None until they are decoded, and if they cannot be."""
    is_done: threading.Event = field(default_factory=threading.Event)


class Strips:
    """What was decoded last; safe to share between threads."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._lock = threading.Lock()
        self._pieces: OrderedDict[_Key, _Piece] = OrderedDict()
        self._size = 0

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        out: npt.NDArray[Any],
        decode: Decode,
    ) -> bool:
        """Fill an array with a window, if rows of its source are decoded for several windows.

        Args:
            source: A local file.
            window: Window in pixels of the source.
            bands: Bands that are read.
            out: (band, row, col) in the file's dtype.
            decode: Decodes a window of the same bands in this thread.

        Returns:
            Whether it was filled; if not, the window is better decoded by itself.
        """
        row_bytes = len(bands) * source.width * out.itemsize
        if (
            source.block[1] < source.width
            or source.width <= NARROW
            or window.width == source.width
            or window.height * row_bytes > CACHE_BYTES // 2
        ):
            return False
        spans = list(_spans(window, source.block[0], row_bytes))
        keys = [(source.path, source.digest, tuple(bands), *span) for span in spans]
        found: dict[_Key, _Piece] = {}
        for key, (start, stop) in zip(keys, spans, strict=True):
            piece, is_mine = self._claim(key, row_bytes * (stop - start))
            found[key] = piece
            if is_mine:
                self._decode(key, piece, source, decode)
        for key, (start, stop) in zip(keys, spans, strict=True):
            piece = found[key]
            piece.is_done.wait()
            if piece.pixels is None:  # it failed in another thread: this one meets the error
                self._decode(key, piece, source, decode)
            if piece.pixels is not None:
                into = slice(start - window.row, stop - window.row)
                out[:, into] = piece.pixels[:, :, window.col : window.col + window.width]
        return True

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._pieces.clear()
            self._size = 0

    def _claim(self, key: _Key, size: int) -> tuple[_Piece, bool]:
        """Return a piece, and whether the caller is to decode it."""
        with self._lock:
            piece = self._pieces.get(key)
            if piece is not None:
                self._pieces.move_to_end(key)
                return piece, False
            piece = self._pieces[key] = _Piece(size)
            self._size += size
            while self._size > CACHE_BYTES and len(self._pieces) > 1:
                # Whoever reads it holds it.
                self._size -= self._pieces.popitem(last=False)[1].size
            return piece, True

    def _decode(self, key: _Key, piece: _Piece, source: Source, decode: Decode) -> None:
        *_, start, stop = key
        try:
            piece.pixels = decode(Window(row=start, col=0, height=stop - start, width=source.width))
        finally:
            piece.is_done.set()


def _spans(window: Window, rows: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield the first row of each piece of a window, and that after its last; of whole strips."""
    step = max(1, _PIECE_BYTES // (row_bytes * rows)) * rows
    start, end = window.row, window.row + window.height
    while start < end:
        stop = min((start // step + 1) * step, end)
        yield start, stop
        start = stop
