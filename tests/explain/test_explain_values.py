"""Differences of values against numpy over whole planes, and against Python's exact numbers."""

from __future__ import annotations

import math
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import CorruptObjectError
from geobatch.explain.diff import compare
from geobatch.explain.target import find_targets
from geobatch.explain.values import value_diffs
from geobatch.model.assets.asset import DTYPES
from geobatch.store.tilestore import TileStore
from geobatch.store.value_diff import ValueDiff, difference

Values = np.typing.NDArray[Any]
INTEGERS = [name for name in DTYPES if "int" in name]
FLOATS = [name for name in DTYPES if "float" in name]


@st.composite
def planes(
    draw: st.DrawFn, names: list[str]
) -> tuple[tuple[Values, Values], tuple[Values, Values]]:
    """Return two planes of one shape, of any two dtypes, each with its masks."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    masks = hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 200, 255]))
    sides = []
    for _ in range(2):
        dtype = np.dtype(draw(st.sampled_from(names)))
        if dtype.kind == "f":
            elements = st.floats(width=32 if dtype.itemsize == 4 else 64) | st.sampled_from(
                [0.0, 1.0]
            )
        else:
            limits = np.iinfo(dtype)  # type: ignore[type-var]
            low, high = int(limits.min), int(limits.max)
            elements = st.integers(low, high) | st.sampled_from([low, high, 0, 1])
        sides.append((draw(hnp.arrays(dtype, shape, elements=elements)), draw(masks)))
    return sides[0], sides[1]


@given(planes(INTEGERS))
def test_integers_are_exact(sides: tuple[tuple[Values, Values], tuple[Values, Values]]) -> None:
    (old, was), (new, now) = sides
    found = difference(*sides)
    every = list(zip(*(part.ravel().tolist() for part in (old, was, new, now)), strict=True))
    both = [(b - a, v, w) for a, v, b, w in every if v and w]
    apart = [step for step, _, _ in both if step]
    assert found.changed == len(apart)
    assert found.masked == sum(bool(v) and not w for _, v, _, w in every)
    assert found.unmasked == sum(bool(w) and not v for _, v, _, w in every)
    assert found.reweighted == sum(v != w for _, v, w in both)
    assert (found.total, found.smallest, found.largest) == (
        sum(apart), min(apart, default=None), max(apart, default=None),
    )  # fmt: skip
    assert isinstance(found.total, int)
    assert found.mean == (float(Fraction(sum(apart), len(apart))) if apart else None)


@given(planes([*FLOATS, "uint8"]))
def test_floats_are_compared_as_doubles(
    sides: tuple[tuple[Values, Values], tuple[Values, Values]],
) -> None:
    (old, was), (new, now) = sides
    found = difference(*sides)
    every = zip(*(part.ravel().tolist() for part in (old, was, new, now)), strict=True)
    pairs = [(a, b) for a, v, b, w in every if v and w]
    apart = [b - a for a, b in pairs if a != b and not (math.isnan(a) and math.isnan(b))]
    real = [step for step in apart if not math.isnan(step)]
    assert found.changed == len(apart)
    if not apart:
        assert (found.smallest, found.largest, found.mean) == (None, None, None)
    elif real:
        assert (found.smallest, found.largest) == (min(real), max(real))
    else:
        assert math.isnan(float(found.smallest or 0))
    if apart and all(map(math.isfinite, apart)) and sum(map(abs, apart)) < math.inf:
        assert found.mean == pytest.approx(sum(apart) / len(apart), rel=1e-9, abs=1e-9 * max(
            map(abs, apart)))  # fmt: skip


@given(planes(INTEGERS), st.integers(0, 5))
def test_parts_add_up(sides: tuple[tuple[Values, Values], tuple[Values, Values]], cut: int) -> None:
    (old, was), (new, now) = sides
    first = difference((old[:cut], was[:cut]), (new[:cut], now[:cut]))
    rest = difference((old[cut:], was[cut:]), (new[cut:], now[cut:]))
    whole = difference(*sides)
    joined = first + rest
    assert joined.tiles == 2
    for name in ("changed", "masked", "unmasked", "reweighted", "total", "smallest", "largest"):
        assert getattr(joined, name) == getattr(whole, name), name


def found_values(bench: Workbench, level: int, workers: int) -> dict[str, ValueDiff]:
    with closing(TileStore.open(bench.store)) as store:
        (asset,) = compare(store, *find_targets(store, "1", "2")).assets
        return {
            value.band: value for value in value_diffs(store, asset, level=level, workers=workers)
        }


def plane(group: zarr.Group, band: str, level: int, fill: float | None) -> tuple[Values, Values]:
    """Return a band's values and masks over a whole level, as other readers see them."""
    values = np.asarray(group[f"{level}/{band}"][...])  # type: ignore[index]
    if f"masks/{level}/{band}" in group:
        return values, np.asarray(group[f"masks/{level}/{band}"][...])  # type: ignore[index]
    if fill is None:
        return values, np.full(values.shape, 255, dtype=np.uint8)
    is_fill = np.isnan(values) if math.isnan(fill) else values == fill
    return values, np.where(is_fill, 0, 255).astype(np.uint8)


KINDS = ["nodata", "nan", "alpha", "none", "signed"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 3))
def test_statistics_are_those_of_whole_planes(
    tmp_path_factory: pytest.TempPathFactory, kind: str, seed: int, workers: int
) -> None:
    rng = np.random.default_rng(seed)
    bench = Workbench(folder=tmp_path_factory.mktemp("values"))
    dtype = {"nan": np.float32, "signed": np.int16}.get(kind, np.uint8)
    fill = {"nodata": 0.0, "nan": math.nan, "signed": -9.0}.get(kind)
    shape = (int(rng.integers(260, 330)), int(rng.integers(260, 330)))
    first = rng.integers(1, 200, shape).astype(dtype)
    second = first.copy()
    for _ in range(2):
        row, col = rng.integers(0, 256, 2)
        part = second[row : row + 40, col : col + 60]
        part += rng.integers(0, 3, part.shape).astype(dtype)
    if fill is not None:
        for values in (first, second):
            values[rng.random(shape) < rng.choice([0, 0.02])] = fill
            row, col = rng.integers(0, 3, 2) * 64
            values[row : row + 64, col : col + 64] = fill
    for number, values in enumerate([first, second]):
        bands = [values]
        if kind == "alpha":
            weights = np.full(shape, 255, dtype=np.uint8)
            weights[:90, : 70 + number] = rng.integers(0, 256, (90, 70 + number))
            bands.append(weights)
        write_tiff(bench.folder / f"{number}.tif", bands, nodata=fill, has_alpha=kind == "alpha")
        bench.apply(image("a", f"{number}.tif"))
    store = open_store(bench.store)
    for level in (0, 1):
        before = plane(store.open("a", at="1"), "b1", level, fill)
        after = plane(store.open("a", at="2"), "b1", level, fill)
        was, now = before[1] > 0, after[1] > 0
        apart = (after[0].astype(np.float64) - before[0])[was & now]
        apart = apart[apart != 0]
        found = found_values(bench, level, workers)["b1"]
        assert found.changed == len(apart)
        assert found.masked == (was & ~now).sum()
        assert found.unmasked == (now & ~was).sum()
        assert found.reweighted == (was & now & (before[1] != after[1])).sum()
        if len(apart):
            assert (found.smallest, found.largest) == (apart.min(), apart.max())
            assert found.mean == pytest.approx(apart.mean(), rel=1e-12)
            if kind != "nan":
                assert found.total == int(apart.sum())


def test_only_tiles_that_differ_are_read(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    values = np.arange(300 * 280, dtype=np.uint16).reshape(300, 280)
    for number in range(2):
        values[70, 70] += number
        write_tiff(tmp_path / f"{number}.tif", [values])
        bench.apply(image("a", f"{number}.tif"))
    with closing(TileStore.open(bench.store)) as store:
        (asset,) = compare(store, *find_targets(store, "1", "2")).assets
        assert asset.after is not None
        record = store.record(asset.after)
        key, root = record.arrays[0]
        entries = store.index.entries((5, 5), root)
        for entry in entries:
            if (entry["row"], entry["col"]) != (1, 1):
                store.backend.delete(store.objects.path(entry["stored"].tobytes().hex()))
        (found,) = value_diffs(store, asset)
        assert (key.level, found.tiles, found.changed, found.total) == (0, 1, 1, 1)
        name = store.objects.path(entries[6]["stored"].tobytes().hex())
    path = bench.store / name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptObjectError):
        found_values(bench, 0, 2)
