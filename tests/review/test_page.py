"""The page: harmless whatever specs say, needs no network, and is looked at in a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import rasterio
from plans import change, plan, report
from shell import geobatch
from test_markdown import HOSTILE
from workbench import Workbench, image, write_tiff

from geobatch.cli.files.saved_plan import find_plan, tiles_of
from geobatch.model.plans.plan_document import HistogramDocument, PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links
from geobatch.review.page.drawings import box_map, histogram
from geobatch.review.page.html import html
from geobatch.review.pictures.album import Album, album_of, pictured
from geobatch.review.pictures.states import States, states_of
from geobatch.review.tiles import changed_tiles
from geobatch.store.tilestore import TileStore

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)


class Page(HTMLParser):
    """The elements of a page, their attributes, and whether each is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def page(text: str) -> Page:
    """Return the page of a plan that has a text wherever a foreign text can be."""
    band = {"band": text, "pixels": 9, "changed": 2}
    grid = {"name": text, "crs": text, "transform": [1, 0, 0, 0, -1, 0], "height": 9, "width": 9,
            "tile": 4, "bands": [text]}  # fmt: skip
    one = change(
        text,
        reasons=[{"code": "POLICY_CHANGED", "path": text, "detail": f"{text} -> {text}"}],
        risks=[{"code": text, "path": text}],
        declared={"path": text, "line": 1},
        blocked=text,
        grids=[grid, grid],
        rehearsed={"bands": [band], "values": [band]},
    )
    warning = {"path": text, "line": 1, "rule": "lossy-source", "message": text}
    document = plan(
        one, refusals=[text], warnings=[warning], undeclared=[text],
        rehearsal={"id": text, "content_root": text},
    )  # fmt: skip
    made = report(document, Links(base="https://git.test/a", folder="/w"))
    return Page(html(made, Album(note=text), changed_tiles([], {text: made.assets[0].grids})))


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
def test_foreign_text_is_no_element(text: str) -> None:
    found, harmless = page(text), page("harmless")
    without = [tag for tag in found.tags if tag != "a"]
    assert without == [tag for tag in harmless.tags if tag != "a"]
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    for name, value in found.attributes:
        if name in {"href", "src", "action", "data", "srcset"}:
            assert str(value).startswith(("https://git.test/a/", "data:image/png;base64,"))


def test_the_page_needs_no_network_and_runs_nothing() -> None:
    found = page("harmless")
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(found.tags)
    assert dict(found.attributes)["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    )


def test_a_histogram_has_a_bar_for_each_count() -> None:
    drawn = histogram(HistogramDocument(edges=[-2, 0, 1, 2], counts=[5, 0, 10]))
    heights = [float(one) for one in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights == [45.0, 0.0, 90.0]
    assert 'class="zero"' in drawn
    for edges, counts in (([], []), ([0.0], []), ([0.0, 0.0], [1]), ([0.0, 1.0], [0])):
        assert histogram(HistogramDocument(edges=edges, counts=counts)) == ""


@pytest.mark.parametrize(
    "box", [(179.0, -1.0, -179.0, 1.0), (0.0, 0.0, 0.0, 0.0), (-180, -90, 180, 90)]
)
def test_boxes_are_inside_of_the_drawing(box: tuple[float, float, float, float]) -> None:
    drawn = box_map([box], box)
    width, height = map(float, re.findall(r'viewBox="-1 -1 ([\d.]+) ([\d.]+)"', drawn)[0])
    (rect,) = re.findall(
        r'<rect class="box" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"/>', drawn
    )
    x, y, wide, tall = map(float, rect)
    assert 0 <= x < x + wide <= width
    assert 0 <= y < y + tall <= height


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A store of two commits, and the plan that led from the first to the second."""
    monkeypatch.chdir(tmp_path)
    bench = Workbench(folder=tmp_path)
    rows, cols = np.mgrid[:300, :420]
    smooth = (100 + 50 * np.sin(cols / 30) * np.cos(rows / 20)).astype(np.float32)
    classes = (rows // 40 % 3).astype(np.uint8)
    palette = {0: (20, 120, 20, 255), 1: (200, 180, 40, 255), 2: (30, 60, 200, 255)}
    for name, pixels in (("s", smooth), ("c", classes)):
        path = write_tiff(tmp_path / f"{name}.tif", [pixels], nodata=9)
        if name == "c":
            with rasterio.open(path, "r+") as file:
                file.write_colormap(1, palette)
    specs = [image("x/s", "s.tif"), image("x/c", "c.tif", pyramiding_policy="MODE")]
    bench.apply(*specs)
    smooth[100:140, 200:260] += 20
    classes[50:70, 60:90] = 2
    write_tiff(tmp_path / "s.tif", [smooth], nodata=9)
    with rasterio.open(tmp_path / "c.tif", "r+") as file:
        file.write(classes, 1)
    assert geobatch("plan", "spec.yaml", "-o", "p.json").code == 0
    assert geobatch("apply", "p.json").code == 0
    return bench


def reviewed(bench: Workbench, *, is_rehearsed: bool) -> str:
    saved = find_plan("p.json")
    assert saved is not None
    document: Any = msgspec.convert(saved.document, PlanDocument)
    made = report_of(document, Links())
    store = TileStore.open(bench.store)
    states = states_of(store, document)
    if is_rehearsed:  # what the plan leads to is published by now
        states = States(store=store, before=states.before, after=store.head().tree)
    shown = pictured(made.assets)
    tiles = changed_tiles(tiles_of(saved), {one.id: one.grids for one in shown})
    return html(made, album_of(shown, states, tiles), tiles)


def test_a_page_has_maps_and_pictures(bench: Workbench) -> None:
    text = reviewed(bench, is_rehearsed=True)
    for name in ("before", "after", "difference"):
        assert text.count(f"<figcaption>{name}</figcaption>") == 2
    assert text.count('<path class="tile" d="M') == 2
    assert "another class" in text
    assert "Black is" in text
    Page(text)


def test_a_plan_without_rehearsal_shows_what_is_published(bench: Workbench) -> None:
    assert geobatch("review", "p.json", "-o", "out").code == 0
    text = Path("out/review.html").read_text(encoding="utf-8")
    assert text == reviewed(bench, is_rehearsed=False)
    assert text.count("<figcaption>before</figcaption>") == 2
    assert "<figcaption>after" not in text
    assert "The plan was not rehearsed: pictures show only what is published." in text
    names = sorted(path.name for path in Path("out/pictures").iterdir())
    assert {name.partition("-")[2] for name in names} == {"x.c.b1-before.png", "x.s.b1-before.png"}
    assert Path("out/pictures", names[0]).read_bytes().startswith(b"\x89PNG")


def test_a_page_without_its_store_says_so(bench: Workbench) -> None:
    assert geobatch("review", "p.json", "-o", "out", "--store", "nowhere").code == 0
    text = Path("out/review.html").read_text(encoding="utf-8")
    assert "There are no pictures: there is no store at" in text
    assert "<img" not in text
    assert geobatch("init", "--store", "other").code == 0
    done = geobatch("review", "p.json", "--format", "html", "--store", "other")
    assert "The plan was made for another store" in done.out


@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, False), (1280, True)])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_the_page_in_a_browser(bench: Workbench, width: int, dark: bool) -> None:
    text = reviewed(bench, is_rehearsed=True)
    if dark:
        text = text.replace("(prefers-color-scheme: dark)", "all")
    Path("page.html").write_text(text, encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={bench.folder / 'browser'}", f"--window-size={width},2600",
        f"--screenshot={bench.folder / 'page.png'}", (bench.folder / "page.html").as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with rasterio.open("page.png") as file:
        seen = np.moveaxis(file.read([1, 2, 3]), 0, 2)
    assert seen.shape[:2] == (2600, width)
    back = [0x14, 0x17, 0x1B] if dark else [0xFF, 0xFF, 0xFF]
    is_back = (seen == back).all(axis=2)
    assert 0.2 < is_back.mean() < 0.95
    assert is_back[:, -5:].all(), "something is wider than the page"
    # The palette, the classes that differ, and the changed tiles are seen.
    for colour in ((20, 120, 20), (30, 60, 200), (197, 27, 125)):
        assert (seen == colour).all(axis=2).sum() > 100, colour
