"""A mosaic across the antimeridian is warned of with a remedy that works as it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from shell import geobatch
from workbench import Document, Workbench, image

from geobatch.declare import validate
from geobatch.errors import PlanError, Problem
from geobatch.model.assets.asset import AnyImage, Resolution
from geobatch.resolve import resolve
from geobatch.resolve.canvas.antimeridian import turns_apart
from geobatch.sources.projections.crs import parse_crs, turn

MERCATOR = 40075016.68557848


@given(
    spans=st.lists(st.tuples(st.integers(-400, 800), st.integers(1, 90)), min_size=1, max_size=8)
)
@example(spans=[(178, 2), (-180, 2)])
@example(spans=[(-180, 180), (0, 180)])
def test_moves_give_the_narrowest_union_there_is(spans: list[tuple[int, int]]) -> None:
    moves, width = turns_apart(spans, 360)
    moved = [(col + 360 * move, size) for move, (col, size) in zip(moves, spans, strict=True)]
    left, right = min(col for col, _ in moved), max(col + size for col, size in moved)
    assert right - left == width
    # An oracle that begins at each source in turn.
    unions = [
        max((col - start) % 360 + size for col, size in spans) for start, _ in spans
    ]  # fmt: skip
    assert width == min(unions)
    assert 0 in moves
    assert all(move >= 0 for move in moves) or moves.count(0) > len(moves) / 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [("EPSG:4326", 360), ("EPSG:4979", 360), ("EPSG:4807", 400), ("EPSG:3857", MERCATOR),
     ("EPSG:4087", MERCATOR), ("EPSG:32633", None), ("EPSG:3035", None), ("EPSG:3031", None),
     ("+proj=sinu +R=6371007.181", None), ("+proj=moll", None)],
)  # fmt: skip
def test_a_crs_has_a_turn_where_its_meridians_are_parallel(
    text: str, expected: float | None
) -> None:
    assert turn(parse_crs(text)) == (expected and pytest.approx(expected))


def write(
    folder: Path, lefts: list[float], *, pixel: float, crs: str, width: int = 20, name: str = "t"
) -> list[str]:
    """Write tiles with their left edges at some x, each of its own value."""
    names = []
    for number, left in enumerate(lefts):
        path = folder / f"{name}{number}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", height=20, width=width, count=1, dtype="uint8", crs=crs,
            transform=rasterio.Affine(pixel, 0, left, 0, -pixel, 10 * pixel),
        ) as file:  # fmt: skip
            file.write(np.full((20, width), number + 1, dtype=np.uint8), 1)
        names.append(path.name)
    return names


def resolution(folder: Path, document: Document) -> Resolution:
    return resolve(validate([Workbench(folder=folder).write_spec([document])]))


def told(found: Resolution) -> list[Problem]:
    return [one for one in found.warnings if one.rule == "antimeridian"]


def pasted(hint: str) -> list[dict[str, Any]]:
    """Return the sources that a hint says to write."""
    text = hint.split("`")[1]
    assert text.startswith("sources: ")
    sources: list[dict[str, Any]] = yaml.safe_load(text)["sources"]
    return sources


def box_of(found: Resolution) -> Any:
    asset: AnyImage = found.images[0]
    return asset.grids[0].geobox


CASES: list[tuple[str, list[float], float, str, float, int]] = [
    # name, lefts, pixel, crs, left edge and columns when moved
    ("two sides", [178, -180], 0.1, "EPSG:4326", 178, 40),
    ("0 to 360 beside -180 to 180", [200, -158], 0.1, "EPSG:4326", 200, 40),
    ("both sides of 0 in 0 to 360", [0, 358], 0.1, "EPSG:4326", 358, 40),
    ("more than a turn apart", [-190, 190], 0.1, "EPSG:4326", 170, 220),
    ("Pacific", [100, 170, -180, -102], 0.1, "EPSG:4326", 100, 1600),
    ("grads", [198, -200], 0.1, "EPSG:4807", 198, 40),
    (
        "Mercator",
        [MERCATOR / 2 * 0.9, -MERCATOR / 2],
        MERCATOR / 400,
        "EPSG:3857",
        MERCATOR / 2 * 0.9,
        40,
    ),
]


@pytest.mark.parametrize("is_glob", [True, False])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_the_remedy_gives_a_compact_canvas(
    tmp_path: Path, case: tuple[str, list[float], float, str, float, int], *, is_glob: bool
) -> None:
    _, lefts, pixel, crs, left, columns = case
    names = write(tmp_path, lefts, pixel=pixel, crs=crs)
    document = image("x", *(["t*.tif"] if is_glob else names))
    found = resolution(tmp_path, document)
    (warning,) = told(found)
    assert "on both sides of the antimeridian" in warning.message
    document["tilesets"][0]["sources"] = pasted(warning.hint or "")
    moved = resolution(tmp_path, document)
    assert not told(moved)
    box = box_of(moved)
    assert box.width == columns < box_of(found).width
    assert box.bounds[0] == pytest.approx(left)
    assert [source.uri for source in moved.images[0].tilesets[0].sources] == names


def test_the_western_files_get_180(tmp_path: Path) -> None:
    names = write(tmp_path, [178, -180, -178, -176], pixel=0.1, crs="EPSG:4326")
    (warning,) = told(resolution(tmp_path, image("x", *names)))
    sources = pasted(warning.hint or "")
    assert sources[0] == {"uris": ["t0.tif"]}
    assert [s["affine_transform"]["translate_x"] for s in sources[1:]] == [180, 182, 184]
    bench = Workbench(folder=tmp_path)
    bench.apply(image("x", tileset={"sources": sources}))
    expected = np.repeat(np.array([1, 2, 3, 4], dtype=np.uint8), 20)
    assert np.array_equal(bench.array("x/0/b1"), np.tile(expected, (20, 1)))


def test_the_error_of_a_gap_has_the_remedy(tmp_path: Path) -> None:
    write(tmp_path, [179.9, -180], pixel=0.005, crs="EPSG:4326")
    document = image("x", "t*.tif")
    with pytest.raises(PlanError, match="more than 99 % is empty") as caught:
        resolution(tmp_path, document)
    document["tilesets"][0]["sources"] = pasted(caught.value.hint or "")
    assert box_of(resolution(tmp_path, document)).width == 40


def test_what_the_spec_states_of_sources_is_kept_in_the_remedy(tmp_path: Path) -> None:
    names = write(tmp_path, [178, 3], pixel=0.1, crs="EPSG:4326")
    place = {"scale_x": 0.1, "translate_x": -180, "scale_y": -0.1, "translate_y": 1}
    size = {"width": 20, "height": 20}
    sources = [{"uris": [names[0]]}, {"uris": [names[1]], "affine_transform": place,
                                      "dimensions": size}]  # fmt: skip
    (warning,) = told(resolution(tmp_path, image("x", tileset={"sources": sources})))
    found = pasted(warning.hint or "")
    assert found[1] == {
        "uris": [names[1]], "affine_transform": place | {"translate_x": 180}, "dimensions": size,
    }  # fmt: skip


def test_of_many_files_the_first_are_shown(tmp_path: Path) -> None:
    lefts = [170.0 + 2 * n for n in range(5)] + [-180.0 + 2 * n for n in range(9)]
    write(tmp_path, lefts, pixel=0.1, crs="EPSG:4326")
    (warning,) = told(resolution(tmp_path, image("x", "t*.tif")))
    assert "and 6 more in the same way" in (warning.hint or "")
    assert (warning.hint or "").count("translate_x: 18") == 3


@pytest.mark.parametrize(
    ("lefts", "crs", "pixel"),
    [
        ([-180, -100, 0, 100, 178], "EPSG:4326", 0.1),  # samples of the whole Earth
        ([-74, 139], "EPSG:4326", 0.1),  # two places, and the Pacific is no nearer
        ([0, 100], "EPSG:4326", 0.1),
        ([4e5, 5e7], "EPSG:32633", 1e5),  # a plane that ends
    ],
)
def test_other_gaps_are_not_told(
    tmp_path: Path, lefts: list[float], crs: str, pixel: float
) -> None:
    write(tmp_path, lefts, pixel=pixel, crs=crs)
    assert not told(resolution(tmp_path, image("x", "t*.tif")))


def test_pixels_that_no_turn_brings_together_are_said(tmp_path: Path) -> None:
    write(tmp_path, [0.7 * 250, -0.7 * 257], pixel=0.7, crs="EPSG:4326", width=4)
    (warning,) = told(resolution(tmp_path, image("x", "t*.tif")))
    assert "514.285714 pixels" in (warning.hint or "")


def test_a_source_a_turn_away_from_declared_bounds_is_told(tmp_path: Path) -> None:
    names = write(tmp_path, [178, -180], pixel=0.1, crs="EPSG:4326")
    document = image("x", *names, grid={"bounds": [176, -1, 184, 1]})
    (warning,) = told(resolution(tmp_path, document))
    assert "away: 1 of 2" in warning.message
    document["tilesets"][0]["sources"] = pasted(warning.hint or "")
    moved = resolution(tmp_path, document)
    assert not told(moved)
    assert [source.col for source in moved.images[0].tilesets[0].sources] == [20, 40]
    with pytest.raises(PlanError, match="no source lies within") as caught:
        resolution(tmp_path, image("x", names[1], grid={"bounds": [176, -1, 184, 1]}))
    assert pasted(caught.value.hint or "")[0]["affine_transform"]["translate_x"] == 180


def test_a_mask_a_turn_away_is_told(tmp_path: Path) -> None:
    names = write(tmp_path, [178, 180], pixel=0.1, crs="EPSG:4326")
    masks = write(tmp_path, [178, -180], pixel=0.1, crs="EPSG:4326", name="m")
    document = image("x", *names, mask_bands={"tileset_id": "m"})
    document["tilesets"].append({"id": "m", "sources": [{"uris": [name]} for name in masks]})
    document["bands"] = [{"id": "a", "tileset_id": "t"}]
    (warning,) = told(resolution(tmp_path, document))
    assert "tileset `m`" in warning.message
    document["tilesets"][1]["sources"] = pasted(warning.hint or "")
    assert not told(resolution(tmp_path, document))


def test_it_is_told_by_plan_and_apply_each_time_and_can_be_silenced(tmp_path: Path) -> None:
    write(tmp_path, [178, -180], pixel=0.1, crs="EPSG:4326")
    spec = Workbench(folder=tmp_path).write_spec([image("x", "t*.tif")])
    for command in ("plan", "apply", "plan", "apply"):
        done = geobatch("--store", tmp_path / "store", command, spec)
        assert done.code == 0, done
        assert done.err.count("antimeridian: sources of") == 1
    (tmp_path / "geobatch.yaml").write_text("silence: [antimeridian]\n")
    assert "antimeridian" not in geobatch("--store", tmp_path / "store", "plan", spec).err
