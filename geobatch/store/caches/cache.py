"""The cache of a store between runs: specs, probes of sources, block tables, finished bands."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from geobatch.format.versions import TREE_FORMAT
from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import DIGEST_BYTES, Digest, digest_bytes
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.store.caches.cache_file import CacheFile
from geobatch.store.identity import IDENTITY
from geobatch.store.location import StoreLocation

if TYPE_CHECKING:
    from geobatch.store.tilestore import TileStore

CACHE_NAME = "cache/sources.sqlite"
"""Where the cache is in a store; it may be deleted at any time."""

_PROBE, _TABLE, _CRS, _NAMED_CRS, _BAND, _RECORDS, _SPEC, _FOLDER, _KNOWN = range(9)
_START = struct.Struct("<QQQqqq32s32sBH")


class SourceCache:
    """The cache of one store: rebuildable, deletable, and never trusted for correctness.

    It answers from its entries and stores new ones; a cache that cannot be read or written
    knows nothing. Nothing is written before the store is there, nor to one of a newer format.
    """

    def __init__(self, store: StoreLocation | Path | None) -> None:
        """Open the cache of a store lazily; None keeps everything in memory.

        Raises:
            StoreError: The store is in a bucket that cannot be read.
        """
        self._file = CacheFile(None)
        if store is None:
            return
        location = StoreLocation.of(store)
        if location.folder is not None:
            identity = location.folder / IDENTITY
            self._file = CacheFile(
                location.folder / CACHE_NAME, may_write=lambda: _is_ours(identity)
            )
        elif (folder := location.workspace()) is not None:
            self._file = CacheFile(folder / CACHE_NAME)

    @classmethod
    def borrowed(cls, store: StoreLocation | Path) -> Self:
        """Return the cache of a store, which keeps new entries but never writes them there."""
        made = cls(None)
        folder = StoreLocation.of(store).workspace()
        if folder is not None:
            made._file = CacheFile(folder / CACHE_NAME, may_write=lambda: False)
        return made

    def keep_for(self, store: TileStore) -> None:
        """Save for a store, which may have been created since the cache was opened."""
        if store.caches.local is not None:
            self._file.move(store.caches.local.path(CACHE_NAME))
        self._file.save()

    @classmethod
    def memory(cls) -> Self:
        """Return a cache that lasts as long as the object."""
        return cls(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def get_probes(self, paths: Iterable[str]) -> dict[str, CachedProbe]:
        """Return the last probe of each file; see `CachedProbe.is_trusted`."""
        names = {os.fsencode(path): path for path in paths}
        found = self._file.get(_PROBE, list(names))
        crs_keys = {value[_CRS_KEY] for value in found.values()} - {bytes(DIGEST_BYTES)}
        crs = {key: value.decode() for key, value in self._file.get(_CRS, list(crs_keys)).items()}
        crs[bytes(DIGEST_BYTES)] = ""
        return {
            names[name]: _decode_probe(value, crs[value[_CRS_KEY]])
            for name, value in found.items()
            if value[_CRS_KEY] in crs
        }

    def put_probes(self, probes: Mapping[str, CachedProbe]) -> None:
        """Save probes of files, by path."""
        for path, probe in probes.items():
            crs_key = bytes(DIGEST_BYTES)
            if probe.crs:
                crs = probe.crs.encode()
                crs_key = bytes.fromhex(digest_bytes(crs))
                self._file.put(_CRS, crs_key, crs)
            self._file.put(_PROBE, os.fsencode(path), _encode_probe(probe, crs_key))

    def get_table(self, digest: Digest) -> BlockTable | None:
        """Return the block table that a source's digest was taken from, or None."""
        key = bytes.fromhex(digest)
        value = self._file.get(_TABLE, [key]).get(key)
        try:
            return None if value is None else BlockTable.from_bytes(value)
        except ValueError:
            return None

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Save the block table of a source."""
        self._file.put(_TABLE, bytes.fromhex(digest), table.to_bytes())

    def get_records(self, digest: Digest) -> bytes | None:
        """Return the digests of a TFRecord shard's records, one after another, or None."""
        key = bytes.fromhex(digest)
        return self._file.get(_RECORDS, [key]).get(key)

    def put_records(self, digest: Digest, records: bytes) -> None:
        """Save the digests of a shard's records, by the digest of the shard."""
        self._file.put(_RECORDS, bytes.fromhex(digest), records)

    def get_crs(self, name: str) -> str | None:
        """Return the CRS, as JSON, that a name means, or None."""
        key = name.encode("utf-8", "surrogatepass")
        value = self._file.get(_NAMED_CRS, [key]).get(key)
        return value.decode() if value is not None else None

    def put_crs(self, name: str, crs: str) -> None:
        """Save which CRS a name means."""
        self._file.put(_NAMED_CRS, name.encode("utf-8", "surrogatepass"), crs.encode())

    def get_spec(self, path: str) -> bytes | None:
        """Return what was saved of a spec file, by absolute path, or None."""
        key = os.fsencode(path)
        return self._file.get(_SPEC, [key]).get(key)

    def put_spec(self, path: str, value: bytes) -> None:
        """Save what a spec file came to; its last state alone."""
        self._file.put(_SPEC, os.fsencode(path), value)

    def get_known(self, path: str) -> bytes | None:
        """Return what was saved of the images of a spec file, by absolute path, or None."""
        key = os.fsencode(path)
        return self._file.get(_KNOWN, [key]).get(key)

    def put_known(self, path: str, value: bytes) -> None:
        """Save the fingerprints of the images of a spec file; its last state alone."""
        self._file.put(_KNOWN, os.fsencode(path), value)

    def get_bands(self, fingerprints: Iterable[Digest]) -> dict[Digest, str]:
        """Return the JSON that was saved of bands, by pyramid fingerprint.

        What it refers to in the store may be gone meanwhile.
        """
        found = self._file.get(_BAND, [bytes.fromhex(one) for one in fingerprints])
        return {key.hex(): value.decode() for key, value in found.items()}

    def put_bands(self, bands: Mapping[Digest, str]) -> None:
        """Save what became of bands, by pyramid fingerprint."""
        for fingerprint, text in bands.items():
            self._file.put(_BAND, bytes.fromhex(fingerprint), text.encode())

    def get_folders(self, asset_ids: Iterable[str]) -> dict[str, bytes]:
        """Return what was saved of folders in the Zarr tree, by asset id."""
        found = self._file.get(_FOLDER, [asset_id.encode() for asset_id in asset_ids])
        return {key.decode(): value for key, value in found.items()}

    def put_folder(self, asset_id: str, value: bytes) -> None:
        """Save of what files the folder of an asset is; its last state alone."""
        self._file.put(_FOLDER, asset_id.encode(), value)

    def save(self, *, every: float = 0) -> None:
        """Write what is new to the store, if there is one and it can be written to.

        Args:
            every: Seconds that must have passed since the last time; see `CacheFile.save`.
        """
        self._file.save(every=every)

    def close(self) -> None:
        """Save, and let go of the file."""
        self._file.close()


def _is_ours(identity: Path) -> bool:
    try:
        return bool(json.loads(identity.read_bytes())["format"] <= TREE_FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


_CRS_KEY = slice(_START.size - 3 - DIGEST_BYTES, _START.size - 3)
"""Position of the CRS's key in an encoded probe."""
_IS_LINKED, _HAS_TAGS, _IS_STILL = 1, 2, 4
"""Flags of an encoded probe."""
_TAGS_SIZE = 2 * DIGEST_BYTES


def _encode_probe(probe: CachedProbe, crs_key: bytes) -> bytes:
    stat, maker = probe.stat, probe.maker.encode()
    start = _START.pack(
        stat.device,
        stat.inode,
        stat.size,
        stat.mtime_ns,
        stat.ctime_ns,
        probe.time_ns,
        bytes.fromhex(probe.digest),
        crs_key,
        (_IS_LINKED if probe.is_linked else 0)
        | (_HAS_TAGS if probe.tags else 0)
        | (_IS_STILL if probe.is_still else 0),
        len(maker),
    )
    return start + maker + (probe.tags or "").encode() + probe.header.encode()


def _decode_probe(value: bytes, crs: str) -> CachedProbe:
    device, inode, size, mtime_ns, ctime_ns, time_ns, digest, _, flags, length = _START.unpack_from(
        value
    )
    end = _START.size + length
    header = end + (_TAGS_SIZE if flags & _HAS_TAGS else 0)
    return CachedProbe(
        stat=FileStat(device=device, inode=inode, size=size, mtime_ns=mtime_ns, ctime_ns=ctime_ns),
        time_ns=time_ns,
        digest=digest.hex(),
        header=value[header:].decode(),
        crs=crs,
        is_linked=bool(flags & _IS_LINKED),
        maker=value[_START.size : end].decode(),
        tags=value[end:header].decode() or None,
        is_still=bool(flags & _IS_STILL),
    )
