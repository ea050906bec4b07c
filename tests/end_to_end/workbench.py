"""A workbench for end-to-end tests: write GeoTIFFs and specs, apply, compare the plain tree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
import zarr
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from reference_ingest import Expectation
from reference_pyramid import Masks, Values

from geobatch.model.plans.summary import ApplySummary
from geobatch.workflow.apply import apply

X0, Y0, PIXEL = 500_000.0, 5_000_000.0, 10.0
CRS = "EPSG:32633"

Document = dict[str, Any]
Options = Mapping[str, Any]

LAYOUTS: tuple[Options, ...] = (
    {},
    {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate"},
    {"interleave": "band", "compress": "lzw", "blockysize": 3},
    {"tiled": True, "blockxsize": 64, "blockysize": 16, "interleave": "band", "compress": "zstd"},
    {"compress": "deflate", "predictor": 2, "blockysize": 7},
    {"endianness": "big", "bigtiff": "yes"},
)
"""Ways to lay out a TIFF; none may matter to the pixels."""


def write_tiff(
    path: Path,
    bands: Sequence[Values],
    *,
    row: int = 0,
    col: int = 0,
    nodata: float | None = None,
    internal: Masks | None = None,
    has_alpha: bool = False,
    crs: str | None = CRS,
    layout: Options | None = None,
) -> Path:
    """Write bands of (rows, cols) placed at a canvas pixel; the last is alpha if asked."""
    height, width = bands[0].shape
    options = dict(layout or {})
    if options.get("predictor") and bands[0].dtype.kind == "f":
        options["predictor"] = 3
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=height, width=width, count=len(bands),
            dtype=bands[0].dtype.name, nodata=nodata, crs=crs,
            transform=Affine(PIXEL, 0, X0 + col * PIXEL, 0, -PIXEL, Y0 - row * PIXEL),
            **options,
        ) as file,
    ):  # fmt: skip
        colours = [ColorInterp.gray] + [ColorInterp.undefined] * (len(bands) - 1)
        if has_alpha:
            colours[-1] = ColorInterp.alpha
        file.colorinterp = colours
        for index, band in enumerate(bands, start=1):
            file.write(band, index)
        if internal is not None:
            file.write_mask(internal)
    return path


def image(
    asset_id: str, *uris: str | Path, tileset: Document | None = None, tile: int = 64, **more: Any
) -> Document:
    """Return an image spec with one tileset, `t`, of one source per uri."""
    sources = [{"uris": [str(uri)]} for uri in uris]
    first = {"id": "t", "sources": sources, **(tileset or {})}
    tilesets = [first, *more.pop("more_tilesets", [])]
    return {
        "kind": "image", "id": asset_id, "tilesets": tilesets, "tiling": {"tile": tile}, **more,
    }  # fmt: skip


def bits(values: Values) -> Values:
    """Return the pixels as integers, so that NaN equals itself and -0.0 does not equal 0.0."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def is_fill(values: Values, fill: float) -> Values:
    """Tell which pixels hold the fill value."""
    return np.isnan(values) if math.isnan(fill) else values == np.array(fill, dtype=values.dtype)


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """A folder with sources, specs and a store."""

    folder: Path
    """Holds everything; the store is `store` below it."""

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    @property
    def tree(self) -> Path:
        """The plain Zarr tree."""
        return self.store / "zarr"

    def write_spec(self, documents: Iterable[Document], name: str = "spec.yaml") -> Path:
        """Write image specs as one YAML file."""
        path = self.folder / name
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return path

    def apply(self, *documents: Document, workers: int = 2) -> ApplySummary:
        """Apply image specs and nothing else."""
        return apply([self.write_spec(documents)], store=self.store, workers=workers)

    def apply_spec(self, name: str = "spec.yaml", *, workers: int = 2) -> ApplySummary:
        """Apply a spec file that is already there."""
        return apply([self.folder / name], store=self.store, workers=workers)

    def group(self, path: str) -> zarr.Group:
        """Open a group of the plain tree with zarr-python."""
        return zarr.open_group(self.tree / path, mode="r")

    def array(self, path: str) -> Values:
        """Read a whole array of the plain tree with zarr-python."""
        group, name = path.rsplit("/", 1)
        found = self.group(group)[name]
        assert isinstance(found, zarr.Array), path
        return np.asarray(found[...])

    def fill_value(self, path: str) -> float:
        """Return the fill value of an array of the plain tree."""
        group, name = path.rsplit("/", 1)
        found = self.group(group)[name]
        assert isinstance(found, zarr.Array), path
        value: float = np.asarray(found.fill_value).item()
        return value

    def names(self, path: str) -> set[str]:
        """Return the names of a level's arrays, less the coordinates."""
        return set(self.group(path).array_keys()) - {"x", "y", "spatial_ref", "time"}

    def masks(self, path: str) -> Values:
        """Read the whole mask of a band, by the path of its values."""
        return self.array(mask_path(path))

    def has_mask(self, path: str) -> bool:
        """Return whether a band has a mask, by the path of its values."""
        return (self.tree / mask_path(path) / "zarr.json").exists()

    def assert_bands(self, multiscale: str, expected: Mapping[str, Expectation]) -> None:
        """Assert that a multiscale group holds these bands and nothing else, bit for bit."""
        depth = len(next(iter(expected.values())).levels)
        groups = set(self.group(multiscale).group_keys())
        assert groups - {"masks"} == set(map(str, range(depth)))
        masked = [
            {b for b, one in expected.items() if level >= (one.mask_from_level or 0)}
            - {b for b, one in expected.items() if one.mask_from_level is None}
            for level in range(depth)
        ]
        assert ("masks" in groups) == any(masked)
        for level in range(depth):
            assert self.names(f"{multiscale}/{level}") == set(expected), f"level {level}"
            below = f"{multiscale}/masks/{level}"
            found = self.names(below) if (self.tree / below).exists() else set()
            assert found == masked[level], f"masks of level {level}"
        for band, expectation in expected.items():
            for level in range(depth):
                self.assert_level(f"{multiscale}/{level}/{band}", level, expectation)

    def assert_level(self, path: str, level: int, expectation: Expectation) -> None:
        """Assert that one array and its mask are as expected, bit for bit."""
        values, masks = expectation.levels[level]
        found = self.array(path)
        assert found.dtype == values.dtype, path
        assert found.shape == values.shape, path
        first = expectation.mask_from_level
        if first is None:
            assert (masks == 255).all(), "the reference masks what it says cannot be masked"
        else:
            fill = np.array([self.fill_value(path)], dtype=found.dtype)
            assert is_fill(fill, expectation.fill).all(), f"fill of {path}: {fill}"
        if first is not None and level >= first:
            assert_same(self.masks(path), masks, f"masks of {path}")
        elif first is not None:
            assert_same(~is_fill(found, expectation.fill), masks == 255, f"validity in {path}")
        assert_same(found, values, path)


def mask_path(path: str) -> str:
    """Return the path of a band's mask: `a/masks/0/b1` for `a/0/b1`."""
    top, level, band = path.rsplit("/", 2)
    return f"{top}/masks/{level}/{band}"


def assert_same(found: Values, expected: Values, what: str) -> None:
    """Assert that two arrays are equal bit for bit; show the first pixels that differ."""
    assert found.dtype == expected.dtype, what
    assert found.shape == expected.shape, what
    different = np.argwhere(bits(found) != bits(expected))
    shown = [
        f"{tuple(map(int, place))}: found {found[tuple(place)]!r}, not {expected[tuple(place)]!r}"
        for place in different[:5]
    ]
    assert not shown, f"{what}: {len(different)} of {found.size} pixels differ: {'; '.join(shown)}"
