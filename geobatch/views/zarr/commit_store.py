"""A commit as a read-only zarr store, whose reads verify digests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any, Self

import zarr
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype

from geobatch.errors import NotFoundError
from geobatch.model.published import Head
from geobatch.model.text.suggest import suggestion
from geobatch.store.backends.protocol import Backend, Data
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.keys import Chunks, Keys
from geobatch.views.zarr.metadata import folders_above


def open_group(
    store: TileStore, asset_id: str, *, at: str | None = None, chunks: Chunks | None = None
) -> zarr.Group:
    """Open an asset, or a folder of assets, as a read-only zarr group.

    The group of an asset holds a group per resolution, `"0"` the finest, and that one 2-D array
    (row, col) per band; `masks` holds groups alike. If its grids do not fit, there is a group per
    set of grids between. Every chunk is checked against its digest as it is read.

    Args:
        store: The store.
        asset_id: Name of an asset, or of a folder above assets.
        at: Which commit, as `TileStore.at` takes it; by default the newest.
        chunks: Where the pixels of external images are decoded; None where there are none.

    Raises:
        NotFoundError: The commit has no such asset, or there is no such commit.
        CorruptObjectError: What is read does not match its digest; also from reads of the group.
    """
    head = store.head() if at is None else store.at(at)
    entry = head.tree.entry(asset_id)
    if entry is not None and entry.is_table:
        raise NotFoundError(
            f"`{asset_id}` is a table, which has no arrays", hint="`open_table` opens it"
        )
    ids = [entry.id for entry in head.tree.entries if not entry.is_table]
    folders = folders_above(ids)
    if asset_id not in ids and asset_id not in folders:
        where = f"commit {head.number}" if head.number else "the store, which has no commits"
        raise NotFoundError(
            f"there is no asset `{asset_id}` in {where}",
            hint=suggestion(asset_id, [*ids, *folders]) or "`geobatch ls` lists the assets",
        )
    return zarr.open_group(ZarrView(store, head, chunks), path=asset_id, mode="r", zarr_format=3)


class ZarrView(Store):
    """The assets of one commit as Zarr v3, at paths `<asset id>/<level>/<band>`; read-only.

    Metadata is made from the asset documents when it is asked for. It pickles where its backend
    does, by number and digest of the commit.
    """

    def __init__(
        self, store: TileStore, head: Head, chunks: Chunks | None = None, *, read_only: bool = True
    ) -> None:
        if not read_only:
            raise ValueError("a view of a commit is read-only")
        super().__init__(read_only=True)
        self._attach(store, head, chunks)

    def _attach(self, store: TileStore, head: Head, chunks: Chunks | None) -> None:
        self._store = store
        self._head = head
        self._chunks = chunks
        self._keys = Keys(store, head, chunks)

    def __getstate__(self) -> tuple[bool, Backend, int, str | None, Chunks | None]:
        head = self._head
        return (self._is_open, self._store.backend, head.number, head.digest, self._chunks)

    def __setstate__(self, state: tuple[bool, Backend, int, str | None, Chunks | None]) -> None:
        is_open, backend, number, digest, chunks = state
        Store.__init__(self, read_only=True)
        self._is_open = is_open
        store = TileStore(backend)
        head = Head(number=0, digest=None) if digest is None else store.at(str(number))
        if head.digest != digest:
            raise NotFoundError(f"commit {number} is no longer `{digest}`")
        self._attach(store, head, chunks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrView) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __str__(self) -> str:
        return f"geobatch://{self._store.id}/{self._head.digest}"

    def __repr__(self) -> str:
        return f"ZarrView('{self}')"

    @property
    def _identity(self) -> tuple[str, str | None]:
        return (self._store.id, self._head.digest)

    @property
    def supports_writes(self) -> bool:
        """Whether values can be set: never."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Whether values can be deleted: never."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Whether names can be listed: always."""
        return True

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return an equal view.

        Raises:
            NotImplementedError: A view that can be written to was asked for.
        """
        if not read_only:
            super().with_read_only(read_only=read_only)
        return type(self)(self._store, self._head, self._chunks)

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return the bytes of a key, verified, or None where there is no such key.

        Raises:
            CorruptObjectError: The stored bytes do not match their digest.
            ValueError: The byte range is of an unknown kind.
        """
        cached = self._keys.read_cached(key)  # a thread would cost as much as the read
        if cached is not None:
            return prototype.buffer.from_bytes(_slice(cached, byte_range))
        read = partial(self.get_sync, key, prototype=prototype, byte_range=byte_range)
        loop, chunks = asyncio.get_running_loop(), self._chunks
        if chunks is None:
            return await loop.run_in_executor(None, read)
        # By this thread: the asset is loaded since its metadata were read.
        found = self._keys.external(key) if "/c/" in key else None
        if found is None:
            return await loop.run_in_executor(chunks.threads, read)
        record, array, row, col = found
        data = await chunks.read_together(record, array, row=row, col=col)
        return None if data is None else prototype.buffer.from_bytes(_slice(data, byte_range))

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Return what `get` returns, in the calling thread."""
        data = self._keys.read(key)
        if data is None:
            return None
        buffer = (prototype or default_buffer_prototype()).buffer
        return buffer.from_bytes(_slice(data, byte_range))

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Return what `get` returns for each key and range, in their order."""
        wanted = (self.get(key, prototype, byte_range) for key, byte_range in key_ranges)
        return list(await asyncio.gather(*wanted))

    async def exists(self, key: str) -> bool:
        """Return whether there is such a key; no tile is read."""
        return await asyncio.to_thread(self._keys.size, key) is not None

    async def getsize(self, key: str) -> int:
        """Return the number of bytes of a key; no tile is read.

        Raises:
            FileNotFoundError: There is no such key.
        """
        size = await asyncio.to_thread(self._keys.size, key)
        if size is None:
            raise FileNotFoundError(key)
        return size

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse.

        Raises:
            ValueError: Always.
        """
        del key, value
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse.

        Raises:
            ValueError: Always.
        """
        del key
        self._check_writable()

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield every key that starts with a prefix."""
        for key in self._keys.starting_with(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names of the keys and folders right below a folder."""
        for name in await asyncio.to_thread(self._keys.below, prefix.strip("/")):
            yield name

    async def list(self) -> AsyncIterator[str]:
        """Yield every key."""
        for key in self._keys.starting_with(""):
            yield key


def _slice(data: Data, byte_range: Any) -> Any:
    match byte_range:
        case None:
            return data
        case RangeByteRequest(start, end):
            return data[start:end]
        case OffsetByteRequest(offset):
            return data[offset:]
        case SuffixByteRequest(suffix):
            return data[max(len(data) - suffix, 0) :]
    raise ValueError(f"Unexpected byte_range, got {byte_range}.")
