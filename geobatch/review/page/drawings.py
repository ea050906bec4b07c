"""Drawings as SVG within the page: changed tiles, boxes of all changes, histograms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from geobatch.model.geobox import Bounds, GeoBox
from geobatch.model.plans.plan_document import GridDocument, HistogramDocument
from geobatch.model.tiles import TileSet
from geobatch.review.numbers import value_text
from geobatch.review.tiles import ChangedTiles, geobox_of

_SIZE = 320.0
"""Longest side of a drawing."""
_MOST_TILES = 1500
"""Tiles of a drawing; of more, the larger tiles around them are drawn."""
_MOST_BOXES = 500
_STEPS = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60)
"""Degrees between the lines of a map."""


def tile_map(grid: GridDocument, tiles: ChangedTiles | None) -> str:
    """Return the outline of an image with its changed tiles, in its CRS; empty if it has none."""
    geobox = geobox_of(grid)
    if geobox is None:
        return ""
    plane = _Plane(geobox)
    shapes = [f'<path class="outline" d="{plane.path(0, 0, geobox.height, geobox.width)}"/>']
    if tiles is not None:
        level = tiles.lowest(grid.bands)
        found = tiles.of(grid.bands, level)
        kind = "tile" if level == 0 else "above"
        while found is not None and found.count > _MOST_TILES:
            found, level = found.parents(), level + 1
        runs = " ".join(plane.path(*run) for run in _runs(found, grid.tile << level, geobox.shape))
        shapes.append(f'<path class="{kind}" d="{runs}"/>' if runs else "")
    return _svg("".join(shapes), plane.width, plane.height, "Changed tiles in the image")


def _runs(
    tiles: TileSet | None, side: int, shape: tuple[int, int]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield (top, left, bottom, right) in pixels of level 0 of tiles beside each other in a row."""
    if tiles is None or not tiles:
        return
    mask: npt.NDArray[np.bool_] = tiles.mask
    for row in np.flatnonzero(mask.any(axis=1)):
        edges = np.diff(np.concatenate(([0], mask[row].astype(np.int8), [0])))
        ends = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
        for first, last in ends:
            bottom, right = min((int(row) + 1) * side, shape[0]), min(int(last) * side, shape[1])
            yield int(row) * side, int(first) * side, bottom, right


class _Plane:
    """Pixels of an image on a drawing with north up."""

    def __init__(self, geobox: GeoBox) -> None:
        left, bottom, right, top = geobox.bounds
        extent = max(right - left, top - bottom)
        self._geobox, self._left, self._top = geobox, left, top
        self._scale = _SIZE / extent
        self.width = max((right - left) * self._scale, 4.0)
        self.height = max((top - bottom) * self._scale, 4.0)

    def path(self, top: int, left: int, bottom: int, right: int) -> str:
        """Return the outline of a window of pixels."""
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        points = (self._geobox.xy(col=col, row=row) for col, row in corners)
        shown = (
            f"{(x - self._left) * self._scale:.2f} {(self._top - y) * self._scale:.2f}"
            for x, y in points
        )
        return f"M{'L'.join(shown)}Z"


def box_map(boxes: Sequence[Bounds], around: Bounds) -> str:
    """Return boxes of longitudes and latitudes on a grid of lines."""
    left, bottom, right, top = around
    right += 360 * (right < left)
    pad = max(right - left, top - bottom, 0.002) * 0.15
    west, east, south, north = left - pad, right + pad, bottom - pad, top + pad
    scale = _SIZE * 1.6 / (east - west)
    width, height = _SIZE * 1.6, max(min((north - south) * scale, _SIZE), 60.0)
    tall = height / (north - south)

    def x_of(lon: float) -> float:
        return (lon - west) * scale

    def y_of(lat: float) -> float:
        return (north - lat) * tall

    shapes = []
    step = next((one for one in _STEPS if (east - west) / one <= 6), 90)
    for n in range(math.ceil(west / step), math.floor(east / step) + 1):
        x, shown = x_of(n * step), (n * step + 180) % 360 - 180
        shapes.append(f'<path class="grid" d="M{x:.1f} 0V{height:.1f}"/>')
        shapes.append(f'<text x="{x + 2:.1f}" y="{height - 3:.1f}">{shown:g}°</text>')
    for n in range(math.ceil(south / step), math.floor(north / step) + 1):
        y = y_of(n * step)
        shapes.append(f'<path class="grid" d="M0 {y:.1f}H{width:.1f}"/>')
        shapes.append(f'<text x="2" y="{y - 2:.1f}">{n * step:g}°</text>')
    for west_edge, low, east_edge, high in boxes[:_MOST_BOXES]:
        start = west_edge + 360 * (west_edge < left - 1e-9)
        wide = (east_edge - west_edge) % 360 if east_edge != west_edge else 0.0
        shapes.append(
            f'<rect class="box" x="{x_of(start):.1f}" y="{y_of(high):.1f}" '
            f'width="{max(wide * scale, 2):.1f}" height="{max((high - low) * tall, 2):.1f}"/>'
        )
    return _svg("".join(shapes), width, height, "Where the changes are")


def histogram(data: HistogramDocument) -> str:
    """Return a histogram; empty if it has no bars."""
    edges, counts = data.edges, data.counts
    most = max(counts, default=0)
    if len(edges) != len(counts) + 1 or most == 0 or not edges[-1] > edges[0]:
        return ""
    width, height = _SIZE, 90.0
    scale = width / (edges[-1] - edges[0])
    bars = []
    for left, right, count in zip(edges, edges[1:], counts, strict=False):
        tall = count / most * height
        x, wide = (left - edges[0]) * scale, max((right - left) * scale - 0.5, 0.5)
        bars.append(
            f'<rect class="bar" x="{x:.1f}" y="{height - tall:.1f}" width="{wide:.1f}" '
            f'height="{max(tall, 1.0 * (count > 0)):.1f}"/>'
        )
    if edges[0] < 0 < edges[-1]:
        zero = -edges[0] * scale
        bars.append(f'<path class="zero" d="M{zero:.1f} 0V{height:.1f}"/>')
    bars.append(f'<text x="0" y="{height + 10:.0f}">{value_text(edges[0])}</text>')
    bars.append(
        f'<text x="{width:.0f}" y="{height + 10:.0f}" text-anchor="end">'
        f"{value_text(edges[-1])}</text>"
    )
    return _svg("".join(bars), width, height + 14, "Histogram")


def _svg(content: str, width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="-1 -1 {width + 2:.1f} {height + 2:.1f}" role="img" '
        f'aria-label="{label}">{content}</svg>'
    )
