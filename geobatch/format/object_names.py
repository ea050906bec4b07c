"""Names of the objects of a store."""

from __future__ import annotations

from geobatch.model.digest import Digest


def object_name(digest: Digest) -> str:
    """Return the name of an object in its store: `objects/ab/cdef...`."""
    return f"objects/{digest[:2]}/{digest[2:]}"
