"""The cubes of a store on a local disk, `cubes/`: hard links to objects, along time."""

from __future__ import annotations

import time
from collections.abc import Collection

from geobatch.model.published import Head
from geobatch.model.sources.file_stat import MARGIN_NS
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes.check import cube_state
from geobatch.views.cubes.members import FOLDER
from geobatch.views.cubes.survey import OWN, Survey, Surveyor
from geobatch.views.cubes.update import Update
from geobatch.views.files import check_is_folder
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part, ViewChange, ViewState
from geobatch.views.zarr.survey import attributes_of, document_of
from geobatch.views.zarr.tree import MOST_SWAPPED


class CubeTree:
    """The cubes of a store on a local disk; a view.

    The document of a cube names its steps. It exists only while the folder of each day is where it
    says: an update continues from it, and makes a cube without it again.
    """

    def __init__(
        self,
        store: TileStore,
        disk: LocalDisk,
        *,
        cache: SourceCache | None = None,
        most_swapped: int = MOST_SWAPPED,
    ) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            disk: Where it is.
            cache: Where the states of folders are cached.
            most_swapped: Chunks of a cube that is made aside as a whole.
        """
        self._store = store
        self._disk = disk
        self._cache = cache
        self._most_swapped = most_swapped
        self._root = disk.root / FOLDER

    @property
    def name(self) -> str:
        """What it is and where; see `View.name`."""
        return f"the cubes `{self._root}`"

    @property
    def folder(self) -> str:
        """Its folder in the store."""
        return FOLDER

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the cubes differ from those of a head; see `View.compare`."""
        check_is_folder(self._root)
        cache = self._cache if audit is None else None
        found = self._surveyor(head, cache, audit).survey(is_thorough=True)
        shown = found.shown
        if audit is not None:  # such a folder may show anything until the next update
            for name in shown.unsettled:
                found.broken.pop(name, None)
        parts = [part for one in found.broken.values() for part in one.parts]
        parts += [Part(path=path, problem=FOREIGN) for path in found.strange]
        if audit is not None and found.wanted and not shown.is_read:
            parts.append(Part(path=OWN, problem=MISSING))
        number = shown.attributes["number"]
        return ViewState(
            number=number if shown.is_known and isinstance(number, int) else None,
            behind=tuple(sorted(found.touched)),
            parts=tuple(
                sorted(Part(path=f"{FOLDER}/{one.path}", problem=one.problem) for one in parts)
            ),
            is_current=found.is_current(head) and not parts,
            damaged=found.damaged,
            unsettled=tuple(sorted(shown.unsettled)),
            intact=found.intact,
            refused=found.refused,
        )

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the cubes show a head; see `View.update`."""
        check_is_folder(self._root)
        surveyor = self._surveyor(head, self._cache)
        found = surveyor.survey(is_thorough=is_thorough, again=again)
        if found.is_current(head):
            self._save(found, found.whole)
            return ViewChange(refused=found.refused)
        touched = found.touched
        update = Update(self._store, self._disk, surveyor, most_swapped=self._most_swapped)
        update.announce(document_of(found.shown.attributes, touched | found.hurt))
        update.run(found)
        changed = time.monotonic()
        self._store.backend.sync()
        is_none = not found.wanted
        update.announce(None if is_none else document_of(attributes_of(head), found.hurt))
        removed = update.aside.remove()
        if touched and self._cache is not None:
            # A change within the same tick of the clock could not be noticed later.
            time.sleep(max(0.0, changed + MARGIN_NS / 1e9 - time.monotonic()))
        self._save(found, {*found.whole, *touched} - found.hurt)
        return ViewChange(
            assets=tuple(sorted({*touched, *found.strange})),
            linked=update.files.linked,
            copied=update.files.copied,
            removed=update.files.removed + removed,
            damaged=found.damaged,
            refused=found.refused,
        )

    def _surveyor(
        self, head: Head, cache: SourceCache | None, audit: Audit | None = None
    ) -> Surveyor:
        return Surveyor(
            self._store,
            self._root,
            head,
            cache=cache,
            audit=audit,
            most_swapped=self._most_swapped,
        )

    def _save(self, found: Survey, names: Collection[str]) -> None:
        """Save the states of folders that are well."""
        if self._cache is None:
            return
        for name in names:
            self._cache.put_folder(name, cube_state(f"{self._root}/", found.wanted[name]))
