"""Folders of new assets for the Zarr tree, filled while their tiles are put.

Such a folder is in the folder of the run, and is moved into the tree by one rename once its commit
is published: readers of the tree see a new asset complete or not at all, and no reader waits for
its links to be made. A rehearsal holds such folders until its plan is applied or expires. Nothing
relies on them: the sync builds what is not there. It also builds folders of many files, which the
run after a killed one would have to remove. That run uses the other folders, if it reuses the
assets; `benchmarks/increments.py --only resume` shows what that saves. A run of many
small images that is not killed takes 0.9 of the CPU time and less of the wall time; one of a large
raster as long as without (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from geobatch.errors import GeobatchError
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.assets.asset import AnyImage
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import ArrayKey, AssetRecord, TreeEntry, array_keys
from geobatch.model.tile import StoredTile
from geobatch.store.backends.protocol import Backend, LocalDisk
from geobatch.store.backends.run_folder import AHEAD
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.store.rehearsals.folders import held_folder
from geobatch.views.files import Files
from geobatch.views.objects import check_size
from geobatch.views.zarr.asset_folder import chunks, tile_count
from geobatch.views.zarr.check import compare, is_unchanged, names_of, settled_state
from geobatch.views.zarr.metadata import FOLDER, VIEW, documents, tile_plane

MOST_FILES = 1 << 16
"""Files that a run may make ahead."""

_STATE = ".state"
"""Suffix of the file beside a held folder that has its state."""
_RULES = f"{VIEW}\n".encode()
"""How that begins: folders that were made by other rules are not taken."""

Tiles = Mapping[ArrayKey, Iterable[StoredTile]]
"""Tiles by their array."""

_FEW = 256
"""Files of a folder whose names are kept until its state is cached."""

_Packed = tuple[str, int, int, str]
"""A folder, how many links and copies are in it, and the names in it, if they are few."""
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(_Packed | None).decode


class _Made(Struct, kw_only=True, eq=False):
    """The folder of one asset."""

    folder: Path
    files: Files
    stored: Digest | None = None
    """Digest of the asset's document, once all its tiles are linked."""
    state: bytes = b""
    """State of the folder, as it is cached; empty if it is not known."""
    rows: set[str] = set()
    """Folders in it that chunks are linked into, and those above."""
    paths: list[str] = []
    """The files in it, if they are few."""
    packed_names: str = ""
    """The names in it, if another process has put them."""

    def make_folders(self, *paths: str) -> None:
        """Make folders that are not there yet, from above to below."""
        for path in paths:
            if path not in self.rows:
                os.mkdir(f"{self.folder}/{path}")  # noqa: PTH102
                self.rows.add(path)

    @property
    def names(self) -> str:
        """The names in the folder, as `names_of` gives them; empty if they are not known."""
        return self.packed_names or (names_of(tuple(self.paths)) if self.paths else "")


class Staging:
    """The folders that one run makes ahead of its commit; for one thread. A sink for `execute`."""

    def __init__(
        self, disk: LocalDisk | None, *, room: int = MOST_FILES, is_copying: bool = True
    ) -> None:
        """Make nothing yet.

        Args:
            disk: Where the store is; without a local disk there is no tree.
            room: How many files may be made.
            is_copying: Whether to make folders where the file system cannot link.
        """
        self._disk = disk
        self._room = room
        self._is_copying = is_copying
        self._count = 0
        self._ahead: Path | None = None
        self._made: dict[str, _Made | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave to the next run what was made, where this one fails or is interrupted."""
        if kind is not None and self._disk is not None:
            self._disk.leave()

    def tiles_put(self, asset: AnyImage, tiles: Tiles) -> None:
        """Link tiles of a new asset into its folder, which receives all tiles of the asset."""
        try:
            made = self._made[asset.id] if asset.id in self._made else self._begin(asset)
            if made is None:
                return
            for key, rows in tiles.items():
                path = array_path(asset, key)
                for tile in rows:
                    row = f"{path}/c/{tile.row}"
                    if row not in made.rows:
                        made.make_folders(f"{path}/c", row)
                    name = f"{row}/{tile.col}"
                    made.files.link(Objects.path(tile.stored.hex()), name)
                    if made.paths:
                        made.paths.append(name)
            self._refuse_copies(asset.id, made)
        except (OSError, GeobatchError):
            self._made[asset.id] = None

    def asset_reused(self, record: AssetRecord, index: Index) -> None:
        """Link an asset whose tiles were all put before, by a run that was killed.

        The folder that this run made is taken if it holds what it must, to the last file.
        """
        try:
            if self._take_left(record, index) or (made := self._begin(record.image)) is None:
                return
            for chunk in chunks(index, record):
                made.files.link(Objects.path(chunk.stored), chunk.path)
                if made.paths:
                    made.paths.append(chunk.path)
                check_size(chunk.stored, made.files.size(chunk.path), chunk.size, chunk.path)
            self._refuse_copies(record.asset.id, made)
        except (OSError, GeobatchError):
            self._made[record.asset.id] = None

    def for_processes(self, count: int, backend: Backend) -> Staging:
        """Return the staging of each of some other processes, which pickles.

        Args:
            count: How many there are. They and this one may make equally many files.
            backend: What they put objects into.
        """
        self._room //= count + 1
        return Staging(backend.local, room=self._room, is_copying=self._is_copying)

    def pack(self, asset_id: str) -> bytes:
        """Return the folder of an asset, for the staging of another process, and forget it."""
        made = self._made.pop(asset_id, None)
        return _pack(made and (str(made.folder), made.files.linked, made.files.copied, made.names))

    def unpack(self, asset_id: str, packed: bytes) -> None:
        """Take the folder that another process made, as if it had been made here."""
        found = _unpack(packed)
        if found is not None and self._disk is not None:
            folder, linked, copied, names = found
            files = Files(sources=self._disk.root, folder=Path(folder))
            files.linked, files.copied = linked, copied
            # Most folders have the same names: one text for all of them.
            self._made[asset_id] = _Made(
                folder=Path(folder), files=files, packed_names=sys.intern(names)
            )

    def asset_finished(self, entry: TreeEntry) -> None:
        """Note which asset it is whose tiles are all in its folder."""
        made = self._made.get(entry.id)
        if made is not None:
            made.stored = entry.stored

    def hold(self, plan_id: Digest, entries: Iterable[TreeEntry]) -> None:
        """Keep the folders of a rehearsal, with their states, for the run that applies its plan.

        What a rehearsal of the same plan held before, stays.
        """
        for entry in entries:
            made = self._made.pop(entry.id, None)
            if made is None or made.stored != entry.stored or self._disk is None:
                continue
            held = held_folder(self._disk, plan_id)
            name = _name(entry.id)
            with suppress(OSError):
                held.mkdir(parents=True, exist_ok=True)
                os.rename(made.folder, held / name)  # noqa: PTH104
                state = settled_state(f"{held}/", name, entry.stored)
                (held / f"{name}{_STATE}").write_bytes(_RULES + state)

    def take_held(self, plan_id: Digest, entries: Iterable[TreeEntry]) -> None:
        """Take the folders that a rehearsal holds, where each file is as it was then."""
        if self._disk is None:
            return
        held = held_folder(self._disk, plan_id)
        for entry in entries:
            name = _name(entry.id)
            try:
                data = (held / f"{name}{_STATE}").read_bytes()
            except OSError:
                continue
            state = data.removeprefix(_RULES)
            if data == state or not is_unchanged(f"{held}/", name, entry.stored, state):
                continue
            files = Files(sources=self._disk.root, folder=held / name)
            files.linked = entry.tiles
            self._made[entry.id] = _Made(
                folder=held / name, files=files, stored=entry.stored, state=state
            )

    def known_of(self, entry: TreeEntry) -> tuple[bytes, str]:
        """Return the state of the folder of an asset, and the names in it; empty if not known."""
        made = self._made.get(entry.id)
        return (
            (b"", "") if made is None or made.stored != entry.stored else (made.state, made.names)
        )

    def move(self, entry: TreeEntry, tree: Files) -> bool:
        """Move the folder of an asset into the tree; return whether there was one, and a way.

        Afterwards, what had that name in the tree has the folder's former path.
        """
        made = self._made.get(entry.id)
        if made is None or made.stored != entry.stored:
            return False
        self._made[entry.id] = None
        return tree.put(made.folder, entry.id, made_by=made.files)

    def _folder(self, asset_id: str) -> Path | None:
        """Return where the folder of an asset is made, the same in each run; None for nowhere."""
        # A folder in the tree is brought up to date where it stands.
        if self._disk is None or os.path.lexists(f"{self._disk.root}/{FOLDER}/{asset_id}"):
            return None
        if self._ahead is None:
            self._ahead = self._disk.scratch(AHEAD)
        return self._ahead / _name(asset_id)

    def _refuse_copies(self, asset_id: str, made: _Made) -> None:
        """Make no folder that takes the room of its tiles again, unless that is asked for."""
        if made.files.copied and not self._is_copying:
            self._made[asset_id] = None

    def _take_left(self, record: AssetRecord, index: Index) -> bool:
        """Take the folder that a killed run has made; return whether it is there and whole."""
        folder = self._folder(record.asset.id)
        if self._disk is None or folder is None or not os.path.lexists(folder):
            return False
        root = f"{self._disk.root}/"
        if not compare(root, "", index, record, folder=f"{folder}/").is_intact:
            return False
        files = Files(sources=self._disk.root, folder=folder)
        files.linked = tile_count(record)
        self._made[record.asset.id] = _Made(folder=folder, files=files)
        return True

    def _begin(self, asset: AnyImage) -> _Made | None:
        """Make the folder of an asset, with all that describes it; None for one that gets none."""
        self._made[asset.id] = None
        folder = self._folder(asset.id)
        if self._disk is None or folder is None:
            return None
        keys = tuple(array_keys(asset))
        tiles = sum(math.prod(tile_plane(asset, key)) for key in keys)
        if tiles > self._room:
            return None
        # The documents of an asset follow from its resolved form.
        record = AssetRecord(asset=asset, arrays=tuple((k, None) for k in keys), fingerprints=())
        texts = documents(record)
        self._room -= tiles + len(texts)
        if os.path.lexists(folder):  # what a killed run has begun, or made of another state
            self._count += 1
            os.rename(folder, f"{folder}-{os.getpid()}-{self._count}")  # noqa: PTH104
        made = _Made(folder=folder, files=Files(sources=self._disk.root, folder=folder))
        _fill(f"{folder}/", texts)
        if len(texts) + tiles <= _FEW:
            made.paths.extend(texts)
        self._made[asset.id] = made
        return made


def _fill(folder: str, texts: Mapping[str, bytes]) -> None:
    """Write files into a new folder, which nobody reads before all of it is moved into the tree.

    Each costs three system calls, and each folder one: small images are mostly such files.
    """
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    made = {""}
    for path, data in texts.items():
        parts = path.split("/")[:-1]
        for count in range(1, len(parts) + 1):
            if (above := "/".join(parts[:count])) not in made:
                os.mkdir(folder + above)  # noqa: PTH102
                made.add(above)
        file = os.open(folder + path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(file, left) :]
        finally:
            os.close(file)


def _name(asset_id: str) -> str:
    """Return the name of the folder of an asset, of one length whatever its id."""
    return digest_bytes(asset_id.encode())
