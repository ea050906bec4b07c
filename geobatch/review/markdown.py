"""A report in Markdown, for a comment of a pull request: short enough whatever the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from geobatch.model.text.words import byte_text, count_text
from geobatch.review import phrases
from geobatch.review.numbers import bounds_text
from geobatch.review.report import Group, Report, ReportedAsset, SpecLine
from geobatch.review.visible import code_html, code_span, html_text

MOST_CHARACTERS = 60_000
"""Longest report; sites take 65,536 characters of a comment."""
_ROWS = 30
"""Rows of the table of changes."""
_ITEMS = 20
"""Items of every other list."""
_REASONS = 4
_SHORT = 80
"""Characters of a foreign text in a table or a summary."""
_NOTE = 200
"""Characters that are kept for the note of what was omitted."""


def markdown(report: Report) -> str:
    """Return a report of at most `MOST_CHARACTERS` characters."""
    text = "\n".join(_lines(report)) + "\n"
    room = MOST_CHARACTERS - len(text) - _NOTE
    details, shown = [], 0
    for asset in report.assets:
        detail = "\n".join(_detail(asset)) + "\n"
        if len(detail) > room:
            break
        details.append(detail)
        room -= len(detail)
        shown += 1
    parts = [text]
    if details:
        parts += ["\n### Each asset\n", *details]
    if left := len(report.assets) - shown:
        parts.append(
            f"\n{count_text(left, 'more asset')} without details here: the HTML and JSON reports "
            "list each.\n"
        )
    return "".join(parts)


def _lines(report: Report) -> Iterator[str]:
    yield f"## geobatch plan `{report.plan_id[:8]}` {phrases.headline(report)}"
    yield ""
    yield f"**{phrases.verdict(report)}**"
    yield ""
    yield " · ".join(phrases.facts(report))
    if box := phrases.where(report):
        yield f"<br>Where: {box}"
    yield f"<br>{phrases.exactness(report)}"
    yield from _section("Refused", map(code_span, report.refusals))
    yield from _section("Risks", _risks(report))
    if report.groups:
        yield from ("", "### Changes", "")
        yield from _table(
            ("assets", "spec", "change", "tiles", "pixels changed", "writes up to", "why"),
            [_group_cells(group) for group in report.groups[:_ROWS]],
            right={3, 4, 5},
        )
        if more := report.groups[_ROWS:]:
            assets = sum(sum(group.counts.values()) for group in more)
            tiles = sum(group.work.compute for group in more)
            yield ""
            yield (
                f"and {len(more):,} more rows: {count_text(assets, 'asset')}, "
                f"{count_text(tiles, 'tile')} computed"
            )
    yield from _section("Values that changed", _values(report))
    yield from _section(
        "Warnings",
        (
            f"{code_span(f'{one.path}:{one.line}')} {code_span(one.message, most=300)}"
            for one in report.warnings
        ),
    )
    if report.rehearsal is not None and report.rehearsal.content_root:
        yield from ("", f"Content root after apply: {code_span(report.rehearsal.content_root)}")


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if not found:
        return
    yield from ("", f"### {title}", "")
    yield from (f"- {item}" for item in found[:_ITEMS])
    if len(found) > _ITEMS:
        yield f"- and {len(found) - _ITEMS:,} more"


def _risks(report: Report) -> Iterator[str]:
    for risk in report.risks:
        named = ", ".join(code_span(one, most=_SHORT) for one in risk.examples)
        more = f" and {risk.count - len(risk.examples):,} more" * (risk.count > len(risk.examples))
        # A newer version may give risks without words: then the text is a code of the plan.
        text = code_span(risk.text) if risk.text == risk.code else risk.text
        yield f"**{text}**: {named}{more}"


def _values(report: Report) -> Iterator[str]:
    for one in report.values:
        others = f" and {count_text(one.count - 1, 'other asset')}" if one.count > 1 else ""
        what = f"{code_span(one.path)}: {code_span(one.detail)}"
        yield f"{what} in {code_span(one.example, most=_SHORT)}{others}"


def _group_cells(group: Group) -> tuple[str, ...]:
    reasons = [code_span(one, most=_SHORT, is_cell=True) for one in group.reasons[:_REASONS]]
    more = len(group.reasons) - _REASONS
    why = ", ".join([*reasons, *([f"{more:,} more"] if more > 0 else [])])
    risks = f" (**{count_text(group.risks, 'risk')}**)" if group.risks else ""
    return (
        code_span(group.name, most=_SHORT, is_cell=True),
        _spec_link(group.declared, is_cell=True),
        phrases.counts_text(group.counts) + risks,
        phrases.amount(group.work),
        phrases.pixels_text(group.work),
        byte_text(group.work.write_max) if group.work.write_max else "",
        why,
    )


def _spec_link(declared: SpecLine | None, *, is_cell: bool = False) -> str:
    if declared is None:
        return ""
    name = code_span(f"{declared.path}#L{declared.line}", most=_SHORT, is_cell=is_cell)
    return f"[{name}](<{declared.url}>)" if declared.url else name


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: set[int]
) -> Iterator[str]:
    """Yield a table without the columns in which every cell is empty."""
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    yield f"| {' | '.join(heads[at] for at in kept)} |"
    yield f"| {' | '.join('--:' if at in right else '---' for at in kept)} |"
    for row in rows:
        yield f"| {' | '.join(row[at] for at in kept)} |"


def _detail(asset: ReportedAsset) -> Iterator[str]:
    tiles = phrases.amount(asset.work, is_table=asset.is_table)
    yield ""
    yield "<details>"
    risks = f", {count_text(len(asset.risks), 'risk')}" if asset.risks else ""
    actions = html_text(" and ".join(asset.actions))
    tiles = f", {tiles}" + " tiles" * (asset.work.total > 0) if tiles else ""
    name = code_html(asset.id, most=_SHORT)
    yield f"<summary>{name}: {actions}{tiles}{risks}</summary>"
    yield ""
    yield from (f"- {item}" for item in _facts(asset))
    if rows := [_band_cells(asset, at) for at in range(min(len(_bands(asset)), _ITEMS))]:
        yield ""
        yield from _table(("band", *phrases.BAND_HEADS), rows, right=set(range(1, 8)))
    yield ""
    yield "</details>"


def _bands(asset: ReportedAsset) -> tuple[object, ...]:
    return (*asset.differences, *asset.values)


def _band_cells(asset: ReportedAsset, at: int) -> tuple[str, ...]:
    is_new = at >= len(asset.differences)
    band = (*asset.differences, *asset.values)[at]
    name = code_span(band.band, most=_SHORT, is_cell=True)
    return (name, *phrases.band_row(band, is_new=is_new))


def _facts(asset: ReportedAsset) -> Iterator[str]:
    if asset.blocked:
        yield f"**refused**: {code_span(asset.blocked, most=400)}"
    if asset.previous_id:
        yield f"was {code_span(asset.previous_id)}"
    if asset.declared is not None:
        yield f"declared in {_spec_link(asset.declared)}"
    for risk in asset.risks[:_ITEMS]:
        subject = f"{code_span(risk.path)} " if risk.path else ""
        yield f"**risk**: {subject}{code_span(risk.text) if risk.text == risk.code else risk.text}"
    for check in asset.failed_checks[:_ITEMS]:
        yield f"**check fails**: {code_span(check, most=300)}"
    for reason in asset.reasons[:_ITEMS]:
        yield f"why: {code_span(reason.text, most=300)}"
    if len(asset.reasons) > _ITEMS:
        yield f"why: {len(asset.reasons) - _ITEMS:,} more reasons"
    if asset.work.compute:
        levels = [f"L{level} {count:,}" for level, count in enumerate(asset.by_level[:32]) if count]
        yield f"tiles by level: {', '.join(levels)}"
        work = asset.work
        yield f"reads {byte_text(work.read)}, writes at most {byte_text(work.write_max)}"
    if asset.bounds is not None:
        yield f"where: {bounds_text(asset.bounds)}"
