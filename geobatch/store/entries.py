"""Assets of a commit, found by their ids."""

from __future__ import annotations

from geobatch.errors import NotFoundError
from geobatch.model.published import Head, TreeEntry
from geobatch.model.suggest import suggestion


def find_entry(head: Head, asset_id: str) -> TreeEntry:
    """Return the tree entry of an asset.

    Raises:
        NotFoundError: The commit has no such asset.
    """
    entry = head.tree.entry(asset_id)
    if entry is None:
        where = f"commit {head.number}" if head.number else "the store, which has no commits"
        ids = [one.id for one in head.tree.entries]
        raise NotFoundError(
            f"there is no asset `{asset_id}` in {where}",
            hint=suggestion(asset_id, ids) or "`geobatch ls` lists the assets",
        )
    return entry
