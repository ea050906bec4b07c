"""What the server answers: assets, history, tiles, the Zarr tree, and what it refuses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from serving import client, png
from shell import geobatch
from starlette.testclient import TestClient
from workbench import Workbench, image, write_tiff

from geobatch.serve.app import make_app
from geobatch.serve.commits import FRESH_SECONDS, Served
from geobatch.serve.guard import LOCAL
from geobatch.store.location import StoreLocation

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

LON, LAT = 15.003, 45.146  # in the images, which start at 15 degrees east


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder: Path = tmp_path_factory.mktemp("serve")
    made = Workbench(folder=folder)
    rng = np.random.default_rng(7)
    values = rng.integers(-500, 3000, (700, 600)).astype(np.int16)
    values[100:200, 50:90] = -9999
    write_tiff(folder / "a.tif", [values], nodata=-9999)
    colours = [rng.integers(1, 255, (300, 300)).astype(np.uint8) for _ in range(3)]
    write_tiff(folder / "rgb.tif", [*colours, np.full((300, 300), 255, np.uint8)], has_alpha=True)
    write_tiff(folder / "far.tif", [np.ones((64, 64), np.uint8)], crs="EPSG:32601")
    one = [{"id": "height", "tileset_id": "t"}]
    three = [{"id": name, "tileset_id": "t", "tileset_band_index": number}
             for number, name in enumerate(("red", "green", "blue"))]  # fmt: skip
    specs = (
        image("land/height", "a.tif", bands=one, start_time="2025-01-31", tile=128,
              properties={"cloud": 5}),
        image("land/colour", "rgb.tif", bands=three, start_time="2025-03-01", tile=128),
        image("sea/far", "far.tif", bands=one),
    )  # fmt: skip
    made.apply(*specs)
    values[300:310, 300:310] = 2999
    write_tiff(folder / "a.tif", [values], nodata=-9999)
    made.apply(*specs)
    return made


@pytest.fixture(scope="module")
def web(bench: Workbench) -> Iterator[TestClient]:
    with client(bench.store) as made:
        yield made


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["land/colour", "land/height", "sea/far"]),
        ("prefix=land/", ["land/colour", "land/height"]),
        ("text=HEIGHT", ["land/height"]),
        ("datetime=2025-01", ["land/height"]),
        ("properties=cloud<20", ["land/height"]),
        ("bbox=14.9,44,16,46", ["land/colour", "land/height"]),
        ("limit=1&offset=1", ["land/height"]),
        ("at=1", ["land/colour", "land/height", "sea/far"]),
    ],
)
def test_assets_are_found(web: TestClient, query: str, ids: list[str]) -> None:
    found = web.get(f"/api/assets?{query}").json()
    assert [one["id"] for one in found["assets"]] == ids
    assert found["all"] == 3


@pytest.mark.parametrize(
    "query", ["bbox=1,2", "bbox=9,9,0,0x", "datetime=soon", "properties=cloud", "limit=x",
              "limit=1001", "offset=-1"],
)  # fmt: skip
def test_what_is_malformed_is_said(web: TestClient, query: str) -> None:
    done = web.get(f"/api/assets?{query}")
    assert done.status_code == 400
    asked = query.partition("=")[2]
    assert f"`{asked}`" in done.json()["error"] or "expected a whole number" in done.json()["error"]


def test_an_asset_is_described(web: TestClient) -> None:
    found = web.get("/api/assets/land/height").json()
    assert found["grids"][0]["levels"][0] == [700, 600]
    assert found["grids"][0]["crs"] == "EPSG:32633"
    (band,) = found["bands"]
    assert band["id"] == "height"
    assert -500 <= band["stretch"][0] < band["stretch"][1] <= 3000
    assert web.get("/api/assets/land/none").status_code == 404


def test_bands_are_found_in_the_zarr_tree(tmp_path: Path) -> None:
    """Of grids that fit, the coarse one begins at level 1; others have folders. Names are of CF."""
    bench = Workbench(folder=tmp_path)
    for name, side, pixel, first in (
        ("fine", 80, 10, 0),
        ("half", 40, 20, 0),
        ("apart", 50, 15, 1),
    ):
        values = np.full((1, side, side), side, np.uint8)
        at = Affine(pixel, 0, 500_000 + first, 0, -pixel, 5_000_000)
        about = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", height=side, width=side, transform=at, **about
        ) as file:
            file.write(values)
    sources = {name: f"{name}.tif" for name in ("fine", "half", "apart")}
    bench.apply(
        grids("fits", {"fine": "8A", "half": "swir-1"}, sources),
        grids("apart", {"fine": "8A", "apart": "time"}, sources),
    )
    found = {}
    with client(bench.store) as web:
        for name in ("fits", "apart"):
            for band in web.get(f"/api/assets/{name}").json()["bands"]:
                found[name, band["id"]] = band["zarr"]
                document = web.get(f"/zarr/{name}/{band['zarr']}/zarr.json").json()
                assert document["node_type"] == "array"
    assert found["fits", "8A"] == "0/band_8A"
    assert found["fits", "swir-1"] == "1/swir_1"
    assert found["apart", "time"].endswith("/0/band_time")
    assert found["apart", "8A"].count("/") == 2


def grids(name: str, bands: dict[str, str], files: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "image",
        "id": name,
        "tilesets": [{"id": one, "sources": [{"uris": [files[one]]}]} for one in bands],
        "bands": [{"id": band, "tileset_id": one} for one, band in bands.items()],
    }


def test_a_commit_says_what_its_author_wrote(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((40, 40), np.uint8)])
    spec = bench.write_spec([image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}])])
    words = "<b>First</b> light"
    done = geobatch("apply", spec, "--store", bench.store, "--init", "-m", words)
    assert done.code == 0, done.err
    with client(bench.store) as web:
        (one,) = web.get("/api/history/a").json()["commits"]
        assert (one["user_message"], one["message"]) == (words, "create 1")


def test_a_store_that_is_gone_is_not_an_empty_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((40, 40), np.uint8)])
    bench.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    with client(bench.store) as web:
        assert web.get("/healthz").json()["number"] == 1
        bench.store.rename(tmp_path / "elsewhere")
        time.sleep(FRESH_SECONDS)
        for path in ("/healthz", "/api/assets", "/stac/search", "/native/a/0/0/0.png"):
            assert web.get(path).status_code == 500
        assert "the store had commit 1" in web.get("/healthz").json()["error"]
        assert "the store had commit 1" in caplog.text
        (tmp_path / "elsewhere").rename(bench.store)
        assert web.get("/healthz").json()["number"] == 1


def test_history_and_what_differs(web: TestClient) -> None:
    found = web.get("/api/history/land/height").json()
    assert [one["number"] for one in found["commits"]] == [2, 1]
    assert [one["number"] for one in web.get("/api/history/sea/far").json()["commits"]] == [1]
    whole = web.get("/api/diff/1/2").json()
    assert whole["assets"] == [{"id": "land/height", "op": "changed"}]
    tiles = web.get("/api/diff/1/2?asset=land/height").json()
    at = [(one["properties"]["row"], one["properties"]["col"]) for one in tiles["features"]]
    assert at == [(2, 2)]
    ring = np.array(tiles["features"][0]["geometry"]["coordinates"][0])
    assert 15 < ring[:, 0].min() < ring[:, 0].max() < 15.1
    assert web.get("/api/diff/1/99").status_code == 404


def test_why_a_pixel_is_as_it_is(web: TestClient, bench: Workbench) -> None:
    found = web.get("/api/why/land/height?row=305&col=305").json()
    (band,) = found["bands"]
    assert band["value"] == 2999
    assert band["since"]["number"] == 2
    assert any("a.tif" in reason for reason in band["since"]["reasons"])
    assert band["sources"][0]["uri"].endswith("a.tif")
    assert found["tile"] == {"level": 0, "row": 2, "col": 2}
    before = web.get("/api/why/land/height?row=305&col=305&at=1").json()["bands"][0]
    assert before["since"]["number"] == 1
    assert before["value"] != 2999
    assert web.get("/api/why/land/height?row=150&col=60").json()["bands"][0]["value"] is None
    at = web.get(f"/api/why/land/height?lon={LON}&lat={LAT}").json()
    assert at["is_inside"]
    with rasterio.open(bench.folder / "a.tif") as file:
        value = file.read(1)[at["row"], at["col"]]
    assert at["bands"][0]["value"] == value
    assert not web.get("/api/why/land/height?lon=0&lat=0").json()["is_inside"]
    assert web.get("/api/why/land/height?lon=x&lat=0").status_code == 400


def test_what_is_published_meanwhile_appears_and_is_never_mixed(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    bands = [{"id": "v", "tileset_id": "t"}]
    url = "/native/a/0/0/0.png?rescale=0,255"
    with_store = geobatch("init", "--store", bench.store)
    assert with_store.code == 0
    with client(bench.store) as web:
        assert web.get("/api/assets").json()["assets"] == []
        tags = set()
        for value in (10, 20, 30):
            write_tiff(tmp_path / "a.tif", [np.full((64, 64), value, np.uint8)])
            bench.apply(image("a", "a.tif", bands=bands))
            time.sleep(0.6)
            done = web.get(url)
            assert (png(done.content)[:64, :64, 0] == value).all()
            tags.add(done.headers["etag"])
            again = web.get(url, headers={"If-None-Match": done.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert done.headers["cache-control"] == "no-cache"
        assert len(tags) == 3
        for number, value in ((1, 10), (2, 20)):
            seen = png(web.get(f"{url}&at={number}").content)
            assert (seen[:64, :64, 0] == value).all()
        commit = web.get("/api/commits").json()["commits"][0]["commit"]
        assert "immutable" in web.get(f"{url}&at={commit}").headers["cache-control"]


def test_a_damaged_tile_is_seen_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.arange(4096, dtype=np.int32).reshape(64, 64)])
    bench.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    chunk = bench.tree / "a" / "0" / "v" / "c" / "0" / "0"
    chunk.chmod(0o644)
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.write_bytes(data)  # a hard link: the object, too
    with client(bench.store) as web:
        done = web.get("/native/a/0/0/0.png?rescale=0,255")
        assert (done.status_code, done.headers["content-type"]) == (500, "image/png")
        assert ((png(done.content)[..., 0] == 176).sum()) > 1000
        assert "no-store" in done.headers["cache-control"]
        assert "is damaged" in caplog.text
        assert "level 0, band `v`, tile 0/0" in caplog.text
        found = web.get("/api/assets/a").json()
        assert "damaged" in found["bands"][0]["damage"]
        assert web.get("/zarr/a/0/v/c/0/0").status_code == 500


def test_the_zarr_tree_is_that_of_the_store(web: TestClient, bench: Workbench) -> None:
    names = [path for path in bench.tree.rglob("*") if path.is_file()]
    assert len(names) > 50
    for path in names:
        name = path.relative_to(bench.tree).as_posix()
        if name != "zarr.json":  # which names the commit that the tree shows
            done = web.get(f"/zarr/{name}")
            assert done.content == path.read_bytes(), name
    size = (bench.tree / "land/height/0/height/c/0/0").stat().st_size
    done = web.head("/zarr/land/height/0/height/c/0/0")
    assert (done.headers["content-length"], done.content) == (str(size), b"")
    assert done.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [("bytes=0-9", 206, slice(0, 10)), ("bytes=5-", 206, slice(5, None)),
     ("bytes=-7", 206, slice(-7, None)), ("bytes=0-99999999", 206, slice(0, None)),
     ("bytes=99999999-", 416, slice(0, 0)), ("bytes=9-3", 416, slice(0, 0)),
     ("bytes=-0", 416, slice(0, 0)), ("bytes=0-1,4-5", 200, slice(0, None)),
     ("lines=1-2", 200, slice(0, None)), ("bytes=-", 200, slice(0, None))],
)  # fmt: skip
def test_ranges(web: TestClient, asked: str, status: int, part: slice) -> None:
    whole = web.get("/zarr/land/height/zarr.json").content
    done = web.get("/zarr/land/height/zarr.json", headers={"Range": asked})
    assert (done.status_code, done.content) == (status, whole[part])
    if status == 206:
        first = whole.index(whole[part])
        assert done.headers["content-range"].endswith(f"/{len(whole)}")
        assert done.headers["content-range"].startswith(f"bytes {first}-") or first == 0


def test_an_earlier_commit_has_a_tree_of_its_own(web: TestClient, bench: Workbench) -> None:
    name = "land/height/0/height/c/2/2"
    commits = web.get("/api/commits").json()["commits"]
    old = web.get(f"/commits/{commits[1]['commit']}/zarr/{name}")
    assert old.content != web.get(f"/zarr/{name}").content
    assert "immutable" in old.headers["cache-control"]
    assert web.get(f"/commits/99/zarr/{name}").status_code == 404


HOSTILE = (
    "/zarr/../geobatch.json", "/zarr/..%2fgeobatch.json", "/zarr/%2e%2e/geobatch.json",
    "/zarr//etc/passwd", "/zarr/%2fetc%2fpasswd", "/zarr/land/../../geobatch.json",
    "/zarr/....//geobatch.json", "/zarr/land%5c..%5c..%5cgeobatch.json", "/zarr/geobatch.json",
    "/zarr/land/height/zarr.json%00", "/zarr/land/height/%2e%2e/height/zarr.json",
    "/../geobatch.json", "/objects/", "/refs/main/0000000000000001", "/app.py", "/page/index.html",
    "/..%2f..%2fserve/app.py", "/vendor/../../app.py", "/tiles/../../0/0/0.png",
    "/tiles/%2e%2e%2f%2e%2e/0/0/0.png", "/parquet/..%2f..%2fgeobatch.json.parquet",
    "/commits/..%2f..%2f/zarr/geobatch.json", "/commits/refs%2fmain/zarr/zarr.json",
    "/api/assets/..%2f..%2fgeobatch.json", "/api/plans/..%2f..%2fx?asset=a",
    "/native/land/height/0/0/-1.png", "/native/land/height/99999999999999999999/0/0.png",
    "/tiles/land/height/99/0/0.png", "/tiles/land/height/3/99/0.png",
    "/tms/land/height/999999999/0/0.png",
)  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_else_is_read(web: TestClient, path: str) -> None:
    done = web.get(path)
    assert done.status_code in {400, 404}, done.text
    assert "format" not in done.text
    assert "error" in done.json()


@pytest.mark.parametrize("path", [unquote(path) for path in HOSTILE if "." in path])
async def test_nothing_else_is_read_by_paths_as_they_are(bench: Workbench, path: str) -> None:
    """A browser or a client shortens `..`; an attacker does not."""
    served = Served.open(StoreLocation.of(bench.store))
    app = make_app(served, hosts=LOCAL)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "server": ("localhost", 80), "client": None,
    }  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] in {400, 404}, path
    assert b"error" in sent[1]["body"]
    served.store.close()


def test_links_in_the_store_lead_nowhere(bench: Workbench, web: TestClient) -> None:
    secret = bench.folder / "secret.json"
    secret.write_text("secret")
    (bench.tree / "land" / "link.json").symlink_to(secret)
    (bench.tree / "land" / "height" / "0" / "link").symlink_to(bench.folder)
    try:
        assert web.get("/zarr/land/link.json").status_code == 404
        assert web.get("/zarr/land/height/0/link/secret.json").status_code == 404
    finally:
        (bench.tree / "land" / "link.json").unlink()
        (bench.tree / "land" / "height" / "0" / "link").unlink()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "MKCOL", "CONNECT"])
@pytest.mark.parametrize("path", ["/", "/api/assets", "/zarr/zarr.json", "/stac/search"])
def test_no_method_writes(web: TestClient, bench: Workbench, method: str, path: str) -> None:
    before = sorted(path for path in bench.store.rglob("*"))
    done = web.request(method, path, content=b"x")
    assert done.status_code == 405
    assert done.headers["allow"] == "GET, HEAD, OPTIONS"
    assert sorted(path for path in bench.store.rglob("*")) == before


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:8080", 200), ("127.0.0.1:1", 200), ("[::1]:8080", 200),
     ("LOCALHOST", 200), ("evil.example", 421), ("localhost.evil.example", 421),
     ("evil.example:8080", 421), ("127.0.0.1.evil.example", 421), ("", 421),
     ("localhost@evil.example", 421), ("[::2]", 421), ("[", 421)],
)  # fmt: skip
def test_other_hosts_are_refused(web: TestClient, host: str, status: int) -> None:
    assert web.get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "path", "status", "is_shared"),
    [("http://localhost:3000", "/zarr/zarr.json", 200, True),
     ("http://127.0.0.1:5000", "/native/land/height/0/0/0.png", 200, True),
     ("http://localhost:3000", "/api/assets", 403, False),
     ("https://evil.example", "/zarr/zarr.json", 403, False),
     ("https://evil.example", "/healthz", 403, False),
     ("https://localhost.evil.example", "/zarr/zarr.json", 403, False),
     ("null", "/zarr/zarr.json", 403, False),
     ("http://localhost:8080", "/api/assets", 200, False)],
)  # fmt: skip
def test_other_origins_are_refused(
    web: TestClient, origin: str, path: str, status: int, is_shared: bool
) -> None:
    done = web.get(path, headers={"Origin": origin})
    assert done.status_code == status
    assert (done.headers.get("access-control-allow-origin") == origin) is is_shared


def test_an_origin_can_be_allowed(bench: Workbench) -> None:
    with client(bench.store, origins=["https://map.example"]) as web:
        headers = {"Origin": "https://map.example", "Access-Control-Request-Method": "GET"}
        done = web.options("/zarr/zarr.json", headers=headers)
        assert done.status_code == 204
        assert done.headers["access-control-allow-origin"] == "https://map.example"
        assert "Range" in done.headers["access-control-allow-headers"]
        assert web.get("/api/assets", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/", "/api/assets", "/zarr/zarr.json", "/none", "/api/why/x"])
def test_headers_protect_the_browser(web: TestClient, path: str) -> None:
    headers = web.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"


def test_what_is_too_long_is_refused(web: TestClient) -> None:
    assert web.get(f"/api/assets?text={'x' * 5000}").status_code == 414
    assert web.get(f"/zarr/{'x/' * 3000}").status_code == 414


def test_wmts_names_the_layers(web: TestClient) -> None:
    text = web.get("/wmts").text
    with (
        MemoryFile(text.encode(), ext=".xml") as memory,
        rasterio.open(f"WMTS:{memory.name},layer=land/height") as file,
    ):
        assert file.crs.to_epsg() == 3857
        assert file.bounds.left < 1_670_000 < file.bounds.right
    assert "sea/far" in text
    assert "sea/far" not in web.get("/wmts?prefix=land/").text


def test_health(web: TestClient) -> None:
    assert web.get("/healthz").json()["status"] == "ok"
    assert json.load(BytesIO(web.get("/api/store").content))["assets"] == 3
