"""What a check of a store found, and what a repair does, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from geobatch.cli.words import byte_text, count_text
from geobatch.store.maintenance.fsck.findings import Finding, Hurt, Kind, Report

_SHOWN = 20
"""Files that are named, and places that one file hurts."""
_TILES = 6
"""Tiles that are named of one array."""
_HURTS = 4
"""Arrays that are named of one file."""


def report_lines(report: Report, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of a report.

    Args:
        report: What was found.
        is_whole: Whether every file is named.
    """
    shown = report.findings if is_whole else report.findings[:_SHOWN]
    for finding in shown:
        yield f"  ! {finding.kind.value:8} {printable(finding.name)}"
        yield f"      {printable(_problem_text(finding))}"
        hurts = finding.hurts if is_whole else finding.hurts[:_HURTS]
        for hurt in hurts:
            yield f"      hurts {hurt_text(hurt, is_whole=is_whole)}"
        if not finding.hurts and finding.digest:
            is_known = report.totals.unused is not None
            yield f"      hurts {'no asset' if is_known else 'nothing that can be read now'}"
        if more := len(finding.hurts) - len(hurts):
            yield f"      hurts {more:,} more arrays or assets"
    if len(report.findings) > len(shown):
        rest = count_text(len(report.findings) - len(shown), "other file")
        yield f"  and {rest}; `-v` and `--json` name all"
    for note in report.notes:
        yield f"note: {printable(note)}"
    if report.findings or report.notes:
        yield ""
    yield from _summary(report)


def _summary(report: Report) -> Iterator[str]:
    counts = [
        f"{count:,} {kind.value}"
        for kind in Kind
        if (count := sum(1 for one in report.findings if one.kind is kind))
    ]
    yield f"Files: {', '.join(counts)}." if counts else "Everything is whole."
    assets = sorted({hurt.asset for one in report.findings for hurt in one.hurts if hurt.asset})
    if assets:
        names = ", ".join(assets[:_SHOWN])
        more = f", and {len(assets) - _SHOWN:,} more" if len(assets) > _SHOWN else ""
        yield f"Assets hurt: {names}{more}."
    totals = report.totals
    read = "structure alone"
    if totals.read:
        read = f"{count_text(totals.read, 'object')} read, {byte_text(totals.read_bytes)}"
    unused = "" if not totals.unused else f", {totals.unused:,} of them in no commit"
    yield (
        f"Checked in {report.seconds:.1f} s: {count_text(totals.objects, 'object')}"
        f" ({byte_text(totals.bytes)}{unused}), {count_text(totals.commits, 'commit')},"
        f" {count_text(totals.assets, 'asset document')}; {read}."
    )


def _problem_text(finding: Finding) -> str:
    """Return what is wrong, without the name of the file, which is said already."""
    named = f"object `{finding.name}`"
    return finding.problem.replace(f", {named}", "").replace(named, "it")


def hurt_text(hurt: Hurt, *, is_whole: bool = False) -> str:
    """Return what a file hurts, in a line."""
    parts = [f"`{hurt.asset}`"] if hurt.asset else []
    if hurt.array is not None:
        parts += [f"level {hurt.array.level}", hurt.array.words]
    if hurt.tiles:
        named = hurt.tiles if is_whole else hurt.tiles[:_TILES]
        tiles = " ".join(f"{row}/{col}" for row, col in named)
        more = len(hurt.tiles) - len(named)
        word = "tile" if len(hurt.tiles) == 1 else "tiles"
        parts.append(f"{word} {tiles}{f' and {more:,} more' if more else ''}")
    parts += [
        f"tiles {row}..{row + side - 1}/{col}..{col + side - 1}" for row, col, side in hurt.below
    ]
    if hurt.array is not None and not hurt.tiles and not hurt.below:
        parts.append("all tiles")
    if hurt.commits:
        word = "commit" if len(hurt.commits) == 1 else "commits"
        parts.append(f"{word} {ranges_text(hurt.commits)}")
    return ", ".join(parts)


def ranges_text(numbers: Sequence[int]) -> str:
    """Return sorted numbers as ranges: `1-3, 7`."""
    return ", ".join(
        str(first) if first == last else f"{first}-{last}" for first, last in ranges(numbers)
    )


def ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the (first, last) of each run of sorted numbers."""
    found = []
    for _, run in groupby(enumerate(numbers), key=lambda item: item[1] - item[0]):
        members = [number for _, number in run]
        found.append((members[0], members[-1]))
    return found


def printable(text: str) -> str:
    """Return a text whose names of files a terminal can print, whatever bytes are in them."""
    return text.encode(errors="backslashreplace").decode()


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return the machine form of a finding; nothing is left out."""
    return {
        "kind": finding.kind.value,
        "name": finding.name,
        "problem": finding.problem,
        "hurts": [_hurt_json(hurt) for hurt in finding.hurts],
    }


def _hurt_json(hurt: Hurt) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "asset": hurt.asset or None,
        "commits": [list(one) for one in ranges(hurt.commits)],
    }
    if hurt.array is not None:
        fields |= {
            "level": hurt.array.level,
            "band": hurt.array.band,
            "is_mask": hurt.array.is_mask,
            "tiles": [list(tile) for tile in hurt.tiles],
            "squares": [list(square) for square in hurt.below],
        }
    return fields


def report_json(report: Report) -> dict[str, Any]:
    """Return the machine form of a report, without the findings."""
    totals = report.totals
    return {
        "is_whole": report.is_whole,
        "findings": len(report.findings),
        "notes": list(report.notes),
        "objects": totals.objects,
        "bytes": totals.bytes,
        "objects_read": totals.read,
        "bytes_read": totals.read_bytes,
        "objects_in_no_commit": totals.unused,
        "commits": totals.commits,
        "assets": totals.assets,
        "seconds": round(report.seconds, 3),
    }
