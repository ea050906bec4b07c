"""What `gc` would drop and move: a value, computed from facts alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from geobatch.errors import ProtectedError
from geobatch.model.digest import Digest

SKEW = timedelta(minutes=10)
"""How far clocks of two machines may differ."""
MOST_SILENCE = timedelta(days=366)
"""How long a store may be unused until the clock is doubted."""


class GcOptions(Struct, frozen=True, kw_only=True):
    """What to keep."""

    keep_last: int = 10
    """The newest commits, by number."""
    keep_within: timedelta = timedelta(days=90)
    """Commits that are not older."""
    grace: timedelta = timedelta(days=14)
    """Objects that are not older stay; and so long is anything kept in quarantine."""
    is_now: bool = False
    """Whether to delete what is moved at once."""
    trusts_clock: bool = False
    """Whether the clock is right although the store was not used for very long."""


class CommitFact(Struct, frozen=True, kw_only=True):
    """What is known of a commit without its tree."""

    number: int
    """Its number."""
    digest: Digest
    """Its digest."""
    parent: Digest | None
    """Digest of the commit before."""
    tree: Digest
    """Digest of its tree."""
    origins: Digest | None = None
    """Digest of the document of origins."""
    time: datetime
    """When it was published, by the clock of the process."""
    published: datetime
    """When its ref was made, by the clock of the backend."""
    message: str
    """What was done."""


class Kept(Struct, frozen=True, kw_only=True):
    """A commit that is kept, and why."""

    number: int
    """Its number."""
    digest: Digest
    """Its digest."""
    why: tuple[str, ...]
    """`head`, `last`, `recent`, `pin NAME`, `rehearsal ID`, `live run`, `view`."""


class Garbage(Struct, frozen=True, kw_only=True):
    """Objects that nothing needs which is kept, by what needed them last."""

    asset: str
    """Id of the asset; empty for documents of the whole commit, and for the rest."""
    commit: int | None
    """Number of the newest commit that needed them; None if none did: a run that failed."""
    objects: int
    """How many."""
    bytes: int
    """Their length."""
    freed: int
    """Bytes that the disk gets back: files with other hard links free nothing."""
    newest: datetime
    """When the newest of them was written."""


class Due(Struct, frozen=True, kw_only=True):
    """A batch in quarantine."""

    id: str
    """Name of the batch."""
    time: datetime
    """When it was made."""
    why: str
    """Why."""
    objects: int
    """Files that it holds."""
    freed: int
    """Bytes that the disk gets back when it is deleted."""
    is_due: bool
    """Whether it is deleted now: it is older than the grace time, and no live run began before."""


class GcPlan(Struct, frozen=True, kw_only=True):
    """What `gc --apply` would do."""

    time: datetime
    """When the plan was made."""
    options: GcOptions
    """What to keep."""
    kept: tuple[Kept, ...]
    """Commits that are kept, newest first."""
    dropped: tuple[int, ...]
    """Numbers of the commits that are dropped now, newest first."""
    garbage: tuple[Garbage, ...]
    """What is moved, by asset and commit, largest first."""
    batches: tuple[Due, ...]
    """What is in quarantine, oldest first."""
    objects: int
    """Objects in the store."""
    bytes: int
    """Their length."""
    young: int
    """Unneeded objects that stay: younger than the grace time, or than a live run."""
    young_bytes: int
    """Their length."""
    live_runs: int
    """Other runs that are alive now."""
    rehearsals: int = 0
    """Rehearsals that are kept."""
    expired: tuple[Digest, ...] = ()
    """Ids of expired rehearsals, which are deleted now."""

    @property
    def total(self) -> Garbage:
        """All that is moved."""
        return Garbage(
            asset="",
            commit=None,
            objects=sum(one.objects for one in self.garbage),
            bytes=sum(one.bytes for one in self.garbage),
            freed=sum(one.freed for one in self.garbage),
            newest=max((one.newest for one in self.garbage), default=self.time),
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        is_due = any(batch.is_due for batch in self.batches)
        return not (self.dropped or self.garbage or self.expired or is_due)


def kept_commits(
    commits: Sequence[CommitFact],
    *,
    options: GcOptions,
    now: datetime,
    pins: Mapping[str, int],
    rehearsals: Mapping[Digest, int] = MappingProxyType({}),
    dropped: Collection[int] = (),
    live_since: datetime | None = None,
    shown: int | None = None,
) -> dict[int, tuple[str, ...]]:
    """Return why each commit that is kept is kept, by number.

    Args:
        commits: All commits, by number from 1.
        options: What to keep.
        now: The time.
        pins: Number of the pinned commit, by name of the pin.
        rehearsals: Number of the commit that a rehearsal builds upon, by its id.
        dropped: Numbers of commits that were dropped before.
        live_since: When the oldest live run began; it may build upon what was the head since.
        shown: Number of the commit that the views show.
    """
    if not commits:
        return {}
    head = commits[-1].number

    def reasons(fact: CommitFact, following: CommitFact | None) -> Iterator[str]:
        if fact.number == head:
            yield "head"
        if fact.number > head - options.keep_last:
            yield "last"
        if options.keep_within and now - fact.time <= options.keep_within:
            yield "recent"
        if fact.number == shown != head:
            yield "view"
        yield from (f"pin {name}" for name, number in pins.items() if number == fact.number)
        yield from (f"rehearsal {one[:8]}" for one, n in rehearsals.items() if n == fact.number)
        # It was the head until the following one was published.
        if live_since is not None and following is not None and following.published >= live_since:
            yield "live run"

    found = {
        fact.number: tuple(reasons(fact, following))
        for fact, following in zip(commits, [*commits[1:], None], strict=True)
        if fact.number not in dropped
    }
    return {number: why for number, why in found.items() if why}


def check_clock(
    now: datetime, times: Iterable[tuple[str, datetime]], *, trusts_clock: bool = False
) -> None:
    """Refuse to work by a clock that is wrong.

    Args:
        now: What the clock says.
        times: What was written, and when.
        trusts_clock: Whether a store may have been unused for very long.

    Raises:
        ProtectedError: Something is from the future; or the newest of it is from long ago.
    """
    newest: tuple[str, datetime] | None = None
    for what, time in times:
        if time > now + SKEW:
            raise ProtectedError(
                f"{what} is from `{_text(time)}`, but the clock says `{_text(now)}`: nothing was"
                " changed",
                hint="set the clock of this machine right; if it was wrong before, wait, or `touch`"
                " what it has written",
            )
        if newest is None or time > newest[1]:
            newest = what, time
    if newest is not None and now - newest[1] > MOST_SILENCE and not trusts_clock:
        raise ProtectedError(
            f"the clock says `{_text(now)}`, but nothing was written to the store since"
            f" `{_text(newest[1])}` ({newest[0]}): nothing was changed",
            hint="set the clock of this machine right; if it is, use `--trust-clock`",
        )


def plan_json(plan: GcPlan) -> dict[str, Any]:
    """Return the machine form of a plan."""
    total = plan.total
    return {
        "time": _text(plan.time),
        "keep_last": plan.options.keep_last,
        "keep_within_seconds": int(plan.options.keep_within.total_seconds()),
        "grace_seconds": int(plan.options.grace.total_seconds()),
        "is_now": plan.options.is_now,
        "kept": [
            {"number": kept.number, "commit": kept.digest, "why": list(kept.why)}
            for kept in plan.kept
        ],
        "dropped": list(plan.dropped),
        "garbage": [_garbage_json(one) for one in plan.garbage],
        "quarantine": [
            {
                "batch": batch.id,
                "time": _text(batch.time),
                "why": batch.why,
                "objects": batch.objects,
                "freed": batch.freed,
                "is_due": batch.is_due,
            }
            for batch in plan.batches
        ],
        "total": {"objects": total.objects, "bytes": total.bytes, "freed": total.freed},
        "young": {"objects": plan.young, "bytes": plan.young_bytes},
        "store": {"objects": plan.objects, "bytes": plan.bytes},
        "live_runs": plan.live_runs,
        "rehearsals": {"kept": plan.rehearsals, "expired": list(plan.expired)},
    }


def _garbage_json(one: Garbage) -> dict[str, Any]:
    return {
        "asset": one.asset or None,
        "commit": one.commit,
        "objects": one.objects,
        "bytes": one.bytes,
        "freed": one.freed,
        "newest": _text(one.newest),
    }


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
