"""Fingerprints move with what determines a result, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from geobatch.model.assets.asset import (
    AnyImage,
    Band,
    Codec,
    FileStat,
    Footprint,
    Grid,
    Image,
    Masking,
    MaskSource,
    Policy,
    Source,
    Tileset,
    image_of,
)
from geobatch.model.assets.documents.asset_json import asset_from_json, recorded_json, visible_json
from geobatch.model.assets.fingerprint import asset_fingerprint, band_fingerprint
from geobatch.model.geobox import Crs, GeoBox
from geobatch.testing.assets import assets

Change: TypeAlias = Callable[[AnyImage], AnyImage]

GEOBOX = GeoBox(
    crs=Crs(code="EPSG:32618", wkt="PROJCRS[...]"),
    transform=(10.0, 0.0, 500000.0, 0.0, -10.0, 4500000.0),
    height=100,
    width=200,
)


def source(name: str, **changes: object) -> Source:
    made = Source(uri=f"{name}.tif", digest=name * 64, row=0, col=0, height=100, width=100)
    return replace(made, **changes)


ASSET = Image(
    id="a",
    grids=(Grid(name="g", geobox=GEOBOX),),
    bands=(
        Band(
            id="b1",
            grid="g",
            tileset="t",
            index=0,
            dtype="uint8",
            policy=Policy.MEAN,
            fill=0,
            masking=Masking(source=MaskSource.BAND, tileset="m", is_partial=True),
        ),
        Band(
            id="b2",
            grid="g",
            tileset="t",
            index=1,
            dtype="uint8",
            policy=Policy.MODE,
            fill=0,
            masking=Masking(source=MaskSource.VALUES, values=(0, 255), is_fill_free=True),
        ),
    ),
    tilesets=(
        Tileset(
            id="t", grid="g", dtypes=("uint8", "uint8"), sources=(source("1"), source("2", col=100))
        ),
        Tileset(id="m", grid="g", dtypes=("uint8",), sources=(source("3", width=200),)),
    ),
)


def band(**changes: object) -> Change:
    return lambda asset: replace(
        asset,
        bands=(replace(asset.bands[0], **changes), *asset.bands[1:]),
    )


def tileset(at: int, change: Callable[[Tileset], Tileset]) -> Change:
    def do(asset: AnyImage) -> AnyImage:
        tilesets = list(asset.tilesets)
        tilesets[at] = change(tilesets[at])
        return replace(asset, tilesets=tuple(tilesets))

    return do


def first_source(at: int, **changes: object) -> Change:
    def do(found: Tileset) -> Tileset:
        first = replace(found.sources[0], **changes)
        return replace(found, sources=(first, *found.sources[1:]))

    return tileset(at, do)


def geobox(**changes: object) -> Change:
    moved = replace(GEOBOX, **changes)
    return lambda asset: replace(asset, grids=(Grid(name="g", geobox=moved),))


def rename(asset: AnyImage) -> AnyImage:
    """Rename all that has a name."""
    return replace(
        asset,
        id="other",
        grids=(replace(asset.grids[0], name="h"),),
        bands=tuple(
            replace(
                found,
                id=f"{found.id}x",
                grid="h",
                tileset="u",
                masking=replace(found.masking, tileset=found.masking.tileset and "n"),
            )
            for found in asset.bands
        ),
        tilesets=(
            replace(asset.tilesets[0], id="u", grid="h"),
            replace(asset.tilesets[1], id="n", grid="h"),
        ),
    )


LOCAL = {
    "path": "/p",
    "stat": FileStat(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5),
    "block": (7, 9),
}
MASKING = ASSET.bands[0].masking

NOTHING: dict[str, Change] = {
    "origin": lambda asset: replace(asset, origin="specs/a.yaml:1"),
    "where the source is": first_source(0, **LOCAL),
    "derived CRS texts": geobox(crs=Crs(code="EPSG:32618", wkt="another", cf='{"x":1}')),
}
METADATA: dict[str, Change] = {
    "codec": lambda asset: replace(asset, codec=Codec(name="zstd")),
    "properties": lambda asset: replace(asset, properties=(("version", 1),)),
    "start time": lambda asset: replace(asset, start_time="2025-01-01T00:00:00Z"),
    "memo": lambda asset: replace(asset, memo="hello"),
    "protection": lambda asset: replace(asset, is_protected=True),
    "description": band(description="red"),
    "unit": band(unit="m"),
    "scale": band(scale=0.1),
    "palette": band(palette=((0, 0, 0, 255),)),
    "uri": first_source(0, uri="elsewhere.tif"),
    "names": rename,
    "order of bands": lambda asset: replace(asset, bands=asset.bands[::-1]),
}
PYRAMID: dict[str, Change] = {"policy": band(policy=Policy.MAX)}
BASE: dict[str, Change] = {
    "tile": lambda asset: replace(asset, tile=256),
    "fill": band(fill=1),
    "dtype": band(dtype="uint16"),
    "band index": band(index=1),
    "masking": band(masking=Masking(source=MaskSource.NONE)),
    "missing value": band(masking=Masking(source=MaskSource.VALUES, values=(7,))),
    "what is near": band(masking=replace(MASKING, is_near=True)),
    "valid value": band(masking=replace(MASKING, valid_value=1)),
    "mask at level 0": band(masking=replace(MASKING, is_partial=False, is_fill_free=True)),
    "source": first_source(0, digest="f" * 64),
    "source row": first_source(0, row=1),
    "source mask": first_source(0, mask="alpha"),
    "mask source": first_source(1, digest="f" * 64),
    "order of sources": tileset(0, lambda found: replace(found, sources=found.sources[::-1])),
    "source gone": tileset(0, lambda found: replace(found, sources=found.sources[1:])),
    "file dtype": tileset(0, lambda found: replace(found, dtypes=("int8", "uint8"))),
    "transform": geobox(transform=(10.0, 0.0, 500010.0, 0.0, -10.0, 4500000.0)),
    "shape": geobox(width=201),
    "CRS": geobox(crs=Crs(code="EPSG:32617", wkt="")),
    "footprint": lambda asset: replace(
        asset, footprint=Footprint(grid="g", points=((0, 0), (1, 0), (1, 1), (0, 0)))
    ),
}


def first_fingerprint(asset: AnyImage) -> tuple[str, str]:
    found = next(found for found in asset.bands if found.id.startswith("b1"))
    fingerprint = band_fingerprint(asset, found.id)
    return fingerprint.base, fingerprint.pyramid


@pytest.mark.parametrize("name", NOTHING)
def test_what_determines_nothing_moves_nothing(name: str) -> None:
    other = NOTHING[name](ASSET)
    assert str(other) != str(ASSET)
    assert asset_fingerprint(other) == asset_fingerprint(ASSET)
    assert first_fingerprint(other) == first_fingerprint(ASSET)


@pytest.mark.parametrize("name", METADATA)
def test_metadata_moves_no_tile(name: str) -> None:
    other = METADATA[name](ASSET)
    assert asset_fingerprint(other) != asset_fingerprint(ASSET)
    assert first_fingerprint(other) == first_fingerprint(ASSET)


@pytest.mark.parametrize("name", PYRAMID)
def test_a_policy_moves_the_pyramid(name: str) -> None:
    other = PYRAMID[name](ASSET)
    assert asset_fingerprint(other) != asset_fingerprint(ASSET)
    base, pyramid = first_fingerprint(other)
    assert base == first_fingerprint(ASSET)[0]
    assert pyramid != first_fingerprint(ASSET)[1]
    assert band_fingerprint(other, "b2") == band_fingerprint(ASSET, "b2")


@pytest.mark.parametrize("name", BASE)
def test_what_determines_level_0_moves_all(name: str) -> None:
    other = BASE[name](ASSET)
    assert asset_fingerprint(other) != asset_fingerprint(ASSET)
    assert not set(first_fingerprint(other)) & set(first_fingerprint(ASSET))


def test_no_two_changes_look_alike() -> None:
    changes = METADATA | PYRAMID | BASE
    assert len({asset_fingerprint(change(ASSET)) for change in changes.values()}) == len(changes)


def test_the_order_and_spelling_of_missing_values_do_not_count() -> None:
    def valued(*values: float) -> AnyImage:
        masking = Masking(source=MaskSource.VALUES, values=values)
        return band(dtype="float32", masking=masking)(ASSET)

    assert first_fingerprint(valued(1, 2.0)) == first_fingerprint(valued(2, 1.0, 2))
    assert first_fingerprint(valued(1)) != first_fingerprint(valued(1, 2))


@settings(max_examples=40)
@given(assets())
def test_an_asset_keeps_its_fingerprint_through_json(asset: AnyImage) -> None:
    again = image_of(asset_from_json(visible_json(asset), recorded_json(asset)))
    assert asset_fingerprint(again) == asset_fingerprint(asset)
    for found in asset.bands:
        assert band_fingerprint(again, found.id) == band_fingerprint(asset, found.id)
