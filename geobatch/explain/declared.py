"""What specs declare and what the next apply would do, as far as the sources can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.declare.projects.confine import Confine
from geobatch.declare.spec_list import held, in_order
from geobatch.errors import Code, GeobatchError, Problem, SpecError
from geobatch.model.assets.asset import Resolution
from geobatch.model.plans.plan import Options, Plan
from geobatch.model.published import Head
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.workflow.planning.planned_specs import plan_resolved
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_specs


class Declared(Struct, frozen=True, kw_only=True):
    """What some specs declare."""

    request: Request
    """The spec files and folders that were given, and the store."""
    resolved: ResolvedSpecs
    """The assets that can be resolved."""
    missing: Mapping[str, tuple[str, ...]]
    """Files that are not there, by asset id."""
    broken: Mapping[str, tuple[str, ...]]
    """Other problems that prevent resolving, by asset id."""


def find_declared(
    paths: Sequence[Path],
    *,
    place: StoreLocation,
    cache: SourceCache,
    workers: int,
    only: str | None = None,
    keep_project_prefix: bool = False,
    confine: Confine | None = None,
) -> Declared:
    """Resolve what can be: an asset that fails does not hide the state of the others.

    Args:
        paths: Spec files, or folders of them.
        place: Where the store is; it need not exist.
        cache: What is known of sources.
        workers: Threads that probe sources.
        only: Id of the one asset to resolve, or its former one; None for all.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        confine: Whether to read only the project's folder and what is allowed.

    Raises:
        SpecError: The specs are wrong in other things than missing files.
    """
    errors: dict[str, GeobatchError] = {}

    def resolve_some(some: SpecSet) -> Resolution:
        try:
            return resolve(_wanted(some, only), workers=workers, cache=cache)
        except GeobatchError as error:
            if len(some.specs) == 1:
                errors[some.specs[0].id] = error
            raise

    request = Request(
        paths=tuple(paths),
        store=place.of_project(paths[0]) if paths else place,
        workers=workers,
        options=Options(keeps_project_prefix=keep_project_prefix),
        keep_going=True,
        confine=confine,
    )
    images = cache if only is None else None
    found = resolve_specs(request, resolve_some, cache=cache, images=images)
    troubles = {one.id: errors[one.id] for one in found.failures if one.id in errors}
    missing = {name: error for name, error in troubles.items() if isinstance(error, SpecError)}
    broken = {name: _messages(error) for name, error in troubles.items() if name not in missing}
    for one in found.failures:
        if one.id not in errors:  # a check that its grid does not pass
            broken[one.id] = (*broken.get(one.id, ()), one.message)
    return Declared(
        request=request,
        resolved=found,
        missing={name: _messages(error) for name, error in missing.items()},
        broken=broken,
    )


def _wanted(specs: SpecSet, only: str | None) -> SpecSet:
    """Return those specs that have an id, or had it; all if none is given."""
    if only is None:
        return specs
    found = [spec for spec in held(specs.specs) if only in (spec.id, spec.moved_from)]
    if not any(spec.id == only for spec in found):
        with suppress(KeyError):
            found.append(specs.spec(only))
    return SpecSet(specs=in_order(found))


def plan_declared(
    declared: Declared, store: TileStore | None, *, cache: SourceCache, head: Head | None = None
) -> tuple[Declared, Plan]:
    """Return what the next apply would do with what can be resolved.

    Known images that are not published as they are are resolved only here: if that fails, what is
    returned with the plan says so.

    Args:
        declared: What the specs declare.
        store: The open store; None where there is none yet.
        cache: What is known of sources and of bands that were made before.
        head: The published state.

    Raises:
        CorruptObjectError: A document of the head is damaged.
    """
    base = Base(store=store, head=head or Head())
    asked = declared.request
    request = Request(paths=asked.paths, store=asked.store, workers=asked.workers, keep_going=True)
    planned = plan_resolved(declared.resolved, base, request=request, cache=cache)
    missing, broken = dict(declared.missing), dict(declared.broken)
    for one in planned.resolved.failures[len(declared.resolved.failures) :]:
        if one.code == Code.SPEC.value:
            message = f"{one.path}:{one.line}:{one.column}: {one.message}"
            missing[one.id] = (*missing.get(one.id, ()), message)
        else:
            broken[one.id] = (*broken.get(one.id, ()), one.message)
    return replace(declared, missing=missing, broken=broken), planned.plan


def _messages(error: GeobatchError) -> tuple[str, ...]:
    if isinstance(error, SpecError):
        return tuple(map(_short, error.problems))
    return (error.message,)


def _short(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}:{problem.column}: {problem.message}"
