"""`verify --against`: where two stores differ, and that equal parts are not read."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.model.digest import Digest
from geobatch.store.maintenance.against import StoreComparison, compare_stores
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply


def pixels(seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(1, 250, (300, 340)).astype(np.uint8)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    for name in "abc":
        write_tiff(tmp_path / f"{name}.tif", [pixels(ord(name))])
    return Workbench(folder=tmp_path)


def made(bench: Workbench, store: str, *documents: Document) -> Path:
    spec = bench.write_spec(documents, f"{store}.yaml")
    apply([spec], store=bench.folder / store, workers=1)
    return bench.folder / store


def compared(here: Path, there: Path, *names: str) -> StoreComparison:
    with closing(TileStore.open(here)) as one, closing(TileStore.open(there)) as other:
        return compare_stores(one, other, head=one.head(), names=names)


def spec(name: str, **more: Any) -> Document:
    return image(name, f"{name}.tif", tile=64, **more)


def test_equal_content_is_equal_whatever_its_codec_and_history(bench: Workbench) -> None:
    made(bench, "one", spec("a", memo="old"))
    one = made(bench, "one", spec("a"), spec("b"))
    other = made(bench, "other", spec("a", codec="gzip"), spec("b", codec="zstd"))
    found = compared(one, other)
    assert found.is_equal
    assert found.roots[0] == found.roots[1]
    assert found.equal == 2


def test_assets_fields_and_tiles_are_named(bench: Workbench) -> None:
    one = made(bench, "one", spec("a"), spec("b", properties={"n": 1, "m": "x"}))
    changed = pixels(ord("a"))
    changed[70, 200] ^= 1
    write_tiff(bench.folder / "a.tif", [changed])
    other = made(
        bench, "other", spec("a", pyramiding_policy="SAMPLE"),
        spec("b", properties={"n": 2, "k": 3}), spec("c"),
    )  # fmt: skip
    found = compared(one, other)
    assert [(asset.id, asset.is_here, asset.is_there) for asset in found.assets] == [
        ("a", True, True), ("b", True, True), ("c", False, True),
    ]  # fmt: skip
    a, b, _ = found.assets
    assert [(field.path, field.here, field.there) for field in a.fields] == [
        ("bands.b1.policy", "MEAN", "SAMPLE")
    ]
    assert {field.path: (field.here, field.there) for field in b.fields} == {
        "properties.n": (1, 2), "properties.m": ("x", None), "properties.k": (None, 3),
    }  # fmt: skip
    assert b.arrays == ()
    levels = {array.key.level: array for array in a.arrays}
    assert levels[0].changed == ((1, 3),)
    assert len(levels[1].changed) == 9
    back = compared(other, one)
    assert [asset.is_there for asset in back.assets] == [True, True, False]


def test_other_tilings_and_grids_cannot_be_compared_tile_by_tile(bench: Workbench) -> None:
    one = made(bench, "one", image("a", "a.tif", tile=64))
    other = made(bench, "other", image("a", "a.tif", tile=128))
    (asset,) = compared(one, other).assets
    assert [field.path for field in asset.fields] == ["tile"]
    assert [len(array.only_here) for array in asset.arrays] == [30, 9]
    assert [len(array.only_there) for array in asset.arrays] == [9, 4]


class Counted(Objects):
    """Objects that count what is read of them."""

    def get(self, digest: Digest) -> bytes:
        self.read = getattr(self, "read", 0) + 1
        return super().get(digest)


def test_equal_subtrees_are_not_read(bench: Workbench) -> None:
    names = [f"n/{number}" for number in range(30)]
    documents = [image(name, "a.tif", tile=64) for name in names]
    one = made(bench, "one", *documents)
    other = made(bench, "other", *documents[:-1], image(names[-1], "b.tif", tile=64))
    with closing(TileStore.open(one)) as first, closing(TileStore.open(other)) as second:
        heads = first.head()
        for store in (first, second):
            store.objects.__class__ = Counted
        found = compare_stores(first, second, head=heads)
        assert [asset.id for asset in found.assets] == [names[-1]]
        # The document twice, and a page of each of the two levels.
        assert first.objects.read <= 4  # type: ignore[attr-defined]


def test_the_command(bench: Workbench) -> None:
    one = made(bench, "one", spec("a"))
    other = made(bench, "other", spec("a"), spec("b"))
    done = geobatch("--store", one, "--json", "verify", "--against", other)
    assert done.code == 6
    assert done.record("against")["assets"][0]["id"] == "b"
    assert geobatch("--store", one, "verify", "a", "--against", other).code == 0
    assert geobatch("--store", one, "verify", "--against", bench.folder / "none").code == 10
    assert geobatch("--store", one, "verify", "--against", other, "--sample", "1%").code == 64
