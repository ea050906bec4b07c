"""The STAC API, read by pages, and its documents by stac-pydantic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving import client
from stac_pydantic import Collection, Item
from stac_pydantic.api import ItemCollection, LandingPage
from starlette.testclient import TestClient
from workbench import Workbench, image, write_tiff


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("stac-api")
    bench = Workbench(folder=folder)
    write_tiff(folder / "a.tif", [np.ones((64, 64), dtype=np.int16)])
    bands = [{"id": "v", "tileset_id": "t"}]
    bench.apply(*(
        image(f"s2/{day:02}", "a.tif", bands=bands, start_time=f"2025-01-{day:02}")
        for day in range(1, 8)
    ), image("top", "a.tif", bands=bands, start_time="2025-02-01"))  # fmt: skip
    with client(bench.store) as made:
        yield made


def test_the_documents_are_valid(web: TestClient) -> None:
    landing = web.get("/stac").json()
    LandingPage.model_validate(landing)
    found = web.get("/stac/collections").json()["collections"]
    assert {one["id"] for one in found} == {"s2", "~top"}
    for one in found:
        Collection.model_validate(one)
        assert web.get(f"/stac/collections/{one['id']}").json() == one
    answer = web.get("/stac/search?limit=100").json()
    ItemCollection.model_validate(answer)
    for one in answer["features"]:
        Item.model_validate(one)
    assert answer["numberMatched"] == 8


def test_links_lead_somewhere(web: TestClient) -> None:
    for link in web.get("/stac").json()["links"]:
        assert web.get(link["href"]).status_code == 200, link
    item = web.get("/stac/collections/s2/items").json()["features"][0]
    for link in [*item["links"], *item["assets"].values()]:
        # A group of Zarr is a folder, which itself is no file.
        end = "/zarr.json" if "/zarr" in link["href"] and ".json" not in link["href"] else ""
        assert web.get(link["href"] + end).status_code == 200, link


def test_all_items_are_found_by_pages(web: TestClient) -> None:
    url, ids = "/stac/collections/s2/items?limit=3", []
    while url:
        page = web.get(url).json()
        ids += [one["id"] for one in page["features"]]
        url = next((one["href"] for one in page["links"] if one["rel"] == "next"), "")
    assert ids == [f"s2.{day:02}" for day in range(1, 8)]


@pytest.mark.parametrize(
    ("query", "count"),
    [("datetime=2025-01-03T00:00:00Z/..", 6), ("bbox=0,0,1,1", 0), ("bbox=14,44,16,46", 8),
     ("bbox=14,44,0,16,46,9", 8), ("ids=s2.01,top", 2), ("collections=~top", 1),
     ("collections=none", 0)],
)  # fmt: skip
def test_conditions(web: TestClient, query: str, count: int) -> None:
    assert web.get(f"/stac/search?{query}").json()["numberMatched"] == count


@pytest.mark.parametrize(
    ("path", "status"),
    [("search?bbox=1", 400), ("search?bbox=nan,0,1,1", 400), ("search?datetime=x", 400),
     ("search?limit=0", 400),
     ("search?limit=x", 400), ("collections/none", 404), ("collections/none/items", 404),
     ("collections/s2/items/none", 404), ("collections/~top/items/s2.01", 404),
     ("conformance", 200)],
)  # fmt: skip
def test_errors(web: TestClient, path: str, status: int) -> None:
    done: Any = web.get(f"/stac/{path}")
    assert done.status_code == status
