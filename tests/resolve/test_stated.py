"""What stands beside the files, or instead of what they say; and what headers warn about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from workbench import CRS, Document, Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.errors import Problem, SourceError
from geobatch.model.assets.asset import AnyImage, MaskSource, Resolution
from geobatch.model.geobox import Crs, GeoBox
from geobatch.resolve import resolve
from geobatch.sources.small_files import parse_world_file

# What is written bare, and what GDAL is asked about it.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def resolution(folder: Path, document: Document, project: str = "") -> Resolution:
    (folder / "geobatch.yaml").write_text(project)
    spec = Workbench(folder=folder).write_spec([document])
    return resolve(validate([spec]))


def resolved(folder: Path, document: Document) -> AnyImage:
    return resolution(folder, document).images[0]


def bare_tiff(path: Path, shape: tuple[int, int] = (30, 40)) -> None:
    """Write a TIFF that does not say where it lies."""
    height, width = shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype="uint8"
    ) as file:
        file.write(np.ones(shape, dtype=np.uint8), 1)


def write_projection(path: Path, code: str = CRS) -> None:
    path.write_text(rasterio.crs.CRS.from_user_input(code).to_wkt(version="WKT1_ESRI"))


# --- sidecars -----------------------------------------------------------------------------------


def test_sidecars_place_what_the_file_does_not(tmp_path: Path) -> None:
    bare_tiff(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("10.0\n0.5\n0.25\n-10.0\n500605.0\n4999395.0\n")
    write_projection(tmp_path / "a.prj")
    document = image("a", tileset={"sources": [{"uris": ["a.tif", "a.tfw", "a.prj"]}]})
    box = resolved(tmp_path, document).grids[0].geobox
    # GDAL reads the same world file by itself, where it may look beside the file.
    with rasterio.open(tmp_path / "a.tif") as file:
        assert box.transform == tuple(file.transform)[:6]
    assert box.crs.code == CRS


@given(
    size=st.floats(0.001, 1e4),
    shear=st.floats(-10, 10),
    corner=st.floats(-1e7, 1e7),
)
def test_world_files_are_read_as_gdal_reads_them(size: float, shear: float, corner: float) -> None:
    lines = [size, shear / 2, shear, -size, corner, -corner / 3]
    found = parse_world_file("\n".join(map(repr, lines)))
    a, d, b, e, x, y = lines
    # The centre of the first pixel is where the file says.
    centre = GeoBox(crs=Crs(code=None, wkt=""), transform=found, height=1, width=1).xy(
        col=0.5, row=0.5
    )
    assert centre == pytest.approx((x, y), rel=1e-12, abs=1e-6)
    assert (found[0], found[1], found[3], found[4]) == (a, b, d, e)


def test_what_the_file_or_the_spec_says_goes_first(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [np.ones((30, 40), dtype=np.uint8)])
    plain = resolved(tmp_path, image("a", "a.tif")).grids[0].geobox
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    write_projection(tmp_path / "a.prj", "EPSG:4326")
    sources: list[Document] = [{"uris": ["a.tif", "a.tfw", "a.prj"]}]
    assert resolved(tmp_path, image("a", tileset={"sources": sources})).grids[0].geobox == plain
    sources[0]["affine_transform"] = {"scale_x": 2, "scale_y": -2}
    tileset = {"crs": "EPSG:3857", "sources": sources}
    box = resolved(tmp_path, image("a", tileset=tileset)).grids[0].geobox
    assert (box.crs.code, box.transform) == ("EPSG:3857", (2, 0, 0, 0, -2, 0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n0\n0\n-1\n0\n", "six numbers"),
        ("1\n0\n0\n-1\n0\nhere\n", "six numbers"),
        ("", "six numbers"),
        ("0\n0\n0\n0\n0\n0\n", "are not a valid transform"),
        ("nan\n0\n0\n1\n0\n0\n", "are not a valid transform"),
    ],
)
def test_a_broken_world_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    bare_tiff(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text(text)
    tileset = {"crs": CRS, "sources": [{"uris": ["a.tif", "a.tfw"]}]}
    with pytest.raises(SourceError, match=words) as caught:
        resolved(tmp_path, image("a", tileset=tileset))
    assert "`a.tfw` of `a.tif`" in caught.value.message


def test_a_broken_projection_is_named(tmp_path: Path) -> None:
    bare_tiff(tmp_path / "a.tif")
    (tmp_path / "a.prj").write_bytes(b"\xff\xfe no projection")
    source = {"uris": ["a.tif", "a.prj"], "affine_transform": {"scale_x": 1, "scale_y": -1}}
    with pytest.raises(SourceError, match=r"`a\.prj` of `a\.tif`"):
        resolved(tmp_path, image("a", tileset={"sources": [source]}))


# --- skip_metadata_read -------------------------------------------------------------------------


def told(**more: Any) -> Document:
    """Return a spec that tells all, of a file of 30 x 40 pixels."""
    source = {
        "uris": ["a.tif"],
        "affine_transform": {"scale_x": 2, "scale_y": -2},
        "dimensions": {"width": 40, "height": 30},
    }
    tileset = {"crs": "EPSG:3857", "data_type": "UINT8", "sources": [source]}
    return image("a", tileset=tileset, skip_metadata_read=True, **more)


def test_metadata_of_the_file_is_set_aside(tmp_path: Path) -> None:
    pixels = np.ones((30, 40), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels, pixels], nodata=7)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.descriptions = ("x", "y")
        file.scales = (2.0, 3.0)
    asset = resolved(tmp_path, told())
    assert asset.grids[0].geobox.crs.code == "EPSG:3857"
    assert list(asset.grids[0].geobox.transform) == [2, 0, 0, 0, -2, 0]
    for band in asset.bands:
        assert band.masking.source is MaskSource.NONE
        assert (band.description, band.scale, band.unit) == (None, None, None)
    missing = resolved(tmp_path, told(missing_data={"values": [9]})).bands[0].masking
    assert (missing.source, missing.values) == (MaskSource.VALUES, (9,))


def test_alpha_is_a_band_like_others_then(tmp_path: Path) -> None:
    pixels = np.ones((30, 40), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels, pixels], has_alpha=True)
    assert [band.id for band in resolved(tmp_path, told()).bands] == ["b1", "b2"]
    bench = Workbench(folder=tmp_path)
    bench.apply(told())
    assert bench.names("a/0") == {"b1", "b2"}


def test_an_internal_mask_is_pixels_and_stays(tmp_path: Path) -> None:
    pixels = np.ones((30, 40), dtype=np.uint8)
    mask = np.full((30, 40), 255, dtype=np.uint8)
    mask[3:9] = 0
    write_tiff(tmp_path / "a.tif", [pixels], internal=mask)
    assert resolved(tmp_path, told()).bands[0].masking.source is MaskSource.FILE


# --- warnings -----------------------------------------------------------------------------------


def warning_of(folder: Path, document: Document, project: str = "") -> Problem | None:
    found = resolution(folder, document, project).warnings
    assert len(found) <= 1
    return found[0] if found else None


def palette_tiff(path: Path) -> None:
    write_tiff(path, [np.ones((30, 40), dtype=np.uint8)])
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0, 255), 1: (9, 9, 9, 255)})


def test_a_palette_left_to_the_default_is_warned_about(tmp_path: Path) -> None:
    palette_tiff(tmp_path / "a.tif")
    found = warning_of(tmp_path, image("a", "a.tif"))
    assert found is not None
    assert found.rule == "categorical-mean"
    assert "colour table" in found.message
    assert warning_of(tmp_path, image("a", "a.tif", pyramiding_policy="MEAN")) is None
    assert warning_of(tmp_path, image("a", "a.tif"), "silence: [categorical-mean]") is None


def test_a_band_of_floats_may_be_called_what_it_likes(tmp_path: Path) -> None:
    bands = [{"id": "mask", "tileset_id": "t"}]
    write_tiff(tmp_path / "a.tif", [np.ones((30, 40), dtype=np.float32)])
    assert warning_of(tmp_path, image("a", "a.tif", bands=bands)) is None
    write_tiff(tmp_path / "a.tif", [np.ones((30, 40), dtype=np.uint8)])
    found = warning_of(tmp_path, image("a", "a.tif", bands=bands))
    assert found is not None
    assert found.rule == "categorical-mean"


def test_jpeg_is_warned_about_once_per_source(tmp_path: Path) -> None:
    pixels = np.ones((32, 32), dtype=np.uint8)
    for number in range(3):
        layout = {"compress": "jpeg"}
        write_tiff(tmp_path / f"a{number}.tif", [pixels], col=32 * number, layout=layout)
    found = warning_of(tmp_path, image("a", "a*.tif"))
    assert found is not None
    assert (found.rule, "JPEG" in found.message) == ("lossy-source", True)
    assert warning_of(tmp_path, image("a", "a*.tif"), "silence: [lossy-source]") is None
    write_tiff(tmp_path / "b.tif", [pixels], layout={"compress": "lzw"})
    assert warning_of(tmp_path, image("a", "b.tif")) is None


def test_nodata_that_no_pixel_can_be_is_warned_about(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [np.ones((30, 40), dtype=np.int16)], nodata=-9999)
    text = (tmp_path / "a.tif").read_bytes()
    assert warning_of(tmp_path, image("a", "a.tif")) is None
    # rasterio refuses to write such a file; other software does not.
    assert text.count(b"-9999\0") == 1
    (tmp_path / "a.tif").write_bytes(text.replace(b"-9999\0", b"99999\0"))
    found = warning_of(tmp_path, image("a", "a.tif"))
    assert found is not None
    assert (found.rule, "`99999`" in found.message) == ("nodata-outside-type", True)
    assert warning_of(tmp_path, image("a", "a.tif", missing_data={"values": []})) is None
