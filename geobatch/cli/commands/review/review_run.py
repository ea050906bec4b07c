"""What `review` does: it reads a saved plan, and writes reports of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer

from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import SavedPlan, find_plan
from geobatch.cli.settings import Settings
from geobatch.errors import PlanError
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import links_of
from geobatch.review.markdown import markdown
from geobatch.review.report import Report
from geobatch.review.text import text_lines

FILES = {"markdown": "review.md", "json": "review.json"}
"""The file of each form in the folder of `-o`."""


def run_review(
    settings: Settings, path: Path, *, form: str | None, folder: Path | None, base_url: str
) -> Exit:
    """Print a report, or write the files of one."""
    saved = require_plan(path)
    report = read_report(saved, base_url=base_url)
    if folder is None:
        _print(settings, report, form or "text")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        for file in _write(report, form, folder):
            settings.output.note(f"wrote {file}")
    settings.output.record("review", **report_json(report))
    return Exit.OK


def require_plan(path: Path) -> SavedPlan:
    """Return a saved plan.

    Raises:
        PlanError: The file is not a plan, or a damaged one.
        FormatError: A newer geobatch wrote it.
    """
    saved = find_plan(path)
    if saved is None:
        what = "is not a saved plan" if path.is_file() else "does not exist"
        raise PlanError(
            f"`{path}` {what}", hint=f"`geobatch plan SPECS -o {path}` saves a plan for review"
        )
    return saved


def read_report(saved: SavedPlan, *, base_url: str) -> Report:
    """Return the report of a saved plan, with links to the lines of its specs."""
    try:
        links = links_of(os.environ, base=base_url, folder=str(Path.cwd()))
    except ValueError as error:
        raise typer.BadParameter(f"--base-url: {error}") from None
    return report_of(msgspec.convert(saved.document, PlanDocument), links)


def report_json(report: Report) -> dict[str, Any]:
    """Return the numbers of a report as JSON."""
    document: dict[str, Any] = msgspec.to_builtins(report)
    return document


def _print(settings: Settings, report: Report, form: str) -> None:
    if settings.output.is_json:
        return
    if form == "text":
        for line in text_lines(report):
            settings.output.line(line)
    else:
        sys.stdout.write(_document(report, form))


def _document(report: Report, form: str) -> str:
    if form == "json":
        return json.dumps(report_json(report), indent=2, allow_nan=False) + "\n"
    return markdown(report)


def _write(report: Report, form: str | None, folder: Path) -> Iterator[Path]:
    """Write the files of a report, and yield each."""
    for one in (form,) if form else FILES:
        file = folder / FILES[one]
        file.write_text(_document(report, one), encoding="utf-8", errors="backslashreplace")
        yield file
