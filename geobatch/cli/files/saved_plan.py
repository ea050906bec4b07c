"""Saved plans: one JSON document, whose last member has a line for each tile."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import typer
from msgspec import Struct

from geobatch.errors import FormatError, PlanError, StalePlanError
from geobatch.model.digest import Json
from geobatch.model.plans.inputs import Inputs, differences
from geobatch.model.plans.plan import Options
from geobatch.model.plans.plan_document import defect
from geobatch.model.plans.plan_json import (
    FORMAT_VERSION,
    inputs_from_json,
    inputs_json,
    options_from_json,
    options_json,
    plan_json,
)
from geobatch.workflow.planning.place import locate

if TYPE_CHECKING:
    from geobatch.workflow.planning.planned_specs import PlannedSpecs

_TILES = '  "tiles": {"rows": ['
"""The line after which a saved plan has a line for each tile; the members before are few."""
_END = "]"
"""The line before the last one, which ends the rows."""
PREFIX_DIGITS = 8
"""How many digits of a plan id are enough to name it."""
_SHOWN = 10
_HEAD = 64
"""How much of a file must look like a JSON object for it to be parsed as one."""
_LAST = 64
"""The last bytes of a file, which have the count of its tiles."""
_COUNT = re.compile(r'\], "count": ([0-9]+)}\n}$')


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

    @property
    def rehearsal(self) -> Mapping[str, Any] | None:
        """What executing the plan gave; None if it was not rehearsed, or only a sample of it."""
        found: Mapping[str, Any] | None = self.document.get("rehearsal")
        return None if found is None or found["content_root"] is None else found


def plan_document(
    planned: PlannedSpecs,
    *,
    paths: Sequence[Path],
    options: Options,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the whole document of a plan: what `plan --json` prints and `plan -o` saves.

    Args:
        planned: The plan.
        paths: What it was made from, as it was given.
        options: What it covers.
        changes: What it does, as JSON; by default what the plan says.
    """
    return {
        **(plan_json(planned.plan, locate=locate) if changes is None else changes),
        **estimate_json(planned),
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


def estimate_json(planned: PlannedSpecs) -> dict[str, Json]:
    """Return the member of a plan that says how long an apply may take; it does not count as input.

    It is null if there is no run to go by.
    """
    found = planned.estimate
    return {"estimate": None if found is None else found.to_json()}


def write_plan(
    file: Path, document: Mapping[str, Any], tiles: Iterable[Mapping[str, Json]]
) -> None:
    """Save a plan in one file, which appears whole or not at all; the tiles are not held in memory.

    Args:
        file: Where.
        document: The plan.
        tiles: A row for each of its tiles.

    Raises:
        OSError: The file cannot be written.
    """

    def write(stream: IO[bytes]) -> None:
        text = json.dumps(document, indent=2, allow_nan=False)
        stream.write(f"{text.removesuffix('}').rstrip()},\n{_TILES}".encode())
        count = 0
        for count, row in enumerate(tiles, start=1):
            line = json.dumps(row, separators=(",", ":"))
            stream.write(f"{',' if count > 1 else ''}\n{line}".encode())
        stream.write(f'\n{_END}, "count": {count}}}\n}}\n'.encode())

    _write_whole(file, write)


def tiles_of(saved: SavedPlan) -> Iterator[dict[str, Any]]:
    """Yield the rows of the tiles of a saved plan; few of them are in memory at a time.

    A plan of format 1.1 has them in a file beside it, which is not read.
    """
    with saved.file.open(encoding="utf-8") as stream:
        if _head_of(stream) is not None:
            for line in stream:
                if line.startswith(_END):
                    return
                yield json.loads(line.rstrip().removesuffix(","))
            return
        stream.seek(0)
        rows = json.load(stream).get("tiles")
    yield from rows.get("rows", ()) if isinstance(rows, dict) else ()


def _head_of(stream: IO[str]) -> str | None:
    """Return the members before the rows of tiles, as JSON; None if there is no such line.

    The stream is then where the rows begin.
    """
    parts: list[str] = []
    for line in stream:
        if line.rstrip("\n") == _TILES:
            return "".join(parts).rstrip().removesuffix(",") + "}"
        parts.append(line)
    return None


def _load(path: Path) -> Any:
    """Return the document of a file, without the rows of its tiles."""
    with path.open(encoding="utf-8") as stream:
        head = _head_of(stream)
        if head is None:
            stream.seek(0)
            document = json.load(stream)
            if isinstance(document, dict) and isinstance(document.get("tiles"), dict):
                document["tiles"].pop("rows", None)
            return document
    document = json.loads(head)
    with path.open("rb") as last:
        last.seek(-min(_LAST, last.seek(0, io.SEEK_END)), io.SEEK_END)
        end = last.read().decode(errors="replace").rstrip()
    found = _COUNT.search(end)
    # A file that was cut short has no count.
    document["tiles"] = {"count": int(found[1])} if found else {}
    return document


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
        document = _load(path)
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
            f"`{path}` has {_version_text(version)}, but this geobatch reads {FORMAT_VERSION}",
            hint="make the plan and apply it with the same version of geobatch",
        )
    wrong = "it is cut short" if document.get("tiles") == {} else defect(document)
    if wrong is not None:
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


def _version_text(version: Any) -> str:
    """Return a format version as messages name it; other text is not quoted."""
    is_version = isinstance(version, str) and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})?", version)
    return f"format version `{version}`" if is_version else "an unknown format version"


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
