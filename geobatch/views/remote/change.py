"""What changes of one asset in a view of a bucket, and how it is done: documents last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from msgspec import Struct, field

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.objects import Objects
from geobatch.views.remote.long_text import Text

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
    texts: Mapping[str, Text] = field(default_factory=dict)
    """Documents and coordinates, in the order of writing."""
    removed: list[str] = field(default_factory=list)
    """Names that are deleted after."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.first or self.copies or self.texts or self.removed)


class Changes:
    """Makes changes of many assets at the same time, and counts them."""

    def __init__(self, backend: Backend, pool: ThreadPoolExecutor) -> None:
        self._backend = backend
        self._pool = pool
        self.copied = 0
        self.removed = 0
        self.damaged: dict[str, CorruptObjectError] = {}
        """Assets of which an object is missing; their documents are not written."""

    def make(self, changes: Sequence[AssetChange]) -> None:
        """Make changes: chunks first, then documents, those of groups from the deepest up."""
        self._delete(name for change in changes for name in change.first)
        copies = [(change.asset_id, one) for change in changes for one in change.copies]
        pairs = [(Objects.path(one.stored), one.name) for _, one in copies]
        done = self._backend.copy_all(pairs)
        for is_copied, (asset_id, one) in zip(done, copies, strict=True):
            if is_copied:
                self.copied += 1
                continue
            self.damaged.setdefault(
                asset_id,
                CorruptObjectError(
                    f"object `{Objects.path(one.stored)}` is missing, `{one.name}` shows it"
                ),
            )
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
            self._backend.delete_all(found)
            self.removed += len(found)

    def _put(self, text: tuple[str, Text]) -> None:
        self._backend.replace(*text)


def _round(name: str, data: Text) -> int:
    """Return when a text is written: groups last, and the deepest of them first."""
    if isinstance(data, memoryview) or not name.endswith(".json"):  # long ones are no groups
        return -1_000_000
    if json.loads(data).get("node_type") != "group":
        return -1_000_000
    return -name.count("/")
