"""The canvas of a tileset: sources of one structure on one pixel grid."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.hints import show
from geobatch.errors import PlanError, SourceError
from geobatch.model.geobox import Bounds, Crs, GeoBox, Transform
from geobatch.model.sources.header import Header
from geobatch.resolve.unread_files import placing_hint
from geobatch.sources.gdal_commands import quoted_input, quoted_output

OFFSET_TOLERANCE = 0.01
"""Pixels by which a source may miss the grid of the first one, anywhere within it."""
_MOST_PIXELS = 1 << 31
MOST_TILES = 1 << 26
"""Level-0 tiles of a canvas; plans hold a set of them per band."""
_CRS_NAME = re.compile(r'[A-Z]+\["([^"]*)"')
"""First words of WKT."""
_CRS_EXCERPT = 50
MAX_GAP = 0.99
"""Share of a canvas that may stay uncovered."""


class SourceOffset(Struct, frozen=True, kw_only=True):
    """One source on a canvas."""

    header: Header
    """Header of the file."""
    row: int
    """Canvas row of its first row."""
    col: int
    """Canvas column of its first column."""


class Canvas(Struct, frozen=True, kw_only=True):
    """A pixel plane with its sources, in mosaicking order."""

    geobox: GeoBox
    """The plane."""
    sources: tuple[SourceOffset, ...]
    """The sources."""

    @property
    def has_gaps(self) -> bool:
        """Whether some pixels of the plane are covered by no source."""
        return covered_pixels(self) < self.geobox.height * self.geobox.width


def check_structure(headers: Sequence[Header]) -> None:
    """Check that the sources of a tileset agree in what makes their pixels comparable.

    Raises:
        PlanError: Two differ; names both files and both values.
    """
    first = headers[0]
    for other in headers[1:]:
        uris = first.uri, other.uri
        _agree("band count", *uris, first.count, other.count)
        _agree("data type", *uris, first.dtypes, other.dtypes)
        _agree("scale", *uris, first.scales, other.scales)
        _agree("offset", *uris, first.offsets, other.offsets)


def canvas_of(
    headers: Sequence[Header],
    *,
    transforms: Sequence[Transform | None],
    crs: Crs | None,
    bounds: Bounds | None,
) -> Canvas:
    """Return the canvas of the sources of a tileset: their union, or the declared bounds.

    Args:
        headers: The sources, in mosaicking order.
        transforms: Per source, a transform in the spec that overrides the file's.
        crs: A CRS in the spec that overrides the files'.
        bounds: `grid.bounds` of the spec.

    Raises:
        SourceError: A file has no CRS or no transform, and the spec gives none.
        PlanError: Two sources differ in CRS or resolution or are not whole pixels apart, or the
            bounds do not fit the pixel grid.
    """
    boxes = [
        _geobox(header, transform, crs)
        for header, transform in zip(headers, transforms, strict=True)
    ]
    origin = boxes[0]
    if bounds is None and len(boxes) == 1:  # as in most small assets: the source is its own canvas
        return Canvas(geobox=origin, sources=(SourceOffset(header=headers[0], row=0, col=0),))
    if bounds is not None:
        plane = _bounded(headers[0], origin, bounds)
        offsets = _offsets(plane, headers, boxes)
    else:
        offsets = _offsets(origin, headers, boxes)
        top, left = min(row for row, _ in offsets), min(col for _, col in offsets)
        bottom = max(row + box.height for (row, _), box in zip(offsets, boxes, strict=True))
        right = max(col + box.width for (_, col), box in zip(offsets, boxes, strict=True))
        a, b, _, d, e, _ = origin.transform
        x, y = origin.xy(col=left, row=top)
        plane = replace(
            origin, transform=(a, b, x, d, e, y), height=bottom - top, width=right - left
        )
        offsets = [(row - top, col - left) for row, col in offsets]
    return Canvas(
        geobox=plane,
        sources=tuple(
            SourceOffset(header=header, row=row, col=col)
            for header, (row, col) in zip(headers, offsets, strict=True)
        ),
    )


def check_size(canvas: Canvas, *, tile: int) -> None:
    """Refuse a canvas of more tiles than a plan can name.

    Raises:
        PlanError: It has too many.
    """
    geobox, first = canvas.geobox, canvas.sources[0].header
    rows, cols = geobox.tile_shape(tile=tile)
    if rows * cols > MOST_TILES:
        raise PlanError(
            f"{geobox.width:.6g} x {geobox.height:.6g} pixels of the size of those of `{first.uri}`"
            f" are {rows * cols:.6g} tiles; at most {MOST_TILES:,} can be planned",
            hint="check that `grid.bounds` are in the units of the CRS, or choose larger tiles",
        )


def offsets_on(
    headers: Sequence[Header],
    *,
    transforms: Sequence[Transform | None],
    crs: Crs | None,
    canvas: Canvas,
) -> tuple[SourceOffset, ...]:
    """Return the offsets of a mask tileset on the canvas of the bands that they mask.

    Raises:
        SourceError: A file has no CRS or no transform, and the spec gives none.
        PlanError: A source differs from the canvas in CRS or resolution, or not whole pixels off.
    """
    placed = []
    reference = canvas.sources[0].header.uri
    for header, transform in zip(headers, transforms, strict=True):
        box = _geobox(header, transform, crs)
        row, col = _offset(reference, canvas.geobox, header, box)
        placed.append(SourceOffset(header=header, row=row, col=col))
    return tuple(placed)


def covered_pixels(canvas: Canvas) -> int:
    """Return how many pixels of a canvas some source covers: a sweep over the rows' edges."""
    plane = canvas.geobox
    spans = []
    for source in canvas.sources:
        top, bottom = max(source.row, 0), min(source.row + source.header.height, plane.height)
        left, right = max(source.col, 0), min(source.col + source.header.width, plane.width)
        if top < bottom and left < right:
            spans.append((top, bottom, left, right))
    if len(spans) == 1:
        ((top, bottom, left, right),) = spans
        return (bottom - top) * (right - left)
    spans.sort()
    edges = sorted({edge for top, bottom, _, _ in spans for edge in (top, bottom)})
    total, following = 0, 0
    open_spans: list[tuple[int, int, int]] = []
    for top, bottom in pairwise(edges):
        while following < len(spans) and spans[following][0] <= top:
            _, end, left, right = spans[following]
            open_spans.append((left, right, end))
            following += 1
        open_spans = sorted(span for span in open_spans if span[2] > top)
        covered, reach = 0, 0
        for left, right, _ in open_spans:
            covered += max(0, right - max(left, reach))
            reach = max(reach, right)
        total += covered * (bottom - top)
    return total


def check_gap(canvas: Canvas, *, is_declared: bool, remedy: str | None = None) -> None:
    """Refuse a canvas that the sources leave nearly uncovered.

    Args:
        canvas: The canvas.
        is_declared: Whether `grid.bounds` declare it.
        remedy: What to write in the spec, where the reason is known.

    Raises:
        PlanError: The bounds meet no source, or more than 99 % of the union is gap.
    """
    area = canvas.geobox.height * canvas.geobox.width
    covered = covered_pixels(canvas)
    if covered == 0:
        raise PlanError(
            f"no source lies within `grid.bounds`; `{canvas.sources[0].header.uri}` is outside",
            hint=remedy or "bounds must be [left, bottom, right, top] in the units of the CRS",
        )
    # A declared grid includes its gaps on purpose.
    if not is_declared and area - covered > MAX_GAP * area:
        raise PlanError(
            f"the sources cover {covered} of the {area} pixels of their union: more than 99 % is"
            f" empty (`{canvas.sources[0].header.uri}` to `{canvas.sources[-1].header.uri}`)",
            hint=remedy or "check for a source far from the others, or declare `grid.bounds`",
        )


def _geobox(header: Header, transform: Transform | None, crs: Crs | None) -> GeoBox:
    placed_by = transform or header.transform
    if placed_by is None:
        why = header.transform_fault or "the file does not say where its pixels are"
        hint = f"{placing_hint(header.path, is_crs=False)}give `affine_transform` in the spec"
        raise SourceError(f"`{header.uri}`: {why}", hint=hint)
    system = crs or header.crs
    if system is None:
        why = header.crs_fault or "the file has no CRS"
        hint = f"{placing_hint(header.path, is_crs=True)}give `crs` to the tileset in the spec"
        raise SourceError(f"`{header.uri}`: {why}", hint=hint)
    return GeoBox(crs=system, transform=placed_by, height=header.height, width=header.width)


def _bounded(header: Header, origin: GeoBox, bounds: Bounds) -> GeoBox:
    """Return the plane that covers declared bounds with the pixels of a source."""
    if not origin.is_axis_aligned:
        raise PlanError(
            f"`{header.uri}` is rotated or sheared; `grid.bounds` requires pixels along the axes"
        )
    a, _, _, _, e, _ = origin.transform
    left, bottom, right, top = bounds
    width, height = (right - left) / abs(a), (top - bottom) / abs(e)
    if not max(width, height) < _MOST_PIXELS:
        raise PlanError(
            f"`grid.bounds` span {width:.6g} x {height:.6g} pixels of `{header.uri}`;"
            " a side must be shorter than 2^31 pixels",
            hint="check that they are in the units of the CRS",
        )
    cols, rows = round(width), round(height)
    if max(abs(width - cols), abs(height - rows)) > OFFSET_TOLERANCE or not (rows and cols):
        raise PlanError(
            f"`grid.bounds` span {width:.6g} x {height:.6g} pixels of `{header.uri}`,"
            " expected whole pixels",
            hint=f"use whole multiples of the size of its pixels, {abs(a):.12g} x {abs(e):.12g}",
        )
    # From the bounds alone, so that the grid stays the same to the last bit as sources come and go.
    step_x, step_y = (right - left) / cols, (top - bottom) / rows
    return replace(
        origin,
        transform=(
            step_x if a > 0 else -step_x, 0.0, left if a > 0 else right,
            0.0, step_y if e > 0 else -step_y, bottom if e > 0 else top,
        ),
        height=rows,
        width=cols,
    )  # fmt: skip


def _offsets(
    plane: GeoBox, headers: Sequence[Header], boxes: Sequence[GeoBox]
) -> list[tuple[int, int]]:
    return [
        _offset("grid.bounds" if number == 0 else headers[0].uri, plane, header, box)
        for number, (header, box) in enumerate(zip(headers, boxes, strict=True))
    ]


def _offset(reference: str, plane: GeoBox, header: Header, box: GeoBox) -> tuple[int, int]:
    """Return the (row, col) of a source's first pixel on a plane, which must be whole.

    Args:
        reference: Name of the plane's origin in messages: a uri, or `grid.bounds`.
        plane: The plane.
        header: The source.
        box: Its placement.
    """
    _check_crs(reference, plane.crs, header, box.crs)
    # The far corners must fit too: a resolution that is a little off drifts away with distance.
    corners = [(0, 0), (box.width, 0), (0, box.height), (box.width, box.height)]
    placed = [_position(plane, box, col=col, row=row) for col, row in corners]
    starts = [
        (at_col - col, at_row - row)
        for (col, row), (at_col, at_row) in zip(corners, placed, strict=True)
    ]
    if not all(map(math.isfinite, (*starts[0], *starts[-1]))):
        raise PlanError(
            f"`{header.uri}` is too far from the grid of `{reference}` to count pixels",
            hint="check its `affine_transform`",
        )
    col, row = (round(value) for value in starts[0])
    misses = [max(abs(at_col - col), abs(at_row - row)) for at_col, at_row in starts]
    if max(misses) > OFFSET_TOLERANCE:
        if max(misses) > 2 * misses[0]:
            expected, got = _resolution(plane.transform), _resolution(box.transform)
            _agree("resolution", reference, header.uri, expected, got)
        raise PlanError(
            f"`{header.uri}` lies ({starts[0][0]:.6g}, {starts[0][1]:.6g}) pixels from the grid"
            f" of `{reference}`, expected whole pixels (within {OFFSET_TOLERANCE})",
            hint="resample it onto the same pixel grid, or put it into a separate tileset",
        )
    return row, col


def _check_crs(reference: str, expected: Crs, header: Header, got: Crs) -> None:
    if expected == got:
        return
    here, there = _crs_names(str(expected), str(got))
    command = "gdalwarp"
    if expected.code:
        source, target = quoted_input(header), quoted_output(header, "_warped")
        command = f"gdalwarp -t_srs {expected.code} {source} {target}"
    raise PlanError(
        f"sources of one tileset differ in CRS: `{reference}` has {here}, `{header.uri}` has"
        f" {there}",
        hint=f"reproject it: `{command}`; or make one image of each file; or declare `crs` if both"
        " are in the same CRS",
    )


def _crs_names(first: str, other: str) -> tuple[str, str]:
    """Return the names of two CRS in messages: codes, or names with what differs."""
    names = tuple(_crs_name(text) for text in (first, other))
    if names[0] != names[1]:
        return names[0], names[1]
    pairs = enumerate(zip(first, other, strict=False))
    differ = next((at for at, (one, two) in pairs if one != two), min(len(first), len(other)))
    start = max(0, differ - _CRS_EXCERPT // 3)
    excerpts = [f"... {text[start : start + _CRS_EXCERPT]} ..." for text in (first, other)]
    return f"{names[0]} (`{excerpts[0]}`)", f"{names[1]} (`{excerpts[1]}`)"


def _crs_name(text: str) -> str:
    name = _CRS_NAME.match(text)
    return show(text if name is None else name[1])


def _position(plane: GeoBox, box: GeoBox, *, col: int, row: int) -> tuple[float, float]:
    """Return the (column, row) on a plane of a pixel corner of a box."""
    x, y = box.xy(col=col, row=row)
    return plane.col_row(x=x, y=y)


def _resolution(transform: Transform) -> str:
    a, b, _, d, e, _ = transform
    return f"{a:.12g} x {e:.12g}" + (f" (shear {b:.12g}, {d:.12g})" if b or d else "")


def _agree(what: str, first: str, other: str, expected: Any, got: Any) -> None:
    # Compared as text: NaN, as a missing value, equals itself here.
    if repr(expected) != repr(got):
        raise PlanError(
            f"sources of one tileset differ in {what}: `{first}` has `{_text(expected)}`,"
            f" `{other}` has `{_text(got)}`",
            hint="put them into separate tilesets, or rewrite one of them",
        )


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if len(set(map(repr, value))) == 1 else ", ".join(map(str, value))
    return str(value)
