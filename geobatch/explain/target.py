"""What a user names to be explained: a commit, or an asset of a commit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from geobatch.errors import NotFoundError, StoreError
from geobatch.model.published import Head, TreeEntry
from geobatch.model.text.suggest import suggestion
from geobatch.store.commits.renames import renames
from geobatch.store.entries import find_entry
from geobatch.store.tilestore import TileStore

_COMMIT_LIKE = re.compile("[0-9a-f]+|HEAD(~[0-9]*)?")
_LISTED = 8


class Target(Struct, frozen=True, kw_only=True):
    """One side of a comparison."""

    head: Head
    """The commit."""
    asset: str | None = None
    """An asset of it; None for all of them."""

    def __str__(self) -> str:
        digest = (self.head.digest or "")[:12]
        return f"{self.asset}@{digest}" if self.asset else digest

    @property
    def entry(self) -> TreeEntry:
        """The tree entry of the asset.

        Raises:
            NotFoundError: The commit has no such asset.
        """
        return find_entry(self.head, self.asset or "")


def find_targets(store: TileStore, a: str, b: str | None = None) -> tuple[Target, Target]:
    """Return two things to compare, both commits or both assets.

    Args:
        store: The store.
        a: A commit (digest, unique prefix, number, `HEAD~n`), an asset of the head, or
            `ASSET@COMMIT`.
        b: Likewise; by default the head, or the same asset in the head.

    Raises:
        NotFoundError: There is no such commit or asset, or the name fits one of each.
        StoreError: One is a commit and the other an asset, or there is nothing to compare with.
    """
    first = _find(store, a)
    if b is not None:
        second = _find(store, b)
    elif first.asset is None or "@" in a:
        second = _in_head(store, first)
    else:
        raise StoreError(
            f"`{a}` is an asset, and there is nothing to compare it with",
            hint=f"`geobatch diff {a}@HEAD~1` compares it with its state one commit ago",
        )
    if (first.asset is None) != (second.asset is None):
        asset = a if first.asset is not None else b
        commit = b if first.asset is not None else a
        name = (first.asset or second.asset) or ""
        raise StoreError(
            f"`{asset}` is an asset and `{commit}` a commit: they cannot be compared",
            hint=f"`{name}@{commit}` is that asset in that commit",
        )
    for target in (first, second):
        if target.asset is not None:
            find_entry(target.head, target.asset)
    return first, second


def listed(names: Iterable[str]) -> str:
    """Return a few names in backticks."""
    every = sorted(names)
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    return ", ".join(f"`{name}`" for name in every[:_LISTED]) + more


def _in_head(store: TileStore, target: Target) -> Target:
    """Return the same in the newest commit, where an asset may have another id."""
    head, asset = store.head(), target.asset
    if asset is not None and head.tree.entry(asset) is None:
        asset = renames(store, head, target.head).get(asset, asset)
    return Target(head=head, asset=asset)


def _find(store: TileStore, text: str) -> Target:
    asset, at, ref = text.rpartition("@")
    if at:
        return Target(head=store.at(ref), asset=asset)
    head = store.head()
    is_asset = head.tree.entry(text) is not None
    try:
        commit = store.at(text)
    except NotFoundError:
        if is_asset:
            return Target(head=head, asset=text)
        close = suggestion(text, _ids(head))
        if close is None and _COMMIT_LIKE.fullmatch(text):
            raise
        raise NotFoundError(
            f"`{text}` is neither a commit nor an asset of the newest commit",
            hint=close or "`geobatch log` lists the commits, `geobatch ls` the assets",
        ) from None
    if is_asset:
        raise NotFoundError(
            f"`{text}` is both the id of an asset and the number of commit {commit.number}",
            hint=f"write `{text}@HEAD` for the asset, or the digest `{commit.digest}`",
        )
    return Target(head=commit)


def _ids(head: Head) -> list[str]:
    return [entry.id for entry in head.tree.entries]
