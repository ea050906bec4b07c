"""What a thorough check says of the Zarr tree besides what an update would change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.published import Head
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import MISSING, Part
from geobatch.views.zarr.metadata import DOCUMENT, VIEW
from geobatch.views.zarr.survey import Survey, attributes_of, document_of


def own_parts(store: TileStore, root: Path, head: Head, found: Survey) -> list[Part]:
    """Return what is wrong with the tree's own document, and assets that are not there at all.

    Differences of assets that an update was changing when it was killed are removed from the
    survey: such a folder may show anything until the next update.

    Args:
        store: The store.
        root: Folder of the tree.
        head: What the tree should show.
        found: How it differs from that.
    """
    shown = found.shown
    for asset_id in shown.unsettled & found.broken.keys():
        del found.broken[asset_id]
    if head.commit is None and not os.path.lexists(root):
        return []
    problem = _document_problem(store, root, head, found)
    parts = [Part(path=DOCUMENT, problem=problem)] if problem else []
    return parts if shown.is_known else [*parts, *_absent(root, head, found)]


def _document_problem(store: TileStore, root: Path, head: Head, found: Survey) -> str:
    """Return what is wrong with the document that says which commit the tree shows."""
    try:
        data = (root / DOCUMENT).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except IsADirectoryError:
        return "not a file"
    attributes, view = dict(found.shown.attributes), found.shown.attributes.get("view")
    if not found.shown.is_read:
        return "it does not say which commit the tree shows"
    shown = Head() if attributes["commit"] is None else head
    if shown.digest != attributes["commit"]:
        try:
            shown = store.at(str(attributes["number"]))
        except (CorruptObjectError, NotFoundError):
            return "it does not say which commit the tree shows"
    expected = attributes_of(shown)
    if isinstance(view, int) and 0 < view < VIEW:  # an older version made the tree
        expected["view"] = view
    unsettled = found.shown.named_unsettled
    return "" if data == document_of(expected, unsettled) else "other content"


def _absent(root: Path, head: Head, found: Survey) -> Iterator[Part]:
    """Yield the assets of a tree that does not say what it shows, which have no folder."""
    ids = {entry.id for entry in head.tree.entries}
    for asset_id in sorted(found.differing & ids):
        if not os.path.lexists(root / asset_id / DOCUMENT):
            yield Part(path=f"{asset_id}/{DOCUMENT}", problem=MISSING)
