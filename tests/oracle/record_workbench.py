"""TFRecord exports as plain TensorFlow and numpy write them: the oracle of what an import reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Pixels = npt.NDArray[Any]
X0, Y0, PIXEL = 500_000.0, 5_000_000.0, 10.0
CRS = "EPSG:32633"


def feature(values: Pixels, kind: str) -> Any:
    """Return values as a feature: flat, in the order that they have."""
    flat = np.ascontiguousarray(values).ravel()
    if kind == "float_list":
        return tf.train.Feature(float_list=tf.train.FloatList(value=flat))
    if kind == "int64_list":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=flat.astype(np.int64)))
    little = flat.astype(flat.dtype.newbyteorder("<")).tobytes()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[little]))


def example(features: Mapping[str, Any]) -> bytes:
    """Return a serialized Example."""
    made: bytes = tf.train.Example(
        features=tf.train.Features(feature=dict(features))
    ).SerializeToString()
    return made


def write_shard(path: Path, records: Sequence[bytes], compression: str = "GZIP") -> Path:
    """Write one TFRecord file."""
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return path


@dataclass(frozen=True, kw_only=True)
class Export:
    """An image cut into patches, row by row, each with a margin of its neighbours around it."""

    bands: Mapping[str, Pixels]
    """(row, col) per feature, or (row, col, channel); whole patches."""
    patch: tuple[int, int]
    """(rows, columns)."""
    kernel: tuple[int, int] = (0, 0)
    """(rows, columns) that patches are larger by."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Kind per feature; `float_list` where it is not said."""
    orders: Mapping[str, str] = field(default_factory=dict)
    """CHW for features with channels whose bands come one by one; else HWC."""

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        height, width = next(iter(self.bands.values())).shape[:2]
        return height // self.patch[0], width // self.patch[1]

    def records(self) -> list[bytes]:
        """Return the patches in order."""
        return [self.record(row, col) for row, col in np.ndindex(self.grid)]

    def record(self, row: int, col: int) -> bytes:
        """Return one patch."""
        (rows, cols), (more_rows, more_cols) = self.patch, self.kernel
        made = {}
        for name, pixels in self.bands.items():
            margins = [(k // 2, k - k // 2) for k in self.kernel] + [(0, 0)] * (pixels.ndim - 2)
            # What lies beyond the image is of no account, and must not be read.
            padded = np.pad(pixels, margins, constant_values=99)
            top, left = row * rows, col * cols
            piece = padded[top : top + rows + more_rows, left : left + cols + more_cols]
            if pixels.ndim == 3 and self.orders.get(name) == "CHW":
                piece = np.moveaxis(piece, 2, 0)
            made[name] = feature(piece, self.kinds.get(name, "float_list"))
        return example(made)

    def mixer(self) -> dict[str, Any]:
        """Return the mixer as JSON."""
        rows, cols = self.grid
        matrix = [PIXEL, 0.0, X0, 0.0, -PIXEL, Y0]
        return {
            "projection": {"crs": CRS, "affine": {"doubleMatrix": matrix}},
            "patchDimensions": [self.patch[1], self.patch[0]],
            "patchesPerRow": cols,
            "totalPatches": rows * cols,
        }

    def write(
        self,
        folder: Path,
        *,
        splits: Sequence[int] = (),
        compression: str = "GZIP",
        prefix: str = "pred",
        records: Sequence[bytes] | None = None,
    ) -> list[Path]:
        """Write shards, cut before the records of `splits`, and the mixer; return the shards."""
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{prefix}-*"):
            old.unlink()
        records = self.records() if records is None else records
        edges = [0, *sorted(splits), len(records)]
        suffix = ".tfrecord.gz" if compression == "GZIP" else ".tfrecord"
        shards = [
            write_shard(folder / f"{prefix}-{n:05}{suffix}", records[start:stop], compression)
            for n, (start, stop) in enumerate(pairwise(edges))
        ]
        (folder / f"{prefix}-mixer.json").write_text(json.dumps(self.mixer(), indent=2))
        return shards


def numbered(rows: int, cols: int, *, dtype: str = "float32", step: float = 1) -> Pixels:
    """Return pixels of which no two are equal."""
    return (np.arange(rows * cols, dtype=np.float64) * step).reshape(rows, cols).astype(dtype)
