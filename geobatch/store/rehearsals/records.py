"""Records of rehearsals: until one expires, `gc` keeps all that its plan is going to publish."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, NotFoundError, StoreError
from geobatch.format.documents import FORMAT, check_format
from geobatch.model.digest import Digest, canonical_json, digest_json
from geobatch.store.backends.protocol import Backend

REHEARSALS = "rehearsals/"
"""Folder of the records of rehearsals."""

_DIGEST = re.compile("[0-9a-f]{64}")
_SUFFIX = ".json"


class Rehearsal(Struct, frozen=True, kw_only=True, order=True):
    """A plan that was executed, and what it is going to publish."""

    id: Digest
    """Id of the plan."""
    base: Digest | None
    """Commit that the plan was made against; None if the store had none."""
    base_number: int
    """Number of that commit; 0 if the store had none."""
    tree: Digest
    """Digest of the tree that the plan is going to publish."""
    content_root: Digest
    """Content root of that tree."""
    findings: Digest
    """Digest of the document with what the plan changes, by asset."""
    tiles_put: int
    """Tiles whose object the first rehearsal of the plan put."""
    bytes_put: int
    """Bytes of these objects, and of tables."""
    made: datetime
    """When it was made, in UTC."""
    expires: datetime
    """When it expires, in UTC."""

    def is_live(self, now: datetime) -> bool:
        """Return whether it is kept at a time."""
        return now < self.expires


class Rehearsals:
    """The records of a store: one document for each rehearsed plan."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @staticmethod
    def path(plan_id: Digest) -> str:
        """Return the name of a record in its store."""
        return f"{REHEARSALS}{plan_id}{_SUFFIX}"

    def all(self) -> Iterator[Rehearsal]:
        """Yield all records, expired or not, sorted by id.

        Raises:
            CorruptObjectError: One is damaged.
            FormatError: A newer geobatch wrote one.
        """
        for name in list(self._backend.list(REHEARSALS)):
            if (found := self._read(name)) is not None:
                yield found

    def find(self, plan_id: Digest) -> Rehearsal | None:
        """Return the record of a plan, expired or not; None if there is none.

        Raises:
            CorruptObjectError: It is damaged.
            FormatError: A newer geobatch wrote it.
        """
        return self._read(self.path(plan_id)) if _DIGEST.fullmatch(plan_id) else None

    def keep(self, rehearsal: Rehearsal) -> Rehearsal:
        """Write a record, durably; one that is there lives until the later of both times.

        Returns:
            The record as it is then: the first of several rehearsals of one plan says what was put.
        """
        path = self.path(rehearsal.id)
        while not self._backend.create(path, _encode(rehearsal)):
            try:
                found = self._read(path)
            except CorruptObjectError:
                kept = rehearsal
            else:
                if found is None:  # `gc` has just removed it
                    continue
                kept = rehearsal
                if found.tree == rehearsal.tree:
                    expires = max(found.expires, rehearsal.expires)
                    kept = replace(found, expires=expires)
                if kept == found:
                    return found
            self._backend.replace(path, _encode(kept))
            self._backend.sync()
            return kept
        return rehearsal

    def delete(self, plan_id: Digest) -> None:
        """Delete a record; no error if there is none."""
        self._backend.delete(self.path(plan_id))

    def _read(self, name: str) -> Rehearsal | None:
        try:
            data = self._backend.get(name)
        except NotFoundError:
            return None
        try:
            found = _decode(json.loads(data), name)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise CorruptObjectError(
                f"`{name}` is damaged, so it is not known what it keeps: {error}",
                hint="delete the file; `geobatch plan --rehearse` writes it again",
            ) from error
        if name != self.path(found.id):
            raise CorruptObjectError(
                f"`{name}` is the record of another plan, `{found.id}`", hint="delete the file"
            )
        return found


def check_name(name: str) -> None:
    """Check that a name may be that of a record.

    Raises:
        StoreError: It may not.
    """
    stem = name.removeprefix(REHEARSALS).removesuffix(_SUFFIX)
    if _DIGEST.fullmatch(stem) is None or name != Rehearsals.path(stem):
        raise StoreError(f"`{name}` is not a valid name of a rehearsal")


def _encode(one: Rehearsal) -> bytes:
    members = _members(one)
    return canonical_json({**members, "seal": digest_json(members)})


def _members(one: Rehearsal) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "plan": one.id,
        "base": one.base,
        "base_number": one.base_number,
        "tree": one.tree,
        "content_root": one.content_root,
        "findings": one.findings,
        "tiles_put": one.tiles_put,
        "bytes_put": one.bytes_put,
        "made": time_text(one.made),
        "expires": time_text(one.expires),
    }


def _decode(document: Any, name: str) -> Rehearsal:
    check_format(document["format"], f"`{name}`")
    base = document["base"]
    found = Rehearsal(
        id=_digest(document["plan"]),
        base=None if base is None else _digest(base),
        base_number=int(document["base_number"]),
        tree=_digest(document["tree"]),
        content_root=_digest(document["content_root"]),
        findings=_digest(document["findings"]),
        tiles_put=int(document["tiles_put"]),
        bytes_put=int(document["bytes_put"]),
        made=datetime.fromisoformat(document["made"]).astimezone(UTC),
        expires=datetime.fromisoformat(document["expires"]).astimezone(UTC),
    )
    if document["seal"] != digest_json(_members(found)):
        raise ValueError("its members do not have the digest that it states")
    return found


def _digest(text: str) -> Digest:
    if _DIGEST.fullmatch(text) is None:
        raise ValueError(f"`{text}` is not a digest")
    return text


def time_text(time: datetime) -> str:
    """Return a time as RFC 3339 in UTC, to the second."""
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
