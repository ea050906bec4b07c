"""Sources on both sides of the antimeridian: how to move them for a compact union."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from geobatch.model.geobox import GeoBox, Transform
from geobatch.resolve.canvas.canvas import Canvas, SourceOffset
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.selection import ProbedSource
from geobatch.sources.projections.crs import turn

_WHOLE = 0.005
"""Pixels by which a turn around the Earth may miss the pixel grid."""
_MOST_LISTED = 12
"""How many sources a hint lists; if there are more, only the first that move."""
_PLAIN = re.compile(r"[A-Za-z./][\w./*-]*\.\w+", re.ASCII)


class Wrap(Struct, frozen=True, kw_only=True):
    """Sources that are a whole turn around the Earth away from their right position."""

    message: str
    """What is wrong."""
    hint: str
    """What to write in the spec."""


def turns_apart(spans: Sequence[tuple[int, int]], turn: int) -> tuple[list[int], int]:
    """Return by how many turns to move each span for the narrowest union, and the union's width.

    The union starts behind the widest gap on the circle. Those that lie west of the gap move east;
    unless the others are far fewer.

    Args:
        spans: (first column, width) of each source.
        turn: Columns around the Earth.
    """
    ordered = sorted((col % turn, width) for col, width in spans)
    reach = max(col + width for col, width in ordered) - turn
    widest, start = 0, ordered[0][0]
    for col, width in ordered:
        if col - reach > widest:
            widest, start = col - reach, col
        reach = max(reach, col + width)
    offsets = [(col - start) % turn for col, _ in spans]
    moves = [(start + off - col) // turn for off, (col, _) in zip(offsets, spans, strict=True)]
    counts = Counter(moves)
    still = min(counts)
    best = max(counts, key=lambda move: (counts[move], -move))
    if len(moves) - counts[still] > 4 * (len(moves) - counts[best]):
        still = best
    widths = (off + width for off, (_, width) in zip(offsets, spans, strict=True))
    return [move - still for move in moves], max(widths)


def find_wraps(
    mosaics: Mapping[str, Mosaic], canvases: Mapping[str, Canvas], prefix: str
) -> dict[str, Wrap]:
    """Return what is wrong with sources on both sides of the antimeridian, by tileset.

    Args:
        mosaics: The tilesets of an image.
        canvases: Their canvases.
        prefix: What the spec puts before every uri.
    """
    found = {}
    for tileset, canvas in canvases.items():
        wrap = _find_wrap(mosaics[tileset], canvas, prefix)
        if wrap is not None:
            found[tileset] = wrap
    return found


def _find_wrap(mosaic: Mosaic, canvas: Canvas, prefix: str) -> Wrap | None:
    plane, placed = canvas.geobox, canvas.sources
    is_odd = (
        _has_hole(placed, plane) if canvas.is_union else any(_is_outside(s, plane) for s in placed)
    )
    around = _turn_of(plane) if is_odd else None
    if around is None:
        return None
    pixels = around / abs(plane.transform[0])
    turn = round(pixels)
    found = _of_union(canvas, turn) if canvas.is_union else _of_plane(canvas, turn)
    if found is None:
        return None
    moves, words = found
    message = f"sources of tileset `{mosaic.id}` {words}"
    if abs(pixels - turn) > _WHOLE:
        hint = (
            f"resample them: {around:.9g} units of x are {pixels:.9g} pixels, and no shift by a"
            " whole number of pixels joins them"
        )
        return Wrap(message=message, hint=hint)
    shift = around if plane.transform[0] > 0 else -around
    transforms = [_moved(spot, move * shift) for spot, move in zip(placed, moves, strict=True)]
    return Wrap(message=message, hint=_hint(mosaic, prefix, moves, transforms))


def _turn_of(plane: GeoBox) -> float | None:
    """Return the length of x around the Earth, in units of a plane; None if there is none."""
    if not plane.is_axis_aligned:
        return None
    around = turn(plane.crs)
    return None if around is None or around < abs(plane.transform[0]) else around


def _of_union(canvas: Canvas, turn: int) -> tuple[list[int], str] | None:
    """Return how to move the sources of a union that is nearly a turn wide, with a large gap."""
    columns = canvas.geobox.width
    spans = [(spot.col, spot.header.width) for spot in canvas.sources]
    moves, width = turns_apart(spans, turn)
    is_half = 2 * width <= columns
    is_around = 10 * columns >= 9 * turn and 3 * (turn - width) >= turn
    if 2 * columns <= turn or width >= columns or not (is_half or is_around):
        return None
    return moves, (
        f"lie on both sides of the antimeridian: their union is {columns:,} columns wide, but"
        f" {width:,} are enough"
    )


def _of_plane(canvas: Canvas, turn: int) -> tuple[list[int], str] | None:
    """Return how to move sources that lie outside a plane, and inside it a turn away."""
    moves = [_move_inside(spot, canvas.geobox, turn) for spot in canvas.sources]
    count = sum(map(bool, moves))
    if not count:
        return None
    of = f"{count} of {len(moves)}"
    return moves, f"lie outside the grid, and inside it once around the Earth away: {of}"


def _has_hole(placed: Sequence[SourceOffset], plane: GeoBox) -> bool:
    """Return whether some run of a third of the columns is empty, as around the antimeridian."""
    reach = 0
    for col, width in sorted((spot.col, spot.header.width) for spot in placed):
        if 3 * (col - reach) >= plane.width:
            return True
        reach = max(reach, col + width)
    return False


def _is_outside(spot: SourceOffset, plane: GeoBox) -> bool:
    """Return whether a source lies beside a plane, in rows that the plane has."""
    is_beside = spot.col >= plane.width or spot.col + spot.header.width <= 0
    return is_beside and -spot.header.height < spot.row < plane.height


def _move_inside(spot: SourceOffset, plane: GeoBox, turn: int) -> int:
    """Return by how many turns to move a source outside so that it is inside; 0 if impossible."""
    if not _is_outside(spot, plane):
        return 0
    # The first turns that bring its right edge past the left one of the plane.
    move = -((spot.col + spot.header.width - 1) // turn)
    return move if spot.col + move * turn < plane.width else 0


def _moved(spot: SourceOffset, shift: float) -> Transform:
    """Return the transform of a source, moved along x."""
    assert spot.header.transform is not None  # noqa: S101 - it is placed
    a, b, c, d, e, f = spot.header.transform
    return (a, b, c + shift, d, e, f)


def _hint(
    mosaic: Mosaic, prefix: str, moves: Sequence[int], transforms: Sequence[Transform]
) -> str:
    """Return the sources to write; of many, only the first of those that move."""
    rows = list(zip(mosaic.sources, moves, transforms, strict=True))
    entries = list(_entries(rows, prefix, is_whole=len(rows) <= _MOST_LISTED))
    if len(rows) <= _MOST_LISTED:
        return f"write `sources: [{', '.join(entries)}]`"
    count = sum(map(bool, moves))
    shown = "`, `".join(entries[:3])
    more = f", and {count - 3:,} more in the same way" if count > 3 else ""
    return f"list the files, one source each, and move these: `{shown}`{more}"


def _entries(
    rows: Sequence[tuple[ProbedSource, int, Transform]], prefix: str, *, is_whole: bool
) -> Iterator[str]:
    per_source = Counter(source.file.source for source, _, _ in rows)
    for source, move, transform in rows:
        if not (move or is_whole):
            continue
        file, declared = source.file, source.declared
        is_alone = per_source[file.source] == 1
        uris = declared.uris if is_alone else (file.uri.removeprefix(prefix),)
        parts = [f"uris: [{', '.join(map(_text, uris))}]"]
        if move or declared.affine_transform is not None:
            parts.append(f"affine_transform: {{{_affine(transform)}}}")
        if declared.dimensions is not None:
            width, height = declared.dimensions
            parts.append(f"dimensions: {{width: {width}, height: {height}}}")
        yield f"{{{', '.join(parts)}}}"


def _affine(transform: Transform) -> str:
    a, b, c, d, e, f = transform
    members = {
        "scale_x": a, "shear_x": b, "translate_x": c, "shear_y": d, "scale_y": e, "translate_y": f
    }  # fmt: skip
    return ", ".join(f"{k}: {_number(v)}" for k, v in members.items() if v or "shear" not in k)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
