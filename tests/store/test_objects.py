"""Objects are what their names say, or an error says which is not."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import CorruptObjectError
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.objects import Objects


@given(st.binary(max_size=100))
def test_an_object_is_named_by_its_digest(data: bytes) -> None:
    backend = MemoryBackend()
    objects = Objects(backend)
    digest, is_new = objects.put(data)
    assert is_new
    assert digest == blake3(data).hexdigest()
    assert objects.put(data) == (digest, False)
    assert objects.get(digest) == data
    assert list(backend.list("")) == [f"objects/{digest[:2]}/{digest[2:]}"]


@given(st.binary(min_size=1, max_size=100), st.data())
def test_any_flipped_cut_or_missing_byte_is_found(data: bytes, draw: st.DataObject) -> None:
    backend = MemoryBackend()
    objects = Objects(backend)
    digest, _ = objects.put(data)
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = data[: draw.draw(st.integers(0, len(data) - 1))]
    for damaged in (flipped, cut, data + b"\0"):
        backend.replace(Objects.path(digest), damaged)
        with pytest.raises(CorruptObjectError, match=Objects.path(digest)) as caught:
            objects.get(digest)
        assert caught.value.hint
    backend.delete(Objects.path(digest))
    with pytest.raises(CorruptObjectError, match=f"{Objects.path(digest)}` is missing"):
        objects.get(digest)


def test_a_torn_object_is_written_anew() -> None:
    backend = MemoryBackend()
    objects = Objects(backend)
    digest, _ = objects.put(b"whole")
    backend.replace(Objects.path(digest), b"")
    assert objects.put(b"whole") == (digest, True)
    assert objects.get(digest) == b"whole"
