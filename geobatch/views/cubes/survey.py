"""How the cubes of a store differ from those of a head."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct, field

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import Digest
from geobatch.model.published import Head
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes.check import compare_cube
from geobatch.views.cubes.members import (
    SHOWN,
    Cube,
    Member,
    NoCubeError,
    is_of,
    members_of,
    read_members,
    wanted_cubes,
)
from geobatch.views.protocol import Audit
from geobatch.views.zarr.check import Comparison, is_guest, is_unchanged
from geobatch.views.zarr.metadata import DOCUMENT, folders_above
from geobatch.views.zarr.survey import Shown, attributes_of, read_shown

OWN = SHOWN.rpartition("/")[2]
"""The view's own document, in its folder."""


class Survey(Struct, kw_only=True):
    """What differs."""

    shown: Shown
    """The commit that the cubes say they show, and what is unsettled."""
    wanted: dict[str, Cube]
    """The cubes of the head, by name."""
    listed: dict[str, tuple[Member, ...]] = field(default_factory=dict)
    """Steps of those whose folders of days are known to be where these say."""
    members: dict[str, tuple[Member, ...]] = field(default_factory=dict)
    """Steps that they must have."""
    differing: set[str] = field(default_factory=set)
    """Cubes that are not there, or have other steps."""
    broken: dict[str, Comparison] = field(default_factory=dict)
    """Cubes with the right steps, and how their files differ from what they must be."""
    whole: list[str] = field(default_factory=list)
    """Cubes that were compared file by file, and are well."""
    strange: list[str] = field(default_factory=list)
    """Files and folders that belong to no cube, by path."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why images are no cube, by the name of it."""
    damaged: dict[str, CorruptObjectError] = field(default_factory=dict)
    """Images whose objects are damaged, by id."""
    hurt: set[str] = field(default_factory=set)
    """The cubes of these images, of which nothing can be said."""
    intact: dict[Digest, str] = field(default_factory=dict)
    """Files with the bytes of an object that is damaged, by its digest."""

    @property
    def touched(self) -> set[str]:
        """The cubes that an update makes or changes."""
        return {*self.differing, *self.broken}

    def is_current(self, head: Head) -> bool:
        """Return whether an update would do nothing."""
        shown = self.shown
        is_said = shown.is_read and shown.attributes == attributes_of(head) and not shown.unsettled
        is_well = not (self.touched or self.strange or self.hurt)
        return is_well and (is_said or not (self.wanted or shown.is_read))


class Surveyor:
    """Compares the cubes of a store on a local disk with a head."""

    def __init__(
        self,
        store: TileStore,
        root: Path,
        head: Head,
        *,
        cache: SourceCache | None,
        audit: Audit | None = None,
        most_swapped: int,
    ) -> None:
        """Compare nothing yet.

        Args:
            store: The store.
            root: Folder of the cubes.
            head: What they should show.
            cache: Where the states of folders are cached.
            audit: How chunks are compared if objects may be damaged.
            most_swapped: Chunks of a cube that is made again rather than compared.
        """
        self._store = store
        self._top = f"{root.parent}/"
        self._tree = f"{root}/"
        self._head = head
        self._cache = cache
        self._audit = audit
        self._most_swapped = most_swapped
        self._at = ""

    def survey(self, *, is_thorough: bool, again: Collection[str] = ()) -> Survey:
        """Compare.

        Args:
            is_thorough: Whether files of cubes with the right steps are compared.
            again: Images whose cubes are compared file by file.

        Raises:
            OSError: The disk refused.
        """
        found = Survey(shown=self._shown(), wanted=wanted_cubes(self._head))
        known = {} if self._cache is None else self._cache.get_folders(list(found.wanted))
        for name, cube in found.wanted.items():
            is_again = any(entry.id in again for entry in cube.entries)
            try:
                self._survey(
                    cube,
                    found,
                    state=b"" if is_again else known.get(name, b""),
                    is_thorough=is_thorough or is_again,
                )
            except NoCubeError as error:
                found.refused[name] = str(error)
            except CorruptObjectError as error:
                found.damaged[self._at] = error
                found.hurt.add(name)
        found.strange = [
            path
            for path in self._strange(found.wanted.keys() - found.refused.keys())
            if path != OWN or not found.wanted
        ]
        return found

    def compare(self, name: str, members: tuple[Member, ...]) -> Comparison:
        """Compare the folder of a cube file by file; see `compare_cube`."""
        return compare_cube(
            self._store,
            self._top,
            self._tree,
            name,
            members,
            audit=self._audit,
            at=self._note,
        )

    def _survey(self, cube: Cube, found: Survey, *, state: bytes, is_thorough: bool) -> None:
        name, shown = cube.name, found.shown
        listed = self._listed(name)
        is_sure = shown.is_known and name not in shown.unsettled
        if listed is None or not is_of(listed, cube) or not is_sure:
            found.members[name] = self._members(cube, listed if listed and is_sure else ())
            if listed and is_sure:
                found.listed[name] = listed
            found.differing.add(name)
            if listed is None or not is_of(listed, cube) or cube.tiles <= self._most_swapped:
                return
            found.differing.discard(name)
        elif not is_thorough or (
            self._audit is None and is_unchanged(self._tree, name, cube.fingerprint, state)
        ):
            return
        found.members[name] = self._members(cube, ())
        comparison = self.compare(name, found.members[name])
        found.intact |= comparison.intact
        if comparison.is_intact:
            found.whole.append(name)
        else:
            found.broken[name] = comparison

    def _members(self, cube: Cube, known: tuple[Member, ...]) -> tuple[Member, ...]:
        return members_of(self._store, cube, known, at=self._note)

    def _note(self, asset_id: str) -> None:
        self._at = asset_id

    def _listed(self, name: str) -> tuple[Member, ...] | None:
        data = _read(f"{self._tree}{name}/{DOCUMENT}")
        return None if data is None else read_members(data)

    def _shown(self) -> Shown:
        data = _read(self._tree + OWN)
        # Which images a commit had does not matter: each cube names its own.
        return Shown() if data is None else read_shown(data, self._store, self._head)

    def _strange(self, names: Collection[str]) -> Iterator[str]:
        """Yield what is beside the cubes, and belongs to none."""
        inside: dict[str, set[str]] = {"": set()}
        for path in (*folders_above(names), *names):
            above, _, name = path.rpartition("/")
            inside.setdefault(above, set()).add(name)
        for folder in sorted(inside):
            try:
                there = sorted(os.listdir(f"{self._tree}{folder}"))  # noqa: PTH208
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in there:
                if name not in inside[folder] and not is_guest(name):
                    yield f"{folder}/{name}" if folder else name


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
