"""A commit as STAC: what two validators accept, found as `Store.search` finds it, by pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac.validation
import pytest
import rasterio
import shapely
import stac_pydantic
from rasterio.transform import Affine
from workbench import Workbench, image, write_tiff

import geobatch
from geobatch.errors import NotFoundError
from geobatch.stac.links import FileLinks

BANDS = [{"id": "v", "tileset_id": "t"}]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> geobatch.Store:
    folder: Path = tmp_path_factory.mktemp("stac")
    bench = Workbench(folder=folder)
    pixels = [np.arange(4096, dtype=np.int16).reshape(64, 64)]
    write_tiff(folder / "a.tif", pixels, nodata=7)
    write_tiff(folder / "b.tif", pixels, crs="EPSG:32601")
    bench.apply(
        image("s/l2/a", "a.tif", bands=BANDS, start_time="2025-01-31T23:59:59.123456789Z",
              properties={"cloud": 5, "datetime": "noon", "license": "CC-BY-4.0", "gsd": "10 m"}),
        image("s/l2/b", "b.tif", bands=BANDS, start_time="2025-02-01", end_time="2025-02-03",
              properties={"cloud": 50, "license": "CC-BY-4.0"}),
        image("s/c", "a.tif", bands=BANDS),
        image("top", "a.tif", bands=BANDS),
    )  # fmt: skip
    return geobatch.open_store(bench.store)


def checked(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item that stac-pydantic and pystac accept."""
    stac_pydantic.Item.model_validate(item)
    assert pystac.validation.validate_dict({**item, "stac_extensions": []})
    return item


def test_every_document_is_valid(store: geobatch.Store) -> None:
    for found in (store.stac(), store.stac(api="https://example.org/stac")):
        assert [checked(one)["id"] for one in found.search().items] == [
            "s.c", "s.l2.a", "s.l2.b", "top",
        ]  # fmt: skip
        for collection in found.collections():
            stac_pydantic.Collection.model_validate(collection)
            assert pystac.validation.validate_dict(collection)
        stac_pydantic.Catalog.model_validate(found.catalog())
        assert pystac.validation.validate_dict(found.catalog())


def test_what_an_item_says(store: geobatch.Store) -> None:
    item = store.stac().item("s.l2.a")
    assert item["collection"] == "s.l2"
    properties = item["properties"]
    assert properties["datetime"] == "2025-01-31T23:59:59.123456Z"
    assert properties["proj:code"] == "EPSG:32633"
    assert properties["proj:shape"] == [64, 64]
    assert properties["proj:transform"] == [10, 0, 500_000, 0, -10, 5_000_000]
    assert properties["proj:bbox"] == [500_000, 4_999_360, 500_640, 5_000_000]
    assert (properties["cloud"], properties["license"]) == (5, "CC-BY-4.0")
    # Names that STAC has for something else are no names of the user.
    assert (properties["geobatch:datetime"], properties["geobatch:gsd"]) == ("noon", "10 m")
    asset = item["assets"]["zarr"]
    assert asset["href"] == "../../../zarr/s/l2/a"
    assert asset["bands"] == [{"name": "v", "data_type": "int16", "nodata": 7}]


def test_times_end_with_their_last_microsecond(store: geobatch.Store) -> None:
    properties = store.stac().item("s.l2.b")["properties"]
    assert properties["datetime"] == properties["start_datetime"] == "2025-02-01T00:00:00Z"
    assert properties["end_datetime"] == "2025-02-02T23:59:59.999999Z"


def test_no_time_is_invented(store: geobatch.Store) -> None:
    properties = store.stac().item("s.c")["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] < "1701"
    assert properties["end_datetime"] > "2199"


def test_collections_are_folders(store: geobatch.Store) -> None:
    found = {one["id"]: one for one in store.stac().collections()}
    assert sorted(found) == ["s", "s.l2", "~top"]
    assert found["s.l2"]["license"] == "CC-BY-4.0"
    assert found["s"]["license"] == "other"
    assert found["s.l2"]["extent"]["temporal"]["interval"] == [
        ["2025-01-31T23:59:59.123456Z", "2025-02-02T23:59:59.999999Z"]
    ]
    assert found["s"]["extent"]["temporal"]["interval"] == [[None, None]]
    west, _, east, _ = found["s.l2"]["extent"]["spatial"]["bbox"][0]
    assert (round(west), round(east)) == (15, -177)  # the shorter way around
    assert store.stac().collection("s.l2") == found["s.l2"]


@pytest.mark.parametrize("name", ["s.l3", "s/l2", "", "l2", "s.l2.a", "~top.x", "top"])
def test_a_collection_that_is_not_there(store: geobatch.Store, name: str) -> None:
    with pytest.raises(NotFoundError, match="there is no collection"):
        store.stac().collection(name)


@pytest.mark.parametrize(("name", "inside"), [("s.l2", None), ("s/c", None), ("s.c", "s.l2")])
def test_an_item_that_is_not_there(store: geobatch.Store, name: str, inside: str | None) -> None:
    with pytest.raises(NotFoundError, match="there is no item"):
        store.stac().item(name, collection=inside)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"datetime": "2025"},
        {"datetime": "2025-01-31/.."},
        {"datetime": "2025-02-02T23:59:59.999999Z"},
        {"datetime": "2025-02-03T00:00:00Z/.."},
        {"bbox": (14, 44, 16, 46)},
        {"bbox": (170, 40, -170, 50)},
        {"bbox": (0, 0, 1, 1)},
        {"properties": ["cloud<20"]},
        {"bbox": (14, 44, 16, 46), "datetime": "../2025"},
    ],
)
def test_a_search_agrees_with_that_of_the_store(
    store: geobatch.Store, query: dict[str, Any]
) -> None:
    found = store.stac().search(**query)
    ids = list(store.search(**query))
    assert [one["properties"]["geobatch:id"] for one in found.items] == ids
    assert (found.matched, found.token) == (len(ids), None)


def test_a_search_by_ids_and_collections(store: geobatch.Store) -> None:
    found = store.stac()

    def ids(**query: Any) -> list[str]:
        return [one["id"] for one in found.search(**query).items]

    assert ids(ids=["s.c", "top", "no", "s/c"]) == ["s.c", "top"]
    assert ids(collections=["s.l2", "~top", "no"]) == ["s.l2.a", "s.l2.b", "top"]
    assert ids(ids=["s.c", "top"], collections=["s"]) == ["s.c"]
    assert ids(ids=[]) == []
    assert ids(bbox=(14, 44, -10, 16, 46, 9000)) == ["s.c", "s.l2.a", "top"]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_pages_are_the_whole(store: geobatch.Store, limit: int) -> None:
    seen: list[str] = []
    token = None
    while True:
        page = store.stac().search(limit=limit, token=token)
        assert page.matched == 4
        seen += [one["id"] for one in page.items]
        token = page.token
        if token is None:
            break
        assert len(page.items) == limit
    assert seen == ["s.c", "s.l2.a", "s.l2.b", "top"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"limit": 0}, "`limit`"),
        ({"bbox": (1, 2, 3)}, "four or six"),
        ({"bbox": (1, 5, 2, 4)}, "empty"),
        ({"datetime": "yesterday"}, "yesterday"),
    ],
)
def test_what_is_malformed_is_said(
    store: geobatch.Store, query: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        store.stac().search(**query)


def test_a_service_names_its_own_urls(store: geobatch.Store) -> None:
    item = store.stac(api="https://x.org/api/", files="s3://b/store").item("s.l2.a")
    hrefs = {one["rel"]: one["href"] for one in item["links"]}
    assert hrefs["self"] == "https://x.org/api/collections/s.l2/items/s.l2.a"
    assert hrefs["collection"] == "https://x.org/api/collections/s.l2"
    assert item["assets"]["zarr"]["href"] == "s3://b/store/zarr/s/l2/a"


def test_hrefs_do_not_depend_on_the_folder_in_which_a_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for folder in ("/", "/usr/lib"):
        monkeypatch.chdir(folder)
        links = FileLinks(at="a/b")
        assert links.file("../../far.tif") == "../../../../../far.tif"
        assert links.file("zarr/a") == "../../../zarr/a"
        assert links.item("a/b/c") == "./c.item.json"
        assert links.item("a/bc") == "../bc.item.json"
        assert links.root() == "../../catalog.json"
        assert FileLinks(at="").file("zarr/a") == "../zarr/a"
        assert FileLinks(at="").item("a/b") == "./a/b.item.json"
        assert FileLinks(at="", store="/s/store").file("../far.tif") == "/s/far.tif"


def outline(store: geobatch.Store, name: str) -> Any:
    return shapely.geometry.shape(store.stac().item(name)["geometry"])


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> geobatch.Store:
    """Return a store of grids that are hard to outline."""
    folder: Path = tmp_path_factory.mktemp("planes")
    bench = Workbench(folder=folder)
    specs = []
    for name, (crs, transform, shape) in PLANES.items():
        rows, cols = shape
        write_plane(folder / f"{name}.tif", crs, transform, rows, cols)
        specs.append(image(f"p/{name}", f"{name}.tif", bands=BANDS))
    bench.apply(*specs)
    return geobatch.open_store(bench.store)


PLANES: dict[str, tuple[str, Affine, tuple[int, int]]] = {
    "globe": ("EPSG:4326", Affine(5, 0, -180, 0, -5, 90), (36, 72)),
    "from-greenwich": ("EPSG:4326", Affine(5, 0, 0, 0, -5, 90), (36, 72)),
    "half-pixel": ("EPSG:4326", Affine(5, 0, -182.5, 0, -5, 92.5), (37, 73)),
    "mercator": ("EPSG:3857", Affine(626172.1357, 0, -20037508.34, 0, -626172.1357, 20037508.34),
                 (64, 64)),
    "north-pole": ("EPSG:3413", Affine(1e5, 0, -3e6, 0, -1e5, 3e6), (60, 60)),
    "south-pole": ("EPSG:3031", Affine(1e5, 0, -3e6, 0, -1e5, 3e6), (60, 60)),
    "pole-at-corner": ("EPSG:3031", Affine(1e5, 0, 0, 0, -1e5, 2e6), (20, 20)),
    "pole-at-edge": ("EPSG:3031", Affine(1e5, 0, -2e6, 0, -1e5, 2e6), (20, 40)),
    "antimeridian": ("EPSG:32601", Affine(1e4, 0, 100_000, 0, -1e4, 7e6), (64, 64)),
    "sinusoid": ("ESRI:54008", Affine(625_000, 0, -2e7, 0, -625_000, 1e7), (32, 64)),
    "rotated": ("EPSG:32633", Affine(700, 700, 5e5, 700, -700, 5e6), (64, 64)),
}  # fmt: skip


def placed(transform: Affine, col: Any, row: Any) -> tuple[Any, Any]:
    a, b, c, d, e, f = transform[:6]
    return a * col + b * row + c, d * col + e * row + f


def write_plane(path: Path, crs: str, transform: Affine, rows: int, cols: int) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=1, dtype="uint8", crs=crs,
        transform=transform,
    ) as file:  # fmt: skip
        file.write(np.ones((1, rows, cols), dtype=np.uint8))


@pytest.mark.parametrize("name", sorted(PLANES))
def test_an_outline_is_valid_and_holds_its_pixels(planes: geobatch.Store, name: str) -> None:
    """Every pixel's centre is in it, by pyproj and shapely, and little else is."""
    item = checked(planes.stac().item(f"p.{name}"))
    shape = outline(planes, f"p.{name}")
    assert shape.is_valid
    west, south, east, north = item["bbox"]
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert -90 <= south < north <= 90
    crs, transform, (rows, cols) = PLANES[name]
    turn = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    for row in range(0, rows, 3):
        for col in range(0, cols, 3):
            lon, lat = turn.transform(*placed(transform, col + 0.5, row + 0.5))
            if not np.isfinite(lon) or not abs(lat) <= 90:
                continue
            lon = (lon + 180) % 360 - 180
            assert shape.buffer(1e-3).contains(shapely.Point(lon, lat)), (row, col, lon, lat)
            inside = west <= lon <= east if west <= east else not east < lon < west
            assert inside, (lon, item["bbox"])
            assert south - 1e-6 <= lat <= north + 1e-6


def test_a_globe_is_one_box(planes: geobatch.Store) -> None:
    for name in ("globe", "from-greenwich", "half-pixel"):
        assert outline(planes, f"p.{name}").equals(shapely.box(-180, -90, 180, 90)), name


def test_an_outline_across_the_antimeridian_is_split(planes: geobatch.Store) -> None:
    item = planes.stac().item("p.antimeridian")
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > item["bbox"][2]


def test_an_outline_around_a_pole_reaches_it(planes: geobatch.Store) -> None:
    assert planes.stac().item("p.north-pole")["bbox"][3] == 90
    assert outline(planes, "p.south-pole").bounds[:2] == (-180, -90)
    assert outline(planes, "p.pole-at-corner").area < 90 * 90
    assert 90 * 10 < outline(planes, "p.pole-at-edge").area < 181 * 40


def test_corners_alone_are_not_enough(planes: geobatch.Store) -> None:
    """The edges of a plane are bent: its outline is compared with a fine one."""
    crs, transform, (_, cols) = PLANES["antimeridian"]
    turn = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    steps = np.linspace(0, cols, 4000)
    lon, lat = turn.transform(*placed(transform, steps, 0 * steps))
    fine = shapely.LineString(np.column_stack([np.where(lon < 0, lon, lon - 360), lat]))
    edge = shapely.affinity.translate(outline(planes, "p.antimeridian"), 0, 0).boundary
    assert (
        max(edge.distance(shapely.Point((x + 180) % 360 - 180, y)) for x, y in fine.coords[::37])
        < 0.01
    )
