"""What people do to specs and sources, each with the most that it may cost the next apply."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import rasters
from history import Effect, World
from rasters import FAMILIES, MASKS, Family, Raster
from workbench import PIXEL, X0, Y0, Document

Edit: TypeAlias = Callable[[World, Random], Effect]

POLICIES = ("MEAN", "MIN", "MAX", "MODE", "MEDIAN", "SAMPLE")
TILINGS = (
    *({"tile": tile} for tile in (32, 64, 96, 128)),
    {"tile": 32, "shard": 96},
    {"tile": 16, "shard": 96},
    {"tile": 32, "shard": 128},
)
MISSING: tuple[list[float], ...] = ([], [0], [1], [3, 0])
CODECS: tuple[Any, ...] = (
    "zstd", "gzip", "none", "blosc", {"name": "blosc", "compressor": "lz4", "shuffle": "shuffle"},
)  # fmt: skip
IDS = ("a", "x/b", "x/c", "x/y/d", "e")
_PARTS = 4
_SIZES = (60, 130, 257, 300)

EDITS: dict[str, Edit] = {}
"""All edits by name."""


def edit(effect: Effect) -> Callable[[Callable[[World, Random], object]], Edit]:
    """Register an edit, which may cost this much."""

    def register(change: Callable[[World, Random], object]) -> Edit:
        def made(world: World, rng: Random) -> Effect:
            change(world, rng)
            world.note(effect)
            return effect

        EDITS[change.__name__] = made
        return made

    return register


def new_document(world: World, rng: Random, asset_id: str) -> Document:
    """Return an asset over new files: a mosaic, at times a second one, at times a mask."""
    family = rng.choice(FAMILIES)
    names = [world.add_raster(rng, family, sizes=(300, 333, 400))]
    names += [world.add_raster(rng, family, sizes=_SIZES) for _ in range(rng.choice((0, 0, 1, 2)))]
    tilesets = [{"id": "t", "sources": [{"uris": [name]} for name in names]}]
    channels = [("t", index) for index in range(_channels(family))]
    if rng.random() < 0.4:
        other = rng.choice(FAMILIES)
        name = world.add_raster(rng, other, sizes=(200, 300))
        tilesets.append({"id": "u", "sources": [{"uris": [name]}]})
        channels += [("u", index) for index in range(_channels(other))]
    bands = [_band(rng, world.fresh("b"), *channel) for channel in channels]
    document: Document = {
        "kind": "image", "id": asset_id, "tilesets": tilesets, "bands": bands,
        "tiling": dict(rng.choice(TILINGS)),
    }  # fmt: skip
    if rng.random() < 0.3:
        _set_mask(world, rng, document)
    return document


def _channels(family: Family) -> int:
    return family.count - (family.own == "alpha")


def _band(rng: Random, name: str, tileset: str, index: int) -> Document:
    return {
        "id": name, "tileset_id": tileset, "tileset_band_index": index,
        "pyramiding_policy": rng.choice(POLICIES),
    }  # fmt: skip


def _set_mask(world: World, rng: Random, document: Document) -> None:
    name = world.add_raster(rng, MASKS, sizes=(257, 400))
    document["tilesets"].append({"id": "m", "sources": [{"uris": [name]}]})
    masked = [band["id"] for band in document["bands"] if band["tileset_id"] == "t"]
    if masked:
        document["mask_bands"] = [{"tileset_id": "m", "band_ids": masked}]


def _clear_mask(document: Document) -> None:
    document.pop("mask_bands", None)
    document["tilesets"] = [part for part in document["tilesets"] if part["id"] != "m"]


def _any_document(world: World, rng: Random) -> Document:
    return rng.choice(world.documents)


def _any_file(world: World, rng: Random) -> tuple[Path, str, Raster]:
    used = sorted(
        uri for document in world.documents for tileset in document["tilesets"]
        for source in tileset["sources"] for uri in source["uris"]
    )  # fmt: skip
    name = rng.choice(used)
    return world.path(name), name, world.rasters[name]


def _mosaic(world: World, rng: Random) -> tuple[list[Document], Family]:
    """Return the sources of some mosaic of an asset, and their family."""
    tileset = rng.choice(_any_document(world, rng)["tilesets"])
    sources: list[Document] = tileset["sources"]
    return sources, world.rasters[sources[0]["uris"][0]].family


# Specs: what costs no tile.


@edit(Effect.NO_TILE)
def set_properties(world: World, rng: Random) -> None:
    value = rng.choice((1, 1.5, "text", ""))
    _any_document(world, rng)["properties"] = {rng.choice("abc"): value, "z": rng.randrange(9)}


@edit(Effect.NO_TILE)
def set_times(world: World, rng: Random) -> None:
    year = rng.randrange(2000, 2020)
    _any_document(world, rng).update(start_time=f"{year}-01-01", end_time=f"{year + 1}-01-01")


@edit(Effect.NO_TILE)
def set_memo(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    document.update(memo=world.fresh("note "), lifecycle={"protect": rng.random() < 0.5})


@edit(Effect.NO_TILE)
def reorder_bands(world: World, rng: Random) -> None:
    rng.shuffle(_any_document(world, rng)["bands"])


@edit(Effect.NO_TILE)
def rename_band(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    band, name = rng.choice(document["bands"]), world.fresh("b")
    for mask in document.get("mask_bands", ()):
        mask["band_ids"] = [name if id_ == band["id"] else id_ for id_ in mask["band_ids"]]
    band["id"] = name


@edit(Effect.NO_TILE)
def remove_band(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    if len(document["bands"]) > 1:
        name = document["bands"].pop(rng.randrange(len(document["bands"])))["id"]
        for mask in document.get("mask_bands", ()):
            mask["band_ids"] = [id_ for id_ in mask["band_ids"] if id_ != name]
        if not all(mask["band_ids"] for mask in document.get("mask_bands", ())):
            _clear_mask(document)


@edit(Effect.NO_TILE)
def rename_file(world: World, rng: Random) -> None:
    path, name, raster = _any_file(world, rng)
    new = world.fresh(raster.family.name) + ".tif"
    if rng.random() < 0.5:
        path.rename(world.path(new))
    else:
        shutil.copy2(path, world.path(new))
    world.rasters[new] = world.rasters.pop(name)
    for document in world.documents:
        for tileset in document["tilesets"]:
            for source in tileset["sources"]:
                source["uris"] = [new if uri == name else uri for uri in source["uris"]]


@edit(Effect.NOTHING)
def drop_asset(world: World, rng: Random) -> None:
    """What vanishes from the specs stays in the store."""
    if len(world.documents) > 1:
        world.documents.pop(rng.randrange(len(world.documents)))


# Specs: what costs some tiles.


@edit(Effect.ANY)
def add_asset(world: World, rng: Random) -> None:
    free = sorted(set(IDS) - {document["id"] for document in world.documents})
    if free and len(world.documents) < 3:
        world.documents.append(new_document(world, rng, rng.choice(free)))


@edit(Effect.SAME_TILES)
def copy_asset(world: World, rng: Random) -> None:
    free = sorted(set(IDS) - {document["id"] for document in world.documents})
    if free and len(world.documents) < 3:
        twin = copy.deepcopy(_any_document(world, rng))
        twin.pop("moved_from", None)
        world.documents.append({**twin, "id": rng.choice(free)})


@edit(Effect.SAME_TILES)
def rename_asset(world: World, rng: Random) -> None:
    free = sorted(set(IDS) - {document["id"] for document in world.documents})
    _any_document(world, rng)["id"] = rng.choice(free)


@edit(Effect.NO_TILE)
def move_asset(world: World, rng: Random) -> None:
    """The asset says where it was published, so that its tiles need not be found by the cache."""
    document = _any_document(world, rng)
    taken = world.published.keys() | {one["id"] for one in world.documents}
    if document["id"] in world.published:
        document["moved_from"] = document["id"]
    document["id"] = rng.choice(sorted(set(IDS) - taken) or [world.fresh("x/n")])


@edit(Effect.SAME_TILES)
def forget_move(world: World, rng: Random) -> None:
    _any_document(world, rng).pop("moved_from", None)


@edit(Effect.ANY)
def change_policy(world: World, rng: Random) -> None:
    rng.choice(_any_document(world, rng)["bands"])["pyramiding_policy"] = rng.choice(POLICIES)


@edit(Effect.ANY)
def change_missing_data(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    target = rng.choice([document, rng.choice(document["bands"])])
    if rng.random() < 0.25:
        target.pop("missing_data", None)
    else:
        target["missing_data"] = {"values": rng.choice(MISSING)}


@edit(Effect.ANY)
def change_mask(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    had_mask = "mask_bands" in document
    _clear_mask(document)
    if not had_mask:
        _set_mask(world, rng, document)


@edit(Effect.ANY)
def add_band(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    tileset = rng.choice([part for part in document["tilesets"] if part["id"] != "m"])
    family = world.rasters[tileset["sources"][0]["uris"][0]].family
    index = rng.randrange(_channels(family))
    band = _band(rng, world.fresh("b"), tileset["id"], index)
    document["bands"].insert(rng.randrange(len(document["bands"]) + 1), band)


@edit(Effect.ANY)
def change_codec(world: World, rng: Random) -> None:
    _any_document(world, rng)["codec"] = rng.choice(CODECS)


@edit(Effect.ANY)
def change_tile(world: World, rng: Random) -> None:
    _any_document(world, rng)["tiling"] = dict(rng.choice(TILINGS))


@edit(Effect.ANY)
def change_dtype(world: World, rng: Random) -> None:
    tileset = rng.choice([p for p in _any_document(world, rng)["tilesets"] if p["id"] != "m"])
    family = world.rasters[tileset["sources"][0]["uris"][0]].family
    wider = {"uint8": ["INT16", "UINT16"], "int16": ["INT32", "FLOAT"], "float32": ["DOUBLE"]}
    if tileset.pop("data_type", None) is None:
        tileset["data_type"] = rng.choice(wider[family.dtype])


@edit(Effect.ANY)
def change_bounds(world: World, rng: Random) -> None:
    document = _any_document(world, rng)
    if document.pop("grid", None) is None:
        top, left = rng.choice((-64, 0, 50)), rng.choice((-100, 0, 31))
        # At times so wide that it takes several regions, and index pages of two heights.
        bottom, right = top + rng.choice((300, 520)), left + rng.choice((300, 460, 2200))
        document["grid"] = {
            "bounds": [
                X0 + left * PIXEL, Y0 - bottom * PIXEL, X0 + right * PIXEL, Y0 - top * PIXEL,
            ]
        }  # fmt: skip


# Mosaics.


@edit(Effect.ANY)
def add_part(world: World, rng: Random) -> None:
    sources, family = _mosaic(world, rng)
    if len(sources) < _PARTS:
        alike = sorted(name for name, raster in world.rasters.items() if raster.family == family)
        is_new = rng.random() < 0.7
        name = world.add_raster(rng, family, sizes=_SIZES) if is_new else rng.choice(alike)
        sources.insert(rng.randrange(len(sources) + 1), {"uris": [name]})


@edit(Effect.ANY)
def remove_part(world: World, rng: Random) -> None:
    sources, _ = _mosaic(world, rng)
    if len(sources) > 1:
        sources.pop(rng.randrange(len(sources)))


@edit(Effect.ANY)
def reorder_parts(world: World, rng: Random) -> None:
    sources, _ = _mosaic(world, rng)
    rng.shuffle(sources)


@edit(Effect.ANY)
def move_part_in_spec(world: World, rng: Random) -> None:
    source = rng.choice(_mosaic(world, rng)[0])
    if source.pop("affine_transform", None) is None:
        row, col = rng.randrange(-60, 200), rng.randrange(-60, 200)
        source["affine_transform"] = rasters.affine_manifest(row=row, col=col)


@edit(Effect.ANY)
def move_part_in_file(world: World, rng: Random) -> None:
    path, name, raster = _any_file(world, rng)
    row, col = rng.randrange(-60, 200), rng.randrange(-60, 200)
    world.rasters[name] = rasters.shift(path, raster, row=row, col=col)


# Sources: their bytes.


@edit(Effect.ANY)
def rewrite_block(world: World, rng: Random) -> None:
    path, _, raster = _any_file(world, rng)
    rasters.rewrite_block(path, raster, rng)


@edit(Effect.ANY)
def rewrite_block_in_secret(world: World, rng: Random) -> None:
    """The old mtime is put back; in an uncompressed file the size is the same too."""
    path, _, raster = _any_file(world, rng)
    before = path.stat()
    for _ in range(rng.choice((1, 3))):
        rasters.rewrite_block(path, raster, rng)
    rasters.keeping_time(path, before)


@edit(Effect.ANY)
def rewrite_mask(world: World, rng: Random) -> None:
    path, _, raster = _any_file(world, rng)
    rasters.rewrite_mask(path, raster, rng)


@edit(Effect.ANY)
def rewrite_wholly(world: World, rng: Random) -> None:
    path, _, raster = _any_file(world, rng)
    before = path.stat()
    rasters.write(path, raster, rng)
    if rng.random() < 0.5:
        rasters.keeping_time(path, before)


@edit(Effect.SAME_TILES)
def recompress(world: World, rng: Random) -> None:
    path, _, raster = _any_file(world, rng)
    rasters.recompress(path, raster, rng)


@edit(Effect.SAME_TILES)
def retag(world: World, rng: Random) -> None:
    rasters.retag(_any_file(world, rng)[0], rng)


@edit(Effect.SAME_TILES)
def describe(world: World, rng: Random) -> None:
    rasters.describe(_any_file(world, rng)[0], rng)


@edit(Effect.NOTHING)
def touch(world: World, rng: Random) -> None:
    for name in sorted(world.rasters):
        if rng.random() < 0.5:
            world.path(name).touch()


@edit(Effect.NOTHING)
def put_back(world: World, rng: Random) -> None:
    """The same bytes in another file under the name."""
    path, _, _ = _any_file(world, rng)
    aside = path.with_suffix(".aside")
    shutil.copy2(path, aside)
    aside.replace(path)


# The store: what is not needed to read a commit.


@edit(Effect.NOTHING)
def lose_cache(world: World, _: Random) -> None:
    shutil.rmtree(world.store / "cache", ignore_errors=True)


@edit(Effect.NOTHING)
def damage_cache(world: World, rng: Random) -> None:
    """Never trusted for correctness: cut short, or other bytes in its midst."""
    world.is_cache_damaged = True
    store: object = world.store
    caches = (store / "cache").rglob("*") if isinstance(store, Path) else ()  # none in a bucket
    for path in sorted(caches):
        if path.is_file():
            data = bytearray(path.read_bytes())
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.choice((1, 4000))] = rng.randbytes(rng.choice((0, 1, 4000)))
            path.write_bytes(data)


@edit(Effect.NOTHING)
def lose_tree(world: World, _: Random) -> None:
    shutil.rmtree(world.store / "zarr", ignore_errors=True)
