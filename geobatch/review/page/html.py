"""The page: what the comment says, with maps and pictures."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence

from geobatch.model.plans.plan_document import GridDocument
from geobatch.model.text.words import byte_text, count_text
from geobatch.review import phrases
from geobatch.review.numbers import bounds_text, value_text
from geobatch.review.page.drawings import box_map, histogram, tile_map
from geobatch.review.page.style import STYLE
from geobatch.review.pictures.album import Album, Shown
from geobatch.review.report import Group, Report, ReportedAsset, SpecLine
from geobatch.review.tiles import ChangedTiles
from geobatch.review.visible import code_html, html_text

_ROWS = 500
"""Rows of a table, and items of a list."""
_ASSETS = 1000
"""Assets with details."""
_OPEN = 5
"""Assets whose details are open at first."""
_LONG = 400
_HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    # Whatever an id may contain: the page loads nothing and runs nothing.
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)


def html(report: Report, album: Album, tiles: Mapping[str, ChangedTiles]) -> str:
    """Return the whole page.

    Args:
        report: What it says.
        album: The pictures.
        tiles: Changed tiles of the assets that have a map.
    """
    title = f"geobatch plan {html_text(report.plan_id[:8])} {phrases.headline(report)}"
    body = "\n".join(_body(report, album, tiles))
    return (
        f"{_HEAD}<title>{title}</title><style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        f"{body}\n</body></html>\n"
    )


def _body(report: Report, album: Album, tiles: Mapping[str, ChangedTiles]) -> Iterator[str]:
    kind = "bad" if report.refusals else "warn" if report.risk_count else "good"
    yield f'<p class="verdict {kind}">{phrases.verdict(report)}</p>'
    yield f'<ul class="facts">{"".join(f"<li>{one}</li>" for one in phrases.facts(report))}</ul>'
    place = f"Where: {phrases.where(report)}. " if report.bounds else ""
    yield f'<p class="soft">{place}{phrases.exactness(report)} {html_text(album.note)}</p>'
    yield from _section("Refused", (code_html(one, most=_LONG) for one in report.refusals))
    yield from _section("Risks", _risks(report))
    if report.groups:
        yield "<h2>Changes</h2>"
        boxes = [asset.bounds for asset in report.assets if asset.bounds is not None]
        if report.bounds is not None and len(boxes) > 1:
            drawing = box_map(boxes, report.bounds)
            yield f'<div class="row"><figure style="flex-basis:32rem">{drawing}</figure></div>'
        yield from _changes(report)
    yield from _section("Values that changed", _values(report))
    yield from _section("Warnings", _warnings(report))
    if report.assets:
        yield "<h2>Each asset</h2>"
    for number, asset in enumerate(report.assets[:_ASSETS]):
        shown = album.assets.get(asset.id, ())
        yield from _asset(asset, shown, tiles.get(asset.id), is_open=number < _OPEN)
    if (more := len(report.assets) - _ASSETS) > 0:
        yield f"<p>and {count_text(more, 'more asset')}; the JSON report lists each</p>"
    if report.rehearsal is not None and report.rehearsal.content_root:
        root = code_html(report.rehearsal.content_root)
        yield f'<p class="soft">Content root after apply: {root}</p>'


def _section(title: str, items: Iterable[str]) -> Iterator[str]:
    found = list(items)
    if found:
        shown = "".join(f"<li>{one}</li>" for one in found[:_ROWS])
        more = len(found) - _ROWS
        left = f"<li>and {more:,} more</li>" if more > 0 else ""
        yield f"<h2>{title}</h2><ul>{shown}{left}</ul>"


def _risks(report: Report) -> Iterator[str]:
    for risk in report.risks:
        named = ", ".join(code_html(one) for one in risk.examples)
        more = risk.count - len(risk.examples)
        others = f" and {more:,} more" if more else ""
        yield f"<b>{html_text(risk.text)}</b>: {named}{others}"


def _values(report: Report) -> Iterator[str]:
    for one in report.values:
        others = f" and {count_text(one.count - 1, 'other asset')}" if one.count > 1 else ""
        what = f"{code_html(one.path)}: {code_html(one.detail, most=_LONG)}"
        yield f"{what} in {code_html(one.example)}{others}"


def _warnings(report: Report) -> Iterator[str]:
    for one in report.warnings:
        where = code_html(f"{one.path}:{one.line}")
        yield f"{where} {html_text(one.message, most=_LONG)}"


def _changes(report: Report) -> Iterator[str]:
    heads = ("assets", "spec", "change", "tiles", "pixels changed", "writes up to", "why")
    yield from _table(heads, [_cells(group) for group in report.groups[:_ROWS]], numbers={3, 4, 5})
    if (more := len(report.groups) - _ROWS) > 0:
        yield f"<p>and {more:,} more rows</p>"


def _cells(group: Group) -> tuple[str, ...]:
    risks = f" <b>({count_text(group.risks, 'risk')})</b>" if group.risks else ""
    return (
        code_html(group.name),
        _spec(group.declared),
        phrases.counts_text(group.counts) + risks,
        phrases.amount(group.work),
        phrases.pixels_text(group.work),
        byte_text(group.work.write_max) if group.work.write_max else "",
        ", ".join(map(html_text, group.reasons[:4])),
    )


def _spec(declared: SpecLine | None) -> str:
    if declared is None:
        return ""
    name = code_html(f"{declared.path}:{declared.line}")
    return f'<a href="{html_text(declared.url, most=9999)}">{name}</a>' if declared.url else name


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: set[int]
) -> Iterator[str]:
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    style = {at: ' class="n"' if at in numbers else "" for at in kept}
    yield '<div class="scroll"><table><tr>'
    yield "".join(f"<th{style[at]}>{heads[at]}</th>" for at in kept) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td{style[at]}>{row[at]}</td>" for at in kept) + "</tr>"
    yield "</table></div>"


def _asset(
    asset: ReportedAsset, shown: Sequence[Shown], tiles: ChangedTiles | None, *, is_open: bool
) -> Iterator[str]:
    amount = phrases.amount(asset.work, is_table=asset.is_table)
    what = ", ".join(
        [
            " and ".join(asset.actions),
            *([f"{amount}{' tiles' * (asset.work.total > 0)}"] if amount else []),
            *([count_text(len(asset.risks), "risk")] if asset.risks else []),
        ]
    )
    name = code_html(asset.id)
    yield f"<details{' open' if is_open else ''}><summary>{name} {what}</summary><div><ul>"
    yield "".join(f"<li>{one}</li>" for one in _facts(asset))
    yield "</ul>"
    maps = [
        f'<figure class="map">{drawing}'
        f"<figcaption>{_map_caption(grid, tiles)}</figcaption></figure>"
        for grid in (asset.grids[:4] if tiles is not None else ())
        if (drawing := tile_map(grid, tiles))
    ]
    if maps:
        yield f'<div class="row">{"".join(maps)}</div>'
    for one in shown:
        yield from _pictures(one)
    yield from _bands(asset)
    yield "</div></details>"


def _map_caption(grid: GridDocument, tiles: ChangedTiles | None) -> str:
    level = 0 if tiles is None else tiles.lowest(grid.bands)
    what = f"tiles that change, from level {level} up" if level else "tiles that change"
    bands = html_text(", ".join(grid.bands), most=60)
    crs = html_text(grid.crs, most=40)
    return f"{what}: {bands}; {grid.width:,} x {grid.height:,} pixels, {crs}"


def _facts(asset: ReportedAsset) -> Iterator[str]:
    if asset.blocked:
        yield f"<b>refused</b>: {html_text(asset.blocked, most=_LONG)}"
    if asset.previous_id:
        yield f"was {code_html(asset.previous_id)}"
    if asset.declared is not None:
        yield f"declared in {_spec(asset.declared)}"
    for risk in asset.risks[:_ROWS]:
        subject = f"{code_html(risk.path)} " if risk.path else ""
        yield f"<b>risk</b>: {subject}{html_text(risk.text)}"
    for check in asset.failed_checks[:_ROWS]:
        yield f"<b>check fails</b>: {html_text(check, most=_LONG)}"
    for reason in asset.reasons[:20]:
        yield f"why: {html_text(reason.text, most=_LONG)}"
    if len(asset.reasons) > 20:
        yield f"why: {len(asset.reasons) - 20:,} more reasons"
    if asset.work.compute:
        work = asset.work
        levels = [f"L{level} {count:,}" for level, count in enumerate(asset.by_level) if count]
        yield f"tiles by level: {', '.join(levels)}"
        yield f"reads {byte_text(work.read)}, writes at most {byte_text(work.write_max)}"
    if asset.bounds is not None:
        yield f"where: {bounds_text(asset.bounds)}"


def _pictures(one: Shown) -> Iterator[str]:
    figures = []
    for title, png in one.pictures:
        data = b64encode(png).decode()
        alt = html_text(f"{one.name}, {title}")
        figures.append(
            f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html_text(title)}</figcaption></figure>"
        )
    view = one.view
    part = "all" if one.is_whole else f"from row {view.window.row:,}, column {view.window.col:,}"
    what = f"<b>{html_text(one.name)}</b>, level {view.level}, {part}. {_key(one)}"
    yield f'<p class="soft">{what}</p>'
    yield f'<div class="row">{"".join(figures)}</div>'


def _key(one: Shown) -> str:
    parts = []
    if one.stretch is not None:
        low, high = value_text(one.stretch.low), value_text(one.stretch.high)
        parts.append(f"Black is {low} and less, white {high} and more.")
    if one.has_difference:
        keys = [("#c51b7d", "another class")] if one.is_class else []
        if one.scale is not None:
            size = value_text(one.scale)
            keys += [("#2166ac", f"less, up to {size}"), ("#b2182b", f"more, up to {size}")]
        keys += [("#e69f00", "masked now"), ("#009e73", "no longer masked")]
        shown = "".join(f'<i style="background:{colour}"></i>{text}' for colour, text in keys)
        parts.append(f'<span class="key">Difference:{shown}</span>')
    return " ".join(parts)


def _bands(asset: ReportedAsset) -> Iterator[str]:
    found = [(band, False) for band in asset.differences] + [(one, True) for one in asset.values]
    if not found:
        return
    rows = [
        (code_html(band.band), *phrases.band_row(band, is_new=is_new))
        for band, is_new in found[:_ROWS]
    ]
    yield from _table(("band", *phrases.BAND_HEADS), rows, numbers=set(range(1, 8)))
    drawings = [
        (band.band, drawing)
        for band, _ in found[:20]
        if band.histogram is not None and (drawing := histogram(band.histogram))
    ]
    if drawings:
        what = "differences, new minus old" if asset.differences else "values"
        figures = "".join(
            f"<figure>{drawing}<figcaption>{html_text(name)}: {what}</figcaption></figure>"
            for name, drawing in drawings
        )
        yield f'<div class="row">{figures}</div>'
