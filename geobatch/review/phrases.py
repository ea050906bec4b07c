"""Sentences that all formats share, without markup; foreign text is never part of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from geobatch.model.plans.plan_document import BandDocument
from geobatch.model.text.words import byte_text, count_text, estimate_text
from geobatch.review.numbers import bounds_text, share_text, value_text
from geobatch.review.report import ACTIONS, Report, Work

VERBS = {
    "create": "creates", "update": "updates", "rename": "renames", "delete": "deletes",
    "blocked": "may not change",
}  # fmt: skip


def headline(report: Report) -> str:
    """Return what happens to how many assets: `updates 1 asset, creates 2`."""
    counted = [(report.counts[name], VERBS[name]) for name in ACTIONS if report.counts[name]]
    if not counted:
        cubes = count_text(report.cubes, "cube")
        return f"makes or removes {cubes}, changes no asset" if report.cubes else "changes nothing"
    (count, verb), *others = counted
    return ", ".join([f"{verb} {count_text(count, 'asset')}", *(f"{v} {n:,}" for n, v in others)])


def counts_text(counts: Mapping[str, int]) -> str:
    """Return numbers of assets by action: `3 update, 1 delete`."""
    return ", ".join(f"{counts[name]:,} {name}" for name in ACTIONS if counts.get(name)) or "none"


def facts(report: Report) -> Iterator[str]:
    """Yield how much changes, and where, each in a few words."""
    work = report.work
    if work.total:
        yield f"{work.compute:,} of {count_text(work.total, 'tile')} computed"
        if report.rehearsal is not None:
            more = "s" if work.different == 1 else ""
            yield f"{count_text(work.different, 'tile')} differ{more}"
    yield from _pixel_facts(work)
    if work.remove:
        yield f"{count_text(work.remove, 'tile')} removed"
    if work.compute or work.read:
        yield f"reads {byte_text(work.read)}"
        yield f"writes at most {byte_text(work.write_max)}"
    if (found := report.estimate) is not None:
        yield estimate_text(found.seconds, found.runs, is_same_machine=found.is_same_machine)
    yield f"{count_text(report.counts['unchanged'], 'asset')} unchanged"
    if report.counts["not_selected"]:
        yield f"{count_text(report.counts['not_selected'], 'asset')} not selected"


def _pixel_facts(work: Work) -> Iterator[str]:
    """Yield how many pixels differ, and how; and how many of new bands are valid."""
    changed, compared = work.changed - work.valid, work.pixels - work.new
    if compared and not changed:
        yield "no pixel of full resolution changed" if work.different else "no pixel changed"
    elif compared:
        counts = [
            (changed - work.masked - work.unmasked, "in value"),
            (work.masked, "masked now"),
            (work.unmasked, "no longer masked"),
        ]
        # That a value differs need not be said if nothing else does.
        how = ", ".join(f"{count:,} {words}" for count, words in counts if count)
        how = f": {how}" if work.masked or work.unmasked else ""
        yield f"{count_text(changed, 'pixel')} changed ({share_text(changed, compared)}){how}"
    if work.new:
        yield f"{count_text(work.valid, 'new pixel')} ({share_text(work.valid, work.new)} valid)"


def verdict(report: Report) -> str:
    """Return whether the plan is refused or risky."""
    parts = []
    if report.refusals:
        parts.append("apply would refuse this plan")
    count = report.risk_count
    parts.append(f"{count_text(count, 'risk')} to check" if count else "no risk found")
    if report.warnings:
        parts.append(count_text(len(report.warnings), "warning"))
    return "; ".join(parts)


def exactness(report: Report) -> str:
    """Return what the numbers are: computed, sampled or estimated."""
    rehearsal = report.rehearsal
    if rehearsal is None:
        return (
            "Not rehearsed: tiles are those that apply computes; some may turn out equal to the "
            "published ones."
        )
    if rehearsal.sample is not None:
        share = share_text(round(rehearsal.sample.share * 10**6), 10**6)
        return f"Rehearsed on a sample of {share} of the regions: numbers of pixels are estimates."
    return "Rehearsed: every number of pixels is exact."


def where(report: Report) -> str:
    """Return the box of everything that changes; empty if it is unknown."""
    return "" if report.bounds is None else bounds_text(report.bounds)


def amount(work: Work, *, is_table: bool = False) -> str:
    """Return how much of an asset, or of several, is computed."""
    if is_table and not work.total:
        return f"reads {byte_text(work.read)}"
    if not work.total and work.remove:
        return f"{count_text(work.remove, 'tile')} removed"
    return f"{work.compute:,} of {work.total:,}" if work.total else ""


def pixels_text(work: Work) -> str:
    """Return the share of pixels that changed; empty if it is unknown."""
    return share_text(work.changed, work.pixels) if work.pixels else ""


def band_row(band: BandDocument, *, is_new: bool) -> tuple[str, ...]:
    """Return the cells of a band after its name; for their heads see `BAND_HEADS`."""
    if is_new:
        cells: tuple[str, ...] = (f"{band.changed:,} valid", "", "", "")
    else:
        cells = (
            f"{band.changed:,} ({share_text(band.changed, band.pixels)})",
            f"{band.masked:,}",
            f"{band.unmasked:,}",
            f"{band.reweighted:,}",
        )
    return (*cells, *(value_text(one) for one in (band.minimum, band.mean, band.maximum)))


BAND_HEADS = ("changed", "masked", "unmasked", "reweighted", "minimum", "mean", "maximum")
"""Of a new asset, the last three are of its values; else of the differences, new minus old."""
