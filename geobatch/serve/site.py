"""The catalogue as files for any web host: the same page, documents as JSON, tiles as PNG.

Of each image, tiles are drawn down to the zoom at which its full resolution is seen, if they are
not too many; of earlier commits, the last few that changed it. What is left out is said.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct

from geobatch.errors import ConflictError, GeobatchError
from geobatch.model.assets.grid import Grid
from geobatch.model.window import Window
from geobatch.serve.answers.assets import Assets, row_json
from geobatch.serve.answers.history import history_json, tiles_json
from geobatch.serve.app import PAGE
from geobatch.serve.commits import Served, State
from geobatch.serve.tiles.draw import Drawing
from geobatch.serve.tiles.pixels import Published
from geobatch.serve.tiles.png import SIDE, damaged_tile, empty_tile
from geobatch.serve.tiles.positions import HALF, WEB_MERCATOR, MapTile
from geobatch.serve.tiles.style import Style, parse_style
from geobatch.sources.projections.bounds import transform_bounds
from geobatch.store.backends.protocol import parse_name
from geobatch.store.location import StoreLocation

_META = '<meta name="geobatch-site" content="static">\n<title>'
_MARK = "site.json"
"""File by which a folder is known to be a site, which may be replaced."""
Note: TypeAlias = Callable[[str], None]


class Bounds(Struct, frozen=True, kw_only=True):
    """How large a site may become."""

    tiles: int = 2000
    """Most tiles of one image at one commit, in each of both forms."""
    commits: int = 3
    """Commits that are drawn of an image: those that changed it last."""


class Written(Struct, kw_only=True):
    """What was written."""

    assets: int = 0
    """Assets."""
    files: int = 0
    """Files."""
    bytes: int = 0
    """Bytes of them."""
    reduced: int = 0
    """Images of which the finest zooms are left out."""
    damaged: int = 0
    """Tiles and documents that could not be read."""


class Site:
    """Writes the files."""

    def __init__(self, served: Served, folder: Path, bounds: Bounds, note: Note) -> None:
        self._served, self._folder, self._bounds, self._note = served, folder, bounds, note
        self._drawing = Drawing()
        self._assets = Assets(self._drawing)
        self.written = Written()
        """What was written so far."""

    def write(self) -> Written:
        """Write all files of the newest commit.

        Raises:
            ConflictError: The folder holds something else.
        """
        _check_folder(self._folder)
        state = self._served.commits.find()
        self._json(_MARK, {"geobatch": "site", "commit": state.name})
        for path in sorted(PAGE.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                if path.name == "index.html":
                    data = data.replace(b"<title>", _META.encode(), 1)
                self._put(path.relative_to(PAGE).as_posix(), data)
        self._json(
            "api/store.json",
            {
                "name": str(self._served.location),
                "commit": state.name,
                "number": state.head.number,
                "assets": state.head.tree.count,
            },
        )
        rows = [row_json(entry, row) for entry, row in state.rows()]
        self._json("api/assets.json", {"commit": state.name, "all": len(rows), "assets": rows})
        for entry in state.head.tree.entries:
            try:
                self._asset(state, entry.id)
            except GeobatchError as error:
                self.written.damaged += 1
                self._note(f"warning: {entry.id}: {error.message}")
            self.written.assets += 1
        return self.written

    def _asset(self, state: State, asset_id: str) -> None:
        about = self._assets.description(self._served, state, asset_id)
        past = history_json(self._served, state, asset_id)
        if about["kind"] == "table":
            self._json(f"api/assets/{asset_id}.json", about)
            self._json(f"api/history/{asset_id}.json", past)
            return
        shown = past["commits"][: self._bounds.commits]
        past["is_whole"] = past["is_whole"] and len(shown) == len(past["commits"])
        past["commits"] = shown
        style = self._style(about)
        about["style"] = {"bands": style["bands"].split(",")}
        zooms: range | None = None
        # A description names the newest commit, of which the image may be much older.
        about["commit"] = shown[0]["commit"]
        for number, one in enumerate(shown):
            other = self._served.commits.find(one["commit"])
            image = self._served.image(other, one["id"])
            parsed = parse_style(image.record.image, style)
            folder = f"{one['commit'][:16]}/{one['id']}"
            self._native_tiles(image, parsed, f"native/{folder}")
            if about["is_on_map"]:
                found = self._map_tiles(image, parsed, f"tiles/{folder}")
                zooms = found if number == 0 else zooms
        if zooms is not None:
            about["zooms"] = {"minNativeZoom": zooms.start, "maxNativeZoom": zooms.stop - 1}
        for newer, older in pairwise(shown):
            self._difference(asset_id, older, newer)
        self._json(f"api/assets/{asset_id}.json", about)
        self._json(f"api/history/{asset_id}.json", past)

    def _style(self, about: dict[str, Any]) -> dict[str, str]:
        """Return the query of the style that all commits of an image are drawn with."""
        names = about["style"]["bands"]
        found = {"bands": ",".join(names)}
        bands = {band["id"]: band for band in about["bands"]}
        pairs = [bands[name]["stretch"] for name in names]
        if all(pairs):
            found["rescale"] = ",".join(repr(float(one)) for pair in pairs for one in pair)
        return found

    def _difference(self, asset_id: str, older: dict[str, Any], newer: dict[str, Any]) -> None:
        find = self._served.commits.find
        before, after = find(older["commit"]), find(newer["commit"])
        if older["id"] != newer["id"]:
            return
        found = tiles_json(self._served, before, after, newer["id"], 0)
        self._json(f"api/diff/{before.name}/{after.name}/{asset_id}.json", found)

    def _map_tiles(self, image: Published, style: Style, folder: str) -> range:
        """Draw tiles of Web Mercator; return the zooms."""
        grid = image.grid(image.record.image.band(style.bands[0]))
        zooms = list(_zooms(grid))
        kept: list[tuple[int, Window]] = []
        count = 0
        for zoom, tiles in zooms:
            count += tiles.height * tiles.width
            if count > self._bounds.tiles and kept:
                self.written.reduced += 1
                break
            kept.append((zoom, tiles))
        for zoom, tiles in kept:
            for row in range(tiles.row, tiles.row + tiles.height):
                for col in range(tiles.col, tiles.col + tiles.width):
                    x = col % (1 << zoom)
                    tile = MapTile(zoom=zoom, x=x, y=row)
                    self._draw(
                        f"{folder}/{zoom}/{x}/{row}.png",
                        partial(self._drawing.map_tile, image, style, tile),
                    )
        return range(kept[0][0], kept[-1][0] + 1)

    def _native_tiles(self, image: Published, style: Style, folder: str) -> None:
        """Draw the image's own pixels, coarse levels first."""
        grid = image.grid(image.record.image.band(style.bands[0]))
        count = 0
        for level in reversed(range(grid.level_count)):
            rows, cols = grid.tile_shape(tile=SIDE, level=level)
            count += rows * cols
            if count > self._bounds.tiles and level < grid.level_count - 1:
                self.written.reduced += 1
                return
            for y, x in np.ndindex(rows, cols):
                self._draw(
                    f"{folder}/{level}/{x}/{y}.png",
                    partial(self._drawing.native_tile, image, style, level, x, y),
                )

    def _draw(self, name: str, draw: Callable[[], bytes]) -> None:
        try:
            data = draw()
        except GeobatchError as error:
            self.written.damaged += 1
            self._note(f"warning: {name}: {error.message}")
            data = damaged_tile()
        if data != empty_tile():  # a map shows nothing where there is no file
            self._put(name, data)

    def _json(self, name: str, value: Any) -> None:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        self._put(name, text.encode())

    def _put(self, name: str, data: bytes) -> None:
        path = self._folder / parse_name(name)  # ids are those of the store, which may be anybody's
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.written.files += 1
        self.written.bytes += len(data)


def write_site(location: StoreLocation, folder: Path, bounds: Bounds, note: Note) -> Written:
    """Write the catalogue of the newest commit of a store as files.

    Args:
        location: The store.
        folder: A new or empty folder, or one that holds a site.
        bounds: How large the site may become.
        note: Is told what cannot be read.

    Raises:
        ConflictError: The folder holds something else.
        NoStoreError: There is no store.
    """
    served = Served.open(location)
    try:
        return Site(served, folder, bounds, note).write()
    finally:
        served.store.close()


def _check_folder(folder: Path) -> None:
    if folder.is_file():
        raise ConflictError(f"`{folder}` is a file, expected a folder")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if names and _MARK not in names:
        raise ConflictError(
            f"`{folder}` is not empty and no site: it holds `{names[0]}`",
            hint="name a new folder, or one that `geobatch site` wrote",
        )


def _zooms(grid: Grid) -> Iterator[tuple[int, Window]]:
    """Yield each zoom with the tiles that a grid is under, until its pixels are as large."""
    geobox = grid.geobox
    box = transform_bounds(geobox.bounds, geobox.crs.identity, "EPSG:4326")
    if box is None:
        return
    south, north = max(box[1], -85.05), min(box[3], 85.05)
    east = box[2] if box[2] >= box[0] else box[2] + 360
    low = transform_bounds((0.0, south, 1.0, north), "EPSG:4326", WEB_MERCATOR)
    if low is None:
        return
    left, right = box[0] / 180 * HALF, east / 180 * HALF
    pixel = min((right - left) / geobox.width, (low[3] - low[1]) / geobox.height)
    finest = max(math.ceil(math.log2(2 * HALF / SIDE / pixel)), 0)
    extent = max(right - left, low[3] - low[1])
    first = max(min(math.floor(math.log2(2 * HALF / extent)), finest), 0)
    for zoom in range(first, finest + 1):
        side = 2 * HALF / (1 << zoom)
        most = (1 << zoom) - 1
        top, bottom = (min(max(math.floor((HALF - y) / side), 0), most) for y in (low[3], low[1]))
        west, last = (math.floor((x + HALF) / side) for x in (left, right))
        last = min(last, west + most)
        yield zoom, Window(row=top, col=west, height=bottom - top + 1, width=last - west + 1)
