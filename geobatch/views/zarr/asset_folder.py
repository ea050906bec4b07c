"""The folder of one asset in the Zarr tree: built elsewhere as a whole, or changed in place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.digest import Digest
from geobatch.model.published import AssetRecord, PageRef
from geobatch.model.tiles import TileSet
from geobatch.store.index import Entries, Index
from geobatch.store.objects import Objects
from geobatch.views.files import ASIDE, Files
from geobatch.views.objects import check_size
from geobatch.views.zarr.metadata import DOCUMENT, documents, tile_plane


class Chunk(NamedTuple):
    """A tile, as the file that shows it."""

    path: str
    """Path within the asset's folder."""
    stored: Digest
    """Digest of its bytes, which names the object."""
    size: int
    """Length of its bytes."""


class Difference(Struct, frozen=True, kw_only=True):
    """How the folder of an asset changes from one record to another."""

    chunks: list[Chunk]
    """Chunks that are new or differ."""
    texts: dict[str, bytes]
    """Documents and coordinates that do, by path within the folder, in the order of writing."""
    removed: list[str]
    """Paths of chunks that are gone from arrays that stay."""
    nodes: list[str]
    """Paths of groups and arrays that are gone as a whole."""


class _Array(Struct, frozen=True, kw_only=True):
    """The tiles of one array."""

    dtype: str
    """Numpy name of its pixel type."""
    shape: tuple[int, int]
    """(rows, columns) of its tile plane."""
    root: PageRef | None
    """Root of its index."""


def tile_count(record: AssetRecord) -> int:
    """Return how many chunks an asset has."""
    return sum(root.tiles for _, root in record.arrays if root is not None)


def chunks(index: Index, record: AssetRecord) -> Iterator[Chunk]:
    """Yield the chunks of an asset.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    for path, array in _arrays(record).items():
        for entries in index.parts(array.shape, array.root):
            yield from _chunks(path, entries)


def build(files: Files, index: Index, record: AssetRecord) -> None:
    """Make the folder of an asset where there is none: chunks first, its own document last.

    Args:
        files: The folder that it is made in.
        index: Tiles of arrays by position.
        record: The asset.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing or cut.
        OSError: The disk refused.
    """
    for chunk in chunks(index, record):
        path = f"{record.asset.id}/{chunk.path}"
        files.link(Objects.path(chunk.stored), path)
        check_size(chunk.stored, files.size(path), chunk.size, path)
    for path, text in documents(record).items():
        files.write(f"{record.asset.id}/{path}", text)


def update(files: Files, index: Index, old: AssetRecord, new: AssetRecord) -> bool:
    """Change an asset's folder from one record to another, in place.

    All that differs is made aside first, so that readers meet a mixture for as long as the renames
    take.

    Args:
        files: The Zarr tree.
        index: Tiles of arrays by position.
        old: What the folder shows, to the last tile.
        new: The record to show.

    Returns:
        False where chunks of old and new cannot be in one folder; then nothing was done.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing or cut.
        OSError: The disk refused.
    """
    found = difference(index, old, new)
    if found is None:
        return False
    change(files, new.asset.id, found.chunks, found.texts, found.removed)
    for path in found.nodes:
        files.sweep(f"{new.asset.id}/{path}")
    return True


def difference(index: Index, old: AssetRecord, new: AssetRecord) -> Difference | None:
    """Return how the folders of two records of an asset differ.

    Returns:
        None if chunks of old and new cannot be in one folder.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    before, after = documents(old), documents(new)
    old_arrays, new_arrays = _arrays(old), _arrays(new)
    old_nodes, new_nodes = _nodes(before), _nodes(after)
    if not _can_mix(old, new, old_nodes & new_nodes):
        return None
    differing: list[Chunk] = []
    removed: list[str] = []
    for path, array in new_arrays.items():
        entries, gone = _difference(index, old_arrays.get(path), array)
        differing += _chunks(path, entries)
        removed += (f"{path}/c/{row}/{col}" for row, col in gone)
    return Difference(
        chunks=differing,
        texts={path: text for path, text in after.items() if before.get(path) != text},
        removed=removed,
        nodes=sorted(old_nodes - new_nodes),
    )


def change(
    files: Files,
    asset_id: str,
    differing: Sequence[Chunk],
    texts: Mapping[str, bytes],
    removed: Collection[str],
) -> None:
    """Change some files of an asset's folder, within as short a time as can be.

    Args:
        files: The Zarr tree.
        asset_id: The asset.
        differing: Chunks to be linked.
        texts: Documents and coordinates to be written, in this order, after the chunks.
        removed: Files to be removed, by path within the folder.

    Raises:
        CorruptObjectError: An object is missing or cut; then nothing was changed.
        OSError: The disk refused.
    """
    for chunk in differing:
        path = f"{asset_id}/{chunk.path}"
        files.prepare(Objects.path(chunk.stored), path)
        check_size(chunk.stored, files.size(path + ASIDE), chunk.size, path)
    for path, text in texts.items():
        files.prepare_text(f"{asset_id}/{path}", text)
    files.move()
    for path in removed:
        files.remove(f"{asset_id}/{path}")


def _arrays(record: AssetRecord) -> dict[str, _Array]:
    asset = record.image
    return {
        array_path(asset, key): _Array(
            dtype="uint8" if key.is_mask else asset.band(key.band).dtype,
            shape=tile_plane(asset, key),
            root=root,
        )
        for key, root in record.arrays
    }


def _nodes(texts: Collection[str]) -> set[str]:
    """Return the paths of the groups and arrays below an asset's own group."""
    return {path.rpartition("/")[0] for path in texts if path.endswith(f"/{DOCUMENT}")}


def _can_mix(old: AssetRecord, new: AssetRecord, common: set[str]) -> bool:
    """Return whether each chunk of one can be read under the metadata of the other."""
    if (old.image.tile, old.image.codec) != (new.image.tile, new.image.codec):
        return False
    dtypes = [
        {path: array.dtype for path, array in _arrays(record).items() if path in common}
        for record in (old, new)
    ]
    return dtypes[0] == dtypes[1]


def _difference(
    index: Index, old: _Array | None, new: _Array
) -> tuple[Entries, Iterator[tuple[int, int]]]:
    """Return the tiles to link, and the positions of tiles to remove within an array that stays."""
    if old is None:
        return index.entries(new.shape, new.root), iter(())
    if old.shape == new.shape:
        diff = index.diff(new.shape, old.root, new.root)
        mask = np.zeros(new.shape, dtype=np.bool_)
        for positions in (diff.added, diff.changed):
            mask[positions[:, 0], positions[:, 1]] = True
        entries = index.select(new.shape, new.root, TileSet.from_mask(mask))
        return entries, _pairs(diff.removed)
    before, after = index.entries(old.shape, old.root), index.entries(new.shape, new.root)
    names = ["row", "col", "content"]
    is_new = ~np.isin(_raw(after, names), _raw(before, names))
    is_gone = ~np.isin(_raw(before, names[:2]), _raw(after, names[:2]))
    gone = np.stack([before["row"][is_gone], before["col"][is_gone]], axis=1)
    return after[is_new], _pairs(gone)


def _raw(entries: Entries, names: list[str]) -> npt.NDArray[np.void]:
    """Return some fields of entries as opaque bytes that compare."""
    parts = [
        # The width in bytes is here, because it does not follow from an empty list of entries.
        np.frombuffer(entries[name].tobytes(), np.uint8).reshape(
            len(entries), entries.dtype[name].itemsize
        )
        for name in names
    ]
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return joined.view(f"V{joined.shape[1]}").reshape(-1)


def _pairs(positions: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    return ((int(row), int(col)) for row, col in positions.tolist())


def _chunks(path: str, entries: Entries) -> Iterator[Chunk]:
    digests = entries["stored"].tobytes().hex()
    positions = zip(
        entries["row"].tolist(), entries["col"].tolist(), entries["size"].tolist(), strict=True
    )
    for at, (row, col, size) in enumerate(positions):
        yield Chunk(f"{path}/c/{row}/{col}", digests[64 * at : 64 * at + 64], size)
