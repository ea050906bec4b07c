"""The one decoder of tiles: what is stored, and what an absent array means."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr_workbench as bench

from geobatch.errors import CorruptObjectError
from geobatch.format.codec import encode
from geobatch.model.assets.asset import Band, Codec, Masking, MaskSource
from geobatch.model.digest import digest_bytes
from geobatch.model.published import ArrayKey
from geobatch.model.tile import StoredTile, TileKey
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.objects import Objects
from geobatch.store.pixels import read_array, read_tile

FREE = Masking(source=MaskSource.VALUES, values=(-9999,), is_fill_free=True)
PARTIAL = Masking(source=MaskSource.FILE, is_partial=True)
NOTHING = Masking(source=MaskSource.NONE)
VALUES = np.array([[1, -9999], [3, 4]], dtype=np.int16)
WEIGHTS = np.array([[0, 255], [7, 255]], dtype=np.uint8)
FILLED = np.array([[255, 0], [255, 255]], dtype=np.uint8)
MASKED = np.zeros((2, 2), dtype=np.uint8)


@pytest.mark.parametrize(
    ("masking", "level", "is_there", "expected"),
    [
        (NOTHING, 0, True, None),
        (FREE, 0, True, FILLED),  # no mask array at level 0: the fill says it
        (FREE, 1, True, WEIGHTS),
        (PARTIAL, 0, True, WEIGHTS),
        (FREE, 1, False, MASKED),  # an absent tile of a mask array is 0, masked
        (PARTIAL, 0, False, MASKED),
    ],
)
def test_the_mask_of_a_tile(
    masking: Masking, level: int, is_there: bool, expected: npt.NDArray[np.uint8] | None
) -> None:
    band = bench.band(masking=masking)
    arrays: dict[ArrayKey, npt.NDArray[Any]] = {ArrayKey(band="b1", level=level): VALUES}
    if is_there:
        arrays[ArrayKey(band="b1", level=level, is_mask=True)] = WEIGHTS
    values, mask = read_tile(band, level, arrays.get)
    assert values is VALUES
    assert (mask is None) == (expected is None)
    assert mask is None or np.array_equal(mask, np.asarray(expected))


@pytest.mark.parametrize("band", [bench.band(), bench.band(masking=NOTHING)])
def test_a_tile_without_values_is_all_masked(band: Band) -> None:
    arrays: dict[ArrayKey, npt.NDArray[Any]] = {}
    assert read_tile(band, 0, arrays.get) == (None, None)


def test_nan_is_masked() -> None:
    values = np.array([[1.5, np.nan]], dtype=np.float32)
    band = bench.band(dtype="float32", fill=float("nan"), masking=FREE)
    _, mask = read_tile(band, 0, {ArrayKey(band="b1", level=0): values}.get)
    assert mask is not None
    assert mask.tolist() == [[255, 0]]


@pytest.mark.parametrize("is_mask", [False, True])
def test_an_array_is_read_as_it_was_put_and_damage_names_its_tile(is_mask: bool) -> None:
    backend = MemoryBackend()
    objects, codec = Objects(backend), Codec()
    pixels = WEIGHTS if is_mask else VALUES
    digest, _ = objects.put(encode(codec, pixels))
    key = TileKey(ArrayKey(band="b1", level=3, is_mask=is_mask), 5, 6)

    def read(stored: str) -> npt.NDArray[Any] | None:
        tile = StoredTile(row=5, col=6, content=b"", stored=bytes.fromhex(stored), size=0)
        return read_array(key, tile, objects=objects, codec=codec, dtype="int16", side=2)

    found = read(digest)
    assert found is not None
    assert (found.dtype, found.tolist()) == (pixels.dtype, pixels.tolist())
    words = "mask of band" if is_mask else "band"
    with pytest.raises(CorruptObjectError, match=f"^level 3, {words} `b1`, tile 5/6: "):
        read(digest_bytes(b"no such object"))
    assert read_array(key, None, objects=objects, codec=codec, dtype="int16", side=2) is None
