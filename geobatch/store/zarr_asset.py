"""The folder of one asset in the Zarr tree: built, or updated where only some tiles differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.record import AssetRecord, PageRef
from geobatch.model.tiles import TileSet
from geobatch.store.index import Entries, Index
from geobatch.store.objects import Objects
from geobatch.store.zarr_files import Files
from geobatch.store.zarr_metadata import DOCUMENT, array_path, documents, parse_place, tile_plane


class _Array(Struct, frozen=True, kw_only=True):
    """The tiles of one array."""

    dtype: str
    """Numpy name of its pixel type."""
    shape: tuple[int, int]
    """(rows, columns) of its tile plane."""
    root: PageRef | None
    """Root of its index."""


def build(files: Files, index: Index, record: AssetRecord, *, spared: Collection[str] = ()) -> None:
    """Make an asset's folder show a record, whatever is there: withdraw, place, announce.

    Args:
        files: The Zarr tree.
        index: Tiles of arrays by place.
        record: The asset.
        spared: Folders of other assets below it, relative to it, to be left alone.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing.
        OSError: The disk refused.
    """
    asset_id = record.asset.id
    arrays = _arrays(record)
    texts = documents(record)
    if files.exists(asset_id):
        files.sweep(asset_id, is_expected=_expected(index, arrays, texts), spared=spared)
    for path, array in arrays.items():
        _place(files, f"{asset_id}/{path}", index.entries(array.shape, array.root))
    for path, text in texts.items():
        files.write(f"{asset_id}/{path}", text)


def update(files: Files, index: Index, old: AssetRecord, new: AssetRecord) -> bool:
    """Make an asset's folder that shows one record show another, without a gap for readers.

    Args:
        files: The Zarr tree.
        index: Tiles of arrays by place.
        old: What the folder shows, to the last tile.
        new: What it shall show.

    Returns:
        False where chunks of old and new cannot stand side by side; then nothing was done.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing.
        OSError: The disk refused.
    """
    asset_id = new.asset.id
    before, after = documents(old), documents(new)
    old_arrays, new_arrays = _arrays(old), _arrays(new)
    old_nodes, new_nodes = _nodes(before), _nodes(after)
    if not _can_mix(old, new, old_nodes & new_nodes):
        return False
    removed: list[str] = []
    for path, array in new_arrays.items():
        entries, gone = _difference(index, old_arrays.get(path), array)
        _place(files, f"{asset_id}/{path}", entries)
        removed += (f"{asset_id}/{path}/c/{row}/{col}" for row, col in gone)
    for path, text in after.items():
        if before.get(path) != text:
            files.write(f"{asset_id}/{path}", text)
    for path in removed:
        files.remove(path)
    for path in sorted(old_nodes - new_nodes):
        files.sweep(f"{asset_id}/{path}")
    return True


def _arrays(record: AssetRecord) -> dict[str, _Array]:
    asset = record.asset
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
    if (old.asset.tile, old.asset.codec) != (new.asset.tile, new.asset.codec):
        return False
    dtypes = [
        {path: array.dtype for path, array in _arrays(record).items() if path in common}
        for record in (old, new)
    ]
    return dtypes[0] == dtypes[1]


def _difference(
    index: Index, old: _Array | None, new: _Array
) -> tuple[Entries, Iterator[tuple[int, int]]]:
    """Return the tiles to place, and the places of tiles to remove within an array that stays."""
    if old is None:
        return index.entries(new.shape, new.root), iter(())
    if old.shape == new.shape:
        diff = index.diff(new.shape, old.root, new.root)
        mask = np.zeros(new.shape, dtype=np.bool_)
        for places in (diff.added, diff.changed):
            mask[places[:, 0], places[:, 1]] = True
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
        # The width in bytes stands here, for it does not follow from entries that are none.
        np.frombuffer(entries[name].tobytes(), np.uint8).reshape(
            len(entries), entries.dtype[name].itemsize
        )
        for name in names
    ]
    joined = np.ascontiguousarray(np.concatenate(parts, axis=1))
    return joined.view(f"V{joined.shape[1]}").reshape(-1)


def _pairs(places: npt.NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    return ((int(row), int(col)) for row, col in places.tolist())


def _place(files: Files, path: str, entries: Entries) -> None:
    digests = entries["stored"].tobytes().hex()
    places = zip(entries["row"].tolist(), entries["col"].tolist(), strict=True)
    for at, (row, col) in enumerate(places):
        files.place(Objects.path(digests[64 * at : 64 * at + 64]), f"{path}/c/{row}/{col}")


def _expected(
    index: Index, arrays: dict[str, _Array], texts: Collection[str]
) -> Callable[[str], bool]:
    """Return the test whether a file below an asset may stay while it is built: chunks only."""
    present: dict[str, npt.NDArray[np.bool_]] = {}
    for path, array in arrays.items():
        entries = index.entries(array.shape, array.root)
        present[path] = np.zeros(array.shape, dtype=np.bool_)
        present[path][entries["row"], entries["col"]] = True
    coordinates = {path for path in texts if not path.endswith(DOCUMENT)}

    def is_expected(path: str) -> bool:
        if path in coordinates:
            return True
        array, _, text = path.partition("/c/")
        plane, place = present.get(array), parse_place(text)
        if plane is None or place is None:
            return False
        row, col = place
        return row < plane.shape[0] and col < plane.shape[1] and bool(plane[row, col])

    return is_expected
