"""The folder of one cube: built elsewhere as a whole, appended to, or rearranged in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from geobatch.errors import CorruptObjectError
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.published import AssetRecord
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.cubes.members import Member, record_of
from geobatch.views.cubes.metadata import cube_documents
from geobatch.views.files import Files
from geobatch.views.objects import check_size
from geobatch.views.zarr.asset_folder import Chunk, chunks
from geobatch.views.zarr.metadata import DOCUMENT

_MOVING = "moving"
"""Folder within an array for days on their way to another number; no chunk key begins so."""

TakeAway = Callable[[str], object]
"""Removes a folder of the view, by path, in one step."""


def cube_chunks(
    store: TileStore, members: Sequence[Member], *, at: Callable[[str], object] = lambda _: None
) -> Iterator[Chunk]:
    """Yield the chunks of a cube, by path within its folder.

    Args:
        store: The store.
        members: Its steps.
        at: Receives the id of each image before it is read.

    Raises:
        CorruptObjectError: The document or an index page of an image is damaged.
    """
    for step, member in enumerate(members):
        at(member.id)
        for chunk in chunks(store.index, record_of(store, member)):
            yield _of_step(chunk, step)


def build(
    files: Files,
    name: str,
    store: TileStore,
    members: Sequence[Member],
    *,
    at: Callable[[str], object],
) -> None:
    """Make the folder of a cube where there is none: chunks first, its own document last.

    Args:
        files: The folder that it is made in.
        name: Name of the cube.
        store: The store.
        members: Its steps.
        at: Receives the id of each image before it is read.

    Raises:
        CorruptObjectError: What an image is made of is damaged.
        OSError: The disk refused.
    """
    for chunk in cube_chunks(store, members, at=at):
        _link(files, name, chunk)
    write(files, name, cube_documents(record_of(store, members[0]), members))


def append(
    files: Files,
    name: str,
    store: TileStore,
    members: Sequence[Member],
    *,
    first: int,
    at: Callable[[str], object],
) -> None:
    """Add steps after those that a cube has; its readers see none of them before the last file.

    Args:
        files: The folder of all cubes.
        name: Name of the cube.
        store: The store.
        members: Its steps.
        first: Number of the first step that is new.
        at: Receives the id of each image before it is read.

    Raises:
        CorruptObjectError: What an image is made of is damaged.
        OSError: The disk refused.
    """
    reference = record_of(store, members[0])
    for step in range(first, len(members)):
        at(members[step].id)
        for path in _arrays(reference):
            if files.exists(folder := f"{name}/{path}/c/{step}"):  # of a killed run
                files.sweep(folder)
        for chunk in chunks(store.index, record_of(store, members[step])):
            _link(files, name, _of_step(chunk, step))
    write(files, name, cube_documents(reference, members))


def rearrange(
    files: Files,
    name: str,
    store: TileStore,
    old: Sequence[Member],
    new: Sequence[Member],
    *,
    take_away: TakeAway,
    at: Callable[[str], object],
) -> None:
    """Change a cube in place: folders of days are renamed, and only days that differ are linked.

    Its documents go first and come back last, so that nobody opens it meanwhile.

    Args:
        files: The folder of all cubes.
        name: Name of the cube.
        store: The store.
        old: What it shows.
        new: What it must show; images of the same form.
        take_away: Removes a folder.
        at: Receives the id of each image before it is read.

    Raises:
        CorruptObjectError: What an image is made of is damaged.
        OSError: The disk refused.
    """
    before = record_of(store, old[0])
    for path in reversed(cube_documents(before, old)):
        if path.endswith(DOCUMENT):
            files.remove(f"{name}/{path}")
    steps = {one.id: step for step, one in enumerate(old)}
    changed = {
        step: _unchanged(store, old, steps, one)
        for step, one in enumerate(new)
        if one.id not in steps or old[steps[one.id]].stored != one.stored
    }
    arrays = _arrays(before)
    for path in arrays:
        moves = {
            steps[one.id]: step
            for step, one in enumerate(new)
            if step not in changed or path in changed[step]
        }
        lengths = len(old), len(new)
        _renumber(files, f"{name}/{path}", moves, lengths=lengths, take_away=take_away)
    for step, same in changed.items():
        at(new[step].id)
        for chunk in chunks(store.index, record_of(store, new[step])):
            if chunk.path.rpartition("/c/")[0] not in same:
                _link(files, name, _of_step(chunk, step))
    write(files, name, cube_documents(record_of(store, new[0]), new))


def write(files: Files, name: str, texts: Mapping[str, bytes]) -> None:
    """Write documents and coordinates that differ, in their order."""
    for path, text in texts.items():
        if not files.holds(f"{name}/{path}", text):
            files.write(f"{name}/{path}", text)


def _renumber(
    files: Files,
    folder: str,
    moves: Mapping[int, int],
    *,
    lengths: tuple[int, int],
    take_away: TakeAway,
) -> None:
    """Rename the folders of days of one array; those that nothing needs are removed.

    Args:
        files: The folder of all cubes.
        folder: The array.
        moves: New number of each day that stays, by its old one.
        lengths: How many days there were, and will be.
        take_away: Removes a folder.
    """
    for was in range(max(lengths)):  # those after the last are of a killed run
        now = moves.get(was)
        if now is None:
            if files.exists(f"{folder}/c/{was}"):
                take_away(f"{folder}/c/{was}")
        elif now != was:
            files.rename(f"{folder}/c/{was}", f"{folder}/{_MOVING}/{now}")
    for was, now in moves.items():
        if now != was:
            files.rename(f"{folder}/{_MOVING}/{now}", f"{folder}/c/{now}")
    if files.exists(f"{folder}/{_MOVING}"):
        files.sweep(f"{folder}/{_MOVING}")


def _unchanged(
    store: TileStore, old: Sequence[Member], steps: Mapping[str, int], one: Member
) -> frozenset[str]:
    """Return the arrays of an image that changed whose chunks are all the same."""
    if one.id not in steps:
        return frozenset()
    try:
        before = record_of(store, old[steps[one.id]])
    except CorruptObjectError:  # `gc` removed it
        return frozenset()
    after = record_of(store, one)
    roots = {key: None if root is None else root.stored for key, root in before.arrays}
    return frozenset(
        array_path(after.image, key)
        for key, root in after.arrays
        if key in roots and roots[key] == (None if root is None else root.stored)
    )


def _arrays(record: AssetRecord) -> list[str]:
    return [array_path(record.image, key) for key, _ in record.arrays]


def _of_step(chunk: Chunk, step: int) -> Chunk:
    array, _, position = chunk.path.rpartition("/c/")
    return Chunk(f"{array}/c/{step}/{position}", chunk.stored, chunk.size)


def _link(files: Files, name: str, chunk: Chunk) -> None:
    path = f"{name}/{chunk.path}"
    files.link(Objects.path(chunk.stored), path)
    check_size(chunk.stored, files.size(path), chunk.size, path)
