"""Counts pixels of stored tiles for checks: those that no task of the run has computed."""

from __future__ import annotations

from geobatch.errors import CorruptObjectError
from geobatch.execute.tasks.counting import Counting, changed_pixels
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.stored_pixels import StoredLevels
from geobatch.execute.tasks.task import CheckTask, Roots, TaskResult
from geobatch.model.assets.image import Raster
from geobatch.model.checks.measure import Measure
from geobatch.model.window import Box, Window
from geobatch.pyramid.pixels import Plane
from geobatch.store.index import Index
from geobatch.store.objects import Objects


def count_tiles(task: CheckTask, inputs: Inputs, *, objects: Objects, index: Index) -> TaskResult:
    """Count the pixels of some stored tiles, and of those that were there before.

    Raises:
        CorruptObjectError: A stored tile or an index page does not match its digest.
    """
    result = TaskResult()
    asset = inputs.asset(task.asset)
    roots = inputs.roots(task.roots)
    now = _Level0(asset, task.band, roots, objects=objects, index=index)
    before = None
    if task.before is not None:
        old = inputs.asset(task.before)
        roots = inputs.roots(task.before_roots)
        before = _Level0(old, task.band, roots, objects=objects, index=index)
    counting, was = (Counting.of(asset, now.band, task.names) for _ in range(2))
    differing = Measure()
    for row, col in task.tiles:
        window = now.window(row, col)
        plane = now.load(window)
        counting.add(plane, row=window.row, col=window.col)
        if before is not None:
            try:
                other = before.load(window)
            except CorruptObjectError:
                if task.names:
                    raise
                continue  # it is replaced, and nothing is left to compare with
            was.add(other, row=window.row, col=window.col)
            if task.is_compared:
                differing += changed_pixels(plane, other, row=window.row, col=window.col)
    result.measures[task.band] = counting.found
    if before is not None:
        result.measures_before[task.band] = was.found
    if task.is_compared:
        result.differing[task.band] = differing
    return result


class _Level0:
    """The stored level-0 pixels of one band of one state."""

    def __init__(
        self, asset: Raster, band: str, roots: Roots, *, objects: Objects, index: Index
    ) -> None:
        self.band = asset.band(band)
        self.tile = asset.tile
        self.geobox = asset.grid(self.band.grid).geobox
        self.stored = StoredLevels(
            band=self.band,
            shape=self.geobox.tile_shape(tile=asset.tile, level=0),
            tile=asset.tile,
            codec=asset.codec,
            objects=objects,
            index=index,
            roots=roots,
        )

    def window(self, row: int, col: int) -> Window:
        """Return the pixels of a tile, without padding."""
        return Box.of_tile(row, col).window(self.geobox.shape, tile=self.tile)

    def load(self, window: Window) -> Plane:
        """Return the pixels of a window, whatever tiles they are in."""
        box = window.in_tiles((self.tile, self.tile))
        plane = self.stored.load(self.geobox, 0, box)
        area = box.window(self.geobox.shape, tile=self.tile).within(window)
        mask = None if plane.mask is None else plane.mask[area]
        return Plane(plane.values[area], mask)
