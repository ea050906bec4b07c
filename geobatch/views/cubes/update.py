"""One update of the cubes on a local disk, which no other process makes at the same time."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from geobatch.errors import CorruptObjectError
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.tilestore import TileStore
from geobatch.views.aside import AsideFolders
from geobatch.views.cubes import folder as cube_folder
from geobatch.views.cubes.members import FOLDER, Cube, Member, is_alike
from geobatch.views.cubes.survey import OWN, Survey, Surveyor
from geobatch.views.files import Files
from geobatch.views.zarr import asset_folder
from geobatch.views.zarr.check import Comparison
from geobatch.views.zarr.metadata import DOCUMENT


class Update:
    """Makes and changes the folders of cubes.

    A cube of few chunks is made aside and exchanged as a whole. To one with more, days are added
    behind the others; for any other change, its documents go, folders of days get other numbers,
    and the documents come back.
    """

    def __init__(
        self, store: TileStore, disk: LocalDisk, surveyor: Surveyor, *, most_swapped: int
    ) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            disk: Where it is.
            surveyor: Compares folders.
            most_swapped: Chunks of a cube that is made aside as a whole.
        """
        self._store = store
        self._disk = disk
        self._surveyor = surveyor
        self._most_swapped = most_swapped
        self._root = disk.root / FOLDER
        self._at = ""
        self.aside = AsideFolders(disk, self._root)
        """What is made aside, and what was moved out."""
        self.files = Files(sources=disk.root, folder=self._root)
        """The folder of the cubes."""

    def run(self, found: Survey) -> None:
        """Make every cube what it must be; note the images of which objects are damaged."""
        for name in sorted(found.touched):
            try:
                self._show(found.wanted[name], found)
            except CorruptObjectError as error:
                found.damaged[self._at] = error
                found.hurt.add(name)
        for path in found.strange:
            self._take_away(path)

    def announce(self, document: bytes | None) -> None:
        """Write the view's own document, durably; None removes it, and the folder."""
        if document is not None:
            self.files.write(OWN, document, is_durable=True)
            return
        self.files.remove(OWN)
        with suppress(OSError):
            self._root.rmdir()

    def _show(self, cube: Cube, found: Survey) -> None:
        name, members = cube.name, found.members[cube.name]
        old, broken = found.listed.get(name), found.broken.get(name)
        is_small = cube.tiles <= self._most_swapped
        is_other = False
        if old is not None and broken is None:
            self._at = members[0].id
            is_other = not self._is_alike(old[0], members[0])
            if not is_other and members[: len(old)] == old:
                cube_folder.append(
                    self.files, name, self._store, members, first=len(old), at=self._note
                )
                return
            if not is_other and not is_small:
                self._rearrange(name, old, members)
                return
        is_whole = is_small or is_other or not self.files.exists(name)
        if not is_whole or not self._swap(name, members):
            self._repair(name, members, broken)

    def _is_alike(self, old: Member, new: Member) -> bool:
        try:
            return is_alike(self._store, old, new)
        except CorruptObjectError:  # `gc` removed what the cube shows
            return False

    def _rearrange(self, name: str, old: Sequence[Member], new: Sequence[Member]) -> None:
        cube_folder.rearrange(
            self.files, name, self._store, old, new, take_away=self._take_away, at=self._note
        )

    def _swap(self, name: str, members: Sequence[Member]) -> bool:
        """Make a cube elsewhere and exchange it; return whether it was possible."""
        if not self.aside.is_near():
            return False
        folder = self.aside.path()
        files = Files(sources=self._disk.root, folder=folder)
        cube_folder.build(files, name, self._store, members, at=self._note)
        return self.files.put(folder / name, name, made_by=files)

    def _repair(self, name: str, members: tuple[Member, ...], broken: Comparison | None) -> None:
        """Change the files of a cube that are not what they must be, in place."""
        broken = broken or self._surveyor.compare(name, members)
        if any(path.endswith(DOCUMENT) for path in (*broken.texts, *broken.foreign)):
            # They may say of chunks to come how to read others: they go first, and come back last.
            self.files.sweep(name, is_expected=lambda path: not path.endswith(DOCUMENT))
            broken = self._surveyor.compare(name, members)
        for path in broken.foreign:
            self.files.sweep(f"{name}/{path}".removesuffix("/"))
        asset_folder.change(self.files, name, broken.chunks, broken.texts, ())

    def _take_away(self, path: str) -> None:
        if not self.aside.is_near() or not self.files.take_away(path, self.aside.path()):
            self.files.sweep(path)

    def _note(self, asset_id: str) -> None:
        self._at = asset_id
