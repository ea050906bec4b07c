"""A workbench for exports: what plain TensorFlow reads, and what the guide says it must."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from shell import Done, geobatch

Pixels: TypeAlias = npt.NDArray[Any]


def export(store: Path, *argv: str | Path) -> Done:
    """Export, and expect that it works."""
    done = geobatch("--store", store, "--json", "export", *argv)
    assert done.code == 0, done.out
    return done


def records(files: Sequence[str | Path]) -> list[bytes]:
    """Return the records of shards, as TensorFlow reads them."""
    names = [str(file) for file in files]
    is_gzip = bool(names) and names[0].endswith(".gz")
    data = tf.data.TFRecordDataset(names, compression_type="GZIP" if is_gzip else "")
    return list(data.as_numpy_iterator())


def parsed(record: bytes, **shapes: Sequence[int]) -> dict[str, Pixels]:
    """Return the features of an Example by the guide's own way of reading it."""
    features = {name: tf.io.FixedLenFeature(shape, tf.float32) for name, shape in shapes.items()}
    found = tf.io.parse_single_example(record, features)
    return {name: found[name].numpy() for name in shapes}


def filled(values: Pixels, masks: Pixels, default: float) -> Pixels:
    """Return float32 pixels with the default value where they are masked, in part or wholly."""
    with np.errstate(over="ignore"):
        floats = values.astype(np.float32)
    return np.where(masks == 255, floats, np.float32(default))


def patches(
    pixels: Pixels,
    default: float,
    *,
    patch: tuple[int, int],
    kernel: tuple[int, int] = (1, 1),
    pad: bool = False,
) -> Iterator[Pixels]:
    """Yield the patches of a plane of float32, cut from one that is much larger all around."""
    height, width = pixels.shape
    room = 2 * max(*patch, *kernel)
    large = np.full((height + 2 * room, width + 2 * room), default, dtype=np.float32)
    large[room : room + height, room : room + width] = pixels
    extra_x, extra_y = (0 if side < 2 else side for side in kernel)
    for top in range(0, height, patch[1]):
        for left in range(0, width, patch[0]):
            if pad or (top + patch[1] <= height and left + patch[0] <= width):
                row, col = room + top - extra_y // 2, room + left - extra_x // 2
                yield large[row : row + patch[1] + extra_y, col : col + patch[0] + extra_x]
