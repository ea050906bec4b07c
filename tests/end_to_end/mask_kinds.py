"""Every way to mask a band, as files, a spec and what the reference expects of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from reference_ingest import Expectation, Plane, expect
from reference_pyramid import POLICIES, Masks, Values
from workbench import LAYOUTS, Document, image, write_tiff

DTYPES = (
    "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64",
)  # fmt: skip

WIDER = {
    "int8": "INT16", "uint8": "INT16", "int16": "INT32", "uint16": "INT32", "int32": "INT64",
    "uint32": "UINT64", "float32": "DOUBLE",
}  # fmt: skip
"""A wider `data_type` for some dtypes; signed where that puts the sentinel below the range."""

NUMPY = {
    "INT16": "int16", "UINT16": "uint16", "INT32": "int32", "INT64": "int64", "UINT64": "uint64",
    "DOUBLE": "float64",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """An asset: its spec, and what it must become."""

    document: Document
    """Image spec; its files are written."""
    expect: Callable[[], dict[str, Expectation]]
    """Computes what is expected, band by band."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a case is made of."""

    folder: Path
    name: str
    dtype: str
    shape: tuple[int, int]
    rng: np.random.Generator
    layout: int = 0
    tile: int = 64

    def pixels(self, shape: tuple[int, int] | None = None) -> list[Values]:
        """Return a band for each policy, rich in ties and extremes."""
        return [self.band(shape or self.shape) for _ in POLICIES]

    def band(self, shape: tuple[int, int]) -> Values:
        few = np.array(self.pool, dtype=self.dtype)[self.rng.integers(0, len(self.pool), shape)]
        if np.dtype(self.dtype).kind == "f":
            many = self.rng.normal(0, 1000, shape).astype(self.dtype)
            few[self.rng.random(shape) < 0.1] = np.nan
        else:
            info = np.iinfo(self.dtype)
            many = self.rng.integers(info.min, info.max, shape, dtype=self.dtype, endpoint=True)
        return np.where(self.rng.random(shape) < 0.3, many, few)

    @property
    def pool(self) -> list[float]:
        """Values that pixels have often; the first two serve as missing values."""
        if self.dtype == "float32":
            return [-9999.0, float(np.float32(-3.4e38)), 0.1, 0.2, 2.5, 1e10, 3.4e38]
        if self.dtype == "float64":
            return [-9999.0, -3.4e38, 0.1, 0.2, 2.5, 1e300, 1.7e308]
        info = np.iinfo(self.dtype)
        return [3, int(info.max), int(info.min), int(info.max) - 1, int(info.min) + 1, 7, 8]

    @property
    def nodata(self) -> float:
        """A nodata value: often in the middle, for floats sometimes NaN."""
        if np.dtype(self.dtype).kind == "f":
            return [-9999.0, math.nan, self.pool[1]][self.rng.integers(0, 3)]
        return self.pool[0]

    def weights(self, pool: Sequence[int] = (0, 0, 1, 2, 127, 128, 254, 255)) -> Masks:
        """Return masks, (rows, cols) uint8, in which whole 2x2 groups are often equal."""
        height, width = self.shape
        choice = np.array(pool, dtype=np.uint8)
        fine = choice[self.rng.integers(0, len(choice), self.shape)]
        coarse = choice[self.rng.integers(0, len(choice), (height // 2 + 1, width // 2 + 1))]
        spread = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)[:height, :width]
        return np.where(self.rng.random(self.shape) < 0.5, fine, spread)

    def write(self, bands: Sequence[Values], suffix: str = "", **options: Any) -> str:
        path = self.folder / f"{self.name}{suffix}.tif"
        layout = LAYOUTS[self.layout % len(LAYOUTS)]
        return write_tiff(path, bands, layout=layout, **options).name

    def case(self, *uris: str, expect: Callable[[int], Expectation], **more: Any) -> Case:
        """Return a case with a band for each policy."""
        per_band = more.pop("per_band", {})
        bands = [
            {
                "id": policy.lower(), "tileset_id": "t", "tileset_band_index": index,
                "pyramiding_policy": policy, **per_band.get(index, {}),
            }
            for index, policy in enumerate(POLICIES)
        ]  # fmt: skip
        return Case(
            document=image(self.name, *uris, tile=self.tile, bands=bands, **more),
            expect=lambda: {policy.lower(): expect(index) for index, policy in enumerate(POLICIES)},
        )

    def simple(
        self, *, nodata: float | None = None, missing: Sequence[float] | None = None,
        data_type: str | None = None, own: Masks | None = None,
    ) -> Case:  # fmt: skip
        """Return a case of one source whose bands are all masked alike."""
        planes = self.pixels()
        uri = self.write(planes, nodata=nodata, internal=own)

        def expected(index: int) -> Expectation:
            plane = Plane(values=planes[index], nodata=nodata, own_mask=own)
            return expect(
                [plane], shape=self.shape, policy=POLICIES[index], missing=missing,
                dtype=NUMPY[data_type] if data_type else None,
            )  # fmt: skip

        more: Document = {} if missing is None else {"missing_data": {"values": list(missing)}}
        tileset = {"data_type": data_type} if data_type else None
        return self.case(uri, expect=expected, tileset=tileset, **more)


def nothing(bench: Bench) -> Case:
    return bench.simple()


def nodata(bench: Bench) -> Case:
    return bench.simple(nodata=bench.nodata)


def missing_data(bench: Bench) -> Case:
    return bench.simple(missing=bench.pool[:2], nodata=bench.nodata)


def missing_extreme(bench: Bench) -> Case:
    """A 64-bit extreme is no double: a value that passed through one would not be found."""
    return bench.simple(missing=[bench.pool[1]])


def missing_nothing(bench: Bench) -> Case:
    return bench.simple(missing=[], nodata=bench.nodata)


def missing_per_band(bench: Bench) -> Case:
    """A band's own missing data goes before the manifest's."""
    planes = bench.pixels()
    nodata = bench.nodata
    uri = bench.write(planes, nodata=nodata)
    own: dict[int, list[float]] = {1: [], 2: [bench.pool[3]], 4: [bench.pool[2], bench.pool[0]]}
    manifest = [bench.pool[1]]
    return bench.case(
        uri,
        expect=lambda index: expect(
            [Plane(values=planes[index], nodata=nodata)], shape=bench.shape,
            policy=POLICIES[index], missing=own.get(index, manifest),
        ),
        per_band={index: {"missing_data": {"values": values}} for index, values in own.items()},
        missing_data={"values": manifest},
    )  # fmt: skip


def internal_mask(bench: Bench) -> Case:
    return bench.simple(own=bench.weights((0, 255)))


def internal_mask_kept(bench: Bench) -> Case:
    """`values: []` ignores the nodata, not the mask."""
    return bench.simple(own=bench.weights((0, 255)), missing=[])


def internal_mask_widened(bench: Bench) -> Case:
    return bench.simple(own=bench.weights((0, 255)), data_type=WIDER[bench.dtype])


def internal_mask_to_double(bench: Bench) -> Case:
    """Integers that become floats are masked as NaN."""
    return bench.simple(own=bench.weights((0, 255)), data_type="DOUBLE")


def internal_mask_widened_unsigned(bench: Bench) -> Case:
    return bench.simple(own=bench.weights((0, 255)), data_type="UINT16")


def alpha(bench: Bench, missing: Sequence[float] | None = None) -> Case:
    planes, masks = bench.pixels(), bench.weights()
    # GDAL brings 16-bit alpha to 8 bits; multiples of 257 are the exact images of 0 to 255.
    band = masks if bench.dtype == "uint8" else masks.astype(np.uint16) * 257
    uri = bench.write([*planes, band], has_alpha=True)
    more: Document = {} if missing is None else {"missing_data": {"values": list(missing)}}

    def expected(index: int) -> Expectation:
        plane = Plane(values=planes[index], own_mask=masks, is_alpha=True)
        return expect([plane], shape=bench.shape, policy=POLICIES[index], missing=missing)

    return bench.case(uri, expect=expected, **more)


def alpha_kept(bench: Bench) -> Case:
    return alpha(bench, missing=[])


def alpha_outranked(bench: Bench) -> Case:
    return alpha(bench, missing=[bench.pool[0]])


def mask_tileset(bench: Bench) -> Case:
    """The last band of another tileset masks all bands, over nodata."""
    planes, masks = bench.pixels(), bench.weights()
    nodata = bench.nodata
    uri = bench.write(planes, nodata=nodata)
    decoy = np.zeros(bench.shape, dtype=np.uint8)
    mask_uri = bench.write([decoy, masks], "_mask")
    return bench.case(
        uri,
        expect=lambda index: expect(
            [Plane(values=planes[index], nodata=nodata)], shape=bench.shape,
            policy=POLICIES[index], mask_band=masks,
        ),
        more_tilesets=[{"id": "m", "sources": [{"uris": [mask_uri]}]}],
        mask_bands=[{"tileset_id": "m"}],
    )  # fmt: skip


def mask_tileset_of_some(bench: Bench) -> Case:
    """Bands that the mask does not name keep the file's nodata."""
    planes, masks = bench.pixels(), bench.weights()
    uri = bench.write(planes, nodata=bench.pool[0])
    mask_uri = bench.write([masks], "_mask")
    some = (0, 3, 5)
    return bench.case(
        uri,
        expect=lambda index: expect(
            [Plane(values=planes[index], nodata=bench.pool[0])], shape=bench.shape,
            policy=POLICIES[index], mask_band=masks if index in some else None,
        ),
        more_tilesets=[{"id": "m", "sources": [{"uris": [mask_uri]}]}],
        mask_bands=[{"tileset_id": "m", "band_ids": [POLICIES[i].lower() for i in some]}],
    )  # fmt: skip


def mask_band_beside(bench: Bench) -> Case:
    """The last band of the tileset itself is the mask, though nothing calls it alpha."""
    planes, masks = bench.pixels(), bench.weights()
    uri = bench.write([*planes, masks])
    return bench.case(
        uri,
        expect=lambda index: expect(
            [Plane(values=planes[index])], shape=bench.shape, policy=POLICIES[index],
            mask_band=masks,
        ),
        mask_bands=[{"tileset_id": "t"}],
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Part:
    """Where a source of a mosaic lies."""

    row: int
    col: int
    shape: tuple[int, int]


def parts_of(shape: tuple[int, int]) -> list[Part]:
    """Return two sources that overlap and leave two corners; of a strip, two ends and a gap."""
    height, width = shape
    if height < 3:
        third = width // 3
        return [
            Part(row=0, col=0, shape=(height, third)),
            Part(row=0, col=third + 3, shape=(height, width - third - 3)),
        ]
    if width < 3:
        third = height // 3
        return [
            Part(row=0, col=0, shape=(third, width)),
            Part(row=third + 3, col=0, shape=(height - third - 3, width)),
        ]
    right = width // 3
    size = (height - 1, width - right)
    return [Part(row=0, col=0, shape=size), Part(row=1, col=right, shape=size)]


def mosaic(
    bench: Bench, *, nodata: float | None = None, data_type: str | None = None,
    has_alpha: bool = False, mask_band: Masks | None = None, **more: Any,
) -> Case:  # fmt: skip
    parts = parts_of(bench.shape)
    bands = [bench.pixels(part.shape) for part in parts]
    alphas = [bench.weights()[: part.shape[0], : part.shape[1]] for part in parts]
    uris = [
        bench.write(
            [*band, alpha.astype(np.uint16) * 257 if bench.dtype == "uint16" else alpha]
            if has_alpha
            else band,
            f"_{number}",
            nodata=nodata,
            row=part.row,
            col=part.col,
            has_alpha=has_alpha,
        )
        for number, (part, band, alpha) in enumerate(zip(parts, bands, alphas, strict=True))
    ]

    def expected(index: int) -> Expectation:
        planes = [
            Plane(
                values=band[index],
                row=part.row,
                col=part.col,
                nodata=nodata,
                own_mask=alpha if has_alpha else None,
                is_alpha=has_alpha,
            )
            for part, band, alpha in zip(parts, bands, alphas, strict=True)
        ]
        return expect(
            planes, shape=bench.shape, policy=POLICIES[index], mask_band=mask_band,
            dtype=NUMPY[data_type] if data_type else None,
        )  # fmt: skip

    tileset = {"data_type": data_type} if data_type else None
    return bench.case(*uris, expect=expected, tileset=tileset, **more)


def mosaic_with_alpha(bench: Bench) -> Case:
    return mosaic(bench, has_alpha=True)


def mosaic_with_mask_tileset(bench: Bench) -> Case:
    masks = bench.weights()
    uri = bench.write([masks], "_mask")
    return mosaic(
        bench, mask_band=masks, mask_bands=[{"tileset_id": "m"}],
        more_tilesets=[{"id": "m", "sources": [{"uris": [uri]}]}],
    )  # fmt: skip


def mosaic_with_nodata(bench: Bench) -> Case:
    return mosaic(bench, nodata=bench.nodata)


def mosaic_widened(bench: Bench) -> Case:
    return mosaic(bench, data_type=WIDER[bench.dtype])


ANY = (
    nothing, nodata, missing_data, missing_extreme, missing_nothing, missing_per_band,
    internal_mask, internal_mask_kept, mask_tileset, mask_tileset_of_some, mosaic,
    mosaic_with_nodata, mosaic_with_mask_tileset,
)  # fmt: skip
ALPHA = (alpha, alpha_kept, alpha_outranked, mosaic_with_alpha)


def kinds_of(dtype: str) -> list[Callable[[Bench], Case]]:
    """Return the kinds of masking that a dtype can have in a TIFF."""
    kinds: list[Callable[[Bench], Case]] = list(ANY)
    if dtype in ("uint8", "uint16"):
        kinds += ALPHA
    if dtype == "uint8":
        kinds += [mask_band_beside, internal_mask_widened_unsigned]
    if dtype in ("int8", "int32", "uint32"):
        kinds.append(internal_mask_to_double)
    if dtype in WIDER:
        kinds += [internal_mask_widened, mosaic_widened]
    return kinds
