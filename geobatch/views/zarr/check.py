"""Checks that the folder of an asset in the Zarr tree holds what it must, and nothing else.

A comparison reads the index of the asset. What the file system says of the files that it found well
is cached, so that the next comparison need not read the index.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import itemgetter

from msgspec import Struct

from geobatch.format.zarr_layout.paths import join
from geobatch.model.digest import DIGEST_BYTES, Digest, digest_bytes
from geobatch.model.published import AssetRecord
from geobatch.model.sources.file_stat import MARGIN_NS
from geobatch.store.index import Index
from geobatch.views.files import Files
from geobatch.views.objects import check_object, shown_problem
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part
from geobatch.views.zarr.asset_folder import Chunk, chunks
from geobatch.views.zarr.metadata import documents

MOST_CACHED = 1 << 17
"""Files and folders of an asset whose state is cached; of one with more, nothing is."""

_GUEST = ".aux.xml"
"""Suffix of what GDAL and QGIS write beside an array: left there until the asset changes."""
_SECOND_NS = 1_000_000_000


class Comparison(Struct, kw_only=True):
    """How the folder of an asset differs from what it must be."""

    chunks: list[Chunk] = []
    """Chunks that are missing or wrong."""
    texts: dict[str, bytes] = {}
    """Documents and coordinates that are missing or wrong, in the order of writing."""
    foreign: list[str] = []
    """Files, and folders with a slash behind, that do not belong there."""
    parts: list[Part] = []
    """All of these."""
    intact: dict[Digest, str] = {}
    """Files with the bytes of an object that is damaged or missing, by its digest."""

    @property
    def is_intact(self) -> bool:
        """Whether nothing differs."""
        return not self.parts


def compare(
    store: str,
    tree: str,
    index: Index,
    record: AssetRecord,
    *,
    spared: Collection[str] = (),
    others: Mapping[str, bytes] | None = None,
    folder: str = "",
    audit: Audit | None = None,
) -> Comparison:
    """Compare the folder of an asset with its index and documents.

    Args:
        store: Folder of the store, a slash behind.
        tree: Folder of the tree, a slash behind.
        index: Tiles of arrays by position.
        record: The asset.
        spared: Folders of other assets within, by path within this one's.
        others: Documents within that are not the asset's own, by path.
        folder: The folder of the asset where it is not in the tree, a slash behind.
        audit: How chunks are compared if objects may be damaged.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing or cut.
        OSError: The disk refused.
    """
    return compare_files(
        store,
        folder or f"{tree}{record.asset.id}/",
        name=record.asset.id,
        texts=dict(others or {}) | documents(record),
        shown=chunks(index, record),
        spared=spared,
        audit=audit,
    )


def compare_files(
    store: str,
    top: str,
    *,
    name: str,
    texts: Mapping[str, bytes],
    shown: Iterable[Chunk],
    spared: Collection[str] = (),
    audit: Audit | None = None,
) -> Comparison:
    """Compare a folder with what it must hold.

    Args:
        store: Folder of the store, a slash behind.
        top: The folder, a slash behind.
        name: Its path in the view.
        texts: Documents and coordinates, by path within.
        shown: Chunks.
        spared: Folders within that are not compared.
        audit: How chunks are compared if objects may be damaged.

    Raises:
        CorruptObjectError: An index page is damaged, or an object missing or cut.
        OSError: The disk refused.
    """
    found = {name: stat for name, stat in walk(top, spared) if name}
    made = Comparison()

    def note(path: str, problem: str) -> None:
        made.parts.append(Part(path=f"{name}/{path}", problem=problem))

    for path, text in texts.items():
        problem = _text_problem(top + path, found.pop(path, None), text)
        if problem:
            made.texts[path] = text
            note(path, problem)
    folders = {f"{above}/" for path in (*texts, *spared) for above in _above(path)}
    for chunk in shown:
        problem = _chunk_problem(
            store, top, found.pop(chunk.path, None), chunk, audit=audit, made=made
        )
        if problem:
            made.chunks.append(chunk)
            note(chunk.path, problem)
        row = chunk.path.rpartition("/")[0]
        if f"{row}/" not in folders:
            folders.update(f"{above}/" for above in _above(chunk.path))
    for path in sorted(found.keys() - folders):
        made.foreign.append(path)
        note(path, FOREIGN)
    return made


def walk(top: str, spared: Collection[str] = ()) -> Iterator[tuple[str, os.stat_result]]:
    """Yield files and folders below a folder, these with a slash behind; itself is the first."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(top + folder) as entries:
                inside = list(entries)
            state = os.lstat(top + folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        yield folder, state
        for entry in inside:
            name = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if name not in spared:
                    waiting.append(f"{name}/")
            elif not is_guest(name):
                yield name, entry.stat(follow_symlinks=False)


def is_guest(name: str) -> bool:
    """Return whether a file is one that other programs leave beside what they read."""
    return name.endswith(_GUEST)


def remove_guests(files: Files, record: AssetRecord) -> None:
    """Remove what other programs left in the folder of an asset: statistics of former pixels."""
    folders = {path.rpartition("/")[0] for path in documents(record)}
    for folder in sorted(join(record.asset.id, folder) for folder in folders):
        for name in files.names(folder):
            if is_guest(name):
                files.remove(f"{folder}/{name}")


def folder_state(
    tree: str, asset_id: str, stored: Digest, spared: Collection[str] = (), *, names: str = ""
) -> bytes:
    """Return the state to cache of a folder that is well; empty if nothing can be cached.

    Args:
        tree: Folder of the tree, a slash behind.
        asset_id: Path of the folder within.
        stored: Digest of the asset's document.
        spared: Folders of other assets within.
        names: All that was put into the folder, if that is known: see `names_of`.
    """
    top = f"{tree}{asset_id}/"
    if names:
        try:
            found = [(name, os.lstat(top + name)) for name in names.split("\n")]
        except OSError:
            return b""
    else:
        found = sorted(walk(top, spared), key=itemgetter(0))
    if not found or len(found) > MOST_CACHED:
        return b""
    made = stamp_of(found)
    names = names or "\n".join(name for name, _ in found)
    return b"" if made is None else bytes.fromhex(stored) + made + names.encode()


@lru_cache(maxsize=64)
def names_of(files: tuple[str, ...]) -> str:
    """Return the names in a folder, as `folder_state` lists them: of files, and of their folders.

    It is cached: the folders of very many small images have the same names.
    """
    folders = {f"{above}/" for path in files for above in _above(path)}
    return "\n".join(sorted({"", *files, *folders}))


def settled_state(tree: str, asset_id: str, stored: Digest) -> bytes:
    """Return the state to cache of a folder that was made just now; empty if nothing can be."""
    if not (state := folder_state(tree, asset_id, stored)):
        # A change within the same tick of the clock could not be noticed later.
        time.sleep(MARGIN_NS / 1e9)
        state = folder_state(tree, asset_id, stored)
    return state


def is_unchanged(tree: str, asset_id: str, stored: Digest, value: bytes) -> bool:
    """Return whether a folder is still in the state that is cached."""
    if value[:DIGEST_BYTES] != bytes.fromhex(stored):
        return False
    try:
        names = value[2 * DIGEST_BYTES :].decode().split("\n")
    except UnicodeDecodeError:
        return False
    top = f"{tree}{asset_id}/"
    try:
        return value[DIGEST_BYTES : 2 * DIGEST_BYTES] == stamp_of(
            (name, os.lstat(top + name)) for name in names
        )
    except (OSError, ValueError):  # one is missing, or is no name
        return False


def stamp_of(found: Iterable[tuple[str, os.stat_result]]) -> bytes | None:
    """Return a hash of times and sizes of files and folders; None where they say little.

    The time of a folder tells of names that came and went; but not of those that did so within the
    same tick of the clock, nor where a clock counts seconds.
    """
    values = array("q")
    newest = 0
    for name, stat in found:
        values.append(stat.st_mtime_ns)
        if name and name[-1] != "/":
            values.append(stat.st_size)
        newest = max(newest, stat.st_mtime_ns)
    is_coarse = newest % _SECOND_NS == 0
    is_young = newest > time.time_ns() - MARGIN_NS
    return None if is_coarse or is_young else bytes.fromhex(digest_bytes(values.tobytes()))


def _text_problem(path: str, stat: os.stat_result | None, text: bytes) -> str:
    if stat is None:
        return MISSING
    if stat.st_size != len(text):
        return f"{stat.st_size:,} bytes, expected {len(text):,}"
    return "" if _read(path) == text else "other content"


def _chunk_problem(
    store: str,
    top: str,
    stat: os.stat_result | None,
    chunk: Chunk,
    *,
    audit: Audit | None,
    made: Comparison,
) -> str:
    """Return what is wrong with a chunk; its object must be whole unless there is an audit."""
    path = top + chunk.path
    if audit is not None:
        problem, is_intact = shown_problem(
            store, chunk.stored, chunk.size, stat, read=lambda: _read(path), audit=audit
        )
        if is_intact:
            made.intact[chunk.stored] = path
        return problem
    origin = check_object(store, chunk.stored, chunk.size, path)
    if stat is None:
        return MISSING
    if stat.st_size != chunk.size:
        return f"{stat.st_size:,} bytes, expected {chunk.size:,}"
    is_same = os.path.samestat(stat, origin)
    is_well = is_same or digest_bytes(_read(path)) == chunk.stored
    return "" if is_well else "other content"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except (FileNotFoundError, IsADirectoryError):  # a link that leads nowhere, or to a folder
        return b""


def _above(path: str) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
