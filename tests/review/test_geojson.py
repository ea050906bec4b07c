"""Changed tiles as GeoJSON: where they are, cut at the antimeridian, bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pyproj
import pytest
import shapely
from plans import change, plan, report
from shapely.geometry import box, shape

from geobatch.errors import PlanError
from geobatch.review.geojson import MOST_FEATURES, geojson


def grid(crs: str, left: float, top: float, pixel: float, size: int = 200, **more: Any) -> Any:
    return {
        "name": "g", "crs": crs, "transform": [pixel, 0, left, 0, -pixel, top], "height": size,
        "width": size, "tile": 64, "bands": ["b"], **more,
    }  # fmt: skip


def rows(asset: str = "a", *, side: int = 4, level: int = 0) -> Iterator[dict[str, Any]]:
    for row in range(side):
        for col in range(side):
            place = {"level": level, "row": row, "col": col}
            yield {"asset": asset, "band": "b", "is_mask": False, **place}


def collection(plane: Any, tiles: Any, **more: Any) -> dict[str, Any]:
    reasons = [{"code": code, "path": "x", "detail": ""} for code in ("SOURCE_CHANGED", "RENAMED")]
    document = plan(change("a", grids=[plane], reasons=reasons, **more))
    found: dict[str, Any] = json.loads(geojson(report(document), tiles))
    return found


def shapes(found: dict[str, Any]) -> list[Any]:
    """Return the shapes; each is valid, on the Earth, and counterclockwise."""
    made = [shape(feature["geometry"]) for feature in found["features"]]
    for one in made:
        assert one.is_valid
        assert shapely.box(-180, -90, 180, 90).covers(one)
        for part in getattr(one, "geoms", [one]):
            assert part.exterior.is_ccw
            assert part.exterior.coords[0] == part.exterior.coords[-1]
    return made


def test_tiles_of_a_projected_image_are_where_they_are() -> None:
    found = collection(grid("EPSG:32633", 500_000, 5_000_000, 10), rows())
    assert found["type"] == "FeatureCollection"
    assert found["features"][0]["properties"] == {
        "asset": "a", "level": 0, "band": "b", "row": 0, "col": 0,
        "reason": "SOURCE_CHANGED, RENAMED",
    }  # fmt: skip
    utm = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    for feature, one in zip(found["features"], shapes(found), strict=True):
        row, col = feature["properties"]["row"], feature["properties"]["col"]
        left, top = 500_000 + col * 640, 5_000_000 - row * 640
        right, bottom = min(left + 640, 502_000), max(top - 640, 4_998_000)
        expected = box(left, bottom, right, top)
        back = shapely.transform(one, utm.transform, interleaved=False)
        assert back.symmetric_difference(expected).area < expected.area * 1e-4


@pytest.mark.parametrize("left", [179.0, -181.0, 539.0])
def test_tiles_across_the_antimeridian_are_cut(left: float) -> None:
    found = collection(grid("EPSG:4326", left, 10, 0.01), rows())
    made = shapes(found)
    assert sum(one.area for one in made) == pytest.approx(4.0, abs=1e-5)
    assert {one.geom_type for one in made} == {"Polygon", "MultiPolygon"}
    whole = shapely.union_all([one.buffer(1e-6) for one in made])
    assert whole.covers(box(179.01, 8.01, 179.99, 9.99))
    assert whole.covers(box(-179.99, 8.01, -179.01, 9.99))
    assert not whole.intersects(box(-170, -90, 170, 90))


def test_tiles_of_a_plane_across_the_antimeridian_are_cut() -> None:
    # UTM zone 60 ends at 180 degrees; the image goes on.
    found = collection(grid("EPSG:32660", 820_000, 200_000, 100), rows())
    made = shapes(found)
    assert any(one.geom_type == "MultiPolygon" for one in made)
    assert all(one.area < 0.01 for one in made)


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
def test_a_tile_around_a_pole_reaches_it(crs: str, sign: int) -> None:
    plane = grid(crs, -64_000, 64_000, 2000, size=64)
    (one,) = shapes(collection(plane, rows(side=1)))
    low, high = sorted((89.5 * sign, 90 * sign))
    assert one.buffer(1e-6).covers(box(-180, low, 180, high))
    assert not one.intersects(box(-180, -88, 180, 88))


def test_many_tiles_are_bounded_and_say_so() -> None:
    plane = grid("EPSG:4326", 0, 1, 1e-4, size=6400)
    found = collection(plane, [*rows(side=50, level=1), *rows(side=100)])
    assert len(found["features"]) == MOST_FEATURES
    assert {one["properties"]["level"] for one in found["features"]} == {0}
    assert found["geobatch"]["tiles"] == 12_500
    assert found["geobatch"]["omitted"] == 7_500
    assert found["geobatch"]["note"].startswith("7,500 of 12,500 tiles are omitted")


def test_masks_and_unknown_assets_are_no_features() -> None:
    tiles = [
        *rows(side=1),
        {**next(rows()), "is_mask": True},
        *rows("other"),
        {**next(rows()), "row": 9},
    ]
    assert len(collection(grid("EPSG:4326", 0, 1, 1e-4), tiles)["features"]) == 1


@pytest.mark.parametrize(
    "plane",
    [
        grid("EPSG:4326", 0, 0, 0.0),
        grid("no CRS", 0, 0, 1.0),
        grid("EPSG:32633", 1e30, 1e30, 1e20),
        grid("EPSG:4326", 0, 0, 1e300, size=2**40),
    ],
)
def test_planes_that_are_not_on_the_earth_are_omitted(plane: Any) -> None:
    assert isinstance(collection(plane, rows())["features"], list)


@pytest.mark.parametrize(
    "more", [{"row": -1}, {"level": 10**6}, {"col": "1"}, {"band": None}, {"level": 1.5}]
)
def test_an_edited_tile_is_an_error(more: Any) -> None:
    with pytest.raises(PlanError, match="tile 2 of the plan is not valid"):
        collection(grid("EPSG:4326", 0, 1, 1e-4), [next(rows()), {**next(rows()), **more}])
