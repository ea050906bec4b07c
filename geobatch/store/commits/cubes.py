"""Which collections have cubes, from one commit to the next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from geobatch.model.assets.asset import Kind
from geobatch.model.published import Head, Tree

NOTHING: Mapping[str, bool] = MappingProxyType({})


def cubes_after(head: Head, changes: Mapping[str, bool], tree: Tree) -> tuple[str, ...]:
    """Return the collections with cubes of the commit after a head, sorted.

    Args:
        head: The commit before.
        changes: Ids of collections, and whether they have cubes from now on; others keep it.
        tree: The tree after it: a collection without images is forgotten.
    """
    known = set(cubes_of(head)) - changes.keys()
    known |= {one for one, has_cubes in changes.items() if has_cubes}
    if not known:
        return ()
    images = [entry.id for entry in tree.entries if entry.kind == Kind.IMAGE]
    return tuple(sorted(one for one in known if any(i.startswith(f"{one}/") for i in images)))


def cubes_of(head: Head) -> tuple[str, ...]:
    """Return the collections with cubes of a commit, sorted."""
    return () if head.commit is None else head.commit.cubes


def changes_between(head: Head, target: Head) -> dict[str, bool]:
    """Return the changes that give a head the cubes of another commit."""
    now, then = set(cubes_of(head)), set(cubes_of(target))
    return dict.fromkeys(now - then, False) | dict.fromkeys(then - now, True)
