"""Assets of a commit, found by their ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase

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


def find_ids(names: Sequence[str], ids: Collection[str], *, where: str) -> set[str]:
    """Return the ids that some names mean: an asset, a folder of assets, or a glob of ids.

    Args:
        names: What a user named; empty for all.
        ids: The ids that there are.
        where: Where they are, for the error.

    Raises:
        NotFoundError: A name matches none.
    """
    found: set[str] = set() if names else set(ids)
    for name in names:
        folder = f"{name.rstrip('/')}/"
        matched = {name} if name in ids else {one for one in ids if one.startswith(folder)}
        matched = matched or {one for one in ids if fnmatchcase(one, name)}
        if not matched:
            raise NotFoundError(
                f"`{name}` matches no asset of {where}",
                hint=suggestion(name, sorted(ids)) or "`geobatch ls` lists the assets",
            )
        found |= matched
    return found
