"""External images on servers: exact ranges, one state of each object, and no other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from cogs import external, mask, overview, values, write_cog
from range_server import Served, serving
from rasterio.transform import Affine
from workbench import CRS, PIXEL, X0, Y0, Workbench, assert_same, image

import geobatch
from geobatch.errors import PlanError, SourceError, SpecError
from geobatch.model.plans.plan import Op, Reason
from geobatch.sources.remote.file import START_BYTES
from geobatch.workflow.plan import plan


@pytest.fixture(name="served")
def served_fixture(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "bucket").mkdir()
    with serving(tmp_path / "bucket") as served:
        yield served


def read(bench: Workbench, path: str, rows: slice = slice(None), cols: slice = slice(None)) -> Any:
    asset, _, array = path.partition("/")
    found = geobatch.open_store(bench.store).open(asset)[array]
    return found[rows, cols]  # type: ignore[index]


@pytest.mark.parametrize("is_planar", [False, True])
def test_it_reads_as_the_same_file_on_disk(tmp_path: Path, served: Served, is_planar: bool) -> None:
    bands = [values(), values()]
    path = write_cog(served.folder / "cog.tif", bands, internal=mask(), is_planar=is_planar)
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"), external("b", path))
    for level in range(3):
        for name in (f"{level}/b1", f"masks/{level}/b1", f"{level}/b2", f"masks/{level}/b2"):
            assert_same(read(bench, f"a/{name}"), read(bench, f"b/{name}"), name)


def test_one_tile_costs_the_header_and_that_tile(tmp_path: Path, served: Served) -> None:
    """A raster of four gigapixels, of which two tiles are stored."""
    side, tile = 65536, 512
    path = served.folder / "large.tif"
    pixels = np.random.default_rng(1).integers(0, 255, (tile, tile), dtype=np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint8", tiled=True,
        blockxsize=tile, blockysize=tile, compress="deflate", SPARSE_OK=True, crs=CRS,
        transform=Affine(PIXEL, 0, X0, 0, -PIXEL, Y0),
    ) as file:  # fmt: skip
        for row, col in ((3, 5), (100, 60)):
            window = rasterio.windows.Window(col * tile, row * tile, tile, tile)
            file.write(pixels, 1, window=window)
    with rasterio.open(path) as file:
        size = int(file.get_tag_item("BLOCK_SIZE_60_100", "TIFF", bidx=1))
        start = int(file.get_tag_item("BLOCK_OFFSET_5_3", "TIFF", bidx=1))
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}large.tif"))
    assert served.sent <= start + START_BYTES + 1, "applying reads more than the header"
    served.requests.clear()
    rows, cols = slice(100 * tile, 101 * tile), slice(60 * tile, 61 * tile)
    assert_same(read(bench, "a/0/b1", rows, cols), pixels, "tile")
    assert served.sent <= start + size + 1024  # what is before and behind a tile, to merge reads
    assert served.sent < path.stat().st_size
    # The header is longer than its first part: directories behind it are read one by one.
    assert len(served.requests) <= 12


def test_another_tile_costs_that_tile_alone(tmp_path: Path, served: Served) -> None:
    path = write_cog(served.folder / "cog.tif", [values((1024, 1024))])
    with rasterio.open(path) as file:
        sizes = {
            (row, col): int(file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1))
            for row in range(4)
            for col in range(4)
        }
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"))
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    array[:256, :256]
    served.requests.clear()
    array[256:512, 768:1024]
    assert served.sent <= sizes[1, 3]


def test_the_tiles_of_a_region_come_by_few_requests(tmp_path: Path, served: Served) -> None:
    """Sixteen tiles, which zarr requests one by one: the header, and a request per row or so."""
    pixels = [values((2048, 2048)), values((2048, 2048))]
    write_cog(served.folder / "cog.tif", pixels, is_planar=True, tile=512)
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"))
    for level, name, expected in (
        (0, "b2", pixels[1]),
        (1, "b1", overview(served.folder / "cog.tif", 1)),
    ):
        served.requests.clear()
        array: Any = geobatch.open_store(bench.store).open("a")[f"{level}/{name}"]
        assert_same(np.asarray(array[...]), expected, name)
        assert len(served.requests) <= 6


def test_a_plan_asks_for_the_state_and_no_more(tmp_path: Path, served: Served) -> None:
    write_cog(served.folder / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"))
    served.requests.clear()
    made = plan([tmp_path / "spec.yaml"], store=bench.store)
    assert made.is_empty
    assert served.requests == [("cog.tif", 1)]


@pytest.mark.parametrize("evidence", ["tag", "version", "time"])
def test_another_state_is_never_read(tmp_path: Path, served: Served, evidence: str) -> None:
    served.has_tags = evidence == "tag"
    if evidence == "version":
        served.headers["x-goog-generation"] = "17"
    path = write_cog(served.folder / "cog.tif", [values()])
    os.utime(path, (1e9, 1e9))  # a time that has just been is waited for
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"))
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    array[:100, :100]
    before = path.stat().st_size
    write_cog(path, [values((700, 1000))])
    os.utime(path, (1e9 + 60, 1e9 + 60))
    served.generation += 1
    if evidence == "version":
        served.headers["x-goog-generation"] = "18"
    pinned = {"tag": "cog.tif-1", "version": "17"}.get(evidence, f", {before} bytes")
    again: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    for one in (array, again):
        with pytest.raises(SourceError, match="Failed to load the GeoTIFF at") as caught:
            one[600:, 900:]
        message = f"Failed to load the GeoTIFF at `{served.url}cog.tif#"
        assert caught.value.message.startswith(message)
        assert caught.value.message.endswith(f"{pinned}`")
    made = plan([tmp_path / "spec.yaml"], store=bench.store)
    (change,) = made.changes
    assert change.op is Op.UPDATE
    assert {because.reason for because in change.because} == {Reason.SOURCE_CHANGED}
    bench.apply_spec()
    assert_same(read(bench, "a/0/b1"), overview(path, 0), "pinned anew")


def test_an_ingested_image_is_of_the_generation_that_is_named(
    tmp_path: Path, served: Served
) -> None:
    """Also if the header of another state is known already, and of each uri of one object."""
    served.headers["x-goog-generation"] = "17"
    write_cog(served.folder / "cog.tif", [values()])
    url = f"{served.url}cog.tif"
    bench = Workbench(folder=tmp_path)
    bench.apply(image("a", f"{url}#17"))
    for specs in ([image("a", f"{url}#18")], [image("a", f"{url}#17"), image("b", f"{url}#18")]):
        with pytest.raises(SourceError, match=r"Failed to load the GeoTIFF at .*#18`") as caught:
            bench.apply(*specs)
        assert "`17`" in (caught.value.hint or "")


def test_a_generation_is_kept_as_it_is_written(tmp_path: Path, served: Served) -> None:
    served.headers["x-goog-generation"] = "17"
    write_cog(served.folder / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif#17"))
    served.headers["x-goog-generation"] = "18"
    message = f"Failed to load the GeoTIFF at `{served.url}cog.tif#17`"
    with pytest.raises(SourceError) as caught:
        read(bench, "a/0/b1")
    assert caught.value.message == message
    with pytest.raises(SourceError) as caught:
        bench.apply_spec()
    assert caught.value.message.endswith(f": `a`: {message}")
    assert "`18`" in (caught.value.hint or "")


def test_what_is_busy_or_elsewhere_is_asked_again(tmp_path: Path, served: Served) -> None:
    path = write_cog(served.folder / "cog.tif", [values()])
    served.redirects["moved.tif"] = "/cog.tif"
    served.statuses = [503, 429]
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}moved.tif"))
    served.statuses = [500]
    assert_same(read(bench, "a/0/b1"), overview(path, 0), "after a redirect")


def test_what_cannot_be_read_by_ranges_is_said(tmp_path: Path, served: Served) -> None:
    write_cog(served.folder / "cog.tif", [values()])
    (served.folder / "text.tif").write_text("no TIFF at all, but long enough to be one")
    bench = Workbench(folder=tmp_path)
    with pytest.raises(SourceError, match="no such file"):
        bench.apply(external("a", f"{served.url}none.tif"))
    with pytest.raises(SourceError, match="expected a TIFF file"):
        bench.apply(external("a", f"{served.url}text.tif"))
    served.has_ranges = False
    with pytest.raises(SourceError, match="only whole files"):
        bench.apply(external("a", f"{served.url}cog.tif"))
    with pytest.raises(SourceError, match="cannot be reached"):
        bench.apply(external("a", "http://127.0.0.1:9/cog.tif"))
    with pytest.raises(SpecError, match="`b` is not a valid name of a bucket"):
        bench.apply(external("a", "gs://b/c.tif"))
    with pytest.raises(SourceError, match="only whole files"):
        bench.apply(image("a", f"{served.url}cog.tif"))


def test_rules_hold_on_servers_too(tmp_path: Path, served: Served) -> None:
    with rasterio.open(
        served.folder / "strips.tif", "w", driver="GTiff", width=100, height=100, count=1,
        dtype="uint8", crs=CRS, transform=Affine(PIXEL, 0, X0, 0, -PIXEL, Y0),
    ) as file:  # fmt: skip
        file.write(values((100, 100), "uint8"), 1)
    with pytest.raises(PlanError, match="in strips") as caught:
        Workbench(folder=tmp_path).apply(external("a", f"{served.url}strips.tif"))
    assert f"gdal_translate /vsicurl/{served.url}strips.tif strips_cog.tif -of COG" in (
        caught.value.hint or ""
    )


def test_a_time_that_has_just_been_is_waited_for(tmp_path: Path, served: Served) -> None:
    """Whole seconds do not tell a file from one of its size that replaces it at once."""
    served.has_tags = False
    path = write_cog(served.folder / "cog.tif", [values((300, 300))])
    other = write_cog(tmp_path / "other.tif", [values((300, 300))])
    size = max(path.stat().st_size, other.stat().st_size)
    for one in (path, other):
        os.truncate(one, size)
    now = time.time()
    os.utime(path, (now, now))
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", f"{served.url}cog.tif"))
    # What was pinned is what was there two seconds later.
    assert time.time() - int(now) >= 2
    assert_same(read(bench, "a/0/b1"), overview(path, 0), "as pinned")
    path.write_bytes(other.read_bytes())
    with pytest.raises(SourceError, match="Failed to load the GeoTIFF at"):
        read(bench, "a/0/b1")
