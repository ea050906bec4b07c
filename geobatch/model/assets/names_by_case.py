"""Names that differ only by case: on disks that ignore case they are one folder."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise


def folders(asset_id: str) -> Iterator[str]:
    """Yield the folders that an asset lies in, the outermost first, and its own."""
    end = asset_id.find("/")
    while end >= 0:
        yield asset_id[:end]
        end = asset_id.find("/", end + 1)
    yield asset_id


def may_clash(ids: Collection[str]) -> bool:
    """Return whether two ids may be equal but for case, or one may be a folder of another.

    Hashes are compared, which takes 50 bytes per id; rarely, ids are suspected without reason.
    """
    parents = {name.rpartition("/")[0] for name in ids} - {""}
    above = {folder for name in parents for folder in folders(name)}
    folded = array("q", (hash(name.casefold()) for name in ids))
    folded.extend(hash(name.casefold()) for name in above)
    return any(one == two for one, two in pairwise(sorted(folded)))


def first_alike(ids: Iterable[str], known: Iterable[str]) -> tuple[str, str, str] | None:
    """Return the first id that differs from a known one only by case, itself or in a folder.

    Args:
        ids: Ids; for speed, without known ones.
        known: Known ids; without other ids, none is taken.

    Returns:
        The id, the folder that differs, and a known id in that of the other spelling.
    """
    new = list(ids)
    if not new:
        return None
    wanted = {folder.casefold() for name in new for folder in folders(name)}
    exact: set[str] = set()
    other: dict[str, str] = {}
    for name in known:
        for folder in folders(name):
            if (folded := folder.casefold()) in wanted:
                exact.add(folder)
                other[folded] = name
    for one in new:
        for folder in folders(one):
            if folder not in exact and folder.casefold() in other:
                return one, folder, other[folder.casefold()]
    return None
