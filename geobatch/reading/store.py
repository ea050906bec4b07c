"""The published assets of a store, opened in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

import geobatch.table
import geobatch.views.zarr
from geobatch import reading
from geobatch.errors import NotFoundError, SourceError
from geobatch.extras import install_hint
from geobatch.model.assets.asset import Kind
from geobatch.reading.asset import Asset
from geobatch.reading.description import store_html, store_text
from geobatch.reading.log import LogEntry, entries_of
from geobatch.store.commits.pins import Pin
from geobatch.store.entries import find_entry
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.tilestore import TileStore

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    import xarray as xr
    import zarr

    from geobatch.model.geobox import Bounds
    from geobatch.model.published import Head
    from geobatch.reading.catalog import Catalog
    from geobatch.reading.datasets.opening import Opening
    from geobatch.reading.external import ExternalChunks


class Store:
    """The published assets of a store: of its newest commit, or of the commit of `at`.

    It is a context manager: `with geobatch.open_store("store") as store: ...` closes it.
    """

    def __init__(self, tiles: TileStore, place: StoreLocation, *, head: Head | None = None) -> None:
        self._tiles = tiles
        self._place = place
        self._fixed = head
        self._chunks: ExternalChunks | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release what the store holds; a second call has no effect."""
        self._tiles.close()

    def at(self, commit: str | int) -> Store:
        """Return the store as it was at a commit, which later commits do not change.

        Args:
            commit: A digest or unique prefix, a number, `HEAD`, or `HEAD~n`.

        Raises:
            NotFoundError: There is no such commit.
        """
        return Store(self._tiles, self._place, head=self._tiles.at(str(commit)))

    def log(self) -> Iterator[LogEntry]:
        """Yield the commits that `gc` did not drop, newest first; from `at`, of those up to it.

        Raises:
            CorruptObjectError: A commit is damaged; those before it are yielded.
        """
        yield from entries_of(self._tiles.log(), newest=self._fixed)

    def pins(self) -> tuple[Pin, ...]:
        """Return the pins, sorted by name: commits that `gc` keeps for good.

        Each has `name`, `number` and `commit`, which `at` finds, and the `time` when it was made.

        Raises:
            CorruptObjectError: The document of a pin is damaged.
        """
        return self._tiles.pins.all()

    def assets(self, at: str | int | None = None) -> tuple[str, ...]:
        """Return the ids of the published assets, sorted.

        Args:
            at: A commit (digest or unique prefix, number, `HEAD~n`); by default that of the store.

        Raises:
            NotFoundError: There is no such commit.
        """
        return tuple(entry.id for entry in self._head(at).tree.entries)

    def asset(self, asset_id: str, at: str | int | None = None) -> Asset:
        """Return what is known of an asset; in a notebook, with a picture, its levels and commits.

        Args:
            asset_id: Id of the asset.
            at: A commit (digest or unique prefix, number, `HEAD~n`); by default that of the store.

        Raises:
            NotFoundError: There is no such asset or commit.
            CorruptObjectError: The document of the asset is damaged.
        """
        head = self._head(at)
        entry = find_entry(head, asset_id)
        return Asset(
            id=entry.id, number=head.number, record=self._tiles.record(entry), _tiles=self._tiles,
            _head=head,
        )  # fmt: skip

    def open(self, asset_id: str, at: str | int | None = None) -> zarr.Group:
        """Open an asset as a zarr group that verifies all it reads.

        An asset has a group per resolution (`"0"` is the finest) with one 2-D array (row, column)
        per band, named as CF allows; `masks` has groups alike, with arrays (uint8, 0 masked to 255
        valid) of bands that have masks. An asset whose grids do not fit has all that per grid.

        Args:
            asset_id: Id of the asset.
            at: A commit (digest or unique prefix, number, `HEAD~n`); by default that of the store.

        Returns:
            A read-only group. What was opened stays as it is, whatever is published later.

        Raises:
            NotFoundError: There is no such asset or commit.
            CorruptObjectError: On reading: stored bytes do not match their digest.
            SourceError: On reading an external image: a COG is not in the state that was applied.
        """
        head = self._head(at)
        if any(entry.kind == Kind.EXTERNAL_IMAGE for entry in head.tree.entries):
            self._chunks = self._chunks or reading.ExternalChunks(self._place)
        # By its number: to find a digest, every ref would be read, the damaged ones too.
        number = str(head.number) if head.number else None
        return geobatch.views.zarr.open_group(self._tiles, asset_id, at=number, chunks=self._chunks)

    def open_table(self, asset_id: str, at: str | int | None = None) -> pa.Table:
        """Read a table, verified against its digest.

        The columns are those of its records, sorted by name, and behind them its points as WKB,
        where it has any. Row n is record n.

        Args:
            asset_id: Id of the table.
            at: A commit (digest or unique prefix, number, `HEAD~n`); by default that of the store.

        Returns:
            The table; a row for each record.

        Raises:
            NotFoundError: There is no such table or commit.
            CorruptObjectError: The stored bytes do not match their digest.
            SourceError: pyarrow is not installed.
        """
        head = self._head(at)
        entry = head.tree.entry(asset_id)
        table = None if entry is None else self._tiles.record(entry).table
        if table is None:
            what = f"there is no asset `{asset_id}`"
            if entry is not None:
                what = f"`{asset_id}` is an image, not a table"
            raise NotFoundError(what, hint="`geobatch ls` lists the assets and their kinds")
        return geobatch.table.read_table(self._tiles.objects.get(table.stored))

    def dataset(
        self,
        asset_id: str,
        *,
        level: int = 0,
        bands: Sequence[str] | None = None,
        grid: str | None = None,
        at: str | int | None = None,
        mask_and_scale: bool = True,
        chunks: Mapping[str, int] | None = None,
    ) -> xr.Dataset:
        """Return a level of an image as an xarray dataset; pixels are read when they are needed.

        Variables are bands (y, x). With masks applied, masked pixels are NaN, values are scaled,
        and the coordinate `<band>_mask` has the share of a pixel that is valid, 0 to 1, of bands
        with a mask array. `spatial_ref` is the CRS, as rioxarray finds it; `time` the start time.

        Args:
            asset_id: Id of the image.
            level: 0 is full resolution; each further level has half of it.
            bands: Ids of bands; by default all.
            grid: Name of the grid, if the bands are on several.
            at: A commit (digest or unique prefix, number, `HEAD~n`); by default that of the store.
            mask_and_scale: Whether masks, scale and offset are applied; else values are as stored.
            chunks: Sizes of dask's chunks by dimension, `{}` for one per tile; None for no dask.

        Raises:
            NotFoundError: There is no such image, band, grid, level or commit.
            ValueError: The bands are on several grids.
            CorruptObjectError: On reading: stored bytes do not match their digest.
            SourceError: On reading an external image: a COG is not in the state that was applied.
        """
        opening = self._opening(at)
        return opening.dataset(
            asset_id, level=level, bands=bands, grid=grid, is_masked=mask_and_scale, chunks=chunks
        )

    def collection(
        self,
        prefix: str,
        *,
        level: int = 0,
        bands: Sequence[str] | None = None,
        grid: str | None = None,
        bounds: Bounds | None = None,
        time: str | tuple[str | None, str | None] | None = None,
        properties: Sequence[str] = (),
        at: str | int | None = None,
        chunks: Mapping[str, int] | None = None,
    ) -> xr.Dataset:
        """Return the images of a folder as one dataset (time, y, x), masked and scaled.

        They must be on one pixel grid, which is extended to cover all of them. Images of one time
        are a mosaic: of two that are valid at a pixel, the one whose id sorts last wins.

        Args:
            prefix: The folder: `s2/l2a` for `s2/l2a/20250614` and others.
            level: 0 is full resolution.
            bands: Ids of bands; by default those of the first image, which all must have.
            grid: Name of the grid, if the bands are on several.
            bounds: Box (left, bottom, right, top) to cut to, in the CRS of the images.
            time: `2025-06-14`, `2025-06/..` or a pair of times, the end exclusive; see `search`.
            properties: Conditions such as `cloud<20`.
            at: A commit; by default that of the store.
            chunks: Sizes of dask's chunks by dimension, `{}` for one per tile; None for no dask.

        Raises:
            NotFoundError: There is no such image, or one lacks a band or level.
            PlanError: Two images are not on one grid, or one has no time.
            ValueError: `bounds` meets no image, or an argument is malformed.
        """
        ids = self.search(
            prefix=prefix.rstrip("/") + "/", datetime=time, properties=properties, at=at
        )
        opening = self._opening(at)
        return opening.collection(
            prefix, ids, level=level, bands=bands, grid=grid, bounds=bounds, chunks=chunks
        )

    def search(
        self,
        *,
        bbox: Bounds | None = None,
        datetime: str | tuple[str | None, str | None] | None = None,
        properties: Sequence[str] = (),
        prefix: str = "",
        at: str | int | None = None,
    ) -> tuple[str, ...]:
        """Return the ids of assets that meet all conditions, sorted.

        Args:
            bbox: Box (left, bottom, right, top) in degrees, which may cross the antimeridian.
            datetime: A time, a day, or `START/END` with `..` for an open end, as STAC has it; or a
                pair. The end of a pair is exclusive; a day or month given as one ends with it.
            properties: Conditions such as `cloud<20` or `tile=T32TMN`.
            prefix: How the ids begin.
            at: A commit; by default that of the store.

        Raises:
            NotFoundError: There is no such commit.
            ValueError: A condition is malformed.
        """
        query = reading.parse_query(bbox=bbox, datetime=datetime, properties=properties)
        return reading.find_assets(self._tiles, self._head(at), prefix, query)

    def stac(
        self, *, api: str | None = None, files: str | None = None, at: str | int | None = None
    ) -> Catalog:
        """Return the assets of a commit as STAC: items, collections, and a search by pages.

        Args:
            api: Url of a service that answers so; by default, hrefs are as in the folder `stac/`.
            files: Url below which that service has the files of the store; by default `api`.
            at: A commit; by default that of the store.

        Raises:
            NotFoundError: There is no such commit.
        """
        return reading.Catalog(self._tiles, self._head(at), api=api, files=files)

    def _opening(self, at: str | int | None) -> Opening:
        if find_spec("xarray") is None:
            raise SourceError("datasets require xarray", hint=install_hint("xarray"))
        head = self._head(at)
        return reading.Opening(
            tiles=self._tiles, head=head, group=lambda one: self.open(one, at=head.number or None)
        )

    def _head(self, at: str | int | None = None) -> Head:
        if at is not None:
            return self._tiles.at(str(at))
        return self._fixed or self._tiles.head()

    def __repr__(self) -> str:
        return store_text(str(self._place), self._head)

    def _repr_html_(self) -> str:
        return store_html(str(self._place), self._tiles, self._head)


def open_store(path: StoreText) -> Store:
    """Open a store for reading.

    Args:
        path: Its folder, or its url: `s3://bucket/prefix`, and likewise `gs`, `az` and `abfs`.

    Returns:
        The store. It shows what is published at the time of each call; `at` fixes a commit.

    Raises:
        NoStoreError: There is no store.
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: The file that identifies the store is damaged.
    """
    location = StoreLocation.of(path)
    return Store(TileStore.open(location), location)
