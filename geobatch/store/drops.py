"""Which commits `gc` dropped, and when it ran last.

The document and the ref of a dropped commit stay, so the line of commits has no gap. Its tree,
assets and tiles may be gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.format.documents import FORMAT, check_format
from geobatch.model.digest import canonical_json
from geobatch.store.backends.protocol import Backend

DROPPED = "gc/dropped/"
"""Folder of the documents that list dropped commits; they are read together."""
LAST = "gc/last.json"
"""Document with the time of the last run."""


class Drops:
    """What `gc` has recorded in a store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def numbers(self) -> frozenset[int]:
        """Return the numbers of all dropped commits.

        Raises:
            CorruptObjectError: A document is damaged.
            FormatError: A newer geobatch wrote one.
        """
        found: set[int] = set()
        for name in self._backend.list(DROPPED):
            document = self._read(name)
            if document is None:
                continue
            try:
                found.update(int(number) for number in document["dropped"])
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(name, error) from error
        return frozenset(found)

    def add(self, numbers: Collection[int], *, time: datetime) -> None:
        """Record commits as dropped, durably, before anything of them is moved."""
        before = list(self._backend.list(DROPPED))
        document = {
            "format": FORMAT,
            "time": _text(time),
            "dropped": sorted({*self.numbers(), *numbers}),
        }
        name = f"{DROPPED}{time.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}.json"
        self._backend.create(name, canonical_json(document))
        for old in before:
            self._backend.delete(old)

    def last_run(self) -> datetime | None:
        """Return when `gc --apply` ran last; None if it never did.

        Raises:
            CorruptObjectError: The document is damaged.
        """
        document = self._read(LAST)
        if document is None:
            return None
        try:
            return datetime.fromisoformat(document["time"])
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(LAST, error) from error

    def note_run(self, time: datetime) -> None:
        """Record when `gc --apply` ran."""
        self._backend.replace(LAST, canonical_json({"format": FORMAT, "time": _text(time)}))

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = self._backend.get(name)
        except NotFoundError:
            return None
        try:
            document = json.loads(data)
            version = document["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(name, error) from error
        check_format(version, f"`{name}`")
        return dict(document)


def dropped_error(number: int) -> NotFoundError:
    """Return the error of a commit whose assets are gone."""
    return NotFoundError(
        f"commit {number} was dropped by `geobatch gc`: its assets and tiles are not kept",
        hint="`geobatch log` marks dropped commits; `geobatch pin NAME COMMIT` keeps one for good",
    )


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _damaged(name: str, error: Exception) -> CorruptObjectError:
    return CorruptObjectError(
        f"`{name}` is damaged: {type(error).__name__} {error}",
        hint="restore it from a copy of the store",
    )
