"""The commits of a store, as a program reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.provenance import Provenance
from geobatch.model.published import Head, TreeEntry


class LogEntry(Struct, frozen=True, kw_only=True):
    """One commit."""

    number: int
    """Its number, from 1."""
    digest: Digest
    """Digest of the commit document; `at` finds it by that, too."""
    time: datetime
    """When it was published, in UTC."""
    message: str
    """What was done, in one line."""
    provenance: Provenance | None
    """Who asked for it, and from which Git commit; None where unknown."""
    content_root: Digest
    """Digest of what readers see: equal for equal inputs on every machine."""


def entries_of(heads: Iterable[Head], *, newest: Head | None) -> Iterator[LogEntry]:
    """Yield the entries of some commits, newest first, from a commit on."""
    for head in heads:
        if newest is not None and head.number > newest.number:
            continue
        if head.commit is not None and head.digest is not None:
            yield LogEntry(
                number=head.number,
                digest=head.digest,
                time=datetime.fromisoformat(head.commit.time),
                message=head.commit.message,
                provenance=head.commit.provenance,
                content_root=head.commit.content_root,
            )


def changes_of(heads: Iterable[Head], asset_id: str, *, newest: Head) -> Iterator[LogEntry]:
    """Yield the entries of the commits that made, changed or renamed an asset, newest first.

    Args:
        heads: Successive commits, newest first.
        asset_id: Id of the asset in the newest one.
        newest: The commit to begin with.
    """
    newer: Head | None = None
    entry: TreeEntry | None = None
    for head in heads:
        if head.number > newest.number:
            continue
        if newer is not None:
            before = newer.name_before(asset_id)
            if before != asset_id or head.tree.entry(before) != entry:
                yield from entries_of([newer], newest=None)
            asset_id = before
        newer, entry = head, head.tree.entry(asset_id)
        if entry is None:
            return
    if newer is not None and newer.number <= 1:
        yield from entries_of([newer], newest=None)
