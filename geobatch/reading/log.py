"""The commits of a store, as a program reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.provenance import Provenance
from geobatch.model.published import Head


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
