"""`parquet/` shows the tables of the head, whatever became of it meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from table_workbench import longs, published, stored_rows, view, write_spec, write_split

from geobatch.explain.status import status
from geobatch.store.tilestore import TileStore
from geobatch.workflow.plan import plan


def files(folder: Path) -> set[str]:
    top = folder / "store" / "parquet"
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_spec(tmp_path)
    write_split(tmp_path, [{"a": longs(1)}], [])
    published(tmp_path)
    return tmp_path


def test_it_is_the_object_itself(folder: Path) -> None:
    store = TileStore.open(folder / "store")
    record = store.record(store.head().tree.entries[0])
    assert record.table is not None
    name = record.table.stored
    assert view(folder).samefile(folder / "store" / "objects" / name[:2] / name[2:])
    assert view(folder).stat().st_mode & 0o777 == 0o444
    assert not (folder / "store" / "zarr" / "t").exists()


def test_what_was_lost_or_replaced_comes_back(folder: Path) -> None:
    assert files(folder) == {"t/rows.parquet"}
    for harm in (Path.unlink, (folder / "other").replace):
        (folder / "other").write_bytes(b"something else")
        harm(view(folder))
        found = status(folder / "store").store
        assert found is not None
        assert found.tree is not None
        assert found.tree.behind == ("t/rows",)
        published(folder)
        assert stored_rows(view(folder)) == [{"a": 1}]
    (folder / "store" / "parquet" / "gone" / "x").mkdir(parents=True)
    (folder / "store" / "parquet" / "gone" / "x" / "y.parquet").write_bytes(b"")
    published(folder)
    assert files(folder) == {"t/rows.parquet"}


def test_a_new_state_replaces_the_file_and_an_open_one_stays(folder: Path) -> None:
    with view(folder).open("rb") as old:
        write_split(folder, [{"a": longs(2)}], [])
        published(folder)
        assert stored_rows(view(folder)) == [{"a": 2}]
        (folder / "old.parquet").write_bytes(old.read())
    assert stored_rows(folder / "old.parquet") == [{"a": 1}]


def test_where_links_are_impossible_it_is_a_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def refuse(source: str, target: str) -> None:
        if "/parquet/" in str(target):
            raise OSError(errno.EXDEV, "cross-device link")
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    view(folder).unlink()
    published(folder)
    made = view(folder).stat()
    assert made.st_nlink == 1
    assert stored_rows(view(folder)) == [{"a": 1}]
    published(folder)
    assert view(folder).stat().st_ino == made.st_ino


def test_a_table_becomes_an_image_and_one_again(folder: Path) -> None:
    spec = folder / "table.yaml"
    text = spec.read_text()
    first = TileStore.open(folder / "store").head().commit
    with rasterio.open(
        folder / "a.tif", "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(1, 0, 0, 0, -1, 9),
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 4, 4), dtype=np.uint8))
    spec.write_text("id: t/rows\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    (change,) = plan([spec], store=folder / "store").changes
    assert any(because.path == "kind" for because in change.because)
    published(folder)
    assert files(folder) == set()
    assert (folder / "store" / "zarr" / "t" / "rows" / "zarr.json").exists()
    spec.write_text(text)
    root = published(folder)
    assert first is not None
    assert root == first.content_root
    assert files(folder) == {"t/rows.parquet"}
    assert not (folder / "store" / "zarr" / "t").exists()
