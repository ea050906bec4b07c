"""Features of records as patches: parsed, converted without loss, and the margin cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.model.sources.tfrecord import Feature, Mixer
from geobatch.model.text.suggest import suggestion
from geobatch.sources.naming import UnnamedError
from geobatch.sources.tfrecord.shards.records import parse_example
from geobatch.sources.tfrecord.tensorflow_library import tensorflow

Patches = npt.NDArray[Any]
"""(record, row, col) of one band."""


class Decoder:
    """Converts serialized records of one source to the patches of its bands."""

    def __init__(self, features: Sequence[Feature], mixer: Mixer) -> None:
        self._features = features
        self._mixer = mixer
        tf = tensorflow()
        self._parse = tf.io.parse_example
        # Its message quotes the record, and invalid text there raises another error.
        self._errors = (tf.errors.OpError, UnicodeDecodeError)
        self._spec = {
            feature.name: tf.io.FixedLenFeature(
                [] if feature.kind == "bytes_list" else [self._length(feature)],
                {"float_list": tf.float32, "int64_list": tf.int64}.get(feature.kind, tf.string),
            )
            for feature in features
        }

    def decode(self, batch: Sequence[bytes], *, first: int) -> Iterator[Patches]:
        """Yield the patches of each band in turn, without their margins.

        Args:
            batch: Serialized records.
            first: Number of the first record within the shard.

        Raises:
            UnnamedError: A record lacks a feature, or holds it in another length or kind than the
                first one, or a value that the pixel type cannot hold.
        """
        try:
            parsed = self._parse(batch, self._spec)
        except self._errors as error:
            raise self._explain(batch, first, error) from None
        for feature in self._features:
            values = self._values(feature, parsed[feature.name], first)
            yield from self._bands(feature, _converted(values, feature, first))

    def _length(self, feature: Feature) -> int:
        rows, cols = self._padded(feature)
        return rows * cols * feature.depth

    def _padded(self, feature: Feature) -> tuple[int, int]:
        (rows, cols), (more_rows, more_cols) = self._mixer.patch, feature.margin
        return (rows + more_rows, cols + more_cols)

    def _values(self, feature: Feature, tensor: Any, first: int) -> npt.NDArray[Any]:
        """Return the values of the records, (record, value)."""
        if feature.kind != "bytes_list":
            # The tensor's own memory: it is not written to.
            return np.asarray(memoryview(tensor))
        dtype = np.dtype(feature.dtype).newbyteorder("<")
        expected = self._length(feature) * dtype.itemsize
        texts = tensor.numpy()
        for number, text in enumerate(texts, first):
            if len(text) != expected:
                raise _wrong_length(number, feature.name, f"{expected} bytes", len(text))
        return np.frombuffer(b"".join(texts), dtype=dtype).reshape(len(texts), -1)

    def _bands(self, feature: Feature, values: npt.NDArray[Any]) -> Iterator[Patches]:
        count, (rows, cols) = len(values), self._padded(feature)
        if feature.is_channels_last:
            planes = np.moveaxis(values.reshape(count, rows, cols, feature.depth), 3, 1)
        else:
            planes = values.reshape(count, feature.depth, rows, cols)
        top, left = feature.margin[0] // 2, feature.margin[1] // 2
        height, width = self._mixer.patch
        for channel in range(feature.depth):
            yield planes[:, channel, top : top + height, left : left + width]

    def _explain(self, records: Sequence[bytes], first: int, error: Exception) -> UnnamedError:
        """Return the error for the first bad record of a batch that cannot be parsed."""
        for number, record in enumerate(records, first):
            found = parse_example(record, number)
            for feature in self._features:
                if feature.name not in found:
                    return missing_feature(number, feature.name, found)
                kind = found[feature.name].WhichOneof("kind") or "nothing"
                if kind != feature.kind:
                    return UnnamedError(
                        f"record {number}: feature `{feature.name}`: expected"
                        f" `{feature.kind}`, as in the first record, got `{kind}`"
                    )
                length = len(getattr(found[feature.name], kind).value)
                expected = 1 if kind == "bytes_list" else self._length(feature)
                if length != expected:
                    unit = "value" if expected == 1 else "values"
                    what = f"{expected} {unit}"
                    return _wrong_length(number, feature.name, what, length)
        return UnnamedError(f"records from {first} on cannot be parsed: {error}")


def missing_feature(number: int, name: str, found: Sequence[str] | Any) -> UnnamedError:
    """Return the error for a record without a requested feature."""
    names = sorted(found)
    shown = ", ".join(f"`{one}`" for one in names[:24]) or "none"
    return UnnamedError(
        f"record {number} has no feature `{name}`; it has {shown}",
        hint=suggestion(name, names) or "every record of an export must have the same features",
    )


def _wrong_length(number: int, name: str, expected: str, got: int) -> UnnamedError:
    return UnnamedError(
        f"record {number}: feature `{name}`: expected {expected}, got {got}",
        hint="every record of an export must be one patch of the mixer's size",
    )


def _converted(values: npt.NDArray[Any], feature: Feature, first: int) -> npt.NDArray[Any]:
    """Return values in the feature's pixel type, which must be able to hold each."""
    target = np.dtype(feature.dtype)
    if values.dtype == target or feature.kind == "bytes_list":
        return values
    if values.dtype.kind == target.kind == "f":
        return values.astype(target)  # from float32 to float64
    with np.errstate(invalid="ignore", over="ignore"):
        made = values.astype(target)
        is_same = made.astype(values.dtype) == values
    # Beyond the limits of integers, processors differ in what a cast gives.
    whole = target if target.kind in "iu" else values.dtype
    floats = values if values.dtype.kind == "f" else made
    limits = np.iinfo(whole)
    if target.kind in "iu":
        is_same &= (values >= limits.min) & (values <= limits.max)
    if floats.dtype.kind == "f":
        is_same &= floats < float(limits.max + 1)
    if not is_same.all():
        record, position = np.argwhere(~is_same)[0].tolist()
        raise UnnamedError(
            f"record {first + record}: feature `{feature.name}`: value"
            f" {values[record, position]} is no {target.name.upper()}",
            hint="declare a `data_type` that can hold every value, or round the values first",
        )
    return made
