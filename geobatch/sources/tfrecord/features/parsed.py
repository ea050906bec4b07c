"""Values of features of many records, as TensorFlow parses them, whatever their spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.sources.tfrecord.tensorflow_library import tensorflow


class TensorFlowParser:
    """Parses records that have some features, each with a number of values of one kind."""

    def __init__(self, features: Mapping[str, tuple[str, int]]) -> None:
        """Load TensorFlow.

        Args:
            features: Kind and number of values of each feature; of bytes there is one value.

        Raises:
            SourceError: TensorFlow is not installed.
        """
        tf = tensorflow()
        self._parse = tf.io.parse_example
        # Its message quotes the record, and invalid text there raises another error.
        self.errors: tuple[type[Exception], ...] = (tf.errors.OpError, UnicodeDecodeError)
        """What `parse` raises if a record has not the features."""
        self._spec = {
            name: tf.io.FixedLenFeature(
                [] if kind == "bytes_list" else [count],
                {"float_list": tf.float32, "int64_list": tf.int64}.get(kind, tf.string),
            )
            for name, (kind, count) in features.items()
        }

    def parse(self, batch: Sequence[bytes]) -> dict[str, npt.NDArray[Any] | list[bytes]]:
        """Return values per feature: numbers (record, value), which are read-only, or bytes."""
        return {
            # The tensor's own memory: it is not written to.
            name: np.asarray(memoryview(tensor)) if tensor.dtype != "string" else [*tensor.numpy()]
            for name, tensor in self._parse(batch, self._spec).items()
        }
