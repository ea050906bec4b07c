"""What changes of one asset in a view of a bucket, and how it is done: documents last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from msgspec import Struct, field

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend, Service
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.objects import Objects

REQUESTS = 64
"""Requests at the same time."""


class Shown(Struct, frozen=True, kw_only=True, order=True):
    """An object under another name."""

    name: str
    """The name."""
    stored: Digest
    """Digest of the object."""
    size: int
    """Length of its bytes."""


class AssetChange(Struct, kw_only=True):
    """What changes of one asset; all names are those in the store."""

    asset_id: str
    """The asset."""
    first: list[str] = field(default_factory=list)
    """Names that are deleted before: documents that cannot describe old and new chunks."""
    copies: list[Shown] = field(default_factory=list)
    """Objects that are copied."""
    texts: dict[str, bytes] = field(default_factory=dict)
    """Documents and coordinates, in the order of writing."""
    removed: list[str] = field(default_factory=list)
    """Names that are deleted after."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.first or self.copies or self.texts or self.removed)


class Changes:
    """Makes changes of many assets at the same time, and counts them."""

    def __init__(self, backend: Backend, service: Service, pool: ThreadPoolExecutor) -> None:
        self._backend = backend
        self._service = service
        self._pool = pool
        self.copied = 0
        self.removed = 0
        self.damaged: dict[str, CorruptObjectError] = {}
        """Assets of which an object is missing; their documents are not written."""

    def make(self, changes: Sequence[AssetChange]) -> None:
        """Make changes: chunks first, then documents, those of groups from the deepest up."""
        self._delete(name for change in changes for name in change.first)
        copies = [((change.asset_id, one), 0) for change in changes for one in change.copies]
        for asset_id, error in in_flight(self._pool, self._copy, copies, most=REQUESTS):
            if error is None:
                self.copied += 1
            else:
                self.damaged.setdefault(asset_id, error)
        whole = [change for change in changes if change.asset_id not in self.damaged]
        texts = [(_round(name, data), name, data) for c in whole for name, data in c.texts.items()]
        for _, some in groupby(sorted(texts), key=lambda text: text[0]):
            put = (((name, data), len(data)) for _, name, data in some)
            for _ in in_flight(self._pool, self._put, put, most=REQUESTS):
                pass
        self._delete(name for change in whole for name in change.removed)

    def _delete(self, names: Iterator[str]) -> None:
        found = list(names)
        if found:
            self._service.delete_all(found)
            self.removed += len(found)

    def _copy(self, one: tuple[str, Shown]) -> tuple[str, CorruptObjectError | None]:
        asset_id, shown = one
        name = Objects.path(shown.stored)
        try:
            self._service.copy(name, shown.name)
        except NotFoundError:
            return asset_id, CorruptObjectError(
                f"object `{name}` is missing, `{shown.name}` shows it"
            )
        return asset_id, None

    def _put(self, text: tuple[str, bytes]) -> None:
        self._backend.replace(*text)


def _round(name: str, data: bytes) -> int:
    """Return when a text is written: groups last, and the deepest of them first."""
    if not name.endswith(".json") or json.loads(data).get("node_type") != "group":
        return -1_000_000
    return -name.count("/")
