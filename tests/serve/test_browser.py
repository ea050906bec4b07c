"""The page, by clicking in headless Chromium: what a newcomer does who was sent the address."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect, sync_playwright
from rasterio.transform import Affine
from serving import png
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.serve.commits import FRESH_SECONDS
from geobatch.store.tilestore import TileStore

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]
DESKTOP, PHONE = (1280, 800), (390, 844)
CONTRAST = """() => {
  const part = (v) => v <= 10.31 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const numbers = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
  const back = (node) => {
    for (; node; node = node.parentElement) {
      const found = numbers(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] > .9) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.textContent.trim());
    const box = node.getBoundingClientRect();
    const isHidden = !box.width || !box.height;
    if (!own || isHidden || node.closest('noscript, .unseen, .skip, [disabled]')) continue;
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(back(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push([node.className || node.tagName, node.textContent, ratio]);
  }
  return bad;
}"""


@contextmanager
def server(store: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "geobatch", "serve", str(store), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        match = re.search(r"http://\S+", process.stdout.readline())
        assert match is not None
        yield match[0]
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@contextmanager
def page(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, **more: Any
) -> Iterator[Page]:
    """Open the page; nothing may fail in it, and nothing may be asked of another server."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        permissions=["clipboard-read", "clipboard-write"],
        **more,
    )
    context.set_default_timeout(15_000)
    made = context.new_page()
    wrong: list[str] = []
    made.on("pageerror", lambda error: wrong.append(str(error)))
    made.on("request", lambda one: wrong.append(one.url) if not allowed(one.url, url) else None)
    made.goto(url)
    made.wait_for_load_state("networkidle")
    yield made
    context.close()
    assert wrong == []


def allowed(asked: str, url: str) -> bool:
    return asked.startswith((url.partition("#")[0], "data:", "blob:"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder: Path = tmp_path_factory.mktemp("page")
    made = Workbench(folder=folder)
    rng = np.random.default_rng(5)
    heights = np.add.outer(np.arange(700), np.arange(600)).astype(np.int16)
    write_tiff(folder / "h.tif", [heights])
    bands = [{"id": "height", "tileset_id": "t", "pyramiding_policy": "SAMPLE"}]
    specs = [image("land/height", "h.tif", bands=bands, tile=128, start_time="2025-01-05",
                   properties={"cloud": 5})]  # fmt: skip
    for day in range(1, 6):
        values = rng.integers(0, 100 * day, (200, 200)).astype(np.int16)
        write_tiff(folder / f"{day}.tif", [values], row=900)
        time = f"2025-06-0{day}"
        about: dict[str, Any] = {"start_time": time, "properties": {"cloud": 10 * day}}
        specs.append(image(f"s2/{day}", f"{day}.tif", bands=bands, tile=128, **about))
    write_tiff(folder / "far.tif", [np.ones((64, 64), np.uint8)], crs="EPSG:32601")
    specs.append(image("sea/far", "far.tif", bands=bands))
    made.apply(*specs)
    heights[:, 300:] += 2000
    write_tiff(folder / "h.tif", [heights])
    made.apply(*specs)
    return made


@pytest.fixture(scope="module")
def url(bench: Workbench) -> Iterator[str]:
    with server(bench.store) as found:
        yield found


def names(seen: Page) -> list[str]:
    return seen.locator(".row b").all_inner_texts()


def shot(seen: Page) -> npt.NDArray[np.uint8]:
    """Return what is seen once nothing moves: new tiles are faded in."""
    seen.wait_for_load_state("networkidle")
    before, now = b"", seen.screenshot()
    for _ in range(50):
        if now == before:
            break
        seen.wait_for_timeout(50)
        before, now = now, seen.screenshot()
    return png(now)[..., :3]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_asset_is_found_by_name_time_place_and_property(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    with page(browser, url, size) as seen:
        expect(seen.locator("#count")).to_have_text("7 assets")
        seen.get_by_label("Name").fill("height")
        expect(seen.locator("#count")).to_have_text("1 of 7 assets")
        assert names(seen) == ["land/height"]
        seen.get_by_text("Time, place, properties").click()
        seen.locator("#clear").click()
        expect(seen.locator("#count")).to_have_text("7 assets")
        seen.get_by_label("From", exact=True).fill("2025-06-02")
        seen.get_by_label("To", exact=True).fill("2025-06-03")
        expect(seen.locator("#count")).to_have_text("2 of 7 assets")
        seen.locator("#clear").click()
        seen.get_by_label("Properties").fill("cloud<20")
        expect(seen.locator("#count")).to_have_text("2 of 7 assets")
        seen.get_by_label("Properties").fill("cloud")
        expect(seen.locator("#count")).to_contain_text("is not a valid condition")
        seen.locator("#clear").click()
        seen.get_by_label("Place").fill("-180, 40, -170, 50")
        expect(seen.locator("#count")).to_have_text("1 of 7 assets")
        assert names(seen) == ["sea/far"]
        seen.get_by_label("Place").fill("0,0,1,1")
        expect(seen.locator(".nothing")).to_contain_text("No asset meets all conditions")


def opened(seen: Page, name: str) -> None:
    seen.locator(".row", has_text=name).click()
    seen.locator("#open").wait_for()
    seen.wait_for_load_state("networkidle")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_asset_is_seen_at_every_level_and_explained(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    with page(browser, url, size) as seen:
        opened(seen, "land/height")
        assert "700" in seen.locator("dl").inner_text()
        for kind in ("#as-map", "#as-pixels"):
            seen.locator(kind).click()
            for level in range(3):
                seen.locator(".level").nth(level).click()
                expect(seen.locator("#level")).to_contain_text(f"level {level}")
                seen.locator(".leaflet-tile-loaded").first.wait_for()
        seen.locator(".level").nth(2).click()
        box = seen.locator("#map").bounding_box()
        assert box is not None
        seen.mouse.click(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"] / 2)
        expect(seen.locator("#why")).to_contain_text("Its tile is as it is since commit 2")
        expect(seen.locator("#why")).to_contain_text("h.tif")
        seen.locator("#band").select_option("height")
        seen.locator("#colormap").select_option("viridis")
        seen.locator("#low").fill("0")
        seen.locator("#high").fill("4000")
        seen.locator("#high").press("Tab")
        seen.wait_for_load_state("networkidle")
        sources = seen.locator(".leaflet-tile").first.get_attribute("src") or ""
        assert "colormap=viridis" in sources
        assert "rescale=0%2C4000" in sources


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_commits_are_compared_with_a_swipe(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    """The right half of the image became brighter; the swipe shows it where the new state is."""
    with page(browser, url, size) as seen:
        opened(seen, "land/height")
        expect(seen.locator("#swipe")).to_be_hidden()
        seen.locator("#compare").click()
        expect(seen.locator("#changes")).to_contain_text("tiles differ")
        expect(seen.locator("#left-side")).to_contain_text("commit 1")
        expect(seen.locator("#right-side")).to_contain_text("commit 2")
        pictures = []
        for share in (0, 50, 100):
            seen.locator("#swipe input").fill(str(share))
            pictures.append(shot(seen))
        new, half, old = pictures
        box = seen.locator("#map").bounding_box()
        assert box is not None
        left, top = int(box["x"]), int(box["y"])
        middle = left + int(box["width"]) // 2
        rows = slice(top + int(box["height"] * 0.3), top + int(box["height"] * 0.6))
        edge = 12  # the line, and the handle of the slider
        assert (half[rows, left : middle - edge] == old[rows, left : middle - edge]).all()
        end = left + int(box["width"]) - edge
        assert (half[rows, middle + edge : end] == new[rows, middle + edge : end]).all()
        assert (new[rows, left:end] != old[rows, left:end]).any(axis=2).mean() > 0.05
        seen.locator("#history").fill("0")
        expect(seen.locator("#commit")).to_contain_text("Commit 1")
        expect(seen.locator("#swipe")).to_be_hidden()


def test_a_collection_is_a_slider_of_time(browser: Browser, url: str) -> None:
    with page(browser, url) as seen:
        opened(seen, "s2/1")
        expect(seen.locator("#moment")).to_contain_text("1 of 5")
        seen.locator("#time").fill("3")
        expect(seen.locator("#title")).to_have_text("s2/4")
        expect(seen.locator("#moment")).to_contain_text("2025-06-04")
        assert "asset=s2%2F4" in seen.url


def test_lines_are_copied_and_work(browser: Browser, url: str, bench: Workbench) -> None:
    with page(browser, url) as seen:
        opened(seen, "land/height")
        seen.get_by_label("Copy the line for xarray with geobatch").click()
        expect(seen.get_by_text("Copied")).to_be_visible()
        text = seen.evaluate("navigator.clipboard.readText()")
        names_of: dict[str, Any] = {}
        exec(text, names_of)
        assert names_of["ds"]["height"].shape == (700, 600)
        seen.get_by_label("Copy the line for QGIS (XYZ tiles)").click()
        template = seen.evaluate("navigator.clipboard.readText()")
        done = seen.request.get(template.format(z=0, x=0, y=0))
        assert done.headers["content-type"] == "image/png"
        for name in ("GDAL", "OpenLayers", "QGIS (WMTS)", "STAC"):
            seen.get_by_label(f"Copy the line for {name}").click()
            copied = seen.evaluate("navigator.clipboard.readText()")
            assert "height" in copied
            if name in ("STAC", "QGIS (WMTS)"):
                assert seen.request.get(copied).ok


def test_lines_for_bands_on_several_grids_work(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    layers = []
    for name, side, pixel in (("fine", 80, 10), ("half", 40, 20)):
        at = Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
        about = {"count": 1, "dtype": "uint8", "crs": "EPSG:32633", "transform": at}
        with rasterio.open(tmp_path / f"{name}.tif", "w", height=side, width=side, **about) as file:
            file.write(np.full((1, side, side), side, np.uint8))
        layers.append({"id": name, "sources": [{"uris": [f"{name}.tif"]}]})
    bands = [{"id": "8A", "tileset_id": "fine"}, {"id": "swir-1", "tileset_id": "half"}]
    bench.apply({"kind": "image", "id": "s2/a", "tilesets": layers, "bands": bands})
    with server(bench.store) as url, page(browser, f"{url}#asset=s2%2Fa") as seen:
        for band, side, array in (("8A", 80, "0/band_8A"), ("swir-1", 40, "1/swir_1")):
            seen.locator("#band").select_option(band)
            lines = seen.locator("#open pre").all_inner_texts()
            names_of: dict[str, Any] = {}
            exec(lines[0], names_of)
            level, name = array.split("/")
            assert names_of["ds"][name].shape == (side, side)
            assert lines[1].endswith(f'open_zarr("{url}zarr/s2/a/{level}")')
            assert lines[2] == f"gdalinfo 'ZARR:\"/vsicurl/{url}zarr/s2/a\":/{array}'"
            assert seen.request.get(f"{url}zarr/s2/a/{array}/zarr.json").ok


def test_by_keyboard_alone(browser: Browser, url: str) -> None:
    with page(browser, url) as seen:
        seen.keyboard.press("/")
        seen.keyboard.type("s2")
        expect(seen.locator("#count")).to_have_text("5 of 7 assets")
        seen.keyboard.press("Tab")
        seen.keyboard.press("Tab")
        assert seen.evaluate("document.activeElement.id") == "list"
        seen.keyboard.press("ArrowDown")
        seen.keyboard.press("Enter")
        expect(seen.locator("#title")).to_have_text("s2/2")
        assert seen.evaluate("document.activeElement.id") == "title"
        seen.wait_for_load_state("networkidle")
        for _ in range(40):
            seen.keyboard.press("Tab")
            if seen.evaluate("document.activeElement.id") == "why-centre":
                break
        seen.keyboard.press("Enter")
        expect(seen.locator("#why")).to_contain_text("height:")
        seen.keyboard.press("Escape")
        expect(seen.locator("#detail")).to_be_hidden()
        assert seen.evaluate("document.activeElement.id") == "list"
        seen.locator("#map").focus()
        seen.keyboard.press("+")
        seen.keyboard.press("ArrowLeft")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_contrast_and_width(browser: Browser, url: str, size: tuple[int, int], scheme: Any) -> None:
    with page(browser, url, size, color_scheme=scheme) as seen:
        assert seen.evaluate(CONTRAST) == []
        opened(seen, "land/height")
        seen.locator("#compare").click()
        seen.locator("#why-centre").click()
        expect(seen.locator("#why")).to_contain_text("height:")
        assert seen.evaluate(CONTRAST) == []
        assert seen.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_what_is_published_meanwhile_is_offered(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    bands = [{"id": "v", "tileset_id": "t"}]
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    assert geobatch("init", "--store", bench.store).code == 0
    with server(bench.store) as url, page(browser, url) as seen:
        expect(seen.locator("#head")).to_have_text("no commits")
        expect(seen.locator(".nothing")).to_contain_text("This store has no assets yet")
        bench.apply(image("a", "a.tif", bands=bands))
        seen.get_by_text("Commit 1 was published: show it").click()
        expect(seen.locator("#count")).to_have_text("1 asset")


def test_a_store_that_is_gone_is_said_until_it_is_back(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    bench.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    with server(bench.store) as url:
        bench.store.rename(tmp_path / "elsewhere")
        time.sleep(FRESH_SECONDS)
        with page(browser, url) as seen:
            expect(seen.locator("#count")).to_contain_text("The store had commit 1")
            expect(seen.locator("#message")).to_contain_text("its disk is not there")
            (tmp_path / "elsewhere").rename(bench.store)
            seen.get_by_text("show it").click()
            expect(seen.locator("#count")).to_have_text("1 asset")
            expect(seen.locator("#message")).to_be_hidden()


def test_errors_are_said(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.arange(4096, dtype=np.int32).reshape(64, 64)])
    bench.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    chunk = bench.tree / "a" / "0" / "v" / "c" / "0" / "0"
    chunk.chmod(0o644)
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    with server(bench.store) as url:
        with page(browser, f"{url}#asset=none") as seen:
            expect(seen.get_by_role("alert")).to_contain_text(
                "There is no asset `none` in commit 1."
            )
        with page(browser, f"{url}#asset=a") as seen:
            expect(seen.get_by_role("alert")).to_contain_text("is damaged")
            red = (shot(seen) == (176, 0, 32)).all(axis=2)
            assert red.sum() > 500


def test_images_across_the_antimeridian_and_at_a_pole(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    places = {"across": ("EPSG:4326", (0.05, 170, 10)), "south": ("EPSG:3031", (5000, -1e6, 1e6))}
    specs = []
    for name, (crs, (size, left, top)) in places.items():
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", height=400, width=400, count=1,
            dtype="uint8", crs=crs, transform=Affine(size, 0, left, 0, -size, top),
        ) as file:  # fmt: skip
            file.write(np.full((400, 400), 200, np.uint8), 1)
        specs.append(image(name, f"{name}.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    bench.apply(*specs)
    with server(bench.store) as url:
        for name in places:
            with page(browser, f"{url}#asset={name}") as seen:
                seen.locator("#open").wait_for()
                seen.locator(".leaflet-tile-loaded").first.wait_for()
                pressed = "#as-pixels" if name == "south" else "#as-map"
                expect(seen.locator(pressed)).to_have_attribute("aria-pressed", "true")
                box = seen.locator("#map").bounding_box()
                assert box is not None
                middle, row = int(box["x"] + box["width"] / 2), int(box["y"] + box["height"] / 2)
                colours = shot(seen)[row + 20]
                assert (colours[middle - 60] == colours[middle + 60]).all(), name
                assert (colours[middle - 60] == 128).all(), name  # a stretch without extent


def test_a_site_of_files_shows_the_same(browser: Browser, bench: Workbench, tmp_path: Path) -> None:
    assert geobatch("site", tmp_path / "site", "--store", bench.store).code == 0
    handler = partial(Quiet, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as files:
        threading.Thread(target=files.serve_forever, daemon=True).start()
        with page(browser, f"http://127.0.0.1:{files.server_port}/") as seen:
            expect(seen.locator("#count")).to_have_text("7 assets")
            seen.get_by_text("Time, place, properties").click()
            seen.get_by_label("Properties").fill("cloud<20")
            expect(seen.locator("#count")).to_have_text("2 of 7 assets")
            opened(seen, "land/height")
            seen.locator(".leaflet-tile-loaded").first.wait_for()
            seen.locator("#compare").click()
            expect(seen.locator("#changes")).to_contain_text("tiles differ")
            seen.locator("#as-pixels").click()
            seen.locator(".leaflet-tile-loaded").first.wait_for()
            expect(seen.locator("#why")).to_contain_text("A site of files cannot answer")
        files.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.soak
def test_a_store_of_100_000_images(browser: Browser, tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    bench.apply(image("many/0", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    store = TileStore.create(bench.store)
    head = store.head()
    (entry,) = head.tree.entries
    changes = {f"many/{n:06}": replace(entry, id=f"many/{n:06}") for n in range(100_000)}
    store.publish(base=head, changes=changes, message="many", tools={})
    store.close()
    with server(bench.store) as url, page(browser, url) as seen:
        expect(seen.locator("#count")).to_have_text("100,001 assets", timeout=60_000)
        assert seen.locator(".row").count() < 60
        seen.locator("#list").focus()
        seen.keyboard.press("End")
        expect(seen.locator(".row", has_text="many/099999")).to_be_visible(timeout=30_000)
        seen.get_by_label("Name").fill("04242")
        expect(seen.locator("#count")).to_contain_text("of 100,001", timeout=30_000)
        opened(seen, "many/042420")
