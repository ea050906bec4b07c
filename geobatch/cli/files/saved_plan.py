"""Saved plans: a JSON document, and beside it a file with a line per tile."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer
from msgspec import Struct

from geobatch.cli.options import LONGITUDE_LATITUDE
from geobatch.errors import FormatError, PlanError, StalePlanError
from geobatch.model.geobox import Bounds, GeoBox
from geobatch.model.plans.inputs import Inputs, differences
from geobatch.model.plans.plan import Options, Plan
from geobatch.model.plans.plan_document import defect
from geobatch.model.plans.plan_json import (
    FORMAT_VERSION,
    inputs_from_json,
    inputs_json,
    options_from_json,
    options_json,
    plan_json,
    tile_rows,
)
from geobatch.sources.bounds import box_around, transform_bounds

if TYPE_CHECKING:
    from geobatch.workflow.planned_specs import PlannedSpecs

TILES_SUFFIX = ".tiles.jsonl"
"""What the name of the file with a line per tile adds to that of the plan."""
PREFIX_DIGITS = 8
"""How many digits of a plan id are enough to name it."""
_SHOWN = 10
_HEAD = 64
"""How much of a file must look like a JSON object for it to be parsed as one."""


class SavedPlan(Struct, frozen=True, kw_only=True):
    """A plan that was read from a file."""

    file: Path
    """Where it was."""
    document: Mapping[str, Any]
    """All that it says."""
    plan_id: str
    """Id of the plan."""
    paths: tuple[Path, ...]
    """Spec files and folders that it was made from, as they were given."""
    options: Options
    """What it was to cover."""
    inputs: Inputs
    """What it was made of."""


def plan_document(
    planned: PlannedSpecs, *, paths: Sequence[Path], options: Options
) -> dict[str, Any]:
    """Return the whole document of a plan: what `plan --json` prints and `plan -o` saves."""
    return {
        **plan_json(planned.plan, locate=locate),
        **inputs_json(planned.plan, planned.inputs()),
        "warnings": [
            {
                "path": warning.path,
                "line": warning.line,
                "rule": warning.rule,
                "message": warning.message,
                "hint": warning.hint,
            }
            for warning in planned.warnings
        ],
        "paths": [str(path) for path in paths],
        "options": options_json(options),
    }


def locate(planes: Sequence[GeoBox]) -> Bounds | None:
    """Return the box around some planes in longitude and latitude; loads what can tell."""
    boxes = [
        transform_bounds(plane.bounds, plane.crs.identity, LONGITUDE_LATITUDE) for plane in planes
    ]
    return box_around([box for box in boxes if box is not None])


def write_plan(file: Path, document: Mapping[str, Any], plan: Plan) -> None:
    """Save a plan, the file of its tiles first; each appears whole or not at all.

    Raises:
        OSError: A file cannot be written.
    """
    tiles = file.with_name(file.name + TILES_SUFFIX)
    digest = hashlib.sha256()
    count = 0

    def rows(stream: IO[bytes]) -> None:
        nonlocal count
        for row in tile_rows(plan):
            line = json.dumps(row, separators=(",", ":")).encode() + b"\n"
            digest.update(line)
            stream.write(line)
            count += 1

    _write_whole(tiles, rows)
    beside = {"file": tiles.name, "count": count, "sha256": digest.hexdigest()}
    text = json.dumps({**document, "tiles": beside}, indent=2, allow_nan=False) + "\n"
    _write_whole(file, lambda stream: stream.write(text.encode()))


def find_plan(name: str | Path) -> SavedPlan | None:
    """Return the plan that a file holds; None if it is no file, or something else.

    A plan is a JSON object that has a `format_version` and a `plan_id`.

    Raises:
        FormatError: A newer geobatch wrote it.
        PlanError: It is damaged.
    """
    path = Path(name)
    if not path.is_file():  # what is read from a pipe can be read once
        return None
    try:
        with path.open("rb") as stream:
            if not stream.read(_HEAD).lstrip().startswith(b"{"):
                return None
            stream.seek(0)
            document = json.load(stream)
    # Whoever reads it as something else will say what is wrong.
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not document.keys() >= {"format_version", "plan_id"}:
        return None
    return _saved(path, document)


def _saved(path: Path, document: dict[str, Any]) -> SavedPlan:
    version = document["format_version"]
    if str(version).partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise FormatError(
            f"`{path}` has format version `{version}`, but this geobatch reads {FORMAT_VERSION}",
            hint="make the plan and apply it with the same version of geobatch",
        )
    if (wrong := defect(document)) is not None:
        raise PlanError(
            f"`{path}` is not a complete plan: {wrong}",
            hint="make it again with `geobatch plan -o`",
        )
    return SavedPlan(
        file=path,
        document=document,
        plan_id=document["plan_id"],
        paths=tuple(Path(name) for name in document["paths"]),
        options=options_from_json(document["options"]),
        inputs=inputs_from_json(document),
    )


def approval(saved: SavedPlan) -> Callable[[PlannedSpecs], None]:
    """Return a check that a plan is the saved one; it raises StalePlanError if not."""

    def approve(planned: PlannedSpecs) -> None:
        if planned.plan.plan_id == saved.plan_id:
            return
        found = list(dict.fromkeys(differences(saved.inputs, planned.inputs())))
        shown = "; ".join(found[:_SHOWN]) or "it was made with other planning rules"
        more = f"; and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        raise StalePlanError(
            f"`{saved.file}` is stale: {shown}{more}",
            hint="nothing was done; make a new plan and review it",
        )

    return approve


def expectation(plan_id: str) -> Callable[[PlannedSpecs], None]:
    """Return a check that a plan has an id; the first digits of the id are enough.

    Raises:
        typer.BadParameter: The id has fewer than 8 digits, or is not hexadecimal.
    """
    wanted = plan_id.lower()
    if not PREFIX_DIGITS <= len(wanted) <= 64 or not set(wanted) <= set("0123456789abcdef"):
        raise typer.BadParameter(
            f"--expect-plan: `{plan_id}` is not a valid plan id: expected {PREFIX_DIGITS} to 64"
            " hexadecimal digits"
        )

    def approve(planned: PlannedSpecs) -> None:
        if not planned.plan.plan_id.startswith(wanted):
            raise StalePlanError(
                f"the plan is `{planned.plan.plan_id[: max(len(wanted), PREFIX_DIGITS)]}`, "
                f"expected `{wanted}`: the specs, the sources, the options or the store differ",
                hint="nothing was done; `geobatch plan` shows the current plan, and "
                "`geobatch plan -o FILE` saves a plan that can later say what differs",
            )

    return approve


def _write_whole(file: Path, write: Callable[[IO[bytes]], object]) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        with aside.open("wb") as stream:
            write(stream)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def tiles_of(saved: SavedPlan) -> Iterator[dict[str, Any]]:
    """Yield the tiles of a saved plan, in order; none if the file beside it is gone.

    Raises:
        PlanError: A line is not a tile.
    """
    tiles = saved.file.with_name(saved.file.name + TILES_SUFFIX)
    if not tiles.is_file():
        return
    with tiles.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise PlanError(
                    f"`{tiles}:{number}` is not JSON", hint="make the plan again: `plan -o`"
                ) from error
            yield row
