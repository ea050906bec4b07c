"""`cubes/` of a store in a bucket: per cube, a document that leads readers of Zarr to its objects.

Its form is that of `references/`. When a day comes or goes, what the document says of the others is
kept: their pages are not read again.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.published import Head, TreeEntry
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes.members import (
    FOLDER,
    SHOWN,
    SUFFIX,
    Member,
    NoCubeError,
    members_of,
    read_members,
    record_of,
    wanted_cubes,
)
from geobatch.views.cubes.metadata import cube_documents
from geobatch.views.protocol import Audit, ViewChange, ViewState
from geobatch.views.remote.audit import compare_names
from geobatch.views.remote.change import REQUESTS, AssetChange
from geobatch.views.remote.lease import SECONDS
from geobatch.views.remote.long_text import Text
from geobatch.views.remote.references import (
    DocumentFiles,
    Reference,
    reference,
    references_document,
    texts_as_references,
)
from geobatch.views.zarr import asset_folder
from geobatch.views.zarr.metadata import DOCUMENT

_Day = dict[str, Reference]
"""References of an image, by path with an empty step: `0/b1/c//3/4`."""


class CubeReferences(DocumentFiles):
    """The documents of all cubes; a view."""

    folder = FOLDER
    document = SHOWN

    def __init__(self, store: TileStore, *, seconds: float = SECONDS) -> None:
        """Do nothing yet; see `RemoteView`."""
        super().__init__(store, seconds=seconds)
        self._refused: dict[str, str] = {}
        self._is_absent = False

    def wanted(self, head: Head) -> dict[str, TreeEntry]:
        """Return the cubes, each as if it were an asset."""
        return {
            name: TreeEntry(
                id=name, kind="cube", content="", stored=cube.fingerprint, fingerprint=""
            )
            for name, cube in wanted_cubes(head).items()
        }

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the view differs from a head; a store without cubes needs no view of them."""
        if not self._needs(head, ()) and not self.wanted(head):
            return ViewState(number=head.number)
        return super().compare(head, audit)

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the view show a head; see `View.update`."""
        cubes = wanted_cubes(head).values()
        names = [one.name for one in cubes if any(entry.id in again for entry in one.entries)]
        done = super().update(head, is_thorough=is_thorough, again=names)
        return replace(done, refused=dict(self._refused))

    def change(self, entry: TreeEntry, before: TreeEntry | None, head: Head) -> AssetChange:
        """Return what changes of a cube; see `RemoteView.change`."""
        name, file = entry.id, _name(entry.id)
        known: dict[str, _Day] = {}
        listed: tuple[Member, ...] = ()
        if before is not None:
            listed, known = self._former(file)
        try:
            members = members_of(self._store, wanted_cubes(head)[name], listed)
            self._refused.pop(name, None)
            return AssetChange(asset_id=name, texts={file: self._document(members, known)})
        except NoCubeError as error:
            self._refused[name] = str(error)
            return AssetChange(asset_id=name, removed=[file])
        except CorruptObjectError as error:
            again = f"geobatch apply --replace '{name.removesuffix(SUFFIX)}/*' SPECS"
            raise error.with_hint(f"`{again}` computes the images again") from None

    def file_name(self, asset_id: str) -> str:
        """Return the name of a cube's document in the store."""
        return _name(asset_id)

    def finish(self, head: Head, damaged: Collection[str]) -> None:
        """Say that the view shows a head; without cubes, nothing says so."""
        if self.wanted(head):
            super().finish(head, damaged)
        else:
            self._backend.delete_all([SHOWN])

    def compare_names(self, head: Head, audit: Audit, found: ViewState) -> ViewState:
        """Return what is wrong with each name; see `View.compare`."""
        texts: dict[str, Text] = {}
        damaged: dict[str, CorruptObjectError] = {}
        for entry in self.wanted(head).values():
            try:
                texts |= self.change(entry, None, head).texts
            except CorruptObjectError as error:
                damaged[entry.id] = error
        return compare_names(
            self._backend,
            replace(found, refused=dict(self._refused)),
            folders=(FOLDER,),
            document=SHOWN,
            texts=texts,
            shown={},
            spared=tuple(_name(one) for one in (*found.unsettled, *damaged)),
            damaged=damaged,
            audit=audit,
        )

    def _needs(self, head: Head, again: Collection[str]) -> bool:
        if self.wanted(head):
            self._is_absent = False
        elif not self._is_absent:
            self._is_absent = not self._state(head).is_read
        return not self._is_absent and super()._needs(head, again)

    def _document(self, members: tuple[Member, ...], known: dict[str, _Day]) -> bytes:
        """Return the document of a cube; the images that are not known are read."""
        days = dict(known)
        texts = cube_documents(record_of(self._store, members[0]), members)
        unknown = ((one, 0) for one in members if one.stored not in days)
        with ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-cube") as pool:
            days |= dict(in_flight(pool, self._day, unknown, most=REQUESTS))
        refs = texts_as_references(texts)
        for step, one in enumerate(members):
            for path, found in sorted(days[one.stored].items()):
                refs[path.replace("/c//", f"/c/{step}/")] = found
        return references_document(refs)

    def _day(self, member: Member) -> tuple[str, _Day]:
        found: _Day = {}
        record = record_of(self._store, member)
        for chunk in asset_folder.chunks(self._store.index, record):
            array, _, position = chunk.path.rpartition("/c/")
            found[f"{array}/c//{position}"] = reference(chunk, self._backend.location)
        return member.stored, found

    def _former(self, file: str) -> tuple[tuple[Member, ...], dict[str, _Day]]:
        """Return the steps of the document that is there, and their references."""
        try:
            refs = json.loads(self._backend.get(file))["refs"]
            members = read_members(refs[DOCUMENT].encode()) or ()
            days: dict[str, _Day] = {one.stored: {} for one in members}
            for path, found in refs.items():
                array, mark, position = path.rpartition("/c/")
                parts = position.split("/")
                if mark and isinstance(found, list) and len(parts) == len("tyx"):
                    days[members[int(parts[0])].stored][f"{array}/c//{'/'.join(parts[1:])}"] = found
        except (NotFoundError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return (), {}
        return members, days


def _name(cube: str) -> str:
    return f"{FOLDER}/{cube.removesuffix(SUFFIX)}.json"
