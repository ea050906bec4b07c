"""What `gc` does, and pins, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from geobatch.cli.words import byte_text, columns, count_text
from geobatch.store.commits.pins import Pin
from geobatch.store.maintenance.gc import GcResult
from geobatch.store.maintenance.gc_plan import Garbage, GcPlan, plan_json

_SHOWN = 20
"""Rows of a table that are printed."""
_NUMBERS = 12
"""Numbers of dropped commits that are printed."""


def gc_lines(plan: GcPlan, *, is_applied: bool, is_verbose: bool) -> Iterator[str]:
    """Yield a plan as text: what goes, and what it leaves."""
    kept, total = len(plan.kept), plan.total
    yield (
        f"geobatch gc  {count_text(kept, 'commit')} kept, {len(plan.dropped):,} dropped;"
        f" {count_text(plan.objects, 'object')}, {byte_text(plan.bytes)} in the store"
    )
    if plan.dropped:
        shown = ", ".join(map(str, plan.dropped[:_NUMBERS]))
        more = len(plan.dropped) - _NUMBERS
        yield f"  dropped commits  {shown}{f' and {more:,} more' if more > 0 else ''}"
    pinned = [one for one in plan.kept if any(why.startswith("pin ") for why in one.why)]
    for one in pinned:
        yield f"  kept commit {one.number}  {', '.join(one.why)}"
    if plan.garbage:
        yield ""
        rows = plan.garbage if is_verbose else plan.garbage[:_SHOWN]
        cells: list[tuple[str, ...]] = [("ASSET", "COMMIT", "OBJECTS", "BYTES", "AGE")]
        cells += [_cells(row, plan.time) for row in rows]
        yield from (f"  {line}" for line in columns(cells, right=(1, 2, 3, 4)))
        if len(plan.garbage) > len(rows):
            rest = plan.garbage[len(rows) :]
            size = byte_text(sum(row.bytes for row in rest))
            yield f"  and {len(rest):,} more ({size}); `-v` lists all"
        yield ""
    yield from _totals(plan, total, is_applied=is_applied)


def _totals(plan: GcPlan, total: Garbage, *, is_applied: bool) -> Iterator[str]:
    where = "deleted" if plan.options.is_now else "moved to quarantine"
    linked = total.bytes - total.freed
    more = f", of which {byte_text(linked)} have other links" if linked else ""
    yield f"Not needed: {count_text(total.objects, 'object')}, {byte_text(total.bytes)}{more}."
    if plan.young:
        runs = f" or than {count_text(plan.live_runs, 'live run')}" if plan.live_runs else ""
        yield (
            f"Kept although not needed: {count_text(plan.young, 'object')},"
            f" {byte_text(plan.young_bytes)}, younger than"
            f" {duration_text(plan.options.grace)}{runs}."
        )
    due = [batch for batch in plan.batches if batch.is_due]
    if plan.batches:
        held = sum(batch.objects for batch in plan.batches)
        count, size = sum(one.objects for one in due), sum(one.freed for one in due)
        yield (
            f"In quarantine: {count_text(held, 'file')}; due to be deleted now: {count:,}"
            f" ({byte_text(size)})."
        )
    if plan.rehearsals or plan.expired:
        kept, gone = count_text(plan.rehearsals, "rehearsal"), len(plan.expired)
        yield f"Kept for rehearsed plans: {kept}; expired: {gone:,}."
    if is_applied:
        return
    if plan.is_empty:
        yield "Nothing to do."
    else:
        yield f"Nothing was changed; with `--apply`, what is not needed is {where}."


def result_lines(result: GcResult) -> Iterator[str]:
    """Yield what was done."""
    yield (
        f"Moved {count_text(result.moved, 'object')} to quarantine; deleted"
        f" {count_text(result.deleted, 'file')} from there, {byte_text(result.freed)} freed."
    )
    if result.restored:
        yield f"Put back {count_text(result.restored, 'object')} that is needed again."
    if result.kept_batches:
        yield (
            "What was moved stays in quarantine, since another run is live; `--now` again deletes"
            " it when that run has ended."
        )


def gc_records(plan: GcPlan, result: GcResult | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the kind and the fields of each JSON line."""
    yield "gc_plan", plan_json(plan)
    if result is not None:
        yield (
            "gc",
            {
                "moved": result.moved,
                "deleted": result.deleted,
                "freed": result.freed,
                "restored": result.restored,
                "kept_batches": result.kept_batches,
            },
        )


def pin_lines(pins: Sequence[Pin]) -> Iterator[str]:
    """Yield pins as text."""
    yield from (
        columns(
            [(pin.name, str(pin.number), pin.commit[:12], _time_text(pin.time)) for pin in pins]
        )
        if pins
        else ()
    )


def pin_json(pin: Pin) -> dict[str, Any]:
    """Return the machine form of a pin."""
    return {
        "name": pin.name,
        "number": pin.number,
        "commit": pin.commit,
        "time": _time_text(pin.time),
    }


def duration_text(time: timedelta) -> str:
    """Return how long a time is, in its largest unit."""
    seconds = int(time.total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _cells(row: Garbage, now: datetime) -> tuple[str, ...]:
    rest = "(commit and tree)" if row.commit is not None else "(other)"
    return (
        row.asset or rest,
        "" if row.commit is None else str(row.commit),
        f"{row.objects:,}",
        byte_text(row.bytes),
        duration_text(now - row.newest),
    )


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
