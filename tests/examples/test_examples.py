"""The example sources are what their maker makes, and small enough for git."""

from __future__ import annotations

import gzip
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio

ROOT = Path(__file__).parents[2]
DATA = ROOT / "specs" / "data"
FILES = sorted(path.name for path in DATA.iterdir())
RASTERS = [name for name in FILES if name.endswith(".tif")]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_examples", ROOT / "scripts/make_examples.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def remade(maker: ModuleType, made_once: Callable[..., Path]) -> Path:
    return made_once("remade", maker.main)


def header(dataset: Any) -> dict[str, Any]:
    names = (
        "crs", "transform", "nodatavals", "descriptions", "units", "scales", "offsets",
        "colorinterp", "block_shapes", "interleaving", "compression",
    )  # fmt: skip
    return {name: getattr(dataset, name) for name in names}


@pytest.mark.attack
def test_every_file_has_a_maker(remade: Path) -> None:
    assert sorted(path.name for path in remade.iterdir()) == FILES


@pytest.mark.attack
@pytest.mark.parametrize("name", RASTERS)
def test_made_again_a_raster_is_the_same(remade: Path, name: str) -> None:
    with rasterio.open(remade / name) as made, rasterio.open(DATA / name) as tracked:
        assert header(made) == header(tracked)
        assert np.array_equal(made.read(), tracked.read())
        if name == "landcover.tif":
            assert made.colormap(1) == tracked.colormap(1)


def inflated(path: Path) -> bytes:
    """Return what a file holds: how gzip packs it is the business of its version."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


@pytest.mark.attack
@pytest.mark.parametrize("name", [name for name in FILES if name not in RASTERS])
def test_made_again_a_prediction_is_the_same(remade: Path, name: str) -> None:
    assert inflated(remade / name) == inflated(DATA / name)


def test_the_rasters_are_under_two_megabytes() -> None:
    assert sum((DATA / name).stat().st_size for name in FILES) < 2_000_000


def test_the_examples_hold_what_makes_them_examples() -> None:
    """Each raster has the hard part that its spec is there to show."""
    with rasterio.open(DATA / "dem.tif") as dem:
        sea = np.mean(dem.read(1) == dem.nodata)
        assert 0.2 < sea < 0.7
        assert dem.shape == (700, 900)
    with rasterio.open(DATA / "landcover.tif") as cover:
        assert set(np.unique(cover.read(1))) == {*range(1, 11), 255}
    alphas = set()
    for path in DATA.glob("ortho_*.tif"):
        with rasterio.open(path) as tile:
            assert tile.colorinterp[3].name == "alpha"
            alphas |= set(np.unique(tile.read(4)).tolist())
    assert alphas == {0, 128, 255}
    with rasterio.open(DATA / "optical_20m.tif") as optical:
        infrared, flags = optical.read()
        assert np.any((infrared > 0) & (flags == 0))
        assert np.any(flags == 1024)
