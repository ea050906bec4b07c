"""`ls` and `info` show what the filters let through, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rasterio.warp import transform as warp_points
from shell import Done, geobatch, process
from workbench import Workbench, write_tiff

from geobatch.sources.projections.bounds import transform_bounds

RULE = """\
kind: image_collection
id: s2
for_each:
  files: '*_*.tif'
  pattern: '(?P<tile>T\\d\\d)_(?P<date>\\d{8})\\.tif'
  csv: {path: meta.csv}
image:
  id: '{tile}_{date}'
  start_time: '{date:%Y%m%d}'
  end_time: '{end}'
  properties: {tile: '{tile}', cloud: '{cloud}', code: '{code}'}
"""
CSV = """\
file,end,cloud,code
T32_20250101.tif,2025-01-02,3,007
T32_20250105.tif,2025-01-06,12.5,010
T33_20250103.tif,2025-02-01,0,
"""
IDS = ["s2/T32_20250101", "s2/T32_20250105", "s2/T33_20250103"]
"""With `plain`, which has neither time nor properties and lies elsewhere, all there is."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("filters")
    pixels = [np.full((32, 32), 7, dtype=np.uint8)]
    write_tiff(folder / "T32_20250101.tif", pixels)
    write_tiff(folder / "T32_20250105.tif", pixels, col=100_000)
    write_tiff(folder / "T33_20250103.tif", pixels, crs="EPSG:32632")
    with rasterio.open(
        folder / "plain.tif", "w", driver="GTiff", height=20, width=20, count=1, dtype="uint8",
        crs="EPSG:3832", transform=Affine(1000, 0, 3_330_000, 0, -1000, 10_000),
    ) as file:  # fmt: skip
        file.write(np.ones((1, 20, 20), dtype=np.uint8))
    (folder / "meta.csv").write_text(CSV)
    plain = "---\nid: plain\ntilesets: [{sources: [{uris: [plain.tif]}]}]\n"
    (folder / "spec.yaml").write_text(RULE + plain)
    done = geobatch("--store", folder / "store", "apply", folder / "spec.yaml")
    assert done.code == 0, done.err
    return Workbench(folder=folder)


def ids(bench: Workbench, *argv: str) -> list[str]:
    done = geobatch("--store", bench.folder / "store", "--json", "ls", *argv)
    assert done.code == 0, done.err
    return [line["id"] for line in done.lines if line["type"] == "asset"]


def test_a_collection_is_a_folder_of_images(bench: Workbench) -> None:
    assert ids(bench) == ["plain", *IDS]
    assert ids(bench, "s2/") == IDS
    again = geobatch("--store", bench.folder / "store", "plan", bench.folder / "spec.yaml")
    assert "4" in again.out
    code = geobatch(
        "--store", bench.folder / "store", "plan", "--detailed-exitcode", bench.folder / "spec.yaml"
    ).code
    assert code == 0


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--since", "2025-01-02"], [1, 2]),
        (["--since", "2025-01-01T23:59:59.5Z"], [0, 1, 2]),
        (["--since", "2025-01-01T23:59:59.5-01:00"], [1, 2]),
        (["--until", "2025-01-03"], [0]),
        (["--until", "2025-01-03T00:00:01Z"], [0, 2]),
        (["--since", "2025-01-10"], [2]),
        (["--since", "2025-01-10", "--until", "2025-01-11"], [2]),
        (["--since", "2025-02-01"], []),
        (["--property", "tile=T32"], [0, 1]),
        (["--property", "tile = T32"], [0, 1]),
        (["--property", " cloud < 3 "], [2]),
        (["--property", "cloud >=12.5"], [1]),
        (["--property", "tile!=T32"], [2]),
        (["--property", "tile>T32"], [2]),
        (["--property", "cloud<3"], [2]),
        (["--property", "cloud<=3.0"], [0, 2]),
        (["--property", "cloud>3"], [1]),
        (["--property", "cloud>=12.5"], [1]),
        (["--property", "cloud=12.50"], [1]),
        (["--property", "cloud=cloudy"], []),
        (["--property", "code=007"], [0]),
        (["--property", "code=7"], []),
        (["--property", "code!=x"], [0, 1]),
        (["--property", "nothing=1"], []),
        (["--property", "cloud<5", "--property", "tile=T32"], [0]),
        (["--property", "cloud<5", "--since", "2025-01-03"], [2]),
    ],
)
def test_time_and_properties(bench: Workbench, argv: list[str], found: list[int]) -> None:
    assert ids(bench, *argv) == [IDS[number] for number in found]


def lon_lat(crs: str, x: float, y: float) -> str:
    (lon,), (lat,) = warp_points(crs, "EPSG:4326", [x], [y])
    return f"{lon},{lat},{lon},{lat}"


def test_bounds_in_degrees_and_in_a_crs(bench: Workbench) -> None:
    x, y = 500_160.0, 4_999_840.0
    assert ids(bench, "--bounds", lon_lat("EPSG:32633", x, y)) == [IDS[0]]
    assert ids(bench, "--bounds", lon_lat("EPSG:32633", x + 1e6, y)) == [IDS[1]]
    assert ids(bench, "--bounds", lon_lat("EPSG:32632", x, y)) == [IDS[2]]
    assert ids(bench, "--bounds", lon_lat("EPSG:32633", x - 1000, y)) == []
    assert ids(bench, "--bounds", "-180,-90,180,90") == ["plain", *IDS]
    here = f"{x},{y},{x + 1},{y + 1}"
    assert ids(bench, "--bounds", here, "--bounds-crs", "EPSG:32633") == [IDS[0]]
    assert ids(bench, "--bounds", here, "--bounds-crs", "EPSG:32632") == [IDS[2]]


@pytest.mark.parametrize(
    ("bounds", "is_found"),
    [
        ("179.9,-1,180,1", True),
        ("-180,-1,-179.99,1", True),
        ("179.99,-1,-179.99,1", True),
        ("170,-1,-170,1", True),
        ("-10,-1,10,1", False),
        ("170,-1,179,1", False),
        ("-179,-1,-170,1", False),
        ("180,-1,181,1", True),
    ],
)
def test_across_the_antimeridian(bench: Workbench, bounds: str, is_found: bool) -> None:
    """The plain image lies from 179.91 to -179.91 degrees east."""
    assert (ids(bench, "plain", "--bounds", bounds) == ["plain"]) is is_found


def test_info_describes_what_passes(bench: Workbench) -> None:
    def info(*argv: str) -> Done:
        return geobatch("--store", bench.folder / "store", "info", *argv)

    done = info("s2/", "--property", "tile=T32")
    heads = [line.split()[0] for line in done.out.splitlines() if not line.startswith(" ")]
    assert (done.code, heads) == (0, IDS[:2])
    done = info("--property", "tile=T99")
    assert (done.code, done.out, done.err) == (0, "", "no asset matches the filters\n")
    assert info("s2/T3").code == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--since", "soon"],
        ["--until", "2025-13-01"],
        ["--since", "2025-01-02", "--until", "2025-01-01"],
        ["--property", "cloud"],
        ["--property", "=3"],
        ["--property", "cloud <"],
        ["--property", "cloud >= "],
        ["--bounds", "1,2,3"],
        ["--bounds", "1,2,3,nan"],
        ["--bounds", "1,5,3,2"],
        ["--bounds", "3,1,1,2", "--bounds-crs", "EPSG:32633"],
        ["--bounds", "1,1,2,2", "--bounds-crs", "EPSG:99"],
    ],
)
def test_malformed_filters_are_usage_errors(bench: Workbench, argv: list[str]) -> None:
    for command in ("ls", "info"):
        done = geobatch("--store", bench.folder / "store", command, *argv)
        assert done.code == 64, argv
        assert not done.out
        assert "Traceback" not in done.err


def test_only_bounds_in_another_crs_need_a_raster_library(bench: Workbench) -> None:
    script = bench.folder / "imports.py"
    script.write_text(
        "import sys\nfrom geobatch.cli.main import run\n"
        "run(sys.argv[1:])\n"
        "print(not {'pyproj', 'rasterio'}.isdisjoint(sys.modules), file=sys.stderr)\n"
    )
    store = str(bench.folder / "store")
    for argv, expected in (
        (["--property", "cloud<3", "--since", "2020-01-01"], "False"),
        (["--bounds", "1,2,3,4"], "False"),
        (["--bounds", "1,2,3,4", "--bounds-crs", "EPSG:3857"], "True"),
    ):
        done = subprocess.run(
            [sys.executable, str(script), "--store", store, "-q", "ls", *argv],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr.splitlines()[-1] == expected


def test_boxes_hold_what_they_held() -> None:
    """Against GDAL, point by point: the carried box holds every point of the box."""
    box = (200_000.0, 7_000_000.0, 900_000.0, 7_900_000.0)
    found = transform_bounds(box, "EPSG:32633", "EPSG:4326")
    assert found is not None
    xs, ys = (axis.ravel() for axis in np.meshgrid(
        np.linspace(box[0], box[2], 40), np.linspace(box[1], box[3], 40)
    ))  # fmt: skip
    lon, lat = warp_points("EPSG:32633", "EPSG:4326", xs, ys)
    assert min(lon) >= found[0] - 1e-9
    assert max(lon) <= found[2] + 1e-9
    assert min(lat) >= found[1] - 1e-9
    assert max(lat) <= found[3] + 1e-2
    assert found[2] - found[0] < (max(lon) - min(lon)) * 1.01


def test_from_the_shell(bench: Workbench) -> None:
    done = process("--store", Path("store"), "ls", "--bounds", "-1,2,3,4", cwd=bench.folder)
    assert (done.code, done.out) == (0, "")
    assert done.err == "no asset matches the filters\n"
