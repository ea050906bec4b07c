"""The canvases of an image: sources of one structure on one pixel grid, which has a name."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import ImageSpec, RasterSpec
from geobatch.declare.files.sidecars import PROJECTION, WORLD
from geobatch.declare.hints import show
from geobatch.errors import PlanError, SourceError
from geobatch.model.geobox import Bounds, Crs, GeoBox, Transform
from geobatch.model.sources.header import Header
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.typed_bands import TypedBand
from geobatch.sources.gdal.commands import quoted_files

OFFSET_TOLERANCE = 0.01
"""Pixels by which a source may miss the grid of the first one, anywhere within it."""
_MOST_PIXELS = 1 << 31
_CRS_NAME = re.compile(r'[A-Z]+\["([^"]*)"')
"""First words of WKT."""
_CRS_EXCERPT = 50


class SourceOffset(Struct, frozen=True, kw_only=True):
    """One source on a canvas."""

    header: Header
    """Header of the file."""
    row: int
    """Canvas row of its first row."""
    col: int
    """Canvas column of its first column."""


class Canvas(Struct, frozen=True, kw_only=True, dict=True):
    """A pixel plane with its sources, in mosaicking order."""

    geobox: GeoBox
    """The plane."""
    sources: tuple[SourceOffset, ...]
    """The sources."""
    is_union: bool = True
    """Whether the plane is the union of the sources."""
    is_of_masks: bool = False
    """Whether the sources only mask bands, whose plane it is."""
    grid: str = ""
    """Name of the plane in the image."""

    @cached_property
    def covered(self) -> int:
        """How many pixels of the plane some source covers."""
        return covered_pixels(self)

    @property
    def has_gaps(self) -> bool:
        """Whether some pixels of the plane are covered by no source."""
        return self.covered < self.geobox.height * self.geobox.width


def canvases_of(
    spec: RasterSpec, mosaics: Mapping[str, Mosaic], bands: Sequence[TypedBand]
) -> dict[str, Canvas]:
    """Return the canvas of each tileset: those of bands, then those of masks.

    Args:
        spec: The image.
        mosaics: Its tilesets.
        bands: Its bands.

    Raises:
        SourceError: A file has no CRS or no transform, and the spec gives none.
        PlanError: Sources of one tileset, or a mask and its bands, do not fit together.
    """
    bounds = spec.bounds if isinstance(spec, ImageSpec) else None
    names: dict[GeoBox, str] = {}
    canvases: dict[str, Canvas] = {}
    for tileset in dict.fromkeys(band.tileset for band in bands):
        canvas = canvas_of(mosaics[tileset].headers, bounds=bounds)
        canvases[tileset] = replace(canvas, grid=_name(canvas.geobox, names))
    masked: dict[str, Canvas] = {}
    for band in bands:
        if band.mask is None:
            continue
        mask, canvas = band.mask.tileset_id, canvases[band.tileset]
        if masked.setdefault(mask, canvas).geobox != canvas.geobox:
            raise PlanError(
                f"mask tileset `{mask}` masks bands on two grids: `{canvas.grid}` and another",
                hint="declare a separate mask tileset for the bands of each grid",
            )
        if mask not in canvases:
            offsets = offsets_on(mosaics[mask].headers, canvas=canvas)
            canvases[mask] = replace(canvas, sources=offsets, is_union=False, is_of_masks=True)
        elif canvases[mask].geobox != canvas.geobox:
            raise PlanError(
                f"mask tileset `{mask}` is not on the grid of band `{band.id}`",
                hint="resample it onto the band's grid first",
            )
    return canvases


def _name(plane: GeoBox, names: dict[GeoBox, str]) -> str:
    """Return the name of a grid, such as `r10m`: the pixel size with its unit; adds new ones."""
    if plane not in names:
        name = base = f"r{abs(plane.transform[0]):.9g}{_unit(plane.crs.cf)}"
        number = 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[plane] = name
    return names[plane]


@lru_cache(maxsize=256)
def _unit(cf: str) -> str:
    """Return the unit after a pixel size, from the CF attributes of a CRS."""
    unit = json.loads(cf).get("x", {}).get("units", "")
    return {"metre": "m", "m": "m", "degrees_east": "deg", "degree_east": "deg"}.get(unit, "")


def canvas_of(headers: Sequence[Header], *, bounds: Bounds | None) -> Canvas:
    """Return the canvas of the sources of a tileset: their union, or the declared bounds.

    Args:
        headers: The sources, in mosaicking order.
        bounds: `grid.bounds` of the spec.

    Raises:
        SourceError: A source has no CRS or no transform.
        PlanError: Two sources differ in CRS or resolution or are not whole pixels apart, or the
            bounds do not fit the pixel grid.
    """
    boxes = [_geobox(header) for header in headers]
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
        a, b, c, d, e, f = origin.transform
        corner = (a * left + b * top + c, d * left + e * top + f)
        plane = replace(
            origin,
            transform=(a, b, corner[0], d, e, corner[1]),
            height=bottom - top,
            width=right - left,
        )
        offsets = [(row - top, col - left) for row, col in offsets]
    return Canvas(
        geobox=plane,
        sources=tuple(
            SourceOffset(header=header, row=row, col=col)
            for header, (row, col) in zip(headers, offsets, strict=True)
        ),
        is_union=bounds is None,
    )


def offsets_on(headers: Sequence[Header], *, canvas: Canvas) -> tuple[SourceOffset, ...]:
    """Return the offsets of a mask tileset on the canvas of the bands that they mask.

    Raises:
        SourceError: A source has no CRS or no transform.
        PlanError: A source differs from the canvas in CRS or resolution, or not whole pixels off.
    """
    placed = []
    reference = canvas.sources[0].header.uri
    for header in headers:
        row, col = _offset(reference, canvas.geobox, header, _geobox(header))
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


def _geobox(header: Header) -> GeoBox:
    if header.transform is None:
        why = header.transform_fault or "the file does not say where its pixels are"
        hint = f"{_placing_hint(header.path, is_crs=False)}give `affine_transform` in the spec"
        raise SourceError(f"`{header.uri}`: {why}", hint=hint)
    if header.crs is None:
        why = header.crs_fault or "the file has no CRS"
        hint = f"{_placing_hint(header.path, is_crs=True)}give `crs` to the tileset in the spec"
        raise SourceError(f"`{header.uri}`: {why}", hint=hint)
    return GeoBox(
        crs=header.crs, transform=header.transform, height=header.height, width=header.width
    )


def _placing_hint(path: str, *, is_crs: bool) -> str:
    """Return how to use a sidecar with the raster's placement or CRS; empty if there is none.

    Args:
        path: The raster.
        is_crs: Whether the CRS is wanted, not the placement.
    """
    stem = os.path.splitext(path)[0]  # noqa: PTH122
    suffixes = PROJECTION if is_crs else WORLD
    for suffix in suffixes:
        for name in (stem + suffix, stem + suffix.upper(), path + suffix):
            if Path(name).is_file():
                base, beside = Path(path).name, Path(name).name
                return f"`{beside}` is next to it: `uris: [{base}, {beside}]`; or "
    return ""


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
    a, b, c, d, e, f = _in_pixels(plane.transform, box.transform)
    starts = [(c + (a - 1) * x + b * y, f + d * x + (e - 1) * y) for x, y in corners]
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
            if expected != got:
                raise PlanError(
                    f"sources of one tileset differ in resolution: `{reference}` has `{expected}`,"
                    f" `{header.uri}` has `{got}`",
                    hint="put them into separate tilesets, or rewrite one of them",
                )
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
        command = f"gdalwarp -t_srs {expected.code} {quoted_files(header, '_warped')}"
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


def _in_pixels(plane: Transform, box: Transform) -> Transform:
    """Return the transform from pixels of a box to (columns, rows) of a plane, by Cramer's rule."""
    a, b, c, d, e, f = plane
    area = a * e - b * d
    starts = ((box[0], box[3]), (box[1], box[4]), (box[2] - c, box[5] - f))
    cols = [(e * x - b * y) / area for x, y in starts]
    rows = [(a * y - d * x) / area for x, y in starts]
    return (cols[0], cols[1], cols[2], rows[0], rows[1], rows[2])


def _resolution(transform: Transform) -> str:
    a, b, _, d, e, _ = transform
    return f"{a:.12g} x {e:.12g}" + (f" (shear {b:.12g}, {d:.12g})" if b or d else "")
