"""A length with two readings is never guessed: a declaration decides, or an error asks for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from record_workbench import Export, Pixels
from workbench import Workbench

from geobatch.declare import validate
from geobatch.errors import SpecError
from geobatch.resolve import resolve
from geobatch.sources.tfrecord.features.readings import Reading, guessed_kernel, reaching, readings

SIDES = st.integers(1, 40)
MARGINS = st.integers(0, 40)


@given(
    patch=st.tuples(SIDES, SIDES),
    margin=st.tuples(MARGINS, MARGINS),
    depth=st.integers(1, 40),
    is_padded=st.booleans(),
)
def test_every_reading_is_found_and_nothing_else(
    patch: tuple[int, int], margin: tuple[int, int], depth: int, *, is_padded: bool
) -> None:
    cut = margin if is_padded else (0, 0)
    values = (patch[0] + cut[0]) * (patch[1] + cut[1]) * depth
    found = readings(values, patch=patch, margin=margin)
    # An oracle that tries every depth there can be.
    expected = {
        Reading(n, (rows, cols))
        for rows, cols in {margin, (0, 0)}
        for n in range(1, values + 1)
        if n * (patch[0] + rows) * (patch[1] + cols) == values
    }
    assert set(found) == expected
    assert Reading(depth, cut) in found
    assert len({one.depth for one in found}) == len(found)  # so `depth` always decides
    assert not readings(0, patch=patch, margin=margin)


@given(patch=st.tuples(SIDES, SIDES), kernel=st.integers(0, 50), off=st.integers(0, 3))
def test_a_kernel_is_guessed_where_it_is_square(
    patch: tuple[int, int], kernel: int, off: int
) -> None:
    values = (patch[0] + kernel) * (patch[1] + kernel) + off
    found = guessed_kernel(values, patch)
    if off == 0:
        assert found == (kernel or None)
    assert found is None or (patch[0] + found) * (patch[1] + found) == values


DEPTHS = st.lists(st.integers(1, 4), min_size=1, max_size=2, unique=True)


@given(depths=st.lists(DEPTHS, min_size=1, max_size=4), channels=st.integers(0, 12))
def test_bands_rule_out_readings_that_have_too_few(depths: list[list[int]], channels: int) -> None:
    fits = [tuple(Reading(n, (0, 0)) for n in some) for some in depths]
    found = reaching(fits, channels=channels)
    grids = np.meshgrid(*depths, indexing="ij")
    enough = np.sum(grids, axis=0) >= channels
    assume(enough.any())
    for number, some in enumerate(depths):
        possible = {int(n) for n in grids[number][enough]}
        assert {one.depth for one in found[number]} == possible & set(some)


# --- what the spec says, with pixels ------------------------------------------------------------

SIDE = 8


def pixels(depth: int) -> Pixels:
    """Return 24 x 16 pixels, of which channel `i` is `i` and some more that no two share."""
    base = np.arange(24 * 16).reshape(24, 16, 1) * 0.001
    values = (np.arange(depth) + base).astype(np.float32)
    return values if depth > 1 else values[:, :, 0]


def write(folder: Path, depth: int, *, kernel: int, order: str = "HWC") -> None:
    export = Export(
        bands={"c": pixels(depth)}, patch=(SIDE, SIDE), kernel=(kernel, kernel),
        orders={"c": order},
    )  # fmt: skip
    export.write(folder, compression="")


def document(*features: Any, kernel: int = SIDE, **more: Any) -> dict[str, Any]:
    records: dict[str, Any] = {"kernel_size": [kernel, kernel]}
    if features:
        records["features"] = list(features)
    sources = [{"uris": ["pred-*.tfrecord", "pred-mixer.json"]}]
    return {"id": "x", "tilesets": [{"sources": sources, "tfrecord": records}], **more}


def bands(folder: Path, spec: dict[str, Any]) -> list[Pixels]:
    bench = Workbench(folder=folder)
    bench.apply(spec)
    names = [band["id"] for band in spec.get("bands", [])] or sorted(bench.names("x/0"))
    return [bench.array(f"x/0/{name}") for name in names]


@pytest.mark.parametrize("order", ["HWC", "CHW"])
@pytest.mark.parametrize(
    "said", [{}, {"depth": 4}, {"data_type": "FLOAT"}], ids=["order", "depth", "type"]
)
def test_four_declared_classes_are_four_bands(
    tmp_path: Path, order: str, said: dict[str, Any]
) -> None:
    """Four classes of 8 x 8 are as many values as one band with a margin of 8."""
    write(tmp_path, 4, kernel=0, order=order)
    found = bands(tmp_path, document({"name": "c", "axis_order": order, **said}))
    assert len(found) == 4
    for number, band in enumerate(found):
        assert np.array_equal(band, pixels(4)[:, :, number])
        assert np.array_equal(np.floor(band), np.full(band.shape, number))


@pytest.mark.parametrize(
    "spec",
    [
        document({"name": "c", "depth": 1}),
        document({"name": "c", "depth": 1, "axis_order": "HWC"}),
        document("c", bands=[{"id": "c", "feature": "c"}]),
        document(bands=[{"id": "c", "feature": "c"}]),
    ],
    ids=["depth", "order", "feature", "band"],
)
def test_one_declared_value_is_one_band_with_a_margin(tmp_path: Path, spec: dict[str, Any]) -> None:
    write(tmp_path, 1, kernel=SIDE)
    (found,) = bands(tmp_path, spec)
    assert np.array_equal(found, pixels(1))


def test_indexes_of_bands_tell_how_many_there_are(tmp_path: Path) -> None:
    write(tmp_path, 4, kernel=0)
    indexed = [{"id": f"b{n}", "tileset_band_index": n} for n in range(4)]
    with pytest.raises(SpecError, match="has 4 values per pixel, and their order is not declared"):
        bands(tmp_path, document("c", bands=indexed))
    spec = document({"name": "c", "axis_order": "HWC"}, bands=indexed)
    assert [int(band[0, 0]) for band in bands(tmp_path, spec)] == [0, 1, 2, 3]


def problem_of(folder: Path, spec: dict[str, Any]) -> tuple[str, str]:
    path = Workbench(folder=folder).write_spec([spec])
    with pytest.raises(SpecError) as caught:
        resolve(validate([path]))
    (found,) = caught.value.problems
    assert found.line > 1
    return found.message, found.hint or ""


@pytest.mark.parametrize("named", [(), ("c",), ({"name": "c", "data_type": "DOUBLE"},)])
def test_where_nothing_is_declared_both_readings_are_named_and_can_be_pasted(
    tmp_path: Path, named: tuple[Any, ...]
) -> None:
    write(tmp_path, 4, kernel=0)
    message, hint = problem_of(tmp_path, document(*named))
    assert "`c` has 256 values per record" in message
    assert "1 value per pixel and a margin of 8 x 8" in message
    assert "4 values per pixel and no margin" in message
    pasted = [yaml.safe_load(part) for part in hint.split("`") if part.startswith("{")]
    assert [one["depth"] for one in pasted] == [1, 4]
    assert [len(bands(tmp_path, document(one))) for one in pasted] == [1, 4]
    assert all(one.get("data_type") == ("DOUBLE" if "DOUBLE" in str(named) else None)
               for one in pasted)  # fmt: skip


@pytest.mark.parametrize("depth", [2, 8])
def test_an_order_alone_does_not_tell_two_bands_with_a_margin_from_eight(
    tmp_path: Path, depth: int
) -> None:
    write(tmp_path, depth, kernel=SIDE if depth == 2 else 0, order="CHW")
    said = {"name": "c", "axis_order": "CHW"}
    message, hint = problem_of(tmp_path, document(said))
    assert "2 values per pixel and a margin of 8 x 8 or 8 values per pixel" in message
    assert "{name: c, depth: 8, axis_order: CHW}" in hint
    found = bands(tmp_path, document({**said, "depth": depth}))
    assert all(np.array_equal(b, pixels(depth)[:, :, n]) for n, b in enumerate(found))


@pytest.mark.parametrize("depth", [2, 3, 8])
def test_a_depth_that_does_not_fit_names_what_is_there(tmp_path: Path, depth: int) -> None:
    write(tmp_path, 4, kernel=0)
    message, _ = problem_of(tmp_path, document({"name": "c", "depth": depth, "axis_order": "HWC"}))
    assert f"`depth` is {depth}" in message
    assert "has 256 values" in message
    assert "1 value per pixel and a margin of 8 x 8 or 4 values per pixel and no margin" in message


def test_an_order_that_is_missing_names_the_margin_too(tmp_path: Path) -> None:
    write(tmp_path, 1, kernel=SIDE)
    message, hint = problem_of(tmp_path, document("c", kernel=0))
    assert "has 4 values per pixel, and their order is not declared" in message
    assert "`kernel_size: [8, 8]`" in hint
