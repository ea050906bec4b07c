"""A report for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from geobatch.model.text.words import count_text
from geobatch.review import phrases
from geobatch.review.report import Report
from geobatch.review.visible import visible

_ROWS = 40


def text_lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report."""
    yield f"geobatch plan {report.plan_id[:8]} {phrases.headline(report)}"
    yield phrases.verdict(report)
    yield "; ".join(phrases.facts(report))
    if box := phrases.where(report):
        yield f"where: {box}"
    yield phrases.exactness(report)
    yield from _section("refused", report.refusals)
    yield from _section("risks", _risks(report))
    yield from _section("changes", _changes(report))
    yield from _section("values that changed", _values(report))
    yield from _section(
        "warnings", (f"{one.path}:{one.line}: {one.message}" for one in report.warnings)
    )


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    if not found:
        return
    yield ""
    yield f"{title}:"
    yield from (f"  {visible(line, 400)}" for line in found[:_ROWS])
    if len(found) > _ROWS:
        yield f"  and {len(found) - _ROWS:,} more; `--format json` lists all"


def _risks(report: Report) -> Iterator[str]:
    for risk in report.risks:
        more = f" and {risk.count - len(risk.examples):,} more" * (risk.count > len(risk.examples))
        yield f"{risk.text}: {', '.join(risk.examples)}{more}"


def _changes(report: Report) -> Iterator[str]:
    for group in report.groups:
        spec = f"  {group.declared.path}:{group.declared.line}" if group.declared else ""
        pixels = phrases.pixels_text(group.work)
        changed = f", {pixels} of pixels changed" if pixels else ""
        risks = f", {count_text(group.risks, 'risk')}" if group.risks else ""
        tiles = phrases.amount(group.work)
        tiles = f", {tiles} tiles" if group.work.total else f", {tiles}" if tiles else ""
        counted = phrases.counts_text(group.counts)
        why = "; ".join(group.reasons[:3])
        yield f"{group.name}{spec}  {counted}{tiles}{changed}{risks}  ({why})"


def _values(report: Report) -> Iterator[str]:
    for one in report.values:
        others = f" and {count_text(one.count - 1, 'other asset')}" if one.count > 1 else ""
        yield f"{one.path}: {one.detail}  ({one.example}{others})"
