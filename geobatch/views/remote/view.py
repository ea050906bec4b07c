"""A view of a store in a bucket: which assets differ from a head, and in which order they change.

The view's own document says which commit it shows, and which assets may show any mixture. Nobody
else writes below the folder of a view, so an update compares commits and not names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.published import Head, TreeEntry
from geobatch.store.copying.in_flight import in_flight
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import Audit, ViewChange, ViewState
from geobatch.views.remote.change import REQUESTS, AssetChange, Changes
from geobatch.views.remote.lease import SECONDS, leased
from geobatch.views.zarr.survey import Shown as State
from geobatch.views.zarr.survey import attributes_of, document_of, read_shown

_MOST_NAMES = 8192
"""Names that change together at least, if there are as many."""
_LONG = 128
"""Names that a long document counts for."""


class RemoteView(ABC):
    """A view of a store in a bucket; what it makes of an asset is said by its subclasses."""

    folder: str
    """Its folder in the store."""
    document: str
    """Name of its own document in the store."""

    def __init__(self, store: TileStore, *, seconds: float = SECONDS) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            seconds: After so long without renewal, another process's lease is taken over.
        """
        self._store = store
        self._backend = store.backend
        self._seconds = seconds

    @property
    def name(self) -> str:
        """What it is and where; see `View.name`."""
        return f"the view `{self._backend.location}/{self.folder}`"

    @abstractmethod
    def wanted(self, head: Head) -> dict[str, TreeEntry]:
        """Return the assets that it shows, by id."""

    @abstractmethod
    def change(self, entry: TreeEntry, before: TreeEntry | None, head: Head) -> AssetChange:
        """Return what changes of an asset.

        Args:
            entry: What is to be shown.
            before: What is shown; None if that is not known.
            head: The commit.

        Raises:
            CorruptObjectError: The documents or pages of the asset are damaged.
        """

    @abstractmethod
    def removal(self, asset_id: str, head: Head) -> AssetChange:
        """Return what is removed of an asset that is gone."""

    @abstractmethod
    def rest(self, state: State, head: Head) -> AssetChange:
        """Return what changes besides assets; of an unknown state, also what is foreign."""

    @abstractmethod
    def compare_names(self, head: Head, audit: Audit, found: ViewState) -> ViewState:
        """Return what is wrong with each name; see `View.compare`."""

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the view differs from a head; see `View.compare`.

        Without an audit, only its document is read.
        """
        state = self._state(head)
        differing = self._differing(state, head, ())
        number = state.attributes["number"]
        found = ViewState(
            number=number if state.is_known and isinstance(number, int) else None,
            behind=tuple(sorted(differing)),
            is_current=not differing and self._is_said(state, head),
            unsettled=tuple(sorted(state.unsettled)),
            is_former=state.is_former,
        )
        return found if audit is None else self.compare_names(head, audit, found)

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the view show a head, or a newer one; see `View.update`."""
        del is_thorough  # names are compared by `fsck`
        mixed: frozenset[str] = frozenset()
        if not self._needs(head, again):
            return ViewChange()
        while True:
            with leased(self._backend, seconds=self._seconds) as lease:
                newest = self._store.head()
                wanted = newest if newest.number > head.number else head
                if not mixed and not self._needs(wanted, again):  # another process did it
                    return ViewChange()
                done = self._update(wanted, again, mixed)
                if lease.is_held():
                    self.finish(wanted, done.damaged)
                    return done
            # Another process took this one for dead: what both changed may be a mixture.
            mixed |= set(done.assets)

    def finish(self, head: Head, damaged: Collection[str]) -> None:
        """Say that the view shows a head, except assets that are damaged."""
        self._announce(attributes_of(head), damaged)

    def _needs(self, head: Head, again: Collection[str]) -> bool:
        state = self._state(head)
        if head.commit is None and not state.is_read:
            return False
        is_said = self._is_said(state, head)
        return not is_said or bool(self._differing(state, head, again))

    def _update(self, head: Head, again: Collection[str], mixed: frozenset[str]) -> ViewChange:
        state, wanted = self._state(head), self.wanted(head)
        if mixed:
            state = replace(state, unsettled=state.unsettled | mixed, is_known=False)
        differing = self._differing(state, head, again)
        self._announce(state.attributes, differing | state.unsettled)
        with ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-view") as pool:
            changes = Changes(self._backend, pool)
            gone = sorted(differing - wanted.keys())
            changes.make([self.removal(asset_id, head) for asset_id in gone])
            jobs = ((one, 0) for one in sorted(differing & wanted.keys()))
            found = in_flight(pool, lambda one: self._change(one, state, head), jobs, most=REQUESTS)
            for some in _batched(found):
                changes.damaged |= {c: e for c, e in some.items() if isinstance(e, Exception)}
                changes.make([c for c in some.values() if isinstance(c, AssetChange)])
            changes.make([self.rest(state, head)])
        return ViewChange(
            assets=tuple(sorted(differing)),
            copied=changes.copied,
            removed=changes.removed,
            damaged=changes.damaged,
        )

    def _change(
        self, asset_id: str, state: State, head: Head
    ) -> tuple[str, AssetChange | CorruptObjectError]:
        entry, before = self.wanted(head)[asset_id], state.entries.get(asset_id)
        if asset_id in state.unsettled or before == entry:
            before = None
        try:
            return asset_id, self.change(entry, before, head)
        except CorruptObjectError as error:
            return asset_id, error

    def _differing(self, state: State, head: Head, again: Collection[str]) -> frozenset[str]:
        wanted, shown = self.wanted(head), state.entries
        differing = {
            one
            for one in wanted.keys() | shown.keys()
            if one not in wanted or one not in shown or wanted[one].stored != shown[one].stored
        }
        return frozenset(differing | state.unsettled | (wanted.keys() & set(again)))

    def _is_said(self, state: State, head: Head) -> bool:
        return state.is_read and state.attributes == attributes_of(head) and not state.unsettled

    def _state(self, head: Head) -> State:
        try:
            data = self._backend.get(self.document)
        except NotFoundError:
            return State()
        return read_shown(data, self._store, head, entries_of=self.wanted)

    def _announce(self, attributes: Mapping[str, object], unsettled: Collection[str]) -> None:
        """Write the view's own document."""
        self._backend.replace(self.document, document_of(attributes, unsettled))


def _batched(
    changes: Iterator[tuple[str, AssetChange | CorruptObjectError]],
) -> Iterator[dict[str, AssetChange | CorruptObjectError]]:
    """Yield changes by the batch: enough names for many requests at the same time."""
    some: dict[str, AssetChange | CorruptObjectError] = {}
    count = 0
    for asset_id, change in changes:
        some[asset_id] = change
        if isinstance(change, AssetChange):
            count += len(change.copies) + len(change.texts)
            # Each has a file open.
            count += _LONG * sum(isinstance(text, memoryview) for text in change.texts.values())
        if count >= _MOST_NAMES:
            yield some
            some, count = {}, 0
    if some:
        yield some
