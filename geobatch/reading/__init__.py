"""Reading a store from Python: images as read-only zarr groups, tables as Arrow tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import zarr

    from geobatch.reading.external import ExternalChunks
    from geobatch.store.tilestore import TileStore


class Store:
    """The published assets of a store."""

    def __init__(self, tiles: TileStore, place: Path) -> None:
        self._tiles = tiles
        self._place = place
        self._chunks: ExternalChunks | None = None

    def assets(self, at: str | int | None = None) -> tuple[str, ...]:
        """Return the ids of the published assets, sorted.

        Args:
            at: A commit (digest or unique prefix, number, `HEAD~n`); the newest by default.

        Raises:
            NotFoundError: There is no such commit.
        """
        head = self._tiles.head() if at is None else self._tiles.at(str(at))
        return tuple(entry.id for entry in head.tree.entries)

    def open(self, asset_id: str, at: str | int | None = None) -> zarr.Group:
        """Open an asset as a zarr group that verifies all it reads.

        An asset with one grid has a group per level (`"0"` is full resolution) with one 2-D array
        (row, column) per band, and `<band>.mask` (uint8, 0 masked to 255 valid) where the band has
        a mask array; an asset with several grids has such a group per grid.

        Args:
            asset_id: Id of the asset.
            at: A commit (digest or unique prefix, number, `HEAD~n`); the newest by default.

        Returns:
            A read-only group. What was opened stays as it is, whatever is published later.

        Raises:
            NotFoundError: There is no such asset or commit.
            CorruptObjectError: On reading: stored bytes do not match their digest.
            SourceError: On reading an external image: a COG is not in the state that was applied.
        """
        from geobatch.model.assets.asset import Kind  # noqa: PLC0415 - help needs none of the nouns
        from geobatch.views.zarr.commit_store import open_group  # noqa: PLC0415 - zarr is slow to import

        head = self._tiles.head() if at is None else self._tiles.at(str(at))
        if any(entry.kind == Kind.EXTERNAL_IMAGE for entry in head.tree.entries):
            from geobatch.reading.external import ExternalChunks  # noqa: PLC0415 - as is rasterio

            self._chunks = self._chunks or ExternalChunks(self._place)
        # By its number: to find a digest, every ref would be read, the damaged ones too.
        number = str(head.number) if head.number else None
        return open_group(self._tiles, asset_id, at=number, chunks=self._chunks)

    def open_table(self, asset_id: str, at: str | int | None = None) -> pa.Table:
        """Read a table, verified against its digest.

        The columns are those of its records, sorted by name, and behind them its points as WKB,
        where it has any. Row n is record n.

        Args:
            asset_id: Id of the table.
            at: A commit (digest or unique prefix, number, `HEAD~n`); the newest by default.

        Raises:
            NotFoundError: There is no such table or commit.
            CorruptObjectError: The stored bytes do not match their digest.
            SourceError: pyarrow is not installed.
        """
        from geobatch.errors import NotFoundError  # noqa: PLC0415 - likewise
        from geobatch.table.read import read_table  # noqa: PLC0415

        head = self._tiles.head() if at is None else self._tiles.at(str(at))
        entry = head.tree.entry(asset_id)
        table = None if entry is None else self._tiles.record(entry).table
        if table is None:
            what = f"there is no asset `{asset_id}`"
            if entry is not None:
                what = f"`{asset_id}` is an image, not a table"
            raise NotFoundError(what, hint="`geobatch ls` lists the assets and their kinds")
        return read_table(self._tiles.objects.get(table.stored))


def open_store(path: str | os.PathLike[str]) -> Store:
    """Open the store in a folder, for reading.

    Raises:
        NoStoreError: There is no store.
        FormatError: A newer geobatch wrote it.
    """
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415 - nor is this needed for help

    return Store(TileStore.open(Path(path)), Path(path))
