"""How many features a serialized Example has, counted without parsing it.

Parsed, a feature of ten bytes takes hundreds: a short record could take all memory.

Source: https://protobuf.dev/programming-guides/encoding/, and tensorflow/core/example/example.proto
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_FIXED = {_FIXED_64: 8, _FIXED_32: 4}
_FIELD = 1 << 3 | _BYTES
"""Start of `Example.features`, and of an entry of `Features.feature`: both are field 1."""
_VARINT_BYTES = 10


def has_many_features(record: bytes, most: int) -> bool:
    """Return whether an Example has more features than some number.

    Args:
        record: Its bytes; of others, what is counted ends where they are no message.
        most: The number.
    """
    count = 0
    for start, stop in _fields(record, 0, len(record)):
        for _ in _fields(record, start, stop):
            count += 1
            if count > most:
                return True
    return False


def _fields(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of the messages in field 1 of a message."""
    while at < stop:
        key, at = _varint(data, at, stop)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(data, at, stop)
        elif kind in _FIXED:
            at += _FIXED[kind]
        elif kind == _BYTES:
            length, at = _varint(data, at, stop)
            if key == _FIELD:
                yield at, min(at + length, stop)
            at += length
        else:
            return


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """Return a number and where it ends; past the end, where there is none."""
    value = 0
    for shift in range(_VARINT_BYTES):
        if at >= stop:
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << 7 * shift
        if byte < 128:
            return value, at
    return 0, stop
