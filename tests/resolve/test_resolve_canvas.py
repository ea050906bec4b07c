"""Canvases: what is covered, what fits together, and grids that do not move."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.errors import PlanError, SourceError
from geobatch.model.geobox import Bounds, Crs, GeoBox, Transform
from geobatch.resolve.canvas.canvas import (
    Canvas,
    SourceOffset,
    canvas_of,
    covered_pixels,
    offsets_on,
)
from geobatch.resolve.canvas.fullness import check_gap, check_size
from geobatch.resolve.headers import check_structure
from geobatch.sources.geotiff import Header

UTM = Crs(code="EPSG:32633", wkt="PROJCRS[33]")
X0, Y0, PIXEL = 500_000.0, 5_000_000.0, 10.0


def header(
    uri: str = "a.tif",
    *,
    col: float = 0,
    row: float = 0,
    width: int = 100,
    height: int = 80,
    pixel: tuple[float, float] = (PIXEL, -PIXEL),
    dtypes: tuple[str, ...] = ("uint8",),
    nodata: tuple[float | None, ...] | None = None,
    crs: Crs | None = UTM,
) -> Header:
    """Return a header placed at a (fractional) pixel of the grid at (X0, Y0)."""
    count = len(dtypes)
    return Header(
        uri=uri,
        path=f"/{uri}",
        width=width,
        height=height,
        dtypes=dtypes,
        transform=(pixel[0], 0.0, X0 + col * pixel[0], 0.0, pixel[1], Y0 + row * pixel[1]),
        crs=crs,
        nodata=nodata or (None,) * count,
        mask=None,
        alpha_index=None,
        descriptions=(None,) * count,
        units=(None,) * count,
        scales=(None,) * count,
        offsets=(None,) * count,
        palettes=(None,) * count,
        block=(16, 16),
        is_pixel_interleaved=False,
        compression="NONE",
        is_lossy=False,
        overviews=0,
    )


def placed(*headers: Header, bounds: Bounds | None = None) -> Canvas:
    check_structure(headers)
    canvas = canvas_of(headers, bounds=bounds)
    check_gap(canvas)
    return canvas


def refused(*headers: Header, bounds: Bounds | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        placed(*headers, bounds=bounds)
    return caught.value.message


# --- coverage -----------------------------------------------------------------------------------

RECTANGLES = st.lists(
    st.tuples(st.integers(-12, 32), st.integers(-12, 32), st.integers(1, 30), st.integers(1, 30)),
    min_size=1,
    max_size=9,
)


@given(rectangles=RECTANGLES, height=st.integers(1, 30), width=st.integers(1, 30))
@example(rectangles=[(0, 0, 5, 5), (0, 5, 5, 5), (5, 0, 5, 10)], height=10, width=10)
def test_covered_pixels_are_those_that_numpy_counts(
    rectangles: list[tuple[int, int, int, int]], height: int, width: int
) -> None:
    canvas = np.zeros((height, width), dtype=np.bool_)
    for row, col, rows, cols in rectangles:
        canvas[max(row, 0) : max(row + rows, 0), max(col, 0) : max(col + cols, 0)] = True
    found = Canvas(
        geobox=GeoBox(crs=UTM, transform=(1, 0, 0, 0, -1, 0), height=height, width=width),
        sources=tuple(
            SourceOffset(header=header(width=cols, height=rows), row=row, col=col)
            for row, col, rows, cols in rectangles
        ),
    )
    assert covered_pixels(found) == canvas.sum()
    assert found.has_gaps == (not canvas.all())


# --- what must agree ----------------------------------------------------------------------------

A, B = "north/a.tif", "south/b.tif"


@pytest.mark.parametrize(
    ("other", "values"),
    [
        ({"dtypes": ("uint8", "uint8")}, ("`1`", "`2`")),
        ({"dtypes": ("int16",)}, ("`uint8`", "`int16`")),
        ({"crs": Crs(code="EPSG:32634", wkt="PROJCRS[34]")}, ("`EPSG:32633`", "`EPSG:32634`")),
        ({"pixel": (20.0, -20.0)}, ("`10 x -10`", "`20 x -20`")),
        ({"pixel": (10.0, 10.0)}, ("`10 x -10`", "`10 x 10`")),
    ],
)
def test_a_mismatch_names_both_files_and_both_values(
    other: dict[str, object], values: tuple[str, str]
) -> None:
    pair = header(A), header(B, col=100, **other)  # type: ignore[arg-type]
    message = refused(*pair)
    for text in (A, B, *values):
        assert text in message


def test_a_sheared_source_does_not_fit_a_straight_one() -> None:
    sheared = replace(header(B), transform=(PIXEL, 0.5, X0, 0.0, -PIXEL, Y0))
    message = refused(header(A), sheared)
    assert A in message
    assert B in message
    assert "shear 0.5, 0" in message


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("axis", ["col", "row"])
def test_offsets_are_whole_within_a_hundredth_of_a_pixel(axis: str, sign: int) -> None:
    def shifted(by: float) -> Header:
        where = {"col": 100.0, "row": 0.0}
        where[axis] += sign * by
        return header(B, **where)  # type: ignore[arg-type]

    canvas = placed(header(A), shifted(0.0099))
    assert [(p.row, p.col) for p in canvas.sources] == [(0, 0), (0, 100)]
    message = refused(header(A), shifted(0.02))
    assert A in message
    assert B in message


def test_a_resolution_may_drift_by_a_hundredth_of_a_pixel_over_a_source() -> None:
    def drifting(pixels: float, *, width: int) -> Header:
        size = PIXEL * (1 + pixels / width)
        at = header(B, width=width)
        return replace(at, transform=(size, 0.0, X0 + 100 * PIXEL, 0.0, -PIXEL, Y0))

    for width in (100, 40_000):
        assert placed(header(A), drifting(0.0099, width=width)).geobox.width == 100 + width
        message = refused(header(A), drifting(0.02, width=width))
        assert "resolution" in message
        assert A in message
        assert B in message


@given(shift=st.floats(-0.01, 0.01), drift=st.floats(-0.02, 0.02))
def test_no_pixel_of_a_source_misses_the_grid_by_more(shift: float, drift: float) -> None:
    """Shift and drift add up: it is the far edge that counts."""
    size = PIXEL * (1 + drift / 100)
    off = replace(header(B), transform=(size, 0.0, X0 + (100 + shift) * PIXEL, 0.0, -PIXEL, Y0))
    if abs(shift + drift) > 0.0101:
        refused(header(A), off)
    elif abs(shift + drift) < 0.0099 and abs(shift) < 0.0099:
        assert placed(header(A), off).sources[1].col == 100


# --- the union ----------------------------------------------------------------------------------

SPOTS = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(20, 50), st.integers(20, 50)),
    min_size=1,
    max_size=5,
)


@given(spots=SPOTS, is_south_up=st.booleans())
def test_the_union_is_around_all_sources_and_keeps_their_places(
    spots: list[tuple[int, int, int, int]], *, is_south_up: bool
) -> None:
    pixel = (PIXEL, PIXEL if is_south_up else -PIXEL)
    headers = [
        header(f"{number}.tif", row=row, col=col, height=rows, width=cols, pixel=pixel)
        for number, (row, col, rows, cols) in enumerate(spots)
    ]
    canvas = placed(*headers)
    boxes = [
        GeoBox(crs=UTM, transform=h.transform or (0,) * 6, height=h.height, width=h.width).bounds
        for h in headers
    ]
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    assert canvas.geobox.bounds == (min(lefts), min(bottoms), max(rights), max(tops))
    for found, box in zip(canvas.sources, headers, strict=True):
        x, y = canvas.geobox.xy(col=found.col, row=found.row)
        assert box.transform is not None
        assert (x, y) == (box.transform[2], box.transform[5])


def test_the_union_does_not_depend_on_the_order_of_sources() -> None:
    headers = [header(f"{n}.tif", row=n * 7, col=n * -31) for n in range(4)]
    boxes = {placed(*order).geobox for order in itertools.permutations(headers)}
    assert len(boxes) == 1


@given(size=st.integers(1, 10**6))
@example(size=50)
def test_up_to_99_percent_may_be_gap(size: int) -> None:
    first = header(A, width=size, height=1)
    exact = placed(first, header(B, col=199 * size, width=size, height=1))
    assert covered_pixels(exact) * 100 == exact.geobox.width
    message = refused(first, header(B, col=199 * size + 1, width=size, height=1))
    assert "99 %" in message
    assert A in message
    assert B in message


def test_a_far_away_source_is_found_without_a_huge_plane() -> None:
    refused(header(A), header(B, col=10**9))


# --- grid.bounds --------------------------------------------------------------------------------

AWKWARD = (0.1, 0.0003)
"""Pixel sizes without an exact binary form."""


@given(data=st.data(), size=st.sampled_from(AWKWARD), is_south_up=st.booleans())
def test_a_declared_grid_is_the_same_whatever_lies_on_it(
    data: st.DataObject, size: float, *, is_south_up: bool
) -> None:
    pixel = (size, size if is_south_up else -size)
    top, bottom = Y0 + 10 * pixel[1], Y0 + 70 * pixel[1]
    bounds = (X0 + 5 * size, min(top, bottom), X0 + 95 * size, max(top, bottom))
    headers = [
        header(f"{n}.tif", row=row, col=col, width=40, height=30, pixel=pixel)
        for n, (row, col) in enumerate([(0, 0), (0, 40), (30, 0), (30, 40), (20, 30), (55, 80)])
    ]
    whole = placed(*headers, bounds=bounds).geobox
    some = data.draw(st.lists(st.sampled_from(headers), min_size=1, unique_by=lambda h: h.uri))
    canvas = placed(*some, bounds=bounds)
    assert canvas.geobox == whole
    assert [value.hex() for value in canvas.geobox.transform] == [
        value.hex() for value in whole.transform
    ]
    assert whole.shape == (60, 90)
    for found in canvas.sources:
        place_of = next(h for h in headers if h.uri == found.header.uri).transform
        assert place_of is not None
        col, row = whole.col_row(x=place_of[2], y=place_of[5])
        assert (round(row), round(col)) == (found.row, found.col)


def test_sources_reach_over_declared_bounds() -> None:
    canvas = placed(header(A), bounds=(X0 + 500, Y0 - 300, X0 + 1500, Y0 + 200))
    assert (canvas.sources[0].row, canvas.sources[0].col) == (20, -50)
    assert covered_pixels(canvas) == 30 * 50
    assert canvas.has_gaps
    inner = placed(header(A), bounds=(X0 + 100, Y0 - 300, X0 + 200, Y0 - 200))
    assert not inner.has_gaps


@pytest.mark.parametrize("reach", [1e11, 1e300, 1.7e308])
def test_bounds_beyond_what_readers_know_are_refused(reach: float) -> None:
    message = refused(header(A), bounds=(-reach, -reach, reach, reach))
    assert "`grid.bounds` span" in message
    assert "2^31" in message


def test_more_tiles_than_a_plan_can_name_are_refused() -> None:
    side = 8192 * 64
    plane = GeoBox(crs=UTM, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), height=side, width=side)
    canvas = Canvas(geobox=plane, sources=(SourceOffset(header=header(A), row=0, col=0),))
    check_size(canvas, tile=64)
    with pytest.raises(PlanError, match=r"524289 x 524288 pixels.*67,108,864"):
        check_size(replace(canvas, geobox=replace(plane, width=side + 1)), tile=64)


def test_bounds_without_a_source_are_refused() -> None:
    message = refused(header(A), bounds=(X0 + 5000, Y0 - 100, X0 + 6000, Y0))
    assert A in message
    assert "grid.bounds" in message


def test_declared_bounds_may_be_all_but_empty() -> None:
    tiny = header(A, width=1, height=1)
    canvas = placed(tiny, bounds=(X0, Y0 - 1000, X0 + 1000, Y0))
    assert covered_pixels(canvas) == 1
    refused(tiny, header(B, width=1, height=1, col=99, row=99))


@pytest.mark.parametrize(
    "bounds",
    [
        (X0, Y0 - 100, X0 + 105, Y0),
        (X0, Y0 - 105, X0 + 100, Y0),
        (X0, Y0 - 100, X0 + 0.01, Y0),
        (X0 + 5, Y0 - 100, X0 + 105, Y0),
        (X0, Y0 - 98, X0 + 100, Y0 + 2),
    ],
)
def test_bounds_off_the_pixel_grid_are_refused(bounds: Bounds) -> None:
    message = refused(header(A), bounds=bounds)
    assert "grid.bounds" in message
    assert A in message


def test_bounds_need_straight_pixels() -> None:
    sheared = replace(header(A), transform=(PIXEL, 0.5, X0, 0.0, -PIXEL, Y0))
    assert "rotated or sheared" in refused(sheared, bounds=(X0, Y0 - 100, X0 + 100, Y0))


# --- what the spec gives in place of the file ---------------------------------------------------


def test_a_file_without_a_place_needs_one_from_the_spec() -> None:
    nowhere = replace(header(A), transform=None, crs=None)
    with pytest.raises(SourceError, match="affine_transform"):
        raise_hint([replace(nowhere, crs=UTM)])
    with pytest.raises(SourceError, match="crs"):
        raise_hint([replace(nowhere, transform=(1, 0, 0, 0, -1, 0))])
    placed_there = replace(nowhere, transform=(1, 0, 7, 0, -1, 9), crs=UTM)
    canvas = canvas_of([placed_there], bounds=None)
    assert canvas.geobox == GeoBox(
        crs=UTM, transform=(1, 0, 7, 0, -1, 9), height=nowhere.height, width=nowhere.width
    )


def raise_hint(headers: Sequence[Header]) -> None:
    """Place headers, and raise an error anew with its hint in its message."""
    try:
        canvas_of(headers, bounds=None)
    except SourceError as error:
        raise SourceError(f"{error.message} {error.hint}") from error


def test_a_mask_may_be_larger_or_smaller_than_what_it_masks() -> None:
    canvas = placed(header(A), header(B, col=100))
    masks = [header("m.tif", col=-7, row=-3, width=400, height=300), header("n.tif", col=3, row=4)]
    found = offsets_on(masks, canvas=canvas)
    assert [(p.row, p.col) for p in found] == [(-3, -7), (4, 3)]
    with pytest.raises(PlanError, match=r"m\.tif"):
        offsets_on([header("m.tif", col=0.5)], canvas=canvas)


# --- geoboxes -----------------------------------------------------------------------------------

NUMBERS = st.floats(-1e7, 1e7)
STEPS = st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)


@given(
    transform=st.tuples(STEPS, st.just(0.0), NUMBERS, st.just(0.0), STEPS, NUMBERS),
    height=st.integers(1, 10**6),
    width=st.integers(1, 10**6),
)
def test_levels_halve_until_they_fit_256_pixels(
    transform: Transform, height: int, width: int
) -> None:
    box = GeoBox(crs=UTM, transform=transform, height=height, width=width)
    count = box.level_count
    for level in range(1, count):
        below, above = box.level(level - 1), box.level(level)
        assert above.shape == (-(-below.height // 2), -(-below.width // 2))
        assert max(below.shape) > 256
        assert above.xy(col=0, row=0) == box.xy(col=0, row=0)
        assert above.transform[0] == 2 * below.transform[0]
        assert above.transform[4] == 2 * below.transform[4]
    assert max(box.level(count - 1).shape) <= 256


@given(
    height=st.integers(1, 5000),
    width=st.integers(1, 5000),
    tile=st.sampled_from([16, 128, 512]),
    level=st.integers(0, 3),
)
def test_tiles_partition_a_level(height: int, width: int, tile: int, level: int) -> None:
    box = GeoBox(crs=UTM, transform=(1, 0, 0, 0, -1, 0), height=height, width=width)
    plane = box.level(level)
    for size, count in zip(plane.shape, box.tile_shape(tile=tile, level=level), strict=True):
        parts = [min((n + 1) * tile, size) - n * tile for n in range(count)]
        assert sum(parts) == size
        assert min(parts) >= 1


@given(
    angle=st.floats(0, 2 * math.pi),
    steps=st.tuples(STEPS, STEPS),
    col=st.floats(-1e4, 1e4),
    row=st.floats(-1e4, 1e4),
)
def test_col_row_inverts_xy(
    angle: float, steps: tuple[float, float], col: float, row: float
) -> None:
    cos, sin = math.cos(angle), math.sin(angle)
    transform = (steps[0] * cos, -steps[1] * sin, 1e3, steps[0] * sin, steps[1] * cos, -1e3)
    box = GeoBox(crs=UTM, transform=transform, height=1, width=1)
    x, y = box.xy(col=col, row=row)
    found = box.col_row(x=x, y=y)
    tolerance = 1e-9 * (abs(col) + abs(row)) * max(map(abs, steps)) / min(map(abs, steps)) + 1e-6
    assert found == pytest.approx((col, row), abs=tolerance)


def test_sources_that_scale_otherwise_are_refused() -> None:
    first, other = header("a.tif"), header("b.tif")
    with pytest.raises(PlanError, match=r"scale.*a\.tif.*b\.tif"):
        check_structure([first, replace(other, scales=(0.1,))])
    with pytest.raises(PlanError, match=r"offset.*a\.tif.*b\.tif"):
        check_structure([first, replace(other, offsets=(-3.0,))])


@pytest.mark.parametrize("is_named_alike", [True, False])
def test_a_mismatch_of_crs_is_short_and_has_a_remedy(*, is_named_alike: bool) -> None:
    def wkt(name: str, end: str) -> str:
        return f'PROJCRS["{name}",' + 'PARAMETER["x",0],' * 300 + f"{end}]"

    first = Crs(code=None, wkt=wkt("local", "1"))
    other = Crs(code=None, wkt=wkt("local" if is_named_alike else "other", "2"))
    with pytest.raises(PlanError) as caught:
        canvas_of([header(A, crs=first), header(B, col=100, crs=other)], bounds=None)
    text = f"{caught.value}{caught.value.hint}"
    assert len(text) < 600
    assert all(word in text for word in (A, B, "local", "`crs`", "gdalwarp", "image of each file"))
    assert "2]" in text if is_named_alike else "other" in text
