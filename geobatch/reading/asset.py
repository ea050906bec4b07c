"""One published asset in a few words, and in a notebook: a picture, its levels, its commits."""

from __future__ import annotations

from itertools import islice

from msgspec import Struct

from geobatch import reading
from geobatch.errors import GeobatchError
from geobatch.model.assets.asset import ExternalImage, Table
from geobatch.model.published import AssetRecord, Head
from geobatch.model.text.html import html_picture, html_table
from geobatch.reading.log import LogEntry, changes_of
from geobatch.store.tilestore import TileStore

COMMITS = 5
"""How many commits are shown."""
_SEARCHED = 50
"""How many commits are searched for changes of an asset."""
_COLUMNS = ("column", "type")
_LEVELS = ("bands", "level", "columns x rows", "pixel", "tiles")
_HISTORY = ("commit", "time", "message")


class Asset(Struct, frozen=True, kw_only=True, eq=False):
    """A published asset of one commit; `Store.open` and `Store.dataset` read its pixels."""

    id: str
    """Its id."""
    number: int
    """Number of the commit."""
    record: AssetRecord
    """All that is recorded of it."""
    _tiles: TileStore
    _head: Head

    @property
    def kind(self) -> str:
        """`image`, `external_image` or `table`."""
        return self.record.asset.kind.value

    @property
    def properties(self) -> dict[str, str | int | float]:
        """Its metadata."""
        return dict(self.record.asset.properties)

    def log(self) -> tuple[LogEntry, ...]:
        """Return the newest commits that changed it, at most five; only the last 50 are searched.

        Raises:
            CorruptObjectError: A commit is damaged.
        """
        heads = islice(self._tiles.log(), _SEARCHED)
        return tuple(islice(changes_of(heads, self.id, newest=self._head), COMMITS))

    def thumbnail(self) -> bytes | None:
        """Return a picture as PNG, at most 512 pixels wide and high, from the level that fits.

        It is the first band, in grey or by its colour table, or red, green and blue; None of a
        table, and of an external image, whose pixels are in its COGs.

        Raises:
            CorruptObjectError: A tile is damaged.
        """
        if isinstance(self.record.asset, Table | ExternalImage):
            return None
        return reading.picture_of(self._tiles, self.record)

    def __repr__(self) -> str:
        return f"<Asset {self.id!r} {self._caption()}>"

    def _caption(self) -> str:
        asset = self.record.asset
        what = f"{self.record.table.rows:,} rows" if self.record.table is not None else ""
        if not isinstance(asset, Table):
            count = len(asset.bands)
            what = f"{count:,} band{'' if count == 1 else 's'}"
        return f"{self.kind} at commit {self.number}: {what}"

    def _repr_html_(self) -> str:
        parts = []
        try:
            picture = self.thumbnail()
            parts += [html_picture(picture, self.id)] if picture is not None else []
            notes: list[str] = []
        except GeobatchError as error:
            notes = [error.message]
        caption = f"{self.id} ({self._caption()})"
        if self.record.table is not None:
            rows = [(one.name, one.type.value) for one in self.record.table.columns]
            parts.append(html_table(caption, _COLUMNS, rows, notes=notes))
        else:
            parts.append(html_table(caption, _LEVELS, self._levels(), notes=notes))
        try:
            commits = [
                (str(one.number), f"{one.time:%Y-%m-%d %H:%M}", one.message) for one in self.log()
            ]
            parts.append(html_table("Changed by", _HISTORY, commits))
        except GeobatchError as error:
            parts.append(html_table("Changed by", _HISTORY, (), notes=[error.message]))
        return f"<div>{''.join(parts)}</div>"

    def _levels(self) -> list[tuple[str, ...]]:
        image = self.record.image
        found: list[tuple[str, ...]] = []
        for grid in image.grids:
            bands = ", ".join(band.id for band in image.bands_of(grid.name))
            for level in range(grid.level_count):
                plane = grid.level(level)
                down, right = grid.tile_shape(tile=image.tile, level=level)
                size = f"{abs(plane.transform[0]):g} x {abs(plane.transform[4]):g}"
                found.append(
                    (bands, str(level), f"{plane.width:,} x {plane.height:,}", size,
                     f"{right:,} x {down:,}")
                )  # fmt: skip
        return found
