"""Features of records as patches: parsed, converted without loss, and the margin cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.model.sources.tfrecord import Feature, Mixer
from geobatch.sources.naming import UnnamedError
from geobatch.sources.tfrecord.features.missing import missing_feature
from geobatch.sources.tfrecord.features.parsed import TensorFlowParser
from geobatch.sources.tfrecord.shards.plain_example import PlainFeature, read_plain
from geobatch.sources.tfrecord.shards.records import feature_sizes

Patches = npt.NDArray[Any]
"""(record, row, col) of one band."""


class Decoder:
    """Converts serialized records of one source to the patches of its bands."""

    def __init__(self, features: Sequence[Feature], mixer: Mixer) -> None:
        self._features = features
        self._mixer = mixer

    def decode(self, batch: Sequence[bytes], *, first: int) -> Iterator[Patches]:
        """Yield the patches of each band in turn, without their margins.

        Args:
            batch: Serialized records.
            first: Number of the first record within the shard.

        Raises:
            UnnamedError: A record lacks a feature, or holds it in another length or kind than the
                first one, or a value that the pixel type cannot hold.
            SourceError: TensorFlow must read a record, and is not installed.
        """
        plain = [read_plain(record) for record in batch]
        if any(found is None for found in plain):
            values = self._parse(batch, first)
        else:
            found = [one for one in plain if one is not None]
            values = {
                feature.name: self._read(feature, batch, found, first) for feature in self._features
            }
        for feature in self._features:
            yield from self._bands(feature, _converted(values[feature.name], feature, first))

    def _read(
        self,
        feature: Feature,
        batch: Sequence[bytes],
        plain: Sequence[Mapping[str, PlainFeature]],
        first: int,
    ) -> npt.NDArray[Any]:
        """Return the values of a feature, (record, value), of records that could be read."""
        count, dtype = self._length(feature), self._dtype(feature)
        values: npt.NDArray[Any] = np.empty((len(batch), count), dtype=dtype)
        for target, record, features in zip(values, batch, plain, strict=True):
            found = features.get(feature.name)
            if found is None or found.kind != feature.kind or len(found.values) != 1:
                raise self._explain(batch, first)
            ((start, stop),) = found.values
            if stop - start != values[0].nbytes:
                raise self._explain(batch, first)
            target[:] = np.frombuffer(record, dtype, count, start)
        return values

    def _parse(self, batch: Sequence[bytes], first: int) -> dict[str, npt.NDArray[Any]]:
        """Return the values of all features, which TensorFlow parses."""
        parser = self._parser
        try:
            parsed = parser.parse(batch)
        except parser.errors as error:
            raise self._explain(batch, first, error) from None
        values = {}
        for feature in self._features:
            found = parsed[feature.name]
            values[feature.name] = (
                self._joined(feature, found, first) if isinstance(found, list) else found
            )
        return values

    @cached_property
    def _parser(self) -> TensorFlowParser:
        return TensorFlowParser({one.name: (one.kind, self._length(one)) for one in self._features})

    def _joined(self, feature: Feature, texts: Sequence[bytes], first: int) -> npt.NDArray[Any]:
        dtype = self._dtype(feature)
        expected = self._length(feature) * dtype.itemsize
        for number, text in enumerate(texts, first):
            if len(text) != expected:
                raise _wrong_length(number, feature.name, f"{expected} bytes", len(text))
        return np.frombuffer(b"".join(texts), dtype=dtype).reshape(len(texts), -1)

    def _dtype(self, feature: Feature) -> np.dtype[Any]:
        """Return the type of the values in a record."""
        dtype = feature.dtype if feature.kind == "bytes_list" else "float32"
        return np.dtype(dtype).newbyteorder("<")

    def _length(self, feature: Feature) -> int:
        rows, cols = self._padded(feature)
        return rows * cols * feature.depth

    def _padded(self, feature: Feature) -> tuple[int, int]:
        (rows, cols), (more_rows, more_cols) = self._mixer.patch, feature.margin
        return (rows + more_rows, cols + more_cols)

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

    def _explain(
        self, records: Sequence[bytes], first: int, error: Exception | None = None
    ) -> UnnamedError:
        """Return the error for the first bad record of a batch."""
        for number, record in enumerate(records, first):
            found = feature_sizes(record, number)
            for feature in self._features:
                size = found.get(feature.name)
                if size is None:
                    return missing_feature(number, feature.name, found)
                if size.kind != feature.kind:
                    return UnnamedError(
                        f"record {number}: feature `{feature.name}`: expected"
                        f" `{feature.kind}`, as in the first record, got `{size.kind or 'nothing'}`"
                    )
                expected = 1 if size.kind == "bytes_list" else self._length(feature)
                if size.values != expected:
                    unit = "value" if expected == 1 else "values"
                    what = f"{expected} {unit}"
                    return _wrong_length(number, feature.name, what, size.values)
                wanted = self._length(feature) * self._dtype(feature).itemsize
                if size.size is not None and size.size != wanted:
                    return _wrong_length(number, feature.name, f"{wanted} bytes", size.size)
        return UnnamedError(f"records from {first} on cannot be parsed: {error}")


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
