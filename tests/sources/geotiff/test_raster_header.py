"""Headers of GeoTIFFs of every shape, against what was written and against rasterio."""

from __future__ import annotations

import math
import os
import re
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine

from geobatch.errors import SourceError
from geobatch.model.assets.asset import DTYPES
from geobatch.sources.geotiff import Header, read_header

PLACE: dict[str, Any] = {"crs": "EPSG:32618", "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}


def write(path: Path, pixels: Any, *, after: Any = None, **options: Any) -> Path:
    pixels = np.asarray(pixels)
    profile = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
    } | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile) as dataset:
            if after:  # before the pixels: what is said later may go into a sidecar
                after(dataset)
            dataset.write(pixels)
    return path


def test_everything_that_a_file_says(tmp_path: Path) -> None:
    def describe(dataset: Any) -> None:
        dataset.descriptions = ("red", None, "near infrared, µm")
        dataset.units = ("W/m2", None, None)
        dataset.scales = (0.5, 1.0, 2.0)
        dataset.offsets = (0.0, -3.0, 1e-3)

    shear = Affine(10, 0.5, 5e5, -0.25, -10, 4e6)
    path = write(
        tmp_path / "a.tif",
        np.zeros((3, 70, 50), np.int16),
        after=describe,
        crs="EPSG:32618",
        transform=shear,
        nodata=-9999,
        tiled=True,
        blockxsize=16,
        blockysize=32,
        compress="zstd",
        interleave="pixel",
    )
    header = read_header(path, "a.tif")
    assert header.crs is not None
    assert header.crs.code == "EPSG:32618"
    assert header == Header(
        uri="a.tif",
        path=str(path),
        width=50,
        height=70,
        dtypes=("int16",) * 3,
        transform=(10.0, 0.5, 5e5, -0.25, -10.0, 4e6),
        crs=header.crs,
        nodata=(-9999,) * 3,
        mask=None,
        alpha_index=None,
        descriptions=("red", None, "near infrared, µm"),
        units=("W/m2", None, None),
        scales=(0.5, None, 2.0),
        offsets=(None, -3.0, 1e-3),
        palettes=(None, None, None),
        block=(32, 16),
        is_pixel_interleaved=True,
        compression="ZSTD",
        is_lossy=False,
        overviews=0,
        nodata_text="-9999",
        colours=("gray", "undefined", "undefined"),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("big", ["YES", "NO"])
@pytest.mark.parametrize("order", ["LITTLE", "BIG"])
def test_dtypes_and_byte_orders(tmp_path: Path, dtype: str, big: str, order: str) -> None:
    options = PLACE | {"bigtiff": big, "endianness": order, "interleave": "band"}
    path = write(tmp_path / "a.tif", np.ones((2, 5, 7), dtype), **options)
    assert path.read_bytes()[:2] == (b"II" if order == "LITTLE" else b"MM")
    header = read_header(path, "a.tif")
    assert header.dtypes == (dtype, dtype)
    assert not header.is_pixel_interleaved
    assert header.compression == "NONE"


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "complex_int16"])
def test_complex_is_refused(tmp_path: Path, dtype: str) -> None:
    path = write(
        tmp_path / "a.tif",
        np.zeros((1, 4, 4), dtype if dtype != "complex_int16" else "complex64"),
        **PLACE | {"dtype": dtype},
    )
    with pytest.raises(SourceError, match=r"`c\.tif`: band index 0: expected .*int8.*complex"):
        read_header(path, "c.tif")


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [
        ("uint8", 0, 0),
        ("int8", -128, -128),
        ("uint8", 3.5, 3),
        ("float32", -3.4e38, float(np.float32(-3.4e38))),
        ("float32", 0.1, float(np.float32(0.1))),
        ("float64", 0.1, 0.1),
        ("float64", -math.inf, -math.inf),
        ("int32", -(2**31), -(2**31)),
        ("uint32", 2**32 - 1, 2**32 - 1),
    ],
)
def test_nodata_is_in_the_bands_dtype(
    tmp_path: Path, dtype: str, nodata: float, expected: float | None
) -> None:
    path = write(tmp_path / "a.tif", np.zeros((2, 3, 3), dtype), nodata=nodata, **PLACE)
    found = read_header(path, "a.tif").nodata
    assert found == (expected, expected)
    assert {type(value) for value in found} == {type(expected)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_nodata(tmp_path: Path, dtype: str) -> None:
    path = write(tmp_path / "a.tif", np.zeros((1, 3, 3), dtype), nodata=math.nan, **PLACE)
    (value,) = read_header(path, "a.tif").nodata
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("dtype", "text", "expected"),
    [
        ("int64", "-9223372036854775807", -(2**63) + 1),
        ("int64", "9007199254740993", 2**53 + 1),
        ("uint64", "18446744073709551615", 2**64 - 1),
        ("uint64", "9007199254740993", 2**53 + 1),
        ("int64", "-9.2233720368547758e+18", -9),  # as C's `strtoll`, which GDAL takes
        ("uint64", "-1", 2**64 - 1),
        ("int64", "9223372036854775808", 2**63 - 1),
        ("int64", "1.5", 1),
        ("uint8", "-9999", None),
        ("uint8", "256", None),
        ("int16", "nan", None),
        ("float32", "1e300", math.inf),
        ("float32", "-1.7976931348623157e+308", -math.inf),
        ("float32", "-3.40282347e+38", -float(np.finfo(np.float32).max)),
        ("float32", "-1.#INF", -math.inf),
        ("float64", " -9999 ", -9999.0),
    ],
)
def test_nodata_as_other_programs_write_it(
    tmp_path: Path, dtype: str, text: str, expected: float | None
) -> None:
    # rasterio cannot write these, so the text of the tag is put in place of another.
    dummy = -1.2345678901234567e-123
    path = write(tmp_path / "a.tif", np.zeros((1, 3, 3), "float64"), nodata=dummy, **PLACE)
    data = path.read_bytes()
    at = data.index(b"-1.23456")
    end = data.index(b"\0", at)
    room = end - at
    assert len(text) <= room
    patched = data[:at] + text.encode().ljust(room, b"\0") + data[end:]
    path.write_bytes(patched)
    retype(path, dtype)
    assert read_header(path, "a.tif").nodata == (expected,)


def retype(path: Path, dtype: str) -> None:
    """Patch BitsPerSample and SampleFormat of a little-endian classic TIFF of one band."""
    data = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    kinds = {"u": 1, "i": 2, "f": 3}
    for index in range(count):
        at = offset + 2 + 12 * index
        (tag,) = struct.unpack_from("<H", data, at)
        if tag == 258:
            struct.pack_into("<H", data, at + 8, np.dtype(dtype).itemsize * 8)
        if tag == 339:
            struct.pack_into("<H", data, at + 8, kinds[np.dtype(dtype).kind])
    path.write_bytes(data)


def test_mask_directory_wins_over_alpha(tmp_path: Path) -> None:
    def mask(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
        dataset.write_mask(np.zeros((8, 8), bool))

    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        path = write(tmp_path / "a.tif", np.zeros((2, 8, 8), np.uint8), after=mask, **PLACE)
    assert not list(tmp_path.glob("*.msk"))
    header = read_header(path, "a.tif")
    assert (header.mask, header.alpha_index) == ("internal", 1)


@pytest.mark.parametrize(
    ("count", "dtype", "mask"),
    [
        (2, "uint8", "alpha"),
        (4, "uint16", "alpha"),
        (6, "uint8", "alpha"),
        (2, "float32", None),
        (2, "int16", None),
    ],
)
def test_alpha_is_the_last_band_by_colour(
    tmp_path: Path, count: int, dtype: str, mask: str | None
) -> None:
    def alpha(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.undefined] * (count - 1) + [ColorInterp.alpha]

    pixels = np.zeros((count, 4, 4), dtype)
    path = write(tmp_path / "a.tif", pixels, after=alpha, photometric="minisblack", **PLACE)
    header = read_header(path, "a.tif")
    assert (header.mask, header.alpha_index) == (mask, count - 1)


def test_nodata_alone_is_no_mask(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((3, 4, 4), np.uint8), nodata=0, **PLACE)
    header = read_header(path, "a.tif")
    assert (header.mask, header.alpha_index) == (None, None)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_palette(tmp_path: Path, dtype: str) -> None:
    colours = {0: (1, 2, 3, 255), 1: (200, 100, 50, 255), 5: (9, 8, 7, 255)}
    path = write(
        tmp_path / "a.tif",
        np.zeros((1, 4, 4), dtype),
        after=lambda dataset: dataset.write_colormap(1, colours),
        photometric="palette",
        **PLACE,
    )
    (palette,) = read_header(path, "a.tif").palettes
    assert palette is not None
    assert len(palette) == (256 if dtype == "uint8" else 65536)
    assert {value: palette[value] for value in colours} == colours


def test_no_place_is_said_not_guessed(tmp_path: Path) -> None:
    header = read_header(write(tmp_path / "a.tif", np.zeros((1, 4, 4), np.uint8)), "a.tif")
    assert (header.crs, header.transform) == (None, None)


def test_the_identity_as_a_transform_is_not_its_absence(tmp_path: Path) -> None:
    sheared = Affine(1, 0.5, 0, 0.5, 1, 0)
    path = write(
        tmp_path / "a.tif", np.zeros((1, 4, 4), np.uint8), crs="EPSG:32618", transform=sheared
    )
    data = path.read_bytes()
    matrix = struct.pack("<16d", 1, 0.5, 0, 0, 0.5, 1, 0, 0, *[0] * 7, 1)
    assert data.count(matrix) == 1
    path.write_bytes(data.replace(matrix, np.eye(4).tobytes()))
    # GDAL writes zero for z; any z is ignored.
    assert read_header(path, "a.tif").transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("row", [(0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_a_transform_without_area_is_refused(tmp_path: Path, row: tuple[float, float]) -> None:
    sheared = Affine(7, 0.5, 0, 0.5, 7, 0)
    path = write(
        tmp_path / "a.tif", np.zeros((1, 4, 4), np.uint8), crs="EPSG:32618", transform=sheared
    )
    old = struct.pack("<2d", 7, 0.5)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, struct.pack("<2d", *row)))
    header = read_header(path, "a.tif")
    assert header.transform is None
    assert re.match(r"the transform .* is not valid", header.transform_fault or "")


def test_ground_control_points_alone_are_refused(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, 10.0 * c, 5.0 * r) for r, c in ((0, 0), (0, 4), (4, 0))]
    path = write(tmp_path / "a.tif", np.zeros((1, 4, 4), np.uint8), gcps=points, crs="EPSG:32618")
    header = read_header(path, "a.tif")
    assert header.transform is None
    assert re.match(r"has 3 ground control points.*gdalwarp", header.transform_fault or "")


def test_labels_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    def name(dataset: Any) -> None:
        dataset.set_band_description(1, "xé band")

    path = write(tmp_path / "a.tif", np.zeros((2, 4, 4), np.uint8), after=name, **PLACE)
    assert read_header(path, "a.tif").descriptions == ("xé band", None)
    data = path.read_bytes()
    path.write_bytes(data.replace("é".encode(), b"\xe9\xff"))
    assert path.read_bytes() != data
    header = read_header(path, "a.tif")
    assert (header.descriptions, header.width) == ((None, None), 4)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((1, 4, 4), np.uint8), **PLACE)
    other = path.rename(tmp_path / os.fsdecode(b"bad\xff.tif"))
    with pytest.raises(SourceError, match="not UTF-8") as info:
        read_header(other, other.name)
    assert "rename" in (info.value.hint or "")


def test_pixel_is_point_and_crs_without_code(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.tif",
        np.zeros((1, 4, 4), np.uint8),
        after=lambda dataset: dataset.update_tags(AREA_OR_POINT="Point"),
        **PLACE | {"crs": "+proj=laea +lat_0=1 +lon_0=2 +a=6371000 +b=6370000"},
    )
    header = read_header(path, "a.tif")
    with rasterio.open(path) as dataset:
        assert header.transform == tuple(dataset.transform)[:6] == tuple(PLACE["transform"])[:6]
    assert header.crs is not None
    assert header.crs.code is None
    assert header.crs.wkt.startswith("PROJCRS")


def test_sidecars_change_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.ones((1, 8, 8), np.uint8), nodata=7, **PLACE)
    bare = write(tmp_path / "b.tif", np.ones((1, 8, 8), np.uint8))
    before = read_header(path, "a.tif"), read_header(bare, "b.tif")
    for name in ("a", "b"):
        (tmp_path / f"{name}.tif.aux.xml").write_text(
            "<PAMDataset><SRS>EPSG:4326</SRS><GeoTransform>1,2,0,3,0,-4</GeoTransform>"
            '<PAMRasterBand band="1"><NoDataValue>1</NoDataValue><UnitType>m</UnitType>'
            "</PAMRasterBand></PAMDataset>"
        )
        (tmp_path / f"{name}.tfw").write_text("2\n0\n0\n-2\n100\n200\n")
        (tmp_path / f"{name}.prj").write_text('LOCAL_CS["x"]')
        copy_raster(bare, tmp_path / f"{name}.tif.msk", driver="GTiff")
        copy_raster(bare, tmp_path / f"{name}.tif.ovr", driver="GTiff")
    with rasterio.open(bare) as dataset:  # the sidecars are good ones: GDAL left alone heeds them
        assert dataset.nodata == 1
    assert (read_header(path, "a.tif"), read_header(bare, "b.tif")) == before


def test_the_users_environment_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        tmp_path / "a.tif",
        np.zeros((1, 4, 4), np.uint8),
        after=lambda dataset: dataset.update_tags(AREA_OR_POINT="Point"),
        **PLACE,
    )
    before = read_header(path, "a.tif")
    monkeypatch.setenv("GTIFF_POINT_GEO_IGNORE", "YES")
    assert read_header(path, "a.tif") == before


def test_not_a_geotiff(tmp_path: Path) -> None:
    source = write(tmp_path / "a.tif", np.zeros((1, 8, 8), np.uint8), **PLACE)
    cases: dict[str, bytes] = {
        "text.tif": b"hello, world",
        "short.tif": b"II",
        "header.tif": b"II*\0",
        "nothing.tif": b"II*\0" + bytes(12),
        "far.tif": b"II*\0" + b"\xff" * 12,
        "vrt.tif": b'<VRTDataset rasterXSize="8" rasterYSize="8">'
        b'<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>'
        + str(source).encode()
        + b"</SourceFilename></SimpleSource></VRTRasterBand>"
        b"<GeoTransform>1,2,0,3,0,-4</GeoTransform></VRTDataset>",
    }
    copy_raster(source, tmp_path / "png.tif", driver="PNG")
    cases["png.tif"] = (tmp_path / "png.tif").read_bytes()
    (tmp_path / "real.vrt").write_bytes(cases["vrt.tif"])
    with rasterio.open(tmp_path / "real.vrt") as dataset:
        assert dataset.driver == "VRT"
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(SourceError, match=f"`{name}`: "):
            read_header(path, name)


def test_no_other_way_into_gdal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "a.tif", np.zeros((1, 8, 8), np.uint8), **PLACE)
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / "fifo.tif")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    for name, message in {
        "GTIFF_DIR:1:a.tif": "no such file",
        "GTIFF_RAW:a.tif": "no such file",
        "/vsimem/a.tif": "not a local file",
        f"/vsisubfile/0_,{source}": "not a local file",
        f"file://{source}": "not a local file",
        "https://example.com/a.tif": "not a local file",
        "fifo.tif": "expected a regular file, got a named pipe",
        "folder.tif": "expected a regular file, got a directory",
        "empty.tif": "the file is empty",
        "loop.tif": "cannot be reached",
        "absent.tif": "no such file",
        "a.tif\0": "cannot be reached",
        "x" * 300: "cannot be reached",
    }.items():
        with pytest.raises(SourceError, match=message) as info:
            read_header(Path(name), name)
        assert f"`{name}`" in str(info.value)
    odd = tmp_path / "GTIFF_DIR:2:a.tif"
    odd.write_bytes(source.read_bytes())
    assert read_header(Path(odd.name), odd.name).width == 8
    link = tmp_path / "link.tif"
    link.symlink_to("a.tif")
    assert read_header(link, "link.tif").path == str(source.resolve())


def test_real_files_as_rasterio_sees_them(raster: Path) -> None:
    header = read_header(raster, raster.name)
    with rasterio.open(raster) as dataset:
        assert (header.count, header.height, header.width) == (dataset.count, *dataset.shape)
        assert header.dtypes == dataset.dtypes
        assert header.transform == tuple(dataset.transform)[:6]
        assert header.crs is not None
        assert header.nodata == dataset.nodatavals
        assert header.block == dataset.block_shapes[0]
        assert header.overviews == len(dataset.overviews(1))
        number = dataset.crs.to_epsg(confidence_threshold=100)
        assert header.crs.code in {f"EPSG:{number}", None}
    masks = {"RGBA.byte.tif": "alpha", "RGBA.uint16.tif": "alpha", "cogeo.tif": "internal"}
    assert header.mask == masks.get(raster.name)
