"""The ids of assets in another commit."""

from __future__ import annotations

from geobatch.format.documents import decode_commit
from geobatch.model.published import Head
from geobatch.store.tilestore import TileStore


def renames(store: TileStore, a: Head, b: Head) -> dict[str, str]:
    """Return the id in `a` of each asset that has another id in `b`, by its id in `b`.

    Walks from the newer commit to the older one; of trees it reads nothing.

    Raises:
        CorruptObjectError: A commit is damaged.
    """
    newer, older = (b, a) if a.number <= b.number else (a, b)
    names: dict[str, str] = {}
    digest, commit = newer.digest, newer.commit
    while commit is not None and digest != older.digest:
        # What was called so before an even older rename is known by its newest name already.
        later = {was: now for now, was in names.items()}
        for now, was in commit.renamed:
            names[later.get(now, now)] = was
        digest = commit.parent
        if digest is None:
            break
        commit = decode_commit(store.objects.get(digest), name=f"commit `{digest}`")
    return names if newer is b else {was: now for now, was in names.items()}
