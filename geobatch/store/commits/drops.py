"""Which commits `gc` dropped, and when it ran last.

The document and the ref of a dropped commit stay, so the line of commits has no gap. Its tree,
assets and tiles may be gone.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.format.documents import FORMAT, check_format
from geobatch.model.digest import canonical_json
from geobatch.store.backends.protocol import Backend

GC_RUNS = "gc/"
"""Folder of documents with the time of a run and all commits dropped so far; one, as a rule."""


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
        return frozenset().union(*(numbers for _, numbers in self._documents()))

    def last_run(self) -> datetime | None:
        """Return when `gc --apply` ran last; None if it never did; for the errors see `numbers`."""
        return max((time for time, _ in self._documents()), default=None)

    def record(self, numbers: Collection[int], *, time: datetime) -> None:
        """Record a run and the commits that it drops, durably; nothing of them is moved before."""
        before = list(self._backend.list(GC_RUNS))
        utc = time.astimezone(UTC)
        document = {
            "format": FORMAT,
            "time": utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "dropped": sorted({*self.numbers(), *numbers}),
        }
        name = f"{GC_RUNS}{utc:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}.json"
        self._backend.create(name, canonical_json(document))
        for old in before:
            self._backend.delete(old)

    def _documents(self) -> Iterator[tuple[datetime, frozenset[int]]]:
        for name in self._backend.list(GC_RUNS):
            document = self._read(name)
            if document is None:
                continue
            try:
                time = datetime.fromisoformat(document["time"]).astimezone(UTC)
                yield time, frozenset(map(int, document["dropped"]))
            except (KeyError, TypeError, ValueError) as error:
                raise _damaged(name, error) from error

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


def _damaged(name: str, error: Exception) -> CorruptObjectError:
    return CorruptObjectError(
        f"`{name}` is damaged: {type(error).__name__} {error}",
        hint="`geobatch fsck --repair` finds out again which commits were dropped",
    )
