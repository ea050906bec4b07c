"""The store that receives: one that exists, or a new one, which appears when all of it is there."""

from __future__ import annotations

import json

from msgspec import Struct

from geobatch.errors import ConflictError, NotFoundError, StoreError
from geobatch.format.documents import FORMAT, check_format
from geobatch.model.digest import canonical_json
from geobatch.store.backends.protocol import Backend
from geobatch.store.identity import (
    COPYING,
    IDENTITY,
    ZarrView,
    create_identity,
    foreign_name,
    has_refs,
    read_identity,
)


class Destination(Struct, frozen=True, kw_only=True):
    """The store that receives."""

    backend: Backend
    """Where it is."""
    is_new: bool
    """Whether there is no store yet: nobody reads or publishes there until `finish`."""
    is_begun: bool = False
    """Whether an earlier copy to the new store did not end."""


def find_destination(backend: Backend) -> Destination:
    """Return the store that is to receive; nothing is changed.

    Raises:
        StoreError: There is something else.
        FormatError: A newer geobatch made it.
        CorruptObjectError: What should say which store it is does not.
    """
    if backend.size(IDENTITY) is not None:
        read_identity(backend)
        return Destination(backend=backend, is_new=False)
    if backend.size(COPYING) is not None:
        return Destination(backend=backend, is_new=True, is_begun=True)
    if has_refs(backend):
        read_identity(backend)  # which says what is wrong
    if (other := foreign_name(backend)) is not None:
        raise StoreError(
            f"`{backend.location}` is not empty and not a geobatch store: it holds `{other}`",
            hint="name a store, or an empty or new location",
        )
    return Destination(backend=backend, is_new=True)


def begin(there: Destination, *, source: str) -> None:
    """Record that a new store is made by a copy, so that a killed one can be continued.

    Args:
        there: The store that receives.
        source: Id of the store that is copied.

    Raises:
        ConflictError: Another store is being copied to the same location.
    """
    if not there.is_new:
        return
    document = canonical_json({"format": FORMAT, "source": source})
    if there.backend.create(COPYING, document):
        return
    try:
        found = json.loads(there.backend.get(COPYING))
        check_format(found["format"], f"`{COPYING}`")
        other = str(found["source"])
    except NotFoundError:  # another process has just finished
        return
    except (ValueError, KeyError, TypeError):
        other = "unknown"
    if other != source:
        raise ConflictError(
            f"an unfinished copy of another store (`{other}`) is in `{there.backend.location}`",
            hint="finish that copy, or delete what it left, or name another location",
        )


def finish(there: Destination, views: ZarrView | None) -> None:
    """Make a new store one, now that everything is there and durable.

    Args:
        there: The store that receives.
        views: What a new store in a bucket keeps for other readers; by default references.
    """
    if there.is_new:
        there.backend.sync()
        create_identity(there.backend, views)
    if there.backend.size(COPYING) is not None:
        there.backend.delete(COPYING)
