"""Every level of every band equals the reference, bit for bit, masks included."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_kinds import DTYPES, Bench, Case, kinds_of
from reference_ingest import Plane, expect
from workbench import Workbench, image, write_tiff

SHAPES = ((3, 523), (522, 4), (5, 257), (1, 519), (515, 1), (2, 1030), (257, 6))
"""Thin planes have as many levels as wide ones, and the reference can afford them."""

Applied = tuple[Workbench, dict[str, Case]]


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Applied]:
    """Apply all the kinds of masking of a dtype in one run, once."""

    @cache
    def applied(dtype: str) -> Applied:
        folder = tmp_path_factory.mktemp(dtype)
        number = DTYPES.index(dtype)
        cases = {
            kind.__name__: kind(
                Bench(
                    folder=folder,
                    name=kind.__name__,
                    dtype=dtype,
                    shape=SHAPES[(number + position) % len(SHAPES)],
                    rng=np.random.default_rng([number, position]),
                    layout=number + position,
                    tile=(64, 128, 256)[(number + position) % 3],
                )
            )
            for position, kind in enumerate(kinds_of(dtype))
        }
        workbench = Workbench(folder=folder)
        workbench.apply(*(case.document for case in cases.values()))
        return workbench, cases

    return applied


_AS_OTHERS = {"int8", "int16", "int32", "uint32", "uint64", "float64"}


def marks(dtype: str) -> list[pytest.MarkDecorator]:
    """Types that are computed as others are wait for `just attack`."""
    return [pytest.mark.attack] if dtype in _AS_OTHERS else []


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        # 16 bits without a sign are tried in the default run by the tests below.
        pytest.param(
            dtype, kind.__name__, marks=[pytest.mark.attack] if dtype == "uint16" else marks(dtype)
        )
        for dtype in DTYPES
        for kind in kinds_of(dtype)
    ],
)
def test_all_policies_under_every_mask(
    applied: Callable[[str], Applied], dtype: str, kind: str
) -> None:
    workbench, cases = applied(dtype)
    workbench.assert_bands(kind, cases[kind].expect())


@settings(max_examples=examples(8, 40), deadline=None)
@given(data=st.data())
def test_any_dtype_mask_shape_and_tile(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    kind = data.draw(st.sampled_from(kinds_of(dtype)))
    long = data.draw(st.integers(250, 1100))
    short = data.draw(st.integers(1, 1500 // long + 2))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            folder=Path(folder),
            name="asset",
            dtype=dtype,
            shape=data.draw(st.sampled_from([(long, short), (short, long)])),
            rng=np.random.default_rng(data.draw(st.integers(0, 2**32))),
            layout=data.draw(st.integers(0, 5)),
            tile=data.draw(st.sampled_from([64, 128, 512])),
        )
        case = kind(bench)
        workbench = Workbench(folder=Path(folder))
        workbench.apply(case.document, workers=data.draw(st.integers(1, 3)))
        workbench.assert_bands("asset", case.expect())


@pytest.mark.parametrize("dtype", [pytest.param(one, marks=marks(one)) for one in DTYPES])
def test_one_pixel(tmp_path: Path, dtype: str) -> None:
    workbench = Workbench(folder=tmp_path)
    rng = np.random.default_rng(1)
    cases = {
        kind.__name__: kind(
            Bench(folder=tmp_path, name=kind.__name__, dtype=dtype, shape=(1, 1), rng=rng)
        )
        for kind in kinds_of(dtype)
        if not kind.__name__.startswith("mosaic")
    }
    workbench.apply(*(case.document for case in cases.values()))
    for name, case in cases.items():
        expected = case.expect()
        assert {len(band.levels) for band in expected.values()} == {1}
        workbench.assert_bands(name, expected)


@pytest.mark.parametrize(("policy", "dtype"), [("MEAN", "int16"), ("MODE", "uint8")])
def test_a_plane_of_many_tiles_each_way(tmp_path: Path, policy: str, dtype: str) -> None:
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, (611, 523), dtype=dtype, endpoint=True)
    values[rng.random(values.shape) < 0.3] = 9
    values[70:200, 130:400] = 9
    path = write_tiff(tmp_path / "a.tif", [values], nodata=9, layout={"tiled": True})
    workbench = Workbench(folder=tmp_path)
    workbench.apply(image("a", path.name, tile=64, pyramiding_policy=policy), workers=3)
    expected = expect([Plane(values=values, nodata=9)], shape=values.shape, policy=policy)
    assert len(expected.levels) == 3
    workbench.assert_bands("a", {"b1": expected})
