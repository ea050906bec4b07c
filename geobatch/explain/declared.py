"""What specs declare and the next apply would do, as far as their sources let it be known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geobatch.errors import GeobatchError, Problem, SpecError
from geobatch.explain.reasons import changed_blocks
from geobatch.model.asset import Resolution
from geobatch.model.plan import Plan
from geobatch.model.record import Head
from geobatch.plan.planner import block_pairs, needed_records, plan
from geobatch.resolve import resolve
from geobatch.resolve.salvage import salvage
from geobatch.spec import SpecSet, load
from geobatch.store.cache import SourceCache
from geobatch.store.tilestore import TileStore

NO_COMMIT = Head(number=0, digest=None)
"""The head of a store without commits, or of no store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What some specs declare."""

    resolution: Resolution
    """The assets that can be resolved."""
    missing: Mapping[str, tuple[str, ...]]
    """Files that are not there, by asset id."""
    broken: Mapping[str, tuple[str, ...]]
    """What else hinders resolving, by asset id."""


def find_declared(
    paths: Sequence[Path], *, cache: SourceCache, workers: int, only: str | None = None
) -> Declared:
    """Resolve what can be: an asset in trouble does not hide how the others stand.

    Args:
        paths: Spec files, or folders of them.
        cache: What is known of sources.
        workers: Threads that look at sources.
        only: Id of the one asset to resolve; None for all.

    Raises:
        SpecError: The specs are wrong in other things than missing files.
    """
    specs = load(paths)
    chosen = tuple(spec for spec in specs.specs if only in (None, spec.id))
    errors: dict[str, GeobatchError] = {}

    def resolve_some(some: SpecSet) -> Resolution:
        try:
            return resolve(some, workers=workers, cache=cache)
        except GeobatchError as error:
            if len(some.specs) == 1:
                errors[some.specs[0].id] = error
            raise

    resolution, failures = salvage(SpecSet(specs=chosen), resolve_some)
    troubles = {failure.id: errors[failure.id] for failure in failures}
    missing = {name: error for name, error in troubles.items() if isinstance(error, SpecError)}
    return Declared(
        resolution=resolution,
        missing={name: _messages(error) for name, error in missing.items()},
        broken={name: _messages(error) for name, error in troubles.items() if name not in missing},
    )


def plan_declared(
    declared: Declared, store: TileStore | None, head: Head, *, cache: SourceCache
) -> Plan:
    """Return what the next apply would do with what can be resolved.

    Raises:
        CorruptObjectError: A document of the head is damaged.
    """
    resolution = declared.resolution
    if store is None:
        return plan(resolution, base=NO_COMMIT, records={}, store_id="")
    records = {entry.id: store.record(entry) for entry in needed_records(resolution, base=head)}
    blocks = changed_blocks(block_pairs(resolution, records=records), cache.get_table)
    return plan(resolution, base=head, records=records, store_id=store.id, blocks=blocks)


def _messages(error: GeobatchError) -> tuple[str, ...]:
    if isinstance(error, SpecError):
        return tuple(map(_short, error.problems))
    return (error.message,)


def _short(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}:{problem.column}: {problem.message}"
