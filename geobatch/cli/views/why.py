"""The explanation of a tile, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geobatch.cli.views.plan import REASONS_SHOWN, because_json, reason_text
from geobatch.cli.views.table_why import table_why_json, table_why_lines
from geobatch.cli.words import byte_text, count_text, dropped_text
from geobatch.explain.answer import BandWhy, LastChange, NextApply, Verdict, Why
from geobatch.explain.origin import SourceUnder
from geobatch.model.assets.asset import Band, MaskSource, image_of
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import Bounds
from geobatch.model.number import number_to_json
from geobatch.model.plans.plan import Because
from geobatch.model.published import Head
from geobatch.model.tile import TilePosition
from geobatch.model.window import Box, Window

_SOURCES_SHOWN = 8


def why_lines(found: Why) -> Iterator[str]:
    """Yield the human form of an explanation."""
    asset, place = found.asset, found.place
    where = f"tile {place}" if place is not None else "whole"
    yield f"geobatch why {asset.id}  {where}  commit {found.head.number}"
    if found.table is not None:
        yield ""
        yield from table_why_lines(found.table)
    for one in found.bands:
        yield ""
        yield f"  {one.band.id}"
        for title, lines in _parts(image_of(asset), place, one):
            for number, line in enumerate(lines):
                yield f"      {title if number == 0 else '':<8} {line}"


def _parts(
    asset: Raster, place: TilePosition | None, one: BandWhy
) -> Iterator[tuple[str, Sequence[str]]]:
    band = one.band
    yield "pixels", [_content_text(one, place)]
    yield "since", [_commit_text(one.last.head)]
    yield "because", _reason_lines(one.last.because)
    if one.edited is not None:
        yield (
            "values",
            [f"as in {_commit_text(one.edited.head)}", *_reason_lines(one.edited.because)],
        )
    bounds = ", ".join(f"{edge:.12g}" for edge in _bounds(asset, band, one.window))
    yield "covers", [f"level 0 {_window_text(one.window)}; bounds {bounds}"]
    if one.children:
        tiles = ", ".join(map(str, one.children))
        yield "built", [f"{band.policy.value} of {tiles}"]
    yield (
        "decided",
        ["; ".join(f"{key} {text}" for key, text in _facets(asset, band, place).items())],
    )
    if not one.sources:
        yield "from", ["no source: a gap between sources, which is masked"]
    sources = [_source_text(source) for source in one.sources[:_SOURCES_SHOWN]]
    if len(one.sources) > _SOURCES_SHOWN:
        sources.append(f"and {len(one.sources) - _SOURCES_SHOWN} more")
    yield "from", sources
    if one.next is not None:
        yield "next", _next_lines(one.next, place)


def _commit_text(head: Head) -> str:
    commit = head.commit
    when = "" if commit is None else f", {commit.time}, {commit.message}"
    dropped = dropped_text(len(head.dropped_before))
    return f"commit {head.number} ({(head.digest or '')[:12]}){when}{dropped}"


def _content_text(one: BandWhy, place: TilePosition | None) -> str:
    if one.values is None:
        return "none stored: all pixels are masked"
    masks = f", masks {one.masks[:12]}" if one.masks else ""
    if not one.size and place is not None:
        return f"none stored: read from the COG, {one.values[:12]}"
    size = f", {byte_text(one.size)}" if place is not None else ""
    what = "content" if place is not None else "level 0, content"
    return f"{what} {one.values[:12]}{masks}{size}"


def _reason_lines(reasons: Sequence[Because]) -> list[str]:
    lines = [reason_text(because) for because in reasons[:REASONS_SHOWN]]
    if len(reasons) > REASONS_SHOWN:
        lines.append(f"and {len(reasons) - REASONS_SHOWN} more")
    return lines


def _facets(asset: Raster, band: Band, place: TilePosition | None) -> dict[str, str]:
    """Return what was resolved for the pixels, from specs and headers."""
    geobox = asset.grid(band.grid).geobox
    facets = {
        "dtype": band.dtype,
        "fill": str(number_to_json(band.fill)),
        "masking": _masking_text(asset, band),
        "policy": band.policy.value,
        "grid": f"{band.grid}, {geobox.crs.code or 'CRS without a code'}",
        "tiles": f"{asset.tile} x {asset.tile}",
    }
    if place is not None and place.level == 0:
        del facets["policy"]
    return facets


def _masking_text(asset: Raster, band: Band) -> str:
    masking = band.masking
    values = ", ".join(str(number_to_json(value)) for value in masking.values)
    text = {
        MaskSource.NONE: "none",
        MaskSource.VALUES: f"by the value {values}" if values else "none",
        MaskSource.FILE: "by the file's own mask",
        MaskSource.BAND: f"by the last band of tileset `{masking.tileset}`",
    }[masking.source]
    if masking.has_gaps:
        text += ", and gaps"
    return text if asset.footprint is None else f"{text}, and outside the footprint"


def _window_text(window: Window) -> str:
    bottom, right = window.row + window.height - 1, window.col + window.width - 1
    return f"rows {window.row} to {bottom}, columns {window.col} to {right}"


def _source_text(source: SourceUnder) -> str:
    # As gdalinfo counts, from one.
    number = source.index + 1
    band = f"masks of band {number}" if source.is_mask else f"band {number}"
    text = f"{source.uri} ({source.digest[:12]})  {band}, {_window_text(source.window)}"
    if source.blocks is not None and source.block is not None:
        blocks = source.blocks
        count = count_text(blocks.height * blocks.width, "block")
        last = f"{blocks.row + blocks.height - 1}/{blocks.col + blocks.width - 1}"
        side = f"{source.block[0]} x {source.block[1]}"
        text += f"; {count} of {side}, {blocks.row}/{blocks.col} to {last}"
    return text


def _next_lines(upcoming: NextApply, place: TilePosition | None) -> list[str]:
    verdict = upcoming.verdict
    text = verdict.value
    if verdict is Verdict.KEEP:
        text += ": nothing that it depends on changed"
    elif verdict is Verdict.TAKEN:
        text += ": it was computed before, and is still in the store"
    elif verdict is Verdict.UNDECLARED:
        text += ": these specs do not declare the asset"
    elif verdict is Verdict.REDO and place is None:
        text += f", {count_text(upcoming.tiles, 'tile')}"
    elif upcoming.can_stop:
        text += ", unless the tiles below turn out unchanged"
    return [text, *_reason_lines(upcoming.because), *upcoming.problems]


def _bounds(asset: Raster, band: Band, window: Window) -> Bounds:
    geobox = asset.grid(band.grid).geobox
    corners = [
        geobox.xy(col=col, row=row)
        for col in (window.col, window.col + window.width)
        for row in (window.row, window.row + window.height)
    ]
    xs, ys = zip(*corners, strict=True)
    return (min(xs), min(ys), max(xs), max(ys))


def why_json(found: Why) -> dict[str, Any]:
    """Return the machine form of an explanation."""
    asset, place = found.asset, found.place
    return {
        "asset": asset.id,
        "commit": found.head.digest,
        "number": found.head.number,
        "tile": None if place is None else _place_json(place),
        "bands": [_band_json(image_of(asset), place, one) for one in found.bands],
        **({} if found.table is None else {"table": table_why_json(found.table)}),
    }


def _band_json(asset: Raster, place: TilePosition | None, one: BandWhy) -> dict[str, Any]:
    band = one.band
    fields: dict[str, Any] = {
        "band": band.id,
        "content": {"values": one.values, "masks": one.masks},
        "bytes": one.size,
        "since": _change_json(one.last),
        "edited": None if one.edited is None else _change_json(one.edited),
        "window": _window_json(one.window),
        "bounds": list(_bounds(asset, band, one.window)),
        "built_from": [_place_json(child) for child in one.children],
        "decided": _facets(asset, band, place),
        "sources": [
            {
                "uri": source.uri,
                "digest": source.digest,
                "index": source.index,
                "is_mask": source.is_mask,
                "window": _window_json(source.window),
                "blocks": None if source.blocks is None else _window_json(source.blocks),
                "block": None if source.block is None else list(source.block),
            }
            for source in one.sources
        ],
    }
    if one.next is not None:
        fields["next"] = {
            "verdict": one.next.verdict.name.lower(),
            "reasons": [because_json(because) for because in one.next.because],
            "problems": list(one.next.problems),
            "tiles": one.next.tiles,
            "can_stop": one.next.can_stop,
        }
    return fields


def _change_json(last: LastChange) -> dict[str, Any]:
    return {
        "commit": last.head.digest,
        "number": last.head.number,
        "dropped_before": len(last.head.dropped_before),
        "reasons": [because_json(because) for because in last.because],
    }


def _place_json(place: TilePosition) -> dict[str, int]:
    return {"level": place.level, "row": place.row, "col": place.col}


def _window_json(window: Window | Box) -> dict[str, int]:
    return {"row": window.row, "col": window.col, "height": window.height, "width": window.width}
