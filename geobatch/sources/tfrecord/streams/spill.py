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
from geobatch.model.sources.tfrecord import Mixer
from geobatch.model.window import Window


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

    def patches(self, window: Window) -> npt.NDArray[np.intp]:
        """Return the numbers of the patches that a window overlaps, (row, col)."""
        box = window.in_tiles(self._mixer.patch)
        down = np.arange(box.row, box.row + box.height)
        right = np.arange(box.col, box.col + box.width)
        numbers: npt.NDArray[np.intp] = down[:, None] * self._mixer.patches_per_row + right
        return numbers

    def read(self, index: int, window: Window) -> npt.NDArray[Any]:
        """Read a window of one band, whose patches are all written.

        Returns:
            (row, col) in the band's pixel type.

        Raises:
            StoreError: The disk refused.
        """
        rows, cols = self._mixer.patch
        dtype = self._dtypes[index]
        pixels = np.empty(window.shape, dtype=dtype)
        for number in self.patches(window).flat:
            down, right = divmod(int(number), self._mixer.patches_per_row)
            patch = Window(row=down * rows, col=right * cols, height=rows, width=cols)
            part = window.intersect(patch)
            if part is None:
                continue
            within = part.shift(rows=-patch.row, cols=-patch.col)
            start = int(number) * self._record_bytes + self._starts[index]
            strip = self._strip(start + within.row * cols * dtype.itemsize, within.height, dtype)
            pixels[window.within(part)] = strip[:, within.slices[1]]
        return pixels

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
