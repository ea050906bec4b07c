"""The facts that `gc` plans by: commits, pins, live runs; and what commits reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import decode_commit
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import RUNS
from geobatch.store.backends.run_folder import run_names
from geobatch.store.commits.refs import Refs
from geobatch.store.maintenance.gc_plan import (
    CommitFact,
    GcOptions,
    Kept,
    check_clock,
    kept_commits,
)
from geobatch.store.maintenance.reachable import Digests, Reachable, digests_of
from geobatch.store.rehearsals.records import Rehearsal
from geobatch.store.several import several
from geobatch.store.tilestore import TileStore

_RUN_MARGIN = timedelta(seconds=2)
"""The coarsest clock that a file system may have."""


class Roots:
    """What is kept: asked again before each step, since others publish, pin, and begin."""

    def __init__(
        self, store: TileStore, options: GcOptions, now: datetime, *, own_run: str = ""
    ) -> None:
        self._store = store
        self._own_run = own_run
        self._options = options
        self._now = now
        self._facts: dict[int, CommitFact] = {}
        self._reached: set[Digest] = set()
        self.reachable = Reachable(store.objects)
        """What the commits reach that were kept so far."""
        self.live_since: datetime | None = None
        """When the oldest other live run began; None if there is none."""
        self.live_runs = 0
        """Other live runs."""
        self.commits: list[CommitFact] = []
        """All commits, by number."""
        self.kept: tuple[Kept, ...] = ()
        """Those that are kept, newest first."""
        self.dropped: frozenset[int] = frozenset()
        """Numbers of those that were dropped before."""
        self.rehearsals: tuple[Rehearsal, ...] = ()
        """Rehearsals that are kept."""
        self.expired: tuple[Rehearsal, ...] = ()
        """Rehearsals that have expired."""

    def refresh(self) -> Iterator[Digests]:
        """Find out what is kept now; yield what is reached that was not reached before.

        Raises:
            CorruptObjectError: A ref, a commit, a pin, or anything that is kept is unreadable.
        """
        store = self._store
        self._find_runs()
        self.dropped = store.commits.drops.numbers()
        store.head()  # which checks that the newest ref is not lost
        self.commits = self._find_commits()
        numbers = {fact.digest: fact.number for fact in self.commits}
        pins = {pin.name: (pin, numbers.get(pin.commit)) for pin in store.pins.all()}
        for name, (pin, number) in pins.items():
            if number is None:
                raise CorruptObjectError(
                    f"pin `{name}` is on commit `{pin.commit}`, which this store does not have",
                    hint=f"`geobatch unpin {name}` deletes the pin",
                )
        rehearsals = tuple(store.rehearsals.all())
        self.rehearsals = tuple(one for one in rehearsals if one.is_live(self._now))
        self.expired = tuple(one for one in rehearsals if not one.is_live(self._now))
        shown = store.commits.refs.shown()
        why = kept_commits(
            self.commits,
            options=self._options,
            now=self._now,
            pins={name: number for name, (_, number) in pins.items() if number is not None},
            rehearsals={one.id: one.base_number for one in self.rehearsals},
            dropped=self.dropped,
            live_since=self.live_since,
            shown=None if shown is None else shown[0],
        )
        self.kept = tuple(
            Kept(number=fact.number, digest=fact.digest, why=why[fact.number])
            for fact in reversed(self.commits)
            if fact.number in why
        )
        # The documents of commits are small, and stay.
        yield self.reachable.digests.add(digests_of(fact.digest for fact in self.commits))
        new = [kept.digest for kept in self.kept if kept.digest not in self._reached]
        yield from self.reachable.commits(new)
        self._reached.update(new)
        for one in self.rehearsals:
            yield self.reachable.digests.add(digests_of([one.findings]))
            yield from self.reachable.tree(one.tree)

    def reach(self) -> None:
        """Find out what is kept now, and reach all of it."""
        for _ in self.refresh():
            pass

    def check_clock(self) -> None:
        """Refuse to work by a clock that is wrong; see `check_clock`."""
        times = [
            (f"commit {fact.number}", time)
            for fact in self.commits
            for time in (fact.time, fact.published)
        ]
        times += [(f"pin `{pin.name}`", pin.time) for pin in self._store.pins.all()]
        times += [
            (f"rehearsal `{one.id[:8]}`", one.made) for one in (*self.rehearsals, *self.expired)
        ]
        last = self._store.commits.drops.last_run()
        if last is not None:
            times.append(("the last `geobatch gc`", last))
        check_clock(self._now, times, trusts_clock=self._options.trusts_clock)

    def oldest_kept_ns(self) -> int:
        """Return the time since which unneeded objects stay."""
        since = self._now - self._options.grace
        if self.live_since is not None:
            since = min(since, self.live_since)
        return int(since.timestamp() * 1e9)

    def _find_runs(self) -> None:
        local = self._store.backend.local
        if local is None:
            return
        runs = local.path(RUNS.rstrip("/"))
        others = [name for name in run_names(runs)[0] if name != self._own_run]
        times = []
        for name in others:
            with suppress(FileNotFoundError):  # it has just ended
                times.append(_time(os.stat(Path(runs, name, "lock")).st_mtime_ns))  # noqa: PTH116
        self.live_runs = len(times)
        self.live_since = min(times) - _RUN_MARGIN if times else None

    def _find_commits(self) -> list[CommitFact]:
        """Return all commits: each is the parent of the following one.

        Raises:
            CorruptObjectError: A ref is missing or wrong, or a commit is unreadable.
        """
        numbers = self._store.commits.refs.numbers()
        every = range(1, (numbers or [0])[-1] + 1)
        facts = list(several(self._store.backend, self._fact, every))
        parent = None
        for fact in facts:
            if fact.parent != parent:
                raise CorruptObjectError(
                    f"commit {fact.number} (`{fact.digest}`) has the parent `{fact.parent}`,"
                    f" expected `{parent}`",
                    hint="`geobatch log` says which ref is wrong",
                )
            parent = fact.digest
        return facts

    def _fact(self, number: int) -> CommitFact:
        if number in self._facts:
            return self._facts[number]
        store = self._store
        digest = store.commits.refs.digest(number)
        commit = decode_commit(store.objects.get(digest), name=f"commit `{digest}`")
        state = store.backend.state(Refs.path(number))
        try:
            time = datetime.fromisoformat(commit.time).astimezone(UTC)
        except ValueError as error:
            raise CorruptObjectError(f"commit {number}: `{commit.time}` is not a time") from error
        fact = CommitFact(
            number=number,
            digest=digest,
            parent=commit.parent,
            tree=commit.tree,
            origins=commit.origins,
            time=time,
            published=time if state is None else _time(state.modified_ns),
            message=commit.message,
        )
        self._facts[number] = fact
        return fact


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
