"""Checks that the folder of a cube holds what it must, at a cost that does not grow with its days.

A cube of few chunks is compared file by file, or by the state of its files that is cached. Of one
with more, an apply compares documents and the folders that hold the days of each array; `fsck`
compares every file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

from geobatch.model.digest import Digest
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes.folder import cube_chunks
from geobatch.views.cubes.members import Cube, Member, record_of
from geobatch.views.cubes.metadata import cube_documents
from geobatch.views.protocol import Audit
from geobatch.views.zarr.check import Comparison, compare_files, folder_state, is_guest, stamp_of

_DAYS = re.compile("/[A-Za-z][A-Za-z0-9_]*/c/$")
"""Folder of the days of an array: a level is a number, so that a band may be called `c`."""
MOST_COMPARED = 1 << 14
"""Chunks of a cube all of whose files an apply compares: that takes some 0.05 s."""


def compare_cube(
    store: TileStore,
    top: str,
    tree: str,
    name: str,
    members: Sequence[Member],
    *,
    audit: Audit | None = None,
    at: Callable[[str], object] = lambda _: None,
) -> Comparison:
    """Compare the folder of a cube with its steps, file by file.

    Args:
        store: The store.
        top: Folder of the store, a slash behind.
        tree: Folder of all cubes, a slash behind.
        name: Name of the cube.
        members: Its steps.
        audit: How chunks are compared if objects may be damaged.
        at: Receives the id of each image before it is read.

    Raises:
        CorruptObjectError: What an image is made of is damaged.
        OSError: The disk refused.
    """
    at(members[0].id)
    return compare_files(
        top,
        f"{tree}{name}/",
        name=name,
        texts=cube_documents(record_of(store, members[0]), members),
        shown=cube_chunks(store, members, at=at),
        audit=audit,
    )


def cube_state(tree: str, cube: Cube) -> bytes:
    """Return the state to cache of the folder of a cube that is well; empty if none can be."""
    if cube.tiles <= MOST_COMPARED:
        return folder_state(tree, cube.name, cube.fingerprint)
    found = sorted(_outside_days(f"{tree}{cube.name}/"), key=lambda one: one[0])
    made = stamp_of(found) if found else None
    names = "\n".join(name for name, _ in found)
    return b"" if made is None else _packed(cube.fingerprint, made, names)


def _packed(fingerprint: Digest, made: bytes, names: str) -> bytes:
    return bytes.fromhex(fingerprint) + made + names.encode()


def _outside_days(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield files and folders of a cube, without what is in the folders of days."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        yield folder, os.lstat(top + folder)
        with os.scandir(top + folder) as entries:
            for entry in entries:
                name = folder + entry.name
                if not entry.is_dir(follow_symlinks=False):
                    if not is_guest(name):
                        yield name, entry.stat(follow_symlinks=False)
                elif not _DAYS.search(folder):
                    waiting.append(f"{name}/")
