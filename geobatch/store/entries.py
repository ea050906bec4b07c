"""Assets of a commit: found by their ids, added, changed and removed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase

from geobatch.errors import ConflictError, NotFoundError
from geobatch.format.documents import asset_content
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.assets.names_by_case import first_alike
from geobatch.model.digest import Digest
from geobatch.model.published import AssetRecord, Head, Tree, TreeEntry
from geobatch.model.text.suggest import suggestion


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


def entry_of(
    record: AssetRecord, stored: Digest, *, content: Digest | None = None, fingerprint: Digest = ""
) -> TreeEntry:
    """Return the entry of an asset in a tree.

    Args:
        record: The asset.
        stored: Digest of its document.
        content: What `asset_content` returns for it, if that is known.
        fingerprint: The same of `asset_fingerprint`.
    """
    return TreeEntry(
        id=record.asset.id,
        kind=record.asset.kind.value,
        content=content or asset_content(record),
        stored=stored,
        fingerprint=fingerprint or asset_fingerprint(record.asset),
        is_protected=record.asset.is_protected,
        tiles=sum(root.tiles for _, root in record.arrays if root is not None),
    )


def changed_tree(tree: Tree, changes: Mapping[str, TreeEntry | None]) -> Tree:
    """Return a tree with some changes.

    Args:
        tree: The tree.
        changes: Asset id to its new entry, or None to delete it.
    """
    for asset_id, entry in changes.items():
        if entry is not None and entry.id != asset_id:
            raise ValueError(f"the entry of `{entry.id}` is given for `{asset_id}`")
    return tree.changed(changes)


def refuse_conflict(base: Tree, head: Head, changes: Mapping[str, TreeEntry | None]) -> None:
    """Refuse changes that somebody else's commit contradicts.

    Args:
        base: The tree that the changes were made against.
        head: The newest commit.
        changes: Asset id to its new entry, or None to delete it.

    Raises:
        ConflictError: It changed one of the same assets, or made one that differs only by case.
    """
    theirs = base.differences(head.tree)
    for asset_id, wanted in sorted(changes.items()):
        if asset_id in theirs and theirs[asset_id][1] != wanted:
            raise ConflictError(
                f"asset `{asset_id}` was changed by commit {head.number} (`{head.digest}`) "
                "since this run began; nothing was published",
                hint="run the command again: finished work is kept",
            )
    new = (name for name, entry in sorted(changes.items()) if entry is not None)
    new = (name for name in new if base.entry(name) is None)
    # The plan has compared the new ids with those of the base.
    published = {name: entry for name, (_, entry) in theirs.items() if entry is not None}
    if published and (found := first_alike(new, published)) is not None:
        raise ConflictError(
            f"asset `{found[0]}` differs only by case from `{found[2]}`, which was published since"
            " this run began; nothing was published",
            hint="choose another id: on many disks both are the same folder",
        )
