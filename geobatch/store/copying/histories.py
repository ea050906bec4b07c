"""Which commits one store has and another lacks."""

from __future__ import annotations

from bisect import bisect_left

from msgspec import Struct

from geobatch.errors import ConflictError, CorruptObjectError
from geobatch.model.digest import Digest
from geobatch.store.commits.drops import Drops
from geobatch.store.commits.pins import Pin, Pins
from geobatch.store.commits.refs import Refs
from geobatch.store.copying.destination import Destination
from geobatch.store.tilestore import TileStore


class Histories(Struct, frozen=True, kw_only=True):
    """The commits of two stores, compared."""

    top: int
    """Number of the newest commit that is copied, or that was; 0 if there is none."""
    missing: tuple[int, ...]
    """Numbers of those that the receiver lacks, sorted."""
    kept: frozenset[int]
    """Those of them of which everything is copied; of the others, the document and the ref."""
    common: int
    """Number of the newest commit that both have and the receiver keeps; 0 without any."""
    pins: tuple[Pin, ...]
    """Pins that the receiver lacks."""
    other_pins: tuple[str, ...]
    """Names of pins that the receiver has on another commit, or whose commit it dropped."""


def compare_histories(
    source: TileStore, there: Destination, *, at: str | None, keep_last: int | None
) -> Histories:
    """Return what is to be copied.

    Args:
        source: The store that is copied.
        there: The one that receives.
        at: Newest commit to copy; by default the head.
        keep_last: How many commits to copy whole, besides pinned ones; by default all.

    Raises:
        NotFoundError: There is no such commit, or `gc` dropped it.
        ConflictError: The receiver has a commit that the source has not.
        CorruptObjectError: A ref of either is damaged.
    """
    head = source.head() if at is None else source.at(at)
    refs, others = source.commits.refs, Refs(there.backend)
    has = [] if there.is_new and not there.is_begun else others.numbers()
    newest = source.commits.refs.numbers()[-1] if head.number else 0
    _check_same(refs, others, min(newest, has[-1]) if has else 0, there, newest=newest, has=has)
    dropped = source.commits.drops.numbers()
    dropped_there = Drops(there.backend).numbers() if has else frozenset[int]()
    whole = [number for number in range(1, head.number + 1) if number not in dropped]
    pins = [pin for pin in source.pins.all() if pin.number in whole]
    kept = set(whole if keep_last is None else whole[-keep_last:]) | {pin.number for pin in pins}
    missing = sorted(set(range(1, head.number + 1)) - set(has))
    gone = dropped_there if there.is_new else dropped_there - set(missing)
    kept -= gone - {head.number}
    lacking, different = _pins(there, pins, kept | (set(has) - dropped_there))
    return Histories(
        top=head.number,
        missing=tuple(missing),
        kept=frozenset(kept.intersection(missing)),
        common=max((n for n in has if n not in dropped_there), default=0),
        pins=tuple(lacking),
        other_pins=tuple(different),
    )


def _pins(there: Destination, pins: list[Pin], kept: set[int]) -> tuple[list[Pin], list[str]]:
    known = {pin.name: pin.commit for pin in Pins(there.backend).all()}
    names = {name.lower(): name for name in known}
    lacking, different = [], []
    for pin in pins:
        if known.get(pin.name) == pin.commit:
            continue
        if pin.name.lower() in names or pin.number not in kept:
            different.append(pin.name)
        else:
            lacking.append(pin)
    return lacking, different


def _check_same(
    refs: Refs, others: Refs, number: int, there: Destination, *, newest: int, has: list[int]
) -> None:
    """Refuse histories that differ: equal commits have equal commits before them."""

    def differ(one: int) -> bool:
        return _digest(refs, one) != _digest(others, one)

    if has and not newest:
        raise _conflict(there, 1)
    if number and differ(number):
        known = [one for one in has if one <= number]
        raise _conflict(there, known[bisect_left(known, True, key=differ)])


def _digest(refs: Refs, number: int) -> Digest | None:
    try:
        return refs.digest(number)
    except CorruptObjectError:
        if refs.has(number):
            raise
        return None


def _conflict(there: Destination, number: int) -> ConflictError:
    return ConflictError(
        f"commit {number} of `{there.backend.location}` is not a commit of the store that is to be"
        " copied; nothing was copied",
        hint="copy to a new location; or apply the specs to that store, which publishes the assets"
        " as its next commit",
    )
