"""The command `verify`."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import At, ExecutorText, Rehash
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import reading, require_store

app = group()


@app.command(cls=Command, epilog=EPILOG)
def verify(
    context: typer.Context,
    assets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ASSET]...", help="Assets, folders of assets, or globs of ids."),
    ] = None,
    *,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="N%", help="Compute only a random share of the regions."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Draw other regions.  [default: 0]"),
    ] = None,
    at: At = None,
    rehash: Rehash = False,
    executor: ExecutorText = None,
    report: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="REPORT", help="Also write the report as JSON."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="STORE", help="Compare with another store, not with the sources."
        ),
    ] = None,
) -> Exit:
    """Compute published tiles again from their sources, and compare; changes nothing."""
    settings: Settings = context.obj
    require_store(settings)
    if report is not None and (not report.name or (report.exists() and not report.is_file())):
        raise typer.BadParameter(f"`-o {report}` is not a regular file")
    if report is not None and not report.parent.is_dir():
        raise typer.BadParameter(f"`-o {report}`: there is no folder `{report.parent}`")
    if against is not None:
        for name, value in (
            ("--sample", sample),
            ("--seed", seed),
            ("--rehash", rehash or None),
            ("--executor", executor),
        ):
            if value is not None:
                raise typer.BadParameter(f"`{name}` has no effect with `--against`")
        return _compare(settings, against, assets or [], at=at, report=report)
    return _verify(
        settings,
        assets or [],
        sample=1.0 if sample is None else read_share(sample),
        seed=seed or 0,
        at=at,
        rehash=rehash,
        executor=executor,
        report=report,
    )


def _verify(
    settings: Settings,
    assets: list[str],
    *,
    sample: float,
    seed: int,
    at: str | None,
    rehash: bool,
    executor: str | None,
    report: Path | None,
) -> Exit:
    from geobatch.cli.progress import counting
    from geobatch.cli.views.maintenance.verification import (
        verification_json,
        verification_lines,
    )
    from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request

    output = settings.output
    request = VerifyRequest(
        store=settings.store,
        names=tuple(assets),
        commit=at,
        sample=sample,
        seed=seed,
        workers=settings.workers,
        rehash=rehash,
        executor=executor,
    )
    with counting("verify", "regions", is_quiet=output.is_quiet, is_json=output.is_json) as count:
        found = verify_request(request, progress=count)
    document = verification_json(found)
    for line in verification_lines(found, is_whole=settings.is_verbose):
        output.line(line)
    output.record("verification", **document)
    _write(report, document)
    if found.is_different:
        return Exit.CORRUPT
    return Exit.SOURCE if found.is_unchecked else Exit.OK


def _compare(
    settings: Settings, other: str, assets: list[str], *, at: str | None, report: Path | None
) -> Exit:
    from geobatch.cli.views.maintenance.against import against_json, against_lines
    from geobatch.store.maintenance.against import compare_stores

    there = replace(settings, store_text=other, _parsed=[])
    with reading(settings) as store, reading(there) as second:
        head = store.head() if at is None else store.at(at)
        found = compare_stores(store, second, head=head, names=assets)
        document = against_json(found)
        for line in against_lines(found, is_whole=settings.is_verbose):
            settings.output.line(line)
        settings.output.record("against", **document)
        _write(report, document)
    return Exit.OK if found.is_equal else Exit.CORRUPT


def read_share(text: str) -> float:
    """Return the share that `5%` is.

    Raises:
        typer.BadParameter: It is no share above 0 and at most 100 %.
    """
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not text.endswith("%") or not 0 < percent <= 100:
        raise typer.BadParameter(f"`--sample` needs a share such as `1%`, got `{text}`")
    return percent / 100


def _write(report: Path | None, document: dict[str, object]) -> None:
    """Write a report, which appears complete."""
    if report is not None:
        aside = report.with_name(f".{report.name}.{os.getpid()}")
        aside.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        aside.replace(report)
