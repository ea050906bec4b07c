"""How two stores differ, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import count_text
from geobatch.model.published import ArrayKey, Head
from geobatch.model.text.shortened import shortened

if TYPE_CHECKING:
    from geobatch.store.maintenance.against import (
        ArrayDifference,
        AssetDifference,
        StoreComparison,
    )

_TILES = 5
"""Tiles that are named per array; JSON has all of them."""
_PARTS = 8
"""Fields and arrays that are named per asset; JSON has all of them."""
_LETTERS = 60
"""Most characters of a value that is printed."""


def against_lines(found: StoreComparison, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of a comparison."""
    yield f"here          commit {_head_text(found.here)}"
    yield f"there         commit {_head_text(found.there)}"
    yield f"content root  {found.roots[0]}"
    if found.roots[0] != found.roots[1]:
        yield f"              {found.roots[1]}"
    yield ""
    for asset in found.assets:
        yield from _asset_lines(asset, is_whole=is_whole)
    if found.assets:
        yield ""
    here = sum(not one.is_there for one in found.assets)
    there = sum(not one.is_here for one in found.assets)
    differ = len(found.assets) - here - there
    yield (
        f"Against: {found.equal:,} equal, {differ:,} different, {here:,} only here,"
        f" {there:,} only there."
    )


def _asset_lines(asset: AssetDifference, *, is_whole: bool) -> Iterator[str]:
    if not (asset.is_here and asset.is_there):
        yield f"  {'+' if asset.is_there else '-'} {asset.id}  only {_side(asset)}"
        return
    yield f"  ~ {asset.id}"
    if asset.problem:
        yield f"      damaged  {asset.problem}"
    most = None if is_whole else _PARTS
    for field in asset.fields[:most]:
        yield f"      field    {field.path} {_value(field.here)} -> {_value(field.there)}"
    yield from _more(asset.fields, most, "field")
    for array in asset.arrays[:most]:
        yield f"      tiles    {_array_name(array.key)} L{array.key.level}: {_tiles_text(array)}"
    yield from _more(asset.arrays, most, "tiles")


def _more(parts: Sequence[object], most: int | None, word: str) -> Iterator[str]:
    if most is not None and len(parts) > most:
        yield f"      {word:<8} and {len(parts) - most:,} more; `-v` or `--json` lists each"


def _side(asset: AssetDifference) -> str:
    return "here" if asset.is_here else "there"


def _tiles_text(array: ArrayDifference) -> str:
    kinds = (
        ("with other pixels", array.changed),
        ("only here", array.only_here),
        ("only there", array.only_there),
    )
    texts = []
    for word, tiles in kinds:
        if tiles:
            names = ", ".join(f"{row}/{col}" for row, col in tiles[:_TILES])
            more = ", ..." if len(tiles) > _TILES else ""
            texts.append(f"{count_text(len(tiles), 'tile')} {word} ({names}{more})")
    return "; ".join(texts)


def _array_name(key: ArrayKey) -> str:
    return f"mask of {key.band}" if key.is_mask else key.band


def _value(value: object) -> str:
    return shortened(json.dumps(value, ensure_ascii=False), _LETTERS)


def _head_text(head: Head) -> str:
    return f"{head.number} ({(head.digest or 'none')[:12]})"


def against_json(found: StoreComparison) -> dict[str, Any]:
    """Return the machine form of a comparison."""
    return {
        "format_version": "1.0",
        "is_equal": found.is_equal,
        "here": _head_json(found.here, found.roots[0]),
        "there": _head_json(found.there, found.roots[1]),
        "equal": found.equal,
        "assets": [_asset_json(asset) for asset in found.assets],
    }


def _head_json(head: Head, root: str) -> dict[str, Any]:
    return {"number": head.number, "commit": head.digest, "content_root": root}


def _asset_json(asset: AssetDifference) -> dict[str, Any]:
    return {
        "id": asset.id,
        "is_here": asset.is_here,
        "is_there": asset.is_there,
        "problem": asset.problem,
        "fields": [
            {"path": one.path, "here": one.here, "there": one.there} for one in asset.fields
        ],
        "arrays": [
            {
                "band": one.key.band,
                "level": one.key.level,
                "is_mask": one.key.is_mask,
                "changed": [list(tile) for tile in one.changed],
                "only_here": [list(tile) for tile in one.only_here],
                "only_there": [list(tile) for tile in one.only_there],
            }
            for one in asset.arrays
        ],
    }
