"""The explanation of a table, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geobatch.cli.views.plan import REASONS_SHOWN, because_json, reason_text
from geobatch.cli.words import byte_text, count_text, dropped_text
from geobatch.explain.table_why import TableNext, TableWhy
from geobatch.model.plans.plan import Because

_SOURCES_SHOWN = 8
_VERDICTS = {"read anew": "read again", "not known": "unknown", "left alone": "not touched"}
"""What is printed for a verdict, where it is not the verdict itself."""


def table_why_lines(found: TableWhy) -> Iterator[str]:
    """Yield the human form of an explanation."""
    for title, lines in _parts(found):
        for number, line in enumerate(lines):
            yield f"      {title if number == 0 else '':<8} {line}"


def _parts(found: TableWhy) -> Iterator[tuple[str, Sequence[str]]]:
    stored, table = found.stored, found.table
    counts = f"{count_text(stored.rows, 'row')}, {count_text(len(stored.columns), 'column')}"
    yield "rows", [f"{counts}, {byte_text(stored.size)}"]
    commit = found.since.commit
    when = "" if commit is None else f", {commit.time}, {commit.message}"
    dropped = dropped_text(len(found.since.dropped_before))
    digest = (found.since.digest or "")[:12]
    yield "since", [f"commit {found.since.number} ({digest}){when}{dropped}"]
    yield "because", _reason_lines(found.because)
    if stored.geometry is not None:
        made = f"geometries {stored.geometry}"
        if stored.is_of_points:
            made = f"points {stored.geometry} of {table.x_column} and {table.y_column}"
        yield "decided", [f"{made} in {table.crs}"]
    sources = [f"{source.uri}  {source.digest[:12]}" for source in table.sources[:_SOURCES_SHOWN]]
    if len(table.sources) > _SOURCES_SHOWN:
        sources.append(f"and {len(table.sources) - _SOURCES_SHOWN} more")
    yield "from", sources
    if found.next is not None:
        yield "next", _next_lines(found.next)


def _next_lines(upcoming: TableNext) -> list[str]:
    return [
        _VERDICTS.get(upcoming.verdict, upcoming.verdict),
        *upcoming.problems,
        *_reason_lines(upcoming.because),
    ]


def _reason_lines(reasons: Sequence[Because]) -> list[str]:
    lines = [reason_text(because) for because in reasons[:REASONS_SHOWN]]
    if len(reasons) > REASONS_SHOWN:
        lines.append(f"and {len(reasons) - REASONS_SHOWN} more")
    return lines


def table_why_json(found: TableWhy) -> dict[str, Any]:
    """Return the machine form of an explanation."""
    upcoming = found.next
    fields: dict[str, Any] = {
        "rows": found.stored.rows,
        "bytes": found.stored.size,
        "since": {
            "commit": found.since.digest,
            "number": found.since.number,
            "dropped_before": len(found.since.dropped_before),
            "reasons": [because_json(because) for because in found.because],
        },
        "sources": [{"uri": source.uri, "digest": source.digest} for source in found.table.sources],
    }
    if upcoming is not None:
        fields["next"] = {
            "verdict": upcoming.verdict.replace(" ", "_"),
            "reasons": [because_json(because) for because in upcoming.because],
            "problems": list(upcoming.problems),
        }
    return fields
