"""What a verification found, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import count_text
from geobatch.model.number import number_to_json

if TYPE_CHECKING:
    from geobatch.store.value_diff import ValueDiff
    from geobatch.workflow.maintenance.report import (
        AssetVerification,
        LevelFinding,
        TableFinding,
        Verification,
    )

_TILES = 8
"""Tiles that are named per band and level; JSON has all of them."""
_LOST = 8
"""Sources that are named per asset; JSON has all of them."""


def verification_lines(found: Verification, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of what was found; assets that are equal are only counted."""
    head = found.head
    yield (
        f"geobatch verify  commit {head.number} ({(head.digest or 'none')[:12]})"
        f"  {count_text(len(found.assets), 'asset')}  {found.seconds:.1f} s"
    )
    shown = [one for one in found.assets if is_whole or one.is_different or one.lost or one.notes]
    if shown:
        yield ""
    for asset in shown:
        yield from _asset_lines(asset, is_whole=is_whole)
    yield ""
    tiles, checked = (sum(getattr(one, name) for one in found.assets) for name in _COUNTED)
    unreadable = sum(one.unreadable for one in found.assets)
    tables = [one for one in found.assets if one.table is not None]
    different = sum(one.different for one in found.assets)
    parts = [f"{checked:,} of {count_text(tiles, 'tile')} computed again, {different:,} different"]
    if tables:
        others = sum(one.is_different for one in tables)
        parts.append(f"{count_text(len(tables), 'table')} read again, {others:,} different")
    if unreadable:
        parts.append(f"{count_text(unreadable, 'tile')} without their sources")
    yield f"Verify: {'; '.join(parts)}."
    yield _bound_text(found)


_COUNTED = ("tiles", "checked")


def _bound_text(found: Verification) -> str:
    total, checked = found.regions, found.regions_checked
    if not total:
        return "Nothing could be computed."
    if checked == total:
        return f"Every region that can be computed was checked: {total:,}."
    share = 100 * found.most_different / total
    return (
        f"Sample: {checked:,} of {count_text(total, 'region')}, seed {found.seed}; at 95 %"
        f" confidence at most {share:.2g} % of the regions differ."
    )


def _asset_lines(asset: AssetVerification, *, is_whole: bool) -> Iterator[str]:
    mark = "!" if asset.is_different else "?" if asset.lost else "="
    if asset.kind == "table":
        text = "table, not read" if asset.table is None else _table_text(asset.table)
    elif not asset.tiles:
        text = asset.kind
    else:
        text = f"{asset.checked:,} of {count_text(asset.tiles, 'tile')}, {asset.different:,} differ"
    yield f"  {mark} {asset.id}  {text}"
    for finding in asset.findings:
        yield f"      differs  {finding.band} L{finding.level}: {_finding_text(finding, is_whole)}"
    for damage in asset.damages:
        yield f"      damaged  {damage}"
    lost = asset.lost if is_whole else asset.lost[:_LOST]
    for source in lost:
        yield f"      source   {source.uri} {source.problem}".replace("source    ", "source   ")
    if len(asset.lost) > len(lost):
        yield f"      source   and {len(asset.lost) - len(lost):,} more"
    if asset.unreadable:
        yield f"      skipped  {count_text(asset.unreadable, 'tile')}, without their sources"
    for note in asset.notes:
        yield f"      note     {note}"


def _table_text(table: TableFinding) -> str:
    was, now = table.published, table.computed
    if table.is_equal:
        return f"{count_text(now.rows, 'row')} equal"
    if was.rows != now.rows:
        return f"{was.rows:,} rows published, {now.rows:,} computed"
    return f"columns differ: {', '.join(table.columns) or 'points'}"


def _finding_text(finding: LevelFinding, is_whole: bool) -> str:
    named = finding.tiles if is_whole else finding.tiles[:_TILES]
    names = ", ".join(f"{row}/{col}" for row, col in named)
    more = finding.count - len(named)
    text = f"{count_text(finding.count, 'tile')} ({names}{f' and {more:,} more' if more else ''})"
    values = finding.values
    if values is None:
        return f"{text}; {finding.problems[0]}"
    parts = []
    if values.changed:
        largest = _largest(values)
        parts.append(
            f"{count_text(values.changed, 'pixel')} with other values, by at most {largest:.6g}"
        )
    if values.masked:
        parts.append(f"{values.masked:,} masked only when computed")
    if values.unmasked:
        parts.append(f"{values.unmasked:,} masked only as published")
    if values.reweighted:
        parts.append(f"{values.reweighted:,} with another mask")
    return f"{text}; {', '.join(parts) or 'only masked pixels or the padding differ'}"


def _largest(values: ValueDiff) -> int | float:
    """Return the largest absolute difference."""
    ends = [abs(one) for one in (values.smallest, values.largest) if one is not None]
    return max(ends, default=0)


def verification_json(found: Verification) -> dict[str, Any]:
    """Return the machine form of what was found."""
    head = found.head
    return {
        "format_version": "1.0",
        "store_id": found.store_id,
        "commit": head.digest,
        "number": head.number,
        "content_root": None if head.commit is None else head.commit.content_root,
        "is_different": found.is_different,
        "sample": {
            "share": found.sample,
            "seed": found.seed,
            "regions": found.regions,
            "checked": found.regions_checked,
            "different": sum(one.regions_different for one in found.assets),
            "confidence": 0.95,
            "most_different": found.most_different,
        },
        "assets": [_asset_json(asset) for asset in found.assets],
        "seconds": round(found.seconds, 3),
    }


def _asset_json(asset: AssetVerification) -> dict[str, Any]:
    return {
        "id": asset.id,
        "kind": asset.kind,
        "is_different": asset.is_different,
        "tiles": {
            "total": asset.tiles,
            "checked": asset.checked,
            "equal": asset.equal,
            "different": asset.different,
            "sources_changed": asset.unreadable,
            "not_drawn": asset.not_drawn,
        },
        "regions": {
            "total": asset.regions,
            "checked": asset.regions_checked,
            "different": asset.regions_different,
        },
        "differences": [_finding_json(one) for one in asset.findings],
        "table": None if asset.table is None else _table_json(asset.table),
        "sources": [{"uri": one.uri, "problem": one.problem} for one in asset.lost],
        "damaged": list(asset.damages),
        "notes": list(asset.notes),
    }


def _finding_json(finding: LevelFinding) -> dict[str, Any]:
    values = finding.values
    return {
        "band": finding.band,
        "level": finding.level,
        "count": finding.count,
        "tiles": [list(tile) for tile in finding.tiles],
        "problems": list(finding.problems),
        "values": None
        if values is None
        else {
            "changed": values.changed,
            "masked": values.masked,
            "unmasked": values.unmasked,
            "reweighted": values.reweighted,
            "largest": number_to_json(_largest(values)),
        },
    }


def _table_json(table: TableFinding) -> dict[str, Any]:
    return {
        "is_equal": table.is_equal,
        "rows": {"published": table.published.rows, "computed": table.computed.rows},
        "columns": list(table.columns),
    }
