"""What specs declare and the next apply would do, as far as their sources let it be known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geobatch.errors import GeobatchError, Problem, SpecError
from geobatch.explain.reasons import changed_blocks
from geobatch.model.asset import Resolution
from geobatch.model.blocks import BlockTable
from geobatch.model.digest import Digest
from geobatch.model.look import Look
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


class BorrowedCache:
    """What a store's cache knows, and what is learned here, which is not written back."""

    def __init__(self, cache: SourceCache) -> None:
        self._cache = cache
        self._looks: dict[str, Look] = {}
        self._tables: dict[Digest, BlockTable] = {}
        self._crs: dict[str, str] = {}

    def get_looks(self, paths: Collection[str]) -> Mapping[str, Look]:
        """Return the last looks at files; see `SourceCache.get_looks`."""
        known = self._cache.get_looks([path for path in paths if path not in self._looks])
        return {**known, **{path: self._looks[path] for path in paths if path in self._looks}}

    def put_looks(self, looks: Mapping[str, Look]) -> None:
        """Keep looks at files."""
        self._looks.update(looks)

    def get_table(self, digest: Digest) -> BlockTable | None:
        """Return the block table of a source, or None."""
        return self._tables.get(digest) or self._cache.get_table(digest)

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Keep a block table."""
        self._tables[digest] = table

    def get_crs(self, name: str) -> str | None:
        """Return the CRS that stands for a name, or None."""
        return self._crs.get(name) or self._cache.get_crs(name)

    def put_crs(self, name: str, crs: str) -> None:
        """Keep a CRS."""
        self._crs[name] = crs


def find_declared(
    paths: Sequence[Path], *, cache: BorrowedCache, workers: int, only: str | None = None
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
    declared: Declared, store: TileStore | None, head: Head, *, cache: BorrowedCache
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
