"""Encodes tiles again: the same pixels with another codec."""

from __future__ import annotations

from geobatch.errors import CorruptObjectError
from geobatch.execute.pages.entries import entries_of, positions_of
from geobatch.execute.tasks.task import RecodeTask, TaskResult
from geobatch.format.codec import decode, encode
from geobatch.model.tile import StoredTile, TileKey
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.store.pages.writing import put_changed
from geobatch.store.pixels import damaged_tile


def recode_tiles(task: RecodeTask, *, objects: Objects, index: Index) -> TaskResult:
    """Put some tiles of an array in another codec; their content digests stay.

    Raises:
        CorruptObjectError: A stored tile or an index page does not match its digest.
    """
    result = TaskResult()
    rows: list[StoredTile] = []
    for row, col in task.box:
        tile = index.lookup(task.plane, task.root, row=row, col=col)
        if tile is None:
            result.empty += 1
            continue
        try:
            found = objects.get(tile.stored.hex())
        except CorruptObjectError as error:
            raise damaged_tile(TileKey(task.array, tile.row, tile.col), error) from error
        data = encode(task.codec, decode(task.before, found, task.dtype, task.side))
        digest, is_new = objects.put_soon(data)
        result.puts.append((is_new, len(data)))
        rows.append(
            StoredTile(
                row=tile.row,
                col=tile.col,
                content=tile.content,
                stored=bytes.fromhex(digest),
                size=len(data),
            )
        )
    if rows and task.has_pages:
        result.settle()
        pages = put_changed(
            index,
            objects,
            task.plane,
            task.root,
            box=task.box,
            entries=entries_of(rows),
            removed=positions_of([]),
        )
        result.pages[task.array] = pages.tobytes()
    elif rows:
        result.entries[task.array] = rows
    return result
