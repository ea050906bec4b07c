"""Examples of floats and of bytes, read where they are in a record: no message is made of them.

Only the one spelling is read that protobuf's deterministic serialisation gives, with features in
any order: packed floats, lengths in as few bytes as possible, each name once. What else a message
may be is left to TensorFlow.

Source: tensorflow/core/example/{example,feature}.proto and the encoding of protocol buffers.
"""

from __future__ import annotations

from typing import NamedTuple

_FIRST, _SECOND = 0x0A, 0x12
"""Tags of the fields 1 and 2, if they hold texts, messages or packed numbers."""
_KINDS = {_FIRST: "bytes_list", _SECOND: "float_list"}
"""What a `Feature` may hold, by its tag."""
_MOST_SHIFT = 28
"""Where the last group of seven bits of a length may begin."""
_FLOAT_BYTES = 4

Span = tuple[int, int]
"""(start, stop) of bytes of a record."""


class PlainFeature(NamedTuple):
    """A feature of a record."""

    kind: str
    """`float_list` or `bytes_list`."""
    values: tuple[Span, ...]
    """Each value of a `bytes_list`; all of a `float_list`, which are little-endian."""
    entry: Span
    """The whole feature, with its name."""


def read_plain(record: bytes) -> dict[str, PlainFeature] | None:
    """Return the features of a record by name, or None if TensorFlow must read it.

    Args:
        record: A serialized `tf.train.Example`, or any other bytes.
    """
    found: dict[str, PlainFeature] = {}
    try:
        at, stop = _field(record, 0, len(record), _FIRST)
        if stop != len(record):
            return None
        while at < stop:
            start = at
            inner, at = _field(record, at, stop, _FIRST)
            name_at, name_stop = _field(record, inner, at, _FIRST)
            name = record[name_at:name_stop].decode()
            feature, end = _field(record, name_stop, at, _SECOND)
            if end != at or name in found:
                return None
            kind = _KINDS[record[feature]]
            found[name] = PlainFeature(kind, _values(record, feature, at), (start, at))
    except (IndexError, KeyError, ValueError):
        return None
    return found


def sorted_parts(record: bytes, features: dict[str, PlainFeature]) -> list[bytes]:
    """Return a record in parts whose features are sorted by name, as protobuf sorts them.

    Args:
        record: The record.
        features: What `read_plain` found in it, at least one.
    """
    names = sorted(features, key=_place)
    if names == list(features):
        return [record]
    head = record[: min(one.entry[0] for one in features.values())]
    return [head, *(record[slice(*features[name].entry)] for name in names)]


def _place(name: str) -> bytes:
    """Return what sorts a name as protobuf does: behind longer names that begin with it."""
    return name.encode() + b"\xff"  # a byte that no text has


def _values(record: bytes, feature: int, stop: int) -> tuple[Span, ...]:
    """Return where the values of a feature are, of which there is one at least."""
    at, end = _field(record, feature, stop, record[feature])
    if end != stop:
        raise ValueError("more than one list")
    values: list[Span] = []
    is_floats = record[feature] == _SECOND
    while at < stop or not values:
        span = _field(record, at, stop, _FIRST)
        at = span[1]
        values.append(span)
    if is_floats:
        ((start, end),) = values  # or it is a ValueError: packed in several parts
        if start == end or (end - start) % _FLOAT_BYTES:
            raise ValueError("no floats")
    return tuple(values)


def _field(data: bytes, at: int, stop: int, tag: int) -> Span:
    """Return where the content of a field is.

    Raises:
        ValueError: It is another field, is longer than what is around it, or its length takes more
            bytes than it must.
        IndexError: It begins beyond the end.
    """
    if data[at] != tag:
        raise ValueError("another field")
    length = shift = 0
    while True:
        at += 1
        byte = data[at]
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > _MOST_SHIFT:
            raise ValueError("no length")
    at += 1
    if (shift and not byte) or at + length > stop:
        raise ValueError("no length of what is here")
    return at, at + length
