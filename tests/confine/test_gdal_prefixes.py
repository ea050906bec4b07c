"""GDAL and PROJ read no other file for a source: no prefix, no neighbour, no grid of a CRS."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from pyproj import CRS
from pyproj.exceptions import CRSError
from watch import Watched, opening, watch
from workbench import Document, write_tiff

from geobatch.errors import SourceError
from geobatch.sources.geotiff.headers.header import read_header
from geobatch.sources.projections.crs import parse_crs
from geobatch.sources.projections.crs_files import check_no_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify")

URIS = (
    "/vsizip/OUT/a.zip/a.tif", "/vsicurl/http://127.0.0.1/a.tif", "/VSIMEM/a", "/vsistdin/",
    "/vsisubfile/0_100,OUT/a.tif", "zip://OUT/a.zip!a.tif", "zip+https://127.0.0.1/a.zip!a.tif",
    "NETCDF:OUT/a.tif:x", "GTIFF_DIR:1:OUT/a.tif", "GTIFF_RAW:OUT/a.tif", "HDF5:OUT/a.tif://x",
    "vrt://OUT/a.tif", "<VRTDataset/>", "WMS:http://127.0.0.1/", '{"type": "x"}', "PG:host=x",
    "COG:OUT/a.tif", "file:///etc/passwd", "file:OUT/a.tif", "tar://OUT/a.tar!a.tif",
    "s3://b/a.tif",
    "MEM:::DATAPOINTER=1", "DERIVED_SUBDATASET:LOGAMPLITUDE:OUT/a.tif", 'ZARR:"OUT"',
    "GPKG:OUT/a:b",
)  # fmt: skip


def lay(base: Path) -> tuple[Path, Path]:
    project, outside = base / "project", base / "outside"
    project.mkdir()
    outside.mkdir()
    for path in (project / "a.tif", outside / "a.tif"):
        write_tiff(path, [np.arange(256 * 256, dtype=np.uint16).reshape(256, 256)])
    return project, outside


def image(number: int, uri: str, *, kind: str = "image", crs: str = "") -> Document:
    tileset: Document = {"sources": [{"uris": [uri]}]}
    return {"kind": kind, "id": f"a{number}", "tilesets": [tileset | ({"crs": crs} if crs else {})]}


def plan(project: Path, outside: Path, documents: list[Document], command: str = "plan") -> Watched:
    """Plan images, each of a spec file of its own."""
    for number, one in enumerate(documents):
        (project / f"s{number}.yaml").write_text(yaml.safe_dump(one))
    return watch(
        [command, ".", "--init", "--store", project.parent / "store"],
        cwd=project, folders=[outside], notes=project.parent / "notes",
    )  # fmt: skip


def test_prefixes_of_gdal_are_no_uris(tmp_path: Path) -> None:
    project, outside = lay(tmp_path)
    uris = [uri.replace("OUT", str(outside)) for uri in URIS]
    documents = [
        image(number, uri, kind=kind)
        for number, (uri, kind) in enumerate(
            (uri, kind) for uri in uris for kind in ("image", "external_image")
        )
    ]
    done = plan(project, outside, documents)
    assert (done.code, done.touched) == (1, ())
    for number, one in enumerate(documents):
        assert f"s{number}.yaml:" in done.text, one


VRT = """<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename>OUT/a.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>
"""
TEXTS = {
    "vrt": VRT,
    "wms": '<GDAL_WMS><Service name="TMS"><ServerUrl>file://OUT/a.tif</ServerUrl></Service></GDAL_WMS>',
    "json": '{"type": "gdal_streamed_alg", "command_line": "gdal raster read OUT/a.tif"}',
    "envi": "ENVI\nfile = OUT/a.tif\n",
    "csv": "OUT/a.tif\n",
}


def test_a_file_that_names_another_is_no_source(tmp_path: Path) -> None:
    project, outside = lay(tmp_path)
    documents: list[Document] = []
    for name, text in TEXTS.items():
        (project / f"{name}.tif").write_text(text.replace("OUT", str(outside)))
        for kind in ("image", "external_image"):
            documents.append(image(len(documents), f"{name}.tif", kind=kind))
    done = plan(project, outside, documents)
    assert (done.code, done.touched) == (7, ()), done.text
    for number, one in enumerate(documents):
        assert f"`a{number}`: `" in done.text, one


def test_a_raster_that_names_a_file_with_overviews(tmp_path: Path) -> None:
    """GDAL would open it with any driver: a VRT of a server, for example."""
    project, outside = lay(tmp_path)
    with rasterio.open(project / "a.tif", "r+") as dataset:
        dataset.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(outside / "a.tif"))
    done = plan(project, outside, [image(0, "a.tif"), image(1, "a.tif", kind="external_image")])
    assert (done.code, done.touched) == (7, ()), done.text
    assert done.text.count("(`OVERVIEW_FILE`)") == 2


@pytest.mark.parametrize(
    "name", ["OVERVIEW_FILE", "overview_file", "&#79;VERVIEW&#95;FILE", "&amp;#x4f;VERVIEW_FILE"]
)
def test_spellings_of_that_name(tmp_path: Path, name: str) -> None:
    project, _ = lay(tmp_path)
    with rasterio.open(project / "a.tif", "r+") as dataset:
        dataset.update_tags(XXXXXXXXXXXXXXXXXXXXXXXX="/x.tif")
    data = (project / "a.tif").read_bytes()
    assert (name in str(data)) is False
    read_header(project / "a.tif", "u")
    spelled = name.encode().rjust(24, b"x")
    (project / "a.tif").write_bytes(data.replace(b"X" * 24, spelled))
    with pytest.raises(SourceError, match="OVERVIEW_FILE"):
        read_header(project / "a.tif", "u")


NEIGHBOURS = (
    "a.tif.ovr", "a.ovr", "a.tif.msk", "a.aux", "a.rrd", "a.tfw", "a.prj", "a.tab", "a.IMD",
    "a.RPB", "a_RPC.TXT", "a.XML", "a_metadata.xml", "a.pvl", "METADATA.DIM", "a_MTL.txt",
    "a.tif.xml", "a.xml", "passport.xml", "a.wld", "a.tifw",
)  # fmt: skip


def test_no_neighbour_of_a_raster_is_opened(tmp_path: Path) -> None:
    project, outside = lay(tmp_path)
    for name in NEIGHBOURS:
        (project / name).symlink_to(outside / "a.tif")
    done = plan(project, outside, [image(0, "a.tif")], "apply")
    assert (done.code, done.touched) == (0, ()), done.text


B = '"b",6377397.155,299.1528128'
END = 'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
DATUM = f'DATUM["y",ELLIPSOID[{B}]],CS[ellipsoidal,2],AXIS["lat",north],AXIS["lon",east]'
ONE = f'GEOGCRS["x",{DATUM},ANGLEUNIT["degree",0.0174532925199433]]'
FILE = 'PARAMETERFILE["Latitude and longitude difference file","OUT/a.tif"]'
CRSS = (
    "+proj=longlat +ellps=bessel +nadgrids=OUT/a.tif +type=crs",
    "+init=OUT/a.tif:4326",
    "+proj=longlat +ellps=bessel +nadgrids=../outside/a.tif",
    "init=../outside/a.tif:1",
    '+proj=longlat +nadgrids="OUT/a.tif" +ellps=bessel',
    "+proj=longlat +nadgrids = OUT/a.tif",
    "+proj=utm +zone=33 +ellps=WGS84 +geoidgrids=OUT/a.tif +vunits=m +type=crs",
    "+proj=pipeline +step +proj=hgridshift +grids=OUT/a.tif",
    "proj=hgridshift grids=OUT/a.tif",
    "+proj=xyzgridshift +grids=OUT/a.tif",
    "+proj=tinshift +file=OUT/a.tif",
    "+proj=defmodel +model=OUT/a.tif",
    "+proj=longlat +nadgrids=@OUT/a.tif +ellps=bessel",
    f'GEOGCS["x",DATUM["y",SPHEROID[{B}],EXTENSION["PROJ4_GRIDS","OUT/a.tif"]],{END}',
    f'GEOGCS["x",DATUM["y",SPHEROID[{B}],EXTENSION ( "PROJ4_GRIDS" , "OUT/a.tif")],{END}',
    f'BOUNDCRS[SOURCECRS[{ONE}],TARGETCRS[{ONE}],ABRIDGEDTRANSFORMATION["t",METHOD["NTv2"],{FILE}]]',
    '{"type": "Transformation", "parameters": [{"name": "x", "value": "OUT\\u002fa.tif"}]}',
)


def test_no_file_that_a_crs_names_is_opened(tmp_path: Path) -> None:
    """PROJ would read grids and lists of codes, wherever they are."""
    _, outside = lay(tmp_path)
    with opening([outside]) as touched:
        for text in CRSS:
            with pytest.raises(ValueError, match="names a file by its path"):
                parse_crs(text.replace("OUT", str(outside)))
    assert touched == []
    with opening([outside]) as touched, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CRSError):
            CRS.from_user_input(f"+init={outside}/a.tif:1")
    assert touched != [], "PROJ itself does read it"


@pytest.mark.parametrize(
    "text",
    [
        "EPSG:25833", "+proj=utm +zone=33 +ellps=GRS80 +units=m +no_defs", "+init=epsg:32633",
        "+proj=merc +a=6378137 +b=6378137 +nadgrids=@null +wktext +no_defs",
        "+proj=longlat +ellps=bessel +nadgrids=none.gsb",
    ],
)  # fmt: skip
def test_a_crs_without_paths_stays_one(text: str) -> None:
    check_no_files(text)
    check_no_files(pyproj_wkt(text))
    parse_crs(text)


def pyproj_wkt(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(CRS.from_user_input(text).to_wkt("WKT1_GDAL"))
