"""Grids that share a group are drawn right by readers that know the group's box; names are CF's."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from typing import Any

import pytest
import zarr_workbench as bench
from hypothesis import given
from hypothesis import strategies as st

from geobatch.format.zarr_layout.paths import array_names, array_path
from geobatch.model.assets.asset import AnyImage
from geobatch.model.geobox import GeoBox
from geobatch.model.published import AssetRecord
from geobatch.views.zarr.metadata import documents

X, Y = 500_000.0, 5_000_000.0


def box(size: float, height: int, width: int, *, x: float = X, of: str = "EPSG:32633") -> GeoBox:
    return bench.geobox((height, width), transform=(size, 0, x, 0, -size, Y), of=of)


def image(*boxes: GeoBox, **more: Any) -> AnyImage:
    grids = {f"g{number}": one for number, one in enumerate(boxes)}
    bands = [bench.band(f"b{number}", grid=name) for number, name in enumerate(grids)]
    return bench.asset("a", *bands, grids=grids, **more)


def nodes(made: AnyImage) -> dict[str, dict[str, Any]]:
    record = AssetRecord(
        asset=made, arrays=tuple((key, None) for key in bench.keys(made)), fingerprints=()
    )
    return {
        path.removesuffix("zarr.json").rstrip("/"): json.loads(text)
        for path, text in documents(record).items()
        if path.endswith("zarr.json")
    }


def levels_of(made: AnyImage, band: str) -> list[str]:
    return [
        array_path(made, key).removesuffix(f"/{band}")
        for key in bench.keys(made)
        if key.band == band and not key.is_mask
    ]


def test_the_resolutions_of_a_satellite_are_one_group() -> None:
    """10 m, 20 m and 60 m, as the multiscales convention's own example has them."""
    made = image(box(10, 1800, 2400), box(20, 900, 1200), box(60, 300, 400))
    assert levels_of(made, "b0") == ["0", "1", "2", "4", "6"]
    assert levels_of(made, "b1") == ["1", "2", "4", "6"]
    assert levels_of(made, "b2") == ["3", "5"]
    group = nodes(made)[""]["attributes"]
    layout = group["multiscales"]["layout"]
    assert [one["spatial:transform"][0] for one in layout] == [10, 20, 40, 60, 80, 120, 160]
    derived = {one["asset"]: (one.get("derived_from"), one["transform"]["scale"]) for one in layout}
    assert derived == {
        "0": (None, [1, 1]), "1": ("0", [2, 2]), "2": ("1", [2, 2]), "3": ("0", [6, 6]),
        "4": ("2", [2, 2]), "5": ("3", [2, 2]), "6": ("4", [2, 2]),
    }  # fmt: skip
    assert group["spatial:bbox"] == [X, Y - 18_000, X + 24_000, Y]


@pytest.mark.parametrize(
    "other",
    [
        box(20, 300, 300, x=X + 20),  # another corner
        box(20, 300, 300, x=X + 0.01),  # by a part of a pixel
        box(20, 298, 300),  # more than a pixel shorter
        box(20, 299, 299),  # the same pixels, rounded down
        box(20, 300, 300, of="EPSG:32634"),
        bench.geobox((300, 300), transform=(20, 0, X, 0, 20, Y - 6_000)),  # south up
        bench.geobox((300, 300), transform=(20, 1, X, 0, -20, Y)),
    ],
)
def test_a_grid_that_does_not_fit_has_a_group_of_its_own(other: GeoBox) -> None:
    made = image(box(10, 599, 599), other)
    assert levels_of(made, "b0") == ["g0/0", "g0/1", "g0/2"]
    assert levels_of(made, "b1")[:2] == ["g1/0", "g1/1"]
    found = nodes(made)
    assert "multiscales" not in found[""]["attributes"]
    for grid in made.grids:
        assert found[grid.name]["attributes"]["spatial:bbox"] == list(grid.geobox.bounds)


def test_rows_that_are_rounded_up_fit() -> None:
    made = image(box(10, 599, 601), box(20, 300, 301))
    assert levels_of(made, "b1") == levels_of(made, "b0")[1:]


SIZES = st.sampled_from([10.0, 20.0, 30.0, 40.0, 60.0, 15.0, 10.000001])
BOXES = st.builds(
    lambda size, extent, x, cut: box(
        size,
        max(1, math.ceil(extent / size) - cut),
        max(1, math.ceil(1.3 * extent / size) - cut),
        x=x,
    ),
    SIZES,
    st.sampled_from([6_000.0, 12_010.0, 300.0]),
    st.sampled_from([X, X, X, X + 10]),
    st.integers(0, 1),
)


@given(boxes=st.lists(BOXES, min_size=1, max_size=4))
def test_whatever_shares_a_group_is_where_its_box_says(boxes: list[GeoBox]) -> None:
    made = image(*boxes)
    found = nodes(made)
    # Each array of the asset is there once, in a group whose arrays have one shape and place.
    placed = [
        (path.rpartition("/")[0], one["attributes"])
        for path, one in found.items()
        if one["node_type"] == "array" and len(one["shape"]) == 2
    ]
    assert len(placed) == len(bench.keys(made))
    of_level = defaultdict(list)
    for level, attributes in placed:
        of_level[level].append((attributes["spatial:transform"], attributes["spatial:shape"]))
        own = found[level]["attributes"]
        assert attributes["spatial:transform"] == own["spatial:transform"]
        assert attributes["spatial:shape"] == own["spatial:shape"]
    for key in bench.keys(made):
        grid = made.grid(made.band(key.band).grid)
        attributes = found[array_path(made, key)]["attributes"]
        assert attributes["spatial:shape"] == list(grid.level(key.level).shape)
        assert attributes["spatial:transform"] == list(grid.level(key.level).transform)
    for group in found.values():
        about = group["attributes"]
        if "multiscales" not in about:
            continue
        layout = about["multiscales"]["layout"]
        left, _, right, top = about["spatial:bbox"]
        widths = [one["spatial:shape"][1] for one in layout]
        # OpenLayers derives the resolution of each level from the box, and sorts by it.
        if len(boxes) > 1 and len({tuple(b.transform) for b in boxes}) > 1:
            assert widths == sorted(widths, reverse=True)
        for one in layout:
            size, width = one["spatial:transform"][0], one["spatial:shape"][1]
            assert abs((right - left) / width - size) * width <= 2 * size
            assert (one["spatial:transform"][2], one["spatial:transform"][5]) == (left, top)
            if "derived_from" in one:
                below = next(b for b in layout if b["asset"] == one["derived_from"])
                ratio = size / below["spatial:transform"][0]
                assert one["transform"]["scale"][1] == pytest.approx(ratio)


def test_the_last_layout_of_masks_begins_where_masks_do() -> None:
    made = image(box(10, 600, 600))
    found = nodes(made)
    layout = found["masks"]["attributes"]["multiscales"]["layout"]
    assert [one["asset"] for one in layout] == ["1", "2"]
    assert "derived_from" not in layout[0]
    assert layout[1]["derived_from"] == "1"
    assert found["masks"]["attributes"]["spatial:transform"][0] == 20
    assert found["1/b0"]["attributes"]["mask"] == "masks/1/b0"
    assert "mask" not in found["0/b0"]["attributes"]


COORDINATES = {"bnds", "x", "y", "spatial_ref", "time", "time_bnds"}
IDS = st.text("abAB01_-", min_size=1, max_size=4) | st.sampled_from(
    ["time", "TIME", "-time", "band_time", "time_bnds", "time-bnds", "spatial-ref", "masks", "0"]
)


@given(ids=st.lists(IDS, min_size=1, max_size=9, unique_by=str.casefold))
def test_names_are_legal_and_differ_and_legal_ids_are_kept(ids: list[str]) -> None:
    made = bench.asset("a", *(bench.band(one) for one in ids), shape=(9, 9), tile=16)
    names = array_names(made)
    assert set(names) == set(ids)
    assert len({name.casefold() for name in names.values()}) == len(ids)
    for one, name in names.items():
        assert re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)
        assert name.casefold() not in COORDINATES
        if re.fullmatch("[A-Za-z][A-Za-z0-9_]*", one) and one.casefold() not in COORDINATES:
            assert name == one
        attributes = nodes(made)[f"0/{name}"]["attributes"]
        assert attributes.get("band", one) == attributes["long_name"] == one
        assert ("band" in attributes) == (name != one)


def test_names_as_people_meet_them() -> None:
    ids = ["10m", "nir-1", "nir_1", "NIR--1", "_q", "-", "B8A"]
    made = bench.asset("a", *(bench.band(one) for one in ids), shape=(9, 9), tile=16)
    assert array_names(made) == {
        "10m": "band_10m", "nir-1": "nir_1_2", "nir_1": "nir_1", "NIR--1": "NIR__1",
        "_q": "band__q", "-": "band__", "B8A": "B8A",
    }  # fmt: skip


def test_no_band_has_the_name_of_a_coordinate() -> None:
    ids = ["Time", "spatial-ref", "Time-Bnds", "time_bnds", "masks", "0"]
    made = bench.asset("a", *(bench.band(one) for one in ids), shape=(9, 9), tile=16)
    assert array_names(made) == {
        "Time": "band_Time", "spatial-ref": "band_spatial_ref", "Time-Bnds": "band_Time_Bnds",
        "time_bnds": "band_time_bnds_2", "masks": "masks", "0": "band_0",
    }  # fmt: skip
