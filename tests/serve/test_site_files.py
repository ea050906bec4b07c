"""The catalogue as files: complete, bounded, and never written over something else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from serving import png
from shell import geobatch
from workbench import Workbench, image, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(folder=tmp_path)
    bands = [{"id": "v", "tileset_id": "t", "pyramiding_policy": "SAMPLE"}]
    values = np.random.default_rng(1).integers(1, 255, (300, 300)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [values])
    write_tiff(tmp_path / "b.tif", [values[:64, :64]])
    specs = (image("x/a", "a.tif", bands=bands), image("b", "b.tif", bands=bands))
    made.apply(*specs)
    write_tiff(tmp_path / "a.tif", [values[::-1].copy()])
    made.apply(*specs)
    return made


def test_all_files_are_there_and_pixels_exact(bench: Workbench, tmp_path: Path) -> None:
    site = tmp_path / "site"
    done = geobatch("site", site, "--store", bench.store, "--json")
    assert done.code == 0
    assert done.record("site")["assets"] == 2
    assert {one["id"] for one in json.loads((site / "api/assets.json").read_text())["assets"]} == {
        "x/a",
        "b",
    }
    about = json.loads((site / "api/assets/x/a.json").read_text())
    commits = json.loads((site / "api/history/x/a.json").read_text())["commits"]
    assert [one["number"] for one in commits] == [2, 1]
    newest = site / "native" / about["commit"][:16] / "x/a" / "0"
    low, high = about["bands"][0]["stretch"]
    stored = bench.array("x/a/0/v")
    seen = np.zeros((512, 512), np.uint8)
    for y in range(2):
        for x in range(2):
            tile = png((newest / str(x) / f"{y}.png").read_bytes())
            seen[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256] = tile[..., 0]
    share = (np.clip(stored.astype(float), low, high) - low) / (high - low)
    assert (seen[:300, :300] == np.rint(share * 255)).all()
    zooms = about["zooms"]
    for zoom in (zooms["minNativeZoom"], zooms["maxNativeZoom"]):
        assert list((site / "tiles" / about["commit"][:16] / "x/a" / str(zoom)).rglob("*.png"))
    diff = site / "api/diff" / commits[1]["commit"] / commits[0]["commit"] / "x/a.json"
    assert json.loads(diff.read_text())["features"]
    assert b'name="geobatch-site"' in (site / "index.html").read_bytes()
    again = geobatch("site", site, "--store", bench.store)
    assert again.code == 0


def test_its_size_is_bounded_and_said(bench: Workbench, tmp_path: Path) -> None:
    done = geobatch(
        "site", tmp_path / "s", "--store", bench.store, "--tiles", "2", "--commits", "1"
    )
    assert done.code == 0
    assert "the finest levels are left out" in done.err
    assert len(list((tmp_path / "s/native").rglob("*.png"))) == 2


def test_something_else_is_not_written_over(bench: Workbench, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    done = geobatch("site", tmp_path / "mine", "--store", bench.store)
    assert done.code == 4
    assert "it holds `file`" in done.err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
    assert geobatch("site", tmp_path / "mine" / "file", "--store", bench.store).code == 4
    assert geobatch("site", tmp_path / "n", "--store", tmp_path / "none").code == 10
