"""Names that differ only by case: on disks that ignore case they are one folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator


def folders(asset_id: str) -> Iterator[str]:
    """Yield the folders that an asset lies in, the outermost first, and its own."""
    end = asset_id.find("/")
    while end >= 0:
        yield asset_id[:end]
        end = asset_id.find("/", end + 1)
    yield asset_id


def first_alike(ids: Iterable[str], known: Collection[str]) -> tuple[str, str, str] | None:
    """Return the first id that differs from a known one only by case, itself or in a folder.

    Returns:
        The id, the folder that differs, and a known id in that of the other spelling.
    """
    new = [one for one in ids if one not in known]
    if not new:
        return None
    exact = {folder for name in known for folder in folders(name)}
    other = {folder.casefold(): name for name in known for folder in folders(name)}
    for one in new:
        for folder in folders(one):
            if folder not in exact and folder.casefold() in other:
                return one, folder, other[folder.casefold()]
    return None
