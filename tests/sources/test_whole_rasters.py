"""NetCDF and JPEG 2000 sources, end to end, against netCDF4, xarray and rasterio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import rasterio
import xarray as xr
from whole_rasters import write_jp2, write_netcdf
from workbench import Workbench, image, write_tiff

import geobatch
from geobatch.errors import GeobatchError, Problem, SourceError
from geobatch.model.plans.plan import Op
from geobatch.store.location import StoreLocation
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request
from geobatch.workflow.plan import plan, plan_specs
from geobatch.workflow.request import Request

HEIGHT, WIDTH = 70, 90


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(folder=tmp_path)


def noise(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    values = np.random.default_rng(seed).normal(1000, 300, (*shape, HEIGHT, WIDTH))
    return values.astype(dtype)


def nc(**more: Any) -> dict[str, Any]:
    return {"id": "t", "crs": "EPSG:4326", "sources": [{"uris": ["a.nc"]}], **more}


def opened(bench: Workbench, asset: str = "x") -> xr.Dataset:
    found: xr.Dataset = xr.open_zarr(bench.store / "zarr" / asset / "0")
    return found


def warnings(bench: Workbench, path: Path) -> list[Problem]:
    return list(plan_specs(Request.of([path], store=bench.store)).warnings)


def test_a_packed_variable_is_unpacked_by_readers_as_netcdf_is(bench: Workbench) -> None:
    packed = noise(dtype="int16")
    packed[3, 4:9] = -32767
    attributes = {"scale_factor": 0.01, "add_offset": 273.15, "units": "K", "_FillValue": -32767,
                  "long_name": "air temperature"}  # fmt: skip
    write_netcdf(bench.folder / "a.nc", {"t2m": packed}, attributes={"t2m": attributes})
    bench.apply(image("x", tileset=nc()))
    expected = xr.open_dataset(bench.folder / "a.nc", engine="netcdf4")["t2m"]
    found = opened(bench)["b1"]
    assert np.allclose(found.values, expected.values, rtol=1e-12, equal_nan=True)
    assert np.isnan(found.values[3, 4:9]).all()
    assert found.attrs["units"] == "K"
    assert found.attrs["long_name"] == "air temperature"
    assert np.allclose(found.y, expected.latitude)
    assert np.allclose(found.x, expected.longitude)


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET"])
def test_slices_of_two_variables_are_bands(bench: Workbench, kind: str) -> None:
    t, u = noise(3, seed=1), noise(3, seed=2)
    write_netcdf(bench.folder / "a.nc", {"t": t, "u": u}, kind=kind)
    bands = [
        {"id": "t2", "tileset_id": "t", "tileset_band_index": 2},
        {"id": "t0", "tileset_id": "t", "tileset_band_index": 0},
        {"id": "u1", "tileset_id": "u", "tileset_band_index": 1},
    ]
    spec = image("x", tileset=nc(variable="t"), more_tilesets=[nc(id="u", variable="u")],
                 bands=bands)  # fmt: skip
    bench.apply(spec)
    for name, expected in (("t2", t[2]), ("t0", t[0]), ("u1", u[1])):
        assert np.array_equal(bench.array(f"x/0/{name}"), expected)
    assert opened(bench)["t2"].attrs["long_name"] == "t, time = 2 days since 2020-01-01"
    path = bench.write_spec([spec])
    assert plan([path], store=bench.store).changes[0].op is Op.KEEP
    report = verify_request(VerifyRequest(store=StoreLocation.of(bench.store)))
    assert not report.is_different
    assert not report.is_unchecked


def test_rows_from_south_to_north_are_turned(bench: Workbench) -> None:
    up = noise()
    write_netcdf(bench.folder / "a.nc", {"t": up}, lats=30 + 0.5 * np.arange(HEIGHT))
    bench.apply(image("x", tileset=nc()))
    found = opened(bench)["b1"]
    expected = xr.open_dataset(bench.folder / "a.nc")["t"].sortby("latitude", ascending=False)
    assert np.array_equal(found.values, expected.values)
    assert np.allclose(found.y, expected.latitude)


def test_another_variable_of_one_file_is_another_content(bench: Workbench) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise(seed=1), "u": noise(seed=2)})
    bench.apply(image("x", tileset=nc(variable="t")))
    path = bench.write_spec([image("x", tileset=nc(variable="u"))])
    assert plan([path], store=bench.store).changes[0].op is Op.UPDATE
    bench.apply(image("x", tileset=nc(variable="u")))
    assert np.array_equal(bench.array("x/0/b1"), noise(seed=2))


def test_a_variable_need_not_be_named_if_it_is_the_only_one(bench: Workbench) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()})
    bench.apply(image("x", tileset=nc()))
    path = bench.write_spec([image("x", tileset=nc(variable="t"))])
    assert plan([path], store=bench.store).changes[0].op is Op.KEEP


def test_the_crs_of_a_grid_mapping_is_used(bench: Workbench) -> None:
    from pyproj import CRS  # noqa: PLC0415 - one test

    data = xr.Dataset(
        {"t": (("y", "x"), noise(), {"grid_mapping": "crs"})},
        coords={"y": 5_000_000 - 10.0 * np.arange(HEIGHT), "x": 300_000 + 10.0 * np.arange(WIDTH),
                "crs": ((), 0, CRS.from_epsg(32632).to_cf())},
    )  # fmt: skip
    for name in ("x", "y"):
        data[name].attrs = {"standard_name": f"projection_{name}_coordinate", "units": "m"}
    data.to_netcdf(bench.folder / "a.nc")
    bench.apply(image("x", "a.nc"))
    assert opened(bench).attrs["proj:code"] == "EPSG:32632"
    assert opened(bench).attrs["spatial:transform"] == [10, 0, 299_995, 0, -10, 5_000_005]


def test_integers_of_64_bits_keep_their_missing_value(bench: Workbench) -> None:
    fill = -(2**53) - 1
    values = np.full((HEIGHT, WIDTH), 7, "int64")
    values[0, 0], values[0, 1] = fill, fill + 1
    write_netcdf(bench.folder / "a.nc", {"t": values}, attributes={"t": {"_FillValue": fill}})
    bench.apply(image("x", tileset=nc(), pyramiding_policy="MODE"))
    found = bench.array("x/0/b1")
    assert found[0, 1] == fill + 1
    assert np.array_equal(found, values)


@pytest.mark.parametrize(
    ("attributes", "lons", "words"),
    [
        ({}, 1.0 * np.arange(WIDTH) + 120, "from 119.5 to 209.5 degrees of longitude"),
        ({"_FillValue": -1.0, "missing_value": np.float32(-9)}, None, "`missing_value` is -9"),
        ({"valid_range": np.array([0, 1], "f4")}, None, "`valid_range` is not applied"),
    ],
)
@pytest.mark.parametrize("is_silenced", [False, True])
def test_what_surprises_is_said_once(
    bench: Workbench, attributes: dict[str, Any], lons: Any, words: str, is_silenced: bool
) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()}, lons=lons, attributes={"t": attributes})
    path = bench.write_spec([image("x", tileset=nc())])
    if is_silenced:
        (bench.folder / "geobatch.yaml").write_text("silence: [odd-source]\n")
    found = [one for one in warnings(bench, path) if one.rule == "odd-source"]
    assert len(found) == (not is_silenced)
    assert all(words in one.message for one in found)


def test_rows_of_a_gaussian_grid_are_said_to_move(bench: Workbench) -> None:
    lats = np.rad2deg(np.arcsin(np.polynomial.legendre.leggauss(64)[0]))[::-1]
    values = noise()[:64]
    write_netcdf(bench.folder / "a.nc", {"t": values}, lats=lats)
    path = bench.write_spec([image("x", tileset=nc())])
    (found,) = [one for one in warnings(bench, path) if one.rule == "odd-source"]
    even = np.linspace(lats[0], lats[-1], 64)
    moved = float(found.message.rpartition("up to ")[2].split()[0])
    assert moved == pytest.approx(np.abs(even - lats).max(), rel=0.2)


def test_longitude_before_latitude_is_refused(bench: Workbench) -> None:
    """GDAL takes the last dimension for columns, whatever it is."""
    lat = ("lat", 50 + 0.5 * np.arange(WIDTH), {"units": "degrees_north"})
    lon = ("lon", 5 + 0.5 * np.arange(HEIGHT), {"units": "degrees_east"})
    xr.Dataset({"t": (("lon", "lat"), noise())}, {"lat": lat, "lon": lon}).to_netcdf(
        bench.folder / "a.nc"
    )
    path = bench.write_spec([image("x", tileset=nc())])
    with pytest.raises(GeobatchError, match="its last dimension, `lat`, is latitude"):
        plan([path], store=bench.store)


def test_a_latitude_of_one_value_is_no_dimension(bench: Workbench) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()})
    with netCDF4.Dataset(bench.folder / "a.nc", "a") as file:
        file.createVariable("lat_of_station", "f8", ()).units = "degrees_north"
    bench.apply(image("x", tileset=nc(variable="t")))
    assert opened(bench)["b1"].shape == (HEIGHT, WIDTH)


def test_the_only_variable_may_be_in_a_group(bench: Workbench) -> None:
    values = noise()
    write_netcdf(bench.folder / "root.nc", {"t": values})
    with (
        netCDF4.Dataset(bench.folder / "a.nc", "w") as file,
        netCDF4.Dataset(bench.folder / "root.nc") as root,
    ):
        group = file.createGroup("forecast")
        for name, size in root.dimensions.items():
            group.createDimension(name, len(size))
        for name, one in root.variables.items():
            made = group.createVariable(name, one.dtype, one.dimensions)
            made.setncatts(one.__dict__)
            made[:] = one[:]
        group["t"].units = "K"
    for more in ({}, {"variable": "/forecast/t"}):
        bench.apply(image("x", tileset=nc(**more)))
        assert np.array_equal(opened(bench)["b1"].to_numpy(), values)


def test_a_plain_file_has_no_warnings(bench: Workbench) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()}, attributes={"t": {"_FillValue": -9.0}})
    path = bench.write_spec([image("x", tileset=nc())])
    assert not warnings(bench, path)


def irregular() -> Any:
    return np.cumsum(1 + np.arange(HEIGHT)) * -0.01 + 60


@pytest.mark.parametrize(
    ("make", "tileset", "words"),
    [
        (lambda p: write_netcdf(p, {"t": noise(), "u": noise()}), nc(), "2 variables: `t`, `u`"),
        (lambda p: write_netcdf(p, {"t": noise()}), nc(variable="tt"), "no variable `tt`; it has"),
        (lambda p: write_netcdf(p, {"t": noise()}), nc(crs=None), "no CRS"),
        (lambda p: write_netcdf(p, {"t": noise()}, lats=irregular()), nc(), "evenly spaced"),
        (lambda p: p.write_bytes(b"no netcdf at all"), nc(), "expected a NetCDF file"),
        (lambda p: p.write_bytes(b"CDF\1" + bytes(3)), nc(), "header of the NetCDF"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(900)), nc(), "cannot be read"),
        (lambda p: xr.Dataset({"t": ("x", np.zeros(4))}).to_netcdf(p), nc(), "cannot be read"),
        (lambda p: xr.Dataset({"t": (("y", "x"), np.full((4, 4), "a"))}).to_netcdf(p), nc(), ""),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(
    bench: Workbench, make: Any, tileset: dict[str, Any], words: str
) -> None:
    make(bench.folder / "a.nc")
    tileset = {key: value for key, value in tileset.items() if value is not None}
    path = bench.write_spec([image("x", tileset=tileset)])
    with pytest.raises(GeobatchError) as caught:
        plan([path], store=bench.store)
    assert "a.nc" in caught.value.message
    assert words in caught.value.message


def test_a_variable_of_environment_that_changes_pixels_is_refused(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()})
    monkeypatch.setenv("GDAL_NETCDF_BOTTOMUP", "NO")
    with pytest.raises(SourceError, match="GDAL_NETCDF_BOTTOMUP"):
        bench.apply(image("x", tileset=nc()))


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("is_unlimited", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_the_length_of_a_classic_file(
    tmp_path: Path, kind: Any, is_unlimited: bool, count: int
) -> None:
    """Cut by one byte of its values, it is refused; whole, it is read."""
    from geobatch.sources.netcdf.classic import check_length  # noqa: PLC0415

    with netCDF4.Dataset(tmp_path / "a.nc", "w", format=kind) as file:
        file.title = "odd"
        for name, size in (("time", None if is_unlimited else 3), ("y", 5), ("x", 3)):
            file.createDimension(name, size)
        for n in range(count):
            file.createVariable(f"v{n}", "i2", ("time", "y", "x"))[:] = np.ones((3, 5, 3))
    size = (tmp_path / "a.nc").stat().st_size
    with (tmp_path / "a.nc").open("rb") as file:
        check_length(file, size)
        file.seek(0)
        with pytest.raises(SourceError, match="expected at least"):
            check_length(file, size - 4)


def test_jpeg_2000_is_as_gdal_decodes_it(bench: Workbench) -> None:
    pixels = noise(3, dtype="uint16")
    write_jp2(bench.folder / "a.jp2", pixels)
    bench.apply(image("x", "a.jp2"))
    with rasterio.open(bench.folder / "a.jp2") as file:
        assert np.array_equal(file.read(), pixels)
    for band in range(3):
        assert np.array_equal(bench.array(f"x/0/b{band + 1}"), pixels[band])
    assert opened(bench).attrs["proj:code"] == "EPSG:32632"
    assert opened(bench).attrs["spatial:transform"] == [10, 0, 500000, 0, -10, 5200000]


def test_lossy_jpeg_2000_is_said(bench: Workbench) -> None:
    write_jp2(bench.folder / "a.jp2", noise(1, dtype="uint16"), QUALITY="10", REVERSIBLE="NO")
    path = bench.write_spec([image("x", "a.jp2")])
    assert [one.rule for one in warnings(bench, path)] == ["lossy-source"]


def test_alpha_of_jpeg_2000_masks(bench: Workbench) -> None:
    pixels = noise(4, dtype="uint8")
    pixels[3] = np.where(np.arange(WIDTH) < 40, 0, 255)
    from rasterio.enums import ColorInterp  # noqa: PLC0415

    path = bench.folder / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=HEIGHT, width=WIDTH, dtype="uint8",
        crs="EPSG:32632", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as file:  # fmt: skip
        file.write(pixels)
        file.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    rasterio.shutil.copy(
        path, bench.folder / "a.jp2", driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES",
        YCC="NO",
    )  # fmt: skip
    bench.apply(image("x", "a.jp2"))
    assert bench.names("x/0") >= {"b1", "b2", "b3"}
    for band in range(3):
        found = opened(bench)[f"b{band + 1}"].values.astype("f8")
        assert np.array_equal(found[:, 40:], pixels[band][:, 40:])
    with geobatch.open_store(bench.store) as store:
        masked = store.dataset("x")["b1"].values
    assert np.array_equal(np.isnan(masked), pixels[3] == 0)


def test_a_jp2_that_is_none_is_named(bench: Workbench) -> None:
    (bench.folder / "a.jp2").write_bytes(b"II*\0")
    with pytest.raises(SourceError, match=r"`a\.jp2`: expected a JPEG 2000 file"):
        bench.apply(image("x", "a.jp2"))


def test_a_variable_of_a_file_that_has_none_is_refused(bench: Workbench) -> None:
    write_jp2(bench.folder / "a.jp2", noise(1, dtype="uint16"))
    write_tiff(bench.folder / "a.tif", [noise(dtype="uint16")])
    for name in ("a.jp2", "a.tif"):
        path = bench.write_spec([image("x", name, tileset={"variable": "t"})])
        with pytest.raises(SourceError, match=rf"`{name}`: the tileset declares `variable: t`"):
            plan([path], store=bench.store)


def test_netcdf_is_not_read_where_files_are_confined(bench: Workbench) -> None:
    write_netcdf(bench.folder / "a.nc", {"t": noise()})
    (bench.folder / "geobatch.yaml").write_text("allow: ['.']\n")
    path = bench.write_spec([image("x", tileset=nc())])
    with pytest.raises(GeobatchError, match="may name other files"):
        plan([path], store=bench.store)


def test_a_mosaic_of_netcdf_and_tiff(bench: Workbench) -> None:
    above, below = noise(seed=4, dtype="int16"), noise(seed=5, dtype="int16")
    write_netcdf(bench.folder / "a.nc", {"t": above})
    with rasterio.open(
        bench.folder / "b.tif", "w", driver="GTiff", count=1, height=HEIGHT, width=WIDTH,
        dtype="int16", crs="EPSG:4326",
        transform=rasterio.Affine(0.5, 0, 4.75, 0, -0.5, 60.25 - HEIGHT / 2),
    ) as file:  # fmt: skip
        file.write(below, 1)
    sources = [{"uris": ["a.nc"]}, {"uris": ["b.tif"]}]
    missing: Any = {"missing_data": {"values": [-32767]}}
    bench.apply(image("x", tileset=nc(sources=sources), **missing))
    assert np.array_equal(bench.array("x/0/b1"), np.concatenate([above, below]))
