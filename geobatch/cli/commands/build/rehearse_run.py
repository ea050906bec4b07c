"""What `plan --rehearse` does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from geobatch.cli.commands.build.options import Asked, refuse_plans, request_of
from geobatch.cli.commands.build.plan_run import check_file
from geobatch.cli.commands.maintenance.gc import read_duration
from geobatch.cli.commands.maintenance.verify import read_share
from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import plan_document, write_plan
from geobatch.cli.progress import observing
from geobatch.cli.settings import Settings
from geobatch.cli.stores import check_store
from geobatch.cli.views.plan import plan_lines
from geobatch.model.plans.plan_json import tile_rows
from geobatch.store.rehearsals.records import Rehearsal, time_text
from geobatch.store.tilestore import TileStore
from geobatch.workflow.planning.place import locate
from geobatch.workflow.rehearsal.rehearse import LIFETIME, Rehearsed, rehearse_specs

if TYPE_CHECKING:
    from geobatch.model.digest import Json
    from geobatch.model.plans.plan import Plan
    from geobatch.workflow.rehearsal.sample import Sample


def run_rehearsal(
    settings: Settings,
    paths: Sequence[Path],
    asked: Asked,
    *,
    file: Path | None,
    detailed: bool,
    expires: str | None,
    sample: str | None = None,
) -> Exit:
    """Execute a plan without publishing it, print it, and save it if a file is named."""
    started = time.perf_counter()
    lifetime = LIFETIME if expires is None else read_duration(expires, "--expires")
    if not lifetime:
        raise typer.BadParameter("`--expires` needs a time above 0, such as `14d`")
    share = None if sample is None else read_share(sample)
    if expires is not None and share is not None:
        raise typer.BadParameter("of a sample nothing is kept: `--expires` has no effect with it")
    if asked.keep_going:
        raise typer.BadParameter("`--rehearse` cannot be combined with `--keep-going`")
    check_file(file)
    refuse_plans(paths, "plan")
    check_store(settings, paths, is_new=asked.is_new_store)
    output = settings.output
    with observing(is_quiet=output.is_quiet, is_json=output.is_json) as observer:
        done = rehearse_specs(
            request_of(settings, paths, asked),
            observer=observer,
            locate=locate,
            lifetime=lifetime,
            share=share,
        )
    output.warn([*done.planned.warnings, *done.warnings])
    document = plan_document(
        done.planned, paths=paths, options=asked.options, changes=done.document
    )
    if done.rehearsal is not None:
        # Nothing is left to be computed.
        document |= {"rehearsal": rehearsal_json(done.rehearsal), "estimate": None}
    if done.sample is not None:
        document["rehearsal"] = sample_json(done.sample, done.planned.plan)
    if file is not None:
        write_plan(file, document, _rows(settings, done))
    seconds = time.perf_counter() - started
    for line in plan_lines(document, seconds=seconds, is_whole=settings.is_verbose):
        output.line(line)
    if file is not None:
        what = "applies exactly this plan" if done.rehearsal is None else "publishes exactly this"
        output.note(f"saved {file}; `geobatch apply {file}` {what}, or nothing")
    output.record("plan", **document)
    if done.planned.plan.refusals:
        return Exit.REFUSED
    return Exit.CHANGES if detailed and not done.planned.plan.is_empty else Exit.OK


def rehearsal_json(one: Rehearsal) -> dict[str, Any]:
    """Return what a plan says of its rehearsal."""
    return {
        "id": one.id,
        "commit": None,
        "content_root": one.content_root,
        "base_commit": one.base,
        "made": time_text(one.made),
        "expires": time_text(one.expires),
        "sample": None,
        "tiles_put": one.tiles_put,
        "bytes_put": one.bytes_put,
    }


def sample_json(one: Sample, plan: Plan) -> dict[str, Any]:
    """Return what a plan says of its sample."""
    return {
        "id": plan.plan_id,
        "commit": None,
        "content_root": None,
        "base_commit": plan.base_commit,
        "made": time_text(datetime.now(UTC)),
        "expires": None,
        "sample": {
            "share": one.share,
            "regions": one.regions,
            "of": one.total,
            "bound": one.bound,
        },
        "tiles_put": one.tiles_put,
        "bytes_put": one.bytes_put,
    }


def _rows(settings: Settings, done: Rehearsed) -> Iterator[dict[str, Json]]:
    """Yield a row for each tile that differs; of a sample, for each that is planned."""
    from geobatch.store.rehearsals.differences import differing_rows
    from geobatch.workflow.rehearsal.results import compared_assets

    if done.rehearsal is None:
        yield from tile_rows(done.planned.plan)
    else:
        with closing(TileStore.open(settings.store)) as store:
            for asset in compared_assets(store, done.planned.plan, done.rehearsal):
                yield from differing_rows(store, asset)
