"""Histories that once went wrong, as short as they can be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from workbench import Workbench, image, write_tiff


def test_a_band_without_tiles_gets_another_shape(tmp_path: Path) -> None:
    """The plain tree compared the tiles of two planes, of which one has none."""
    bench = Workbench(folder=tmp_path)
    empty = np.zeros((40, 40), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [empty], nodata=0)
    write_tiff(tmp_path / "b.tif", [empty + 7], col=40, nodata=0)
    roots = [
        bench.apply(image("a", *uris, tile=16)).content_root
        for uris in (["a.tif"], ["a.tif", "b.tif"], ["a.tif"])
    ]
    assert roots[0] == roots[2] != roots[1]
    assert bench.array("a/0/b1").shape == (40, 40)
    assert not bench.array("a/0/b1").any()


def test_a_cache_whose_damage_is_no_text(tmp_path: Path) -> None:
    """A schema with a byte that is no UTF-8 made sqlite3 raise what nobody caught."""
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((40, 40), dtype=np.uint8)])
    root = bench.apply(image("a", "a.tif")).content_root
    caches = list((bench.store / "cache").rglob("*.sqlite"))
    for path in caches:
        whole = path.read_bytes()
        assert whole.count(b"PRIMARY KEY (kind, key)") == 1
        path.write_bytes(whole.replace(b"(kind, key)", b"(kind, k\xe5y)"))
    assert caches
    for _ in range(2):
        again = bench.apply(image("a", "a.tif"))
        assert (again.commit, again.content_root) == (None, root)
