"""Tiles agree with the store: the oracle is rasterio, on the files that were ingested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject, transform
from serving import client, png
from starlette.testclient import TestClient
from workbench import Workbench, image, write_tiff

from geobatch.serve.tiles.png import encode
from geobatch.serve.tiles.positions import HALF, MapTile

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

COLOURS = [(0, 0, 0, 0), (20, 120, 20, 255), (30, 60, 200, 255), (230, 0, 10, 128)]
PLANES: dict[str, tuple[str, Affine, tuple[int, int]]] = {
    "utm": ("EPSG:32633", Affine(10, 0, 500_000, 0, -10, 5_000_000), (600, 500)),
    "degrees": ("EPSG:4326", Affine(0.01, 0, 5, 0, -0.01, 60), (400, 700)),
    "turned": ("EPSG:32633", Affine(8, 5, 500_000, 5, -8, 5_000_000), (300, 300)),
    "up": ("EPSG:32633", Affine(10, 0, 500_000, 0, 10, 4_990_000), (300, 300)),
    "laea": ("EPSG:3035", Affine(1000, 0, 4_000_000, 0, -1000, 3_500_000), (600, 600)),
    "world": ("EPSG:4326", Affine(0.5, 0, -180, 0, -0.5, 90), (360, 720)),
    "across": ("EPSG:4326", Affine(0.05, 0, 170, 0, -0.05, 10), (400, 400)),
    "south": ("EPSG:3031", Affine(10000, 0, -2_000_000, 0, -10000, 2_000_000), (400, 400)),
    "mercator": ("EPSG:3857", Affine(100, 0, 1_600_000, 0, -100, 6_000_000), (300, 300)),
}


def write(path: Path, name: str, values: npt.NDArray[Any]) -> None:
    crs, at, (height, width) = PLANES[name]
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=1, dtype=values.dtype.name,
        crs=crs, transform=at, nodata=0,
    ) as file:  # fmt: skip
        file.write(values, 1)


def values_of(name: str) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng(len(name))
    values = rng.integers(1, 60_000, PLANES[name][2]).astype(np.uint16)
    values[40:60, 30:80] = 0
    return values


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder: Path = tmp_path_factory.mktemp("tiles")
    made = Workbench(folder=folder)
    specs = []
    for name in PLANES:
        write(folder / f"{name}.tif", name, values_of(name))
        bands = [{"id": "v", "tileset_id": "t", "pyramiding_policy": "SAMPLE"}]
        specs.append(image(name, f"{name}.tif", bands=bands, tile=128))
    classes = np.random.default_rng(1).integers(0, 6, (300, 300)).astype(np.uint8)
    with rasterio.open(
        folder / "class.tif", "w", driver="GTiff", height=300, width=300, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.write(classes, 1)
        file.write_colormap(1, dict(enumerate(COLOURS)))
    mode = [{"id": "class", "tileset_id": "t", "pyramiding_policy": "MODE"}]
    specs.append(image("class", "class.tif", bands=mode, tile=128))
    alpha = np.random.default_rng(2).integers(0, 256, (100, 100)).astype(np.uint8)
    write_tiff(folder / "soft.tif", [np.full((100, 100), 200, np.uint8), alpha], has_alpha=True)
    specs.append(image("soft", "soft.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    floats = np.random.default_rng(3).normal(size=(100, 100)).astype(np.float32)
    floats[3, 4], floats[5, 6], floats[7, 8] = np.nan, np.inf, -np.inf
    write_tiff(folder / "float.tif", [floats])
    specs.append(image("float", "float.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    made.apply(*specs)
    return made


@pytest.fixture(scope="module")
def web(bench: Workbench) -> Iterator[TestClient]:
    with client(bench.store) as made:
        yield made


def stretched(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    share = (np.clip(values.astype(float), low, high) - low) / (high - low)
    found: npt.NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return found


@pytest.mark.parametrize("name", ["utm", "turned", "up", "world", "south"])
def test_a_pixel_at_native_scale_is_the_stretch_of_the_stored_value(
    web: TestClient, bench: Workbench, name: str
) -> None:
    for level in range(2):
        stored = bench.array(f"{name}/{level}/v")
        height, width = stored.shape
        masked = stored == 0
        for y in range(-(-height // 256)):
            for x in range(-(-width // 256)):
                done = web.get(f"/native/{name}/{level}/{x}/{y}.png?rescale=1000,50000")
                seen = png(done.content)
                part = stored[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256]
                is_masked = masked[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256]
                rows, cols = part.shape
                inside = seen[:rows, :cols]
                assert (inside[..., 3] == np.where(is_masked, 0, 255)).all()
                expected = stretched(part, 1000, 50000)
                for channel in range(3):
                    assert (inside[..., channel][~is_masked] == expected[~is_masked]).all()
                assert not seen[rows:].any()
                assert not seen[:, cols:].any()


def test_palettes_are_exact_and_fractional_masks_are_transparency(
    web: TestClient, bench: Workbench
) -> None:
    seen = png(web.get("/native/class/0/0/0.png").content)
    stored = bench.array("class/0/class")[:256, :256]
    for value, colour in enumerate(COLOURS):
        assert (seen[stored == value] == (*colour[:3], 255)).all()  # a TIFF has no other alpha
    soft = png(web.get("/native/soft/0/0/0.png?rescale=0,255").content)[:100, :100]
    with rasterio.open(bench.folder / "soft.tif") as file:
        alpha = file.read(2)
    assert (soft[..., 3] == alpha).all()
    assert (soft[..., 0][alpha > 0] == 200).all()


def test_floats_that_are_no_numbers(web: TestClient, bench: Workbench) -> None:
    seen = png(web.get("/native/float/0/0/0.png?rescale=-2,2").content)
    assert seen[3, 4, 3] == 0
    assert tuple(seen[5, 6]) == (255, 255, 255, 255)
    assert tuple(seen[7, 8]) == (0, 0, 0, 255)
    suggested = web.get("/api/assets/float").json()["bands"][0]["stretch"]
    assert -4 < suggested[0] < 0 < suggested[1] < 4


def tile_at(lon: float, lat: float, zoom: int) -> MapTile:
    (x,), (y,) = transform("EPSG:4326", "EPSG:3857", [lon], [lat])
    side = 2 * HALF / (1 << zoom)
    return MapTile(zoom=zoom, x=int((x + HALF) // side), y=int((HALF - y) // side))


def moved(at: Affine, x: Any, y: Any) -> tuple[Any, Any]:
    return at.a * x + at.b * y + at.c, at.d * x + at.e * y + at.f


def picked(stored: npt.NDArray[Any], rows: Any, cols: Any) -> npt.NDArray[Any]:
    """Return the pixels at positions, 0 outside, as a tile."""
    height, width = stored.shape
    is_near = np.isfinite(rows) & np.isfinite(cols)
    row = np.floor(np.where(is_near, rows, -1)).astype(int)
    col = np.floor(np.where(is_near, cols, -1)).astype(int)
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    found = np.where(inside, stored[row.clip(0, height - 1), col.clip(0, width - 1)], 0)
    return found.reshape(256, 256)


def centre(name: str) -> tuple[float, float]:
    crs, at, (height, width) = PLANES[name]
    x, y = moved(at, width * 0.4, height * 0.3)
    (lon,), (lat,) = transform(crs, "EPSG:4326", [x], [y])
    return lon, lat


@pytest.mark.parametrize(
    ("name", "zoom"),
    [("utm", 12), ("utm", 14), ("utm", 17), ("degrees", 8), ("degrees", 11), ("turned", 14),
     ("up", 14), ("laea", 6), ("laea", 9), ("world", 3), ("world", 7), ("across", 7),
     ("south", 2), ("south", 5), ("mercator", 12), ("mercator", 3)],
)  # fmt: skip
def test_reprojection_agrees_with_rasterio(
    web: TestClient, bench: Workbench, name: str, zoom: int
) -> None:
    """Equal pixels, or pixels whose position is within a tenth of a pixel of the map."""
    tile = tile_at(*centre(name), zoom)
    done = web.get(f"/tiles/{name}/{zoom}/{tile.x}/{tile.y}.png?rescale=0,65535")
    seen = png(done.content)
    level, stored = level_of(bench, name, tile)
    crs, at, _ = PLANES[name]
    scale = 2**level
    plane = Affine(at.a * scale, at.b * scale, at.c, at.d * scale, at.e * scale, at.f)
    side = 2 * HALF / (1 << zoom)
    left, top = tile.x * side - HALF, HALF - tile.y * side
    nearest = []
    inverse = ~plane
    for dx in (0, -0.1, 0.1):
        for dy in (0, -0.1, 0.1):
            xs, ys = np.meshgrid(np.arange(256) + 0.5 + dx, np.arange(256) + 0.5 + dy)
            x, y = transform(
                "EPSG:3857", crs,
                (left + xs * side / 256).ravel().tolist(), (top - ys * side / 256).ravel().tolist(),
            )  # fmt: skip
            if name == "across":
                x = [one % 360 for one in x]
            cols, rows = moved(inverse, np.array(x), np.array(y))
            nearest.append(picked(stored, rows, cols))
    warped = np.zeros((256, 256), np.uint16)
    reproject(
        stored, warped, src_transform=plane, src_crs=CRS.from_string(crs), src_nodata=0,
        dst_transform=Affine(side / 256, 0, left, 0, -side / 256, top),
        dst_crs=CRS.from_epsg(3857), dst_nodata=0, resampling=Resampling.nearest,
    )  # fmt: skip
    # GDAL itself may be wrong by an eighth of a pixel of the image.
    assert (nearest[0] == warped).mean() > 0.9
    got = seen[..., 3] > 0
    matches = np.zeros((256, 256), bool)
    for out in nearest:
        matches |= (got == (out > 0)) & (~got | (seen[..., 0] == stretched(out, 0, 65535)))
    same = (got == (nearest[0] > 0)) & (~got | (seen[..., 0] == stretched(nearest[0], 0, 65535)))
    assert got.any()
    assert same.mean() > 0.9
    assert matches.mean() > 0.999, (level, matches.mean(), same.mean())


def level_of(bench: Workbench, name: str, tile: MapTile) -> tuple[int, npt.NDArray[Any]]:
    """Return the level whose pixels are nearest in size to those of a tile, by its centre."""
    crs, at, (height, width) = PLANES[name]
    x, y = tile.xy(np.arange(128.0, 130.0), np.full(2, 128.0))
    xs, ys = transform("EPSG:3857", crs, x.tolist(), y.tolist())
    inverse = ~at
    a, b = (moved(inverse, *point) for point in zip(xs, ys, strict=True))
    step = float(np.hypot(b[0] - a[0], b[1] - a[1]))
    count = 1
    while max(height, width) / 2 ** (count - 1) > 256:
        count += 1
    level = min(max(round(np.log2(step)), 0), count - 1)
    return level, bench.array(f"{name}/{level}/v")


def test_tms_counts_rows_from_the_south(web: TestClient) -> None:
    tile = tile_at(*centre("utm"), 12)
    xyz = web.get(f"/tiles/utm/12/{tile.x}/{tile.y}.png").content
    assert web.get(f"/tms/utm/12/{tile.x}/{4095 - tile.y}.png").content == xyz
    assert png(xyz)[..., 3].any()


def test_an_image_is_on_both_sides_of_the_antimeridian(web: TestClient) -> None:
    for lon in (172.0, 179.9, -179.9, -172.0):
        tile = tile_at(lon, 0.5, 6)
        assert png(web.get(f"/tiles/across/6/{tile.x}/{tile.y}.png").content)[..., 3].any(), lon
    far = tile_at(0, 0, 6)
    assert not png(web.get(f"/tiles/across/6/{far.x}/{far.y}.png").content).any()


@pytest.mark.parametrize(
    ("query", "status"),
    [("bands=v", 200), ("bands=v,v,v", 200), ("bands=w", 404), ("bands=v,v", 400),
     ("rescale=1", 400), ("rescale=1,2,3", 400), ("rescale=a,b", 400), ("rescale=nan,1", 400),
     ("rescale=1e999,2", 400), ("rescale=inf,2", 400), ("rescale=5,5", 200), ("rescale=9,1", 200),
     ("colormap=viridis", 200), ("colormap=x", 400), ("rescale=-1.5e3,2E%2B4", 200),
     ("at=none", 404), ("at=1", 200), ("rescale=0,1,2,3,4,5&bands=v,v,v", 200)],
)  # fmt: skip
def test_styles(web: TestClient, query: str, status: int) -> None:
    done = web.get(f"/native/utm/0/0/0.png?{query}")
    assert done.status_code == status
    if status != 200:
        assert done.json()["error"]


def test_colour_scales(web: TestClient, bench: Workbench) -> None:
    seen = png(web.get("/native/utm/0/0/0.png?rescale=1,60000&colormap=viridis").content)
    stored = bench.array("utm/0/v")[:256, :256]
    darkest, brightest = stored == stored[stored > 0].min(), stored == stored.max()
    assert (seen[darkest][:, :3] <= (72, 5, 90)).all()
    assert (seen[brightest][:, 2] < 60).all()
    assert not seen[stored == 0].any()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_our_png_is_read_by_gdal(height: int, width: int, seed: int, is_flat: bool) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)
    if is_flat:
        pixels[:] = pixels[0, 0]
    assert (png(encode(pixels)) == pixels).all()
