"""Patches of one source in one temporary file, from which windows are read in any order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.errors import StoreError
from geobatch.model.geobox import ceil_div
from geobatch.model.sources.tfrecord import Mixer


class Spill:
    """A temporary file of patches: record after record, in each band after band, not compressed.

    It has no name if the system allows that, so that nothing is left of it, however the
    process ends. One thread writes; any number of threads read.
    """

    def __init__(self, mixer: Mixer, dtypes: Sequence[str], *, folder: Path) -> None:
        """Create the file.

        Raises:
            StoreError: The disk refused.
        """
        self._mixer = mixer
        self._dtypes = [np.dtype(dtype) for dtype in dtypes]
        pixels = mixer.patch[0] * mixer.patch[1]
        ends = list(accumulate(pixels * dtype.itemsize for dtype in self._dtypes))
        self._starts, self._record_bytes = [0, *ends[:-1]], ends[-1]
        # Kept from batch to batch: fresh memory costs as much as the copying.
        self._buffer = np.empty((0, self._record_bytes), dtype=np.uint8)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - see close
        except OSError as error:
            raise _failure(error) from error

    def close(self) -> None:
        """Free the file's space."""
        self._file.close()

    def write(self, first: int, bands: Sequence[npt.NDArray[Any]]) -> None:
        """Write consecutive patches.

        Args:
            first: Number of the first.
            bands: Per band, (patch, row, col) in its pixel type.

        Raises:
            StoreError: The disk refused.
        """
        count = len(bands[0])
        if len(self._buffer) < count:
            self._buffer = np.empty((count, self._record_bytes), dtype=np.uint8)
        data = self._buffer[:count]
        for start, dtype, patches in zip(self._starts, self._dtypes, bands, strict=True):
            size = patches[0].size * dtype.itemsize
            target = data[:, start : start + size].view(dtype)
            target.reshape(patches.shape)[...] = patches
        view = data.data.cast("B")
        offset = first * self._record_bytes
        try:
            while view:
                done = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[done:], offset + done
        except OSError as error:
            raise _failure(error) from error

    def patches(self, *, row: int, col: int, height: int, width: int) -> npt.NDArray[np.intp]:
        """Return the numbers of the patches that a window overlaps, (row, col)."""
        rows, cols = self._mixer.patch
        down = np.arange(row // rows, ceil_div(row + height, rows))
        right = np.arange(col // cols, ceil_div(col + width, cols))
        numbers: npt.NDArray[np.intp] = down[:, None] * self._mixer.patches_per_row + right
        return numbers

    def read(self, index: int, *, row: int, col: int, height: int, width: int) -> npt.NDArray[Any]:
        """Read a window of one band, whose patches are all written.

        Returns:
            (row, col) in the band's pixel type.

        Raises:
            StoreError: The disk refused.
        """
        rows, cols = self._mixer.patch
        dtype = self._dtypes[index]
        window = np.empty((height, width), dtype=dtype)
        for number in self.patches(row=row, col=col, height=height, width=width).flat:
            down, right = divmod(int(number), self._mixer.patches_per_row)
            top, bottom = max(row, down * rows), min(row + height, (down + 1) * rows)
            left, end = max(col, right * cols), min(col + width, (right + 1) * cols)
            first = top - down * rows
            start = int(number) * self._record_bytes + self._starts[index]
            strip = self._strip(start + first * cols * dtype.itemsize, bottom - top, dtype)
            from_col = left - right * cols
            window[top - row : bottom - row, left - col : end - col] = strip[
                :, from_col : from_col + end - left
            ]
        return window

    def _strip(self, offset: int, rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """Return whole rows of a patch."""
        strip = np.empty((rows, self._mixer.patch[1]), dtype=dtype)
        view = strip.data.cast("B")
        try:
            while view:
                done = os.preadv(self._file.fileno(), [view], offset)
                if not done:
                    raise OSError("the temporary file of patches became shorter")  # noqa: TRY301
                view, offset = view[done:], offset + done
        except OSError as error:
            raise _failure(error) from error
        return strip


def _failure(error: OSError) -> StoreError:
    return StoreError(
        f"cannot write temporary patches of TFRecord sources to `runs/`: {error.strerror or error}",
        hint="they need as much space as the uncompressed features that are read",
    )
