"""Examples and SequenceExamples as bytes, many at once, straight from arrays of float32.

Records of one layout differ only in their floats: all else is made once, as a template. What comes
out is byte for byte what protobuf's deterministic serialisation makes of the same message; features
stand sorted by name.

Source: tensorflow/core/example/{example,feature}.proto and the encoding of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Floats: TypeAlias = npt.NDArray[np.float32]
Records: TypeAlias = npt.NDArray[np.uint8]
"""(records, bytes of one)."""

_FLOAT = np.dtype("<f4")
_CONTEXT, _FEATURE_LISTS = 1, 2
"""Fields of a SequenceExample; an Example has only the first."""
_ITEM = 1
"""Field of every message that holds only a list or a map."""
_KEY, _VALUE = 1, 2
"""Fields of an item of a map."""
_FLOAT_LIST = 2
"""Field of a Feature."""
_LENGTH_DELIMITED = 2
"""Wire type of texts, messages and packed numbers."""


class _Slot(NamedTuple):
    """A slot for floats."""

    offset: int
    """Bytes before it."""
    start: int
    """Index of its first float in the record."""
    floats: int
    """How many floats."""


class _Message(NamedTuple):
    """The bytes of a message, zeros where floats go."""

    template: bytes
    slots: tuple[_Slot, ...] = ()


class RecordLayout(Struct, frozen=True, kw_only=True):
    """The conversion of a record's floats to its bytes."""

    template: bytes
    """The bytes of a record, zeros where floats go."""
    slots: tuple[_Slot, ...]
    """The slots for floats."""

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return len(self.template)

    def encode(self, values: Floats) -> Records:
        """Return records, one for each row.

        Args:
            values: (records, floats of one), in the order of the layout's arguments.
        """
        records = np.empty((len(values), self.size), dtype=np.uint8)
        records[:] = np.frombuffer(self.template, dtype=np.uint8)
        for offset, start, count in self.slots:
            floats = np.ascontiguousarray(values[:, start : start + count], dtype=_FLOAT)
            size = count * _FLOAT.itemsize
            records[:, offset : offset + size] = floats.view(np.uint8)
        return records


def example_layout(features: Sequence[tuple[str, int]]) -> RecordLayout:
    """Return the layout of a `tf.train.Example`.

    Args:
        features: Name and number of floats of each feature, in the order of the floats.
    """
    return _layout(_wrap(_CONTEXT, _features(features, start=0)))


def sequence_layout(
    context: Sequence[str], feature_lists: Sequence[tuple[str, int]]
) -> RecordLayout:
    """Return the layout of a `tf.train.SequenceExample`, whose steps are one float each.

    Args:
        context: Names of the features of one float, in the order of the floats.
        feature_lists: Name and number of steps of each feature list; their floats come after.
    """
    parts = []
    if context:
        parts.append(_wrap(_CONTEXT, _features([(name, 1) for name in context], start=0)))
    if feature_lists:
        lists, start = {}, len(context)
        for name, count in feature_lists:
            lists[name] = _join(_wrap(_ITEM, _feature(start + step, 1)) for step in range(count))
            start += count
        parts.append(_wrap(_FEATURE_LISTS, _map(lists)))
    return _layout(_join(parts))


def _layout(message: _Message) -> RecordLayout:
    return RecordLayout(template=message.template, slots=message.slots)


def _features(features: Sequence[tuple[str, int]], *, start: int) -> _Message:
    found = {}
    for name, count in features:
        found[name] = _feature(start, count)
        start += count
    return _map(found)


def _feature(start: int, count: int) -> _Message:
    """Return a Feature with a packed float list."""
    floats = _Message(bytes(count * _FLOAT.itemsize), (_Slot(0, start, count),))
    return _wrap(_FLOAT_LIST, _wrap(_ITEM, floats))


def _map(items: dict[str, _Message]) -> _Message:
    named = sorted((name.encode(), message) for name, message in items.items())
    return _join(
        _wrap(_ITEM, _join((_wrap(_KEY, _Message(name)), _wrap(_VALUE, message))))
        for name, message in named
    )


def _wrap(field: int, message: _Message) -> _Message:
    """Return a message as a field of the one around it: a tag, its length, and itself."""
    head = _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(message.template))
    return _join((_Message(head), message))


def _join(messages: Iterable[_Message]) -> _Message:
    templates: list[bytes] = []
    slots: list[_Slot] = []
    size = 0
    for message in messages:
        slots += (slot._replace(offset=slot.offset + size) for slot in message.slots)
        templates.append(message.template)
        size += len(message.template)
    return _Message(b"".join(templates), tuple(slots))


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first; the eighth bit says: more."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*groups, value))
