"""Which cubes a commit has, and which images are the steps of each, in the order of time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from geobatch.model.assets.asset import Kind
from geobatch.model.assets.cubes import (
    cube_folders,
    cube_problems,
    difference,
    folder_of,
    nanoseconds,
)
from geobatch.model.digest import Digest, digest_json
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.store.commits.cubes import cubes_of
from geobatch.store.commits.refs import CUBES
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.metadata import VIEW

FOLDER = "cubes"
"""Folder of the cubes in a store."""
SUFFIX = ".zarr"
"""What follows the folder of the images in the name of a cube; no asset id has a dot."""
SHOWN = CUBES
"""Says which commit the cubes show."""


class Member(Struct, frozen=True, array_like=True):
    """An image that is a step of a cube."""

    id: str
    """Asset id."""
    start: str
    """Its `start_time`."""
    end: str | None
    """Its `end_time`; None if it has none."""
    stored: Digest
    """Digest of its asset document."""


class Cube(Struct, frozen=True, kw_only=True):
    """A cube as a commit has it; nothing of its images is read yet."""

    name: str
    """Its folder in the view, such as `s2/l2a.zarr`."""
    entries: tuple[TreeEntry, ...]
    """Its images, sorted by id; at least one."""

    @property
    def tiles(self) -> int:
        """How many chunks it has."""
        return sum(entry.tiles for entry in self.entries)

    @property
    def fingerprint(self) -> Digest:
        """What determines every file of it."""
        return digest_json([VIEW, [[entry.id, entry.stored] for entry in self.entries]])


class NoCubeError(Exception):
    """Images of a folder cannot be a cube; says which, why, and what helps."""


def wanted_cubes(head: Head) -> dict[str, Cube]:
    """Return the cubes of a commit, by name."""
    collections = cubes_of(head)
    if not collections:
        return {}
    images = [entry for entry in head.tree.entries if entry.kind == Kind.IMAGE]
    found: dict[str, list[TreeEntry]] = {
        folder: [] for folder in cube_folders([entry.id for entry in images], collections)
    }
    for entry in images:
        if (inside := found.get(folder_of(entry.id))) is not None:
            inside.append(entry)
    return {
        f"{folder}{SUFFIX}": Cube(name=f"{folder}{SUFFIX}", entries=tuple(entries))
        for folder, entries in sorted(found.items())
    }


def read_members(data: bytes) -> tuple[Member, ...] | None:
    """Return the steps that the document of a cube lists; None if it does not."""
    try:
        listed = json.loads(data)["attributes"]["geobatch"]["images"]
        return tuple(Member(*one) for one in listed)
    except (ValueError, KeyError, TypeError):
        return None


def is_of(members: Sequence[Member] | None, cube: Cube) -> bool:
    """Return whether steps are the images of a cube, in these very states."""
    wanted = {(entry.id, entry.stored) for entry in cube.entries}
    return members is not None and {(one.id, one.stored) for one in members} == wanted


def record_of(store: TileStore, member: Member) -> AssetRecord:
    """Return the image of a step.

    Raises:
        CorruptObjectError: Its document is damaged or missing.
    """
    entry = TreeEntry(
        id=member.id, kind=Kind.IMAGE, content="", stored=member.stored, fingerprint=""
    )
    return store.record(entry)


def members_of(
    store: TileStore,
    cube: Cube,
    known: Iterable[Member] = (),
    *,
    at: Callable[[str], object] = lambda _: None,
) -> tuple[Member, ...]:
    """Return the steps of a cube in the order of time.

    Only images that are not known are read, and the first.

    Args:
        store: The store.
        cube: The cube.
        known: Steps of which it is known that they are one array.
        at: Receives the id of each image before it is read.

    Raises:
        NoCubeError: They are no cube.
        CorruptObjectError: The document of an image is damaged.
    """
    listed = {(one.id, one.stored): one for one in known}
    found: list[Member] = []
    read: list[AssetRecord] = []
    kept: list[Member] = []
    for entry in cube.entries:
        if (one := listed.get((entry.id, entry.stored))) is not None:
            found.append(one)
            kept.append(one)
            continue
        at(entry.id)
        record = store.record(entry)
        asset = record.image
        read.append(record)
        found.append(Member(asset.id, asset.start_time or "", asset.end_time, entry.stored))
    if kept and read:  # one of those that are known to be alike represents them
        at(kept[0].id)
        read.insert(0, record_of(store, kept[0]))
    for message, _ in cube_problems([record.image for record in read]):
        raise NoCubeError(message)
    times: dict[int, Member] = {}
    for one in found:
        if (other := times.setdefault(nanoseconds(one.start), one)) is not one:
            raise NoCubeError(
                f"`{other.id}` and `{one.id}` have the same `start_time`, `{one.start}`"
            )
    return tuple(times[when] for when in sorted(times))


def is_alike(store: TileStore, one: Member, two: Member) -> bool:
    """Return whether two images have arrays of the same form.

    Raises:
        CorruptObjectError: The document of an image is damaged.
    """
    if one.stored == two.stored:
        return True
    return difference(record_of(store, one).image, record_of(store, two).image) is None
