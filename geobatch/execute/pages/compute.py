"""Computes the regions of a square of tiles, and puts the index pages of their tiles."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from msgspec import Struct, field

from geobatch.errors import SourceErrors
from geobatch.execute.pages.entries import entries_of, positions_of
from geobatch.execute.passes import blocks_of
from geobatch.execute.tasks.task import (
    PART,
    BandTask,
    JoinTask,
    PagesTask,
    Region,
    RegionTask,
    Roots,
    TaskResult,
)
from geobatch.format.page import FAN_OUT
from geobatch.model.assets.image import Raster
from geobatch.model.checks.measure import add_measures
from geobatch.model.digest import digest_json
from geobatch.model.published import ArrayKey
from geobatch.model.tiles import TileSet
from geobatch.model.window import Box
from geobatch.store.index import Entries, Index
from geobatch.store.objects import Objects
from geobatch.store.pages.places import Places
from geobatch.store.pages.writing import join_parts, put_changed

_CACHED_SPAN = 2
"""Span from which on results of regions are kept: those of 16 tiles and more."""


class Running(Protocol):
    """How the regions of a square are run."""

    def begin(self, task: RegionTask) -> None:
        """Start to fetch what a region reads, while the one before it is computed."""

    def run(self, task: RegionTask) -> TaskResult:
        """Compute a region; what it puts may still be on the way.

        Raises:
            InterruptedRunError: The run was stopped.
        """


def compute_pages(
    task: PagesTask,
    asset: Raster,
    roots: Roots,
    *,
    objects: Objects,
    index: Index,
    running: Running,
) -> TaskResult:
    """Compute the regions of a square, and put the pages that lead to their tiles.

    Args:
        task: The square.
        asset: What it is of.
        roots: Index roots of the stored arrays.
        objects: Where pages are put.
        index: Where stored pages are read.
        running: Runs the regions.

    Raises:
        SourceError: Sources cannot be read, or changed since they were resolved.
        CorruptObjectError: A stored tile or page that is needed does not match its digest.
    """
    result, tiles = TaskResult(), _Tiles()
    errors = SourceErrors()
    regions = list(regions_of(task))
    before: TaskResult | None = None
    for number, region in enumerate(regions):
        for following in regions[number + 1 : number + 2]:
            running.begin(following)
        with errors.collecting():
            found = running.run(region)
            tiles.take(found)
            if before is not None:  # what it put had the time of a region to arrive
                _add(result, before)
            before = found
    errors.raise_all()
    if before is not None:
        _add(result, before)
    geobox = asset.grid(task.grid).geobox
    for key in tiles.keys:
        plane = geobox.tile_shape(tile=asset.tile, level=key.level)
        entries, removed = tiles.pop(key)
        box = task.square.box(key.level, plane)
        pages = put_changed(
            index, objects, plane, roots.get(key), box=box, entries=entries, removed=removed
        )
        side = 1 << (task.square.span - (key.level - task.square.level))
        if side >= FAN_OUT:
            result.pages[key] = pages.tobytes()
        else:
            pages["row"], pages["col"] = box.row // side, box.col // side
            result.parts[key] = side, pages.tobytes()
    return result


def join_pages(task: JoinTask, *, objects: Objects, index: Index) -> TaskResult:
    """Put one page, of parts that other tasks have put.

    Raises:
        CorruptObjectError: A page is damaged or missing.
    """
    found = np.frombuffer(task.parts, dtype=PART)
    side, result = task.side, TaskResult()
    parts = []
    for part in found:
        row = task.row * FAN_OUT + int(part["row"]) * side
        col = task.col * FAN_OUT + int(part["col"]) * side
        stored = part["stored"].tobytes().hex() if part["stored"].any() else ""
        parts.append((Box(row=row, col=col, height=side, width=side), stored))
    before = index.find_page(task.plane, task.root, row=task.row, col=task.col)
    page = join_parts(index, objects, before, row=task.row, col=task.col, parts=parts)
    result.pages[task.array] = page.tobytes()
    return result


def regions_of(task: PagesTask) -> Iterator[RegionTask]:
    """Yield the regions of a square that hold a tile to recompute, in row-major order."""
    square, span = task.square, task.span
    side = 1 << span
    masks = [[tiles.mask for tiles in band.dirty] for band in task.bands]
    blocks = [blocks_of(one, side >> up) for levels in masks for up, one in enumerate(levels)]
    positions = np.argwhere(np.logical_or.reduce(blocks)).tolist()
    for row, col in positions:
        region = Region(
            level=square.level, row=square.row + row * side, col=square.col + col * side, span=span
        )
        bands = []
        for band, levels in zip(task.bands, masks, strict=True):
            dirty = []
            for up, mask in enumerate(levels):
                width = side >> up
                area = mask[row * width : (row + 1) * width, col * width : (col + 1) * width]
                dirty.append(TileSet.from_mask(area))
            bands.append(
                BandTask(
                    band=band.band,
                    dirty=tuple(dirty),
                    from_sources=band.from_sources,
                    can_stop=band.can_stop,
                    is_counted=band.is_counted,
                )
            )
        yield RegionTask(
            key=digest_json(["geobatch region of a square", task.key, row, col]),
            asset=task.asset,
            roots=task.roots,
            grid=task.grid,
            region=region,
            bands=tuple(bands),
            # Otherwise it would be kept with the square, or in as many objects as its tiles are.
            is_cached=task.is_cached and len(positions) > 1 and span >= _CACHED_SPAN,
            is_portable=task.is_portable,
            is_streamed=task.is_streamed,
        )


class _Tiles(Struct, frozen=True, eq=False):
    """The tiles of the regions of a square, as arrays."""

    entries: defaultdict[ArrayKey, list[Entries]] = field(default_factory=lambda: defaultdict(list))
    removed: defaultdict[ArrayKey, list[Places]] = field(default_factory=lambda: defaultdict(list))

    def take(self, result: TaskResult) -> None:
        """Take in what a region put; the result loses it."""
        for key, rows in result.entries.items():
            self.entries[key].append(entries_of(rows))
        for key, positions in result.removed.items():
            self.removed[key].append(positions_of(positions))
        result.entries, result.removed = {}, {}

    @property
    def keys(self) -> list[ArrayKey]:
        """The arrays in which tiles changed, sorted."""
        return sorted(self.entries.keys() | self.removed.keys())

    def pop(self, key: ArrayKey) -> tuple[Entries, Places]:
        """Return the tiles of an array, and the positions of those without a valid pixel."""
        entries = self.entries.pop(key, [entries_of([])])
        removed = self.removed.pop(key, [positions_of([])])
        return np.concatenate(entries), np.concatenate(removed)


def _add(total: TaskResult, found: TaskResult) -> None:
    """Add the counts of a region to those of its square, once its tiles are put."""
    found.settle()
    total.written += found.written
    total.reused += found.reused
    total.empty += found.empty
    total.bytes_written += found.bytes_written
    for name, peaks in found.peaks.items():
        highest = total.peaks.setdefault(name, {})
        for tileset, peak in peaks.items():
            highest[tileset] = max(highest.get(tileset, 0), peak)
    for band, positions in found.changed.items():
        total.changed.setdefault(band, []).extend(positions)
    add_measures(total.measures, found.measures)
