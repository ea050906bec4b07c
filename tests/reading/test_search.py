"""Assets are found by place, time and properties, from Python as by `ls`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import Workbench, image, write_tiff

import geobatch


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> geobatch.Store:
    folder: Path = tmp_path_factory.mktemp("search")
    bench = Workbench(folder=folder)
    write_tiff(folder / "a.tif", [np.ones((64, 64), dtype=np.int16)])
    write_tiff(folder / "b.tif", [np.ones((64, 64), dtype=np.int16)], crs="EPSG:32601")
    bands = [{"id": "v", "tileset_id": "t"}]
    bench.apply(
        image("s/a", "a.tif", bands=bands, start_time="2025-01-31T23:59:59.5Z",
              properties={"cloud": 5, "tile": "T33"}),
        image("s/b", "b.tif", bands=bands, start_time="2025-02-01",
              end_time="2025-02-03", properties={"cloud": 50}),
        image("t/c", "a.tif", bands=bands),
    )  # fmt: skip
    return geobatch.open_store(bench.store)


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["s/a", "s/b", "t/c"]),
        ({"prefix": "s/"}, ["s/a", "s/b"]),
        ({"datetime": "2025"}, ["s/a", "s/b"]),
        ({"datetime": "2025-01"}, ["s/a"]),
        ({"datetime": "2025-01-31"}, ["s/a"]),
        ({"datetime": "2025-02"}, ["s/b"]),
        ({"datetime": "2025-02-02T12:00:00Z"}, ["s/b"]),
        ({"datetime": "2025-02-03T00:00:00Z"}, []),
        ({"datetime": "2025-01-31T23:59:59.5Z"}, ["s/a"]),
        ({"datetime": "2025-02-01/.."}, ["s/b"]),
        ({"datetime": "../2025-01"}, ["s/a"]),
        ({"datetime": "../2025-02-01T00:00:00Z"}, ["s/a", "s/b"]),
        ({"datetime": (None, "2025-02-01")}, ["s/a"]),
        ({"datetime": ("2025-02-02", None)}, ["s/b"]),
        ({"properties": ["cloud<20"]}, ["s/a"]),
        ({"properties": ["cloud>=5", "tile=T33"]}, ["s/a"]),
        ({"properties": ["cloud>5", "tile=T33"]}, []),
        ({"bbox": (14, 44, 16, 46)}, ["s/a", "t/c"]),
        ({"bbox": (170, 40, -170, 50)}, ["s/b"]),
        ({"bbox": (14, 44, 16, 46), "datetime": "2025"}, ["s/a"]),
        ({"bbox": (0, 0, 1, 1)}, []),
    ],
)
def test_what_is_found(store: geobatch.Store, query: dict[str, Any], ids: list[str]) -> None:
    assert list(store.search(**query)) == ids


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"datetime": "yesterday"}, "`yesterday` is not a valid time"),
        ({"datetime": "2025-13"}, "2025-13"),
        ({"datetime": "2025-02/2024"}, "before"),
        ({"properties": ["cloud"]}, "`cloud` is not a valid condition"),
        ({"bbox": (1, 5, 2, 4)}, "empty"),
    ],
)
def test_what_is_malformed_is_said(
    store: geobatch.Store, query: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        store.search(**query)


def test_one_text_is_no_list_of_conditions(store: geobatch.Store) -> None:
    with pytest.raises(TypeError, match="list"):
        store.search(properties="cloud<20")
