"""Spec files to assets with nothing left open."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from geobatch.declare import SpecSet, load, validate
from geobatch.declare.loading.garbage import without_collecting
from geobatch.declare.loading.spec_cache import SpecEntries
from geobatch.errors import PlanError, SourceError
from geobatch.model.assets.asset import Resolution
from geobatch.model.plans.plan import Failure
from geobatch.planner import may_be_selected
from geobatch.resolve.partial import refuse_all, salvage
from geobatch.workflow.checks import without_refused
from geobatch.workflow.request import Request

Resolve = Callable[[SpecSet], Resolution]
"""Resolves specs from their sources, or raises."""


class ResolvedSpecs(Struct, frozen=True, kw_only=True):
    """What some specs declare, resolved as far as their sources can be read."""

    specs: SpecSet
    """Every declared asset."""
    resolution: Resolution
    """Every declared and selected asset that could be resolved."""
    failures: tuple[Failure, ...] = ()
    """Those that could not, if the others are to be planned nevertheless."""


@without_collecting()
def resolve_specs(
    request: Request, resolve: Resolve, *, cache: SpecEntries | None = None
) -> ResolvedSpecs:
    """Return what the specs of a request declare, resolved.

    Args:
        request: The specs, and which of their assets to resolve; sources of others are not read.
        resolve: Resolves specs.
        cache: Spec files that were loaded in earlier runs.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read; unless the request keeps going.
        PlanError: The sources do not fit together; unless the request keeps going.
    """
    read = load if request.keep_going else validate
    options = request.options
    specs = read(
        request.paths,
        keep_project_prefix=options.keeps_project_prefix,
        cache=cache,
        confine=request.confine,
    )
    wanted = specs
    if options.select:
        chosen = tuple(spec for spec in specs.specs if may_be_selected(spec.id, options.select))
        wanted = SpecSet(specs=chosen)
    if request.keep_going:
        resolution, failures = salvage(wanted, resolve)
        resolution, refused = without_refused(wanted, resolution)
        return ResolvedSpecs(specs=specs, resolution=resolution, failures=(*failures, *refused))
    try:
        return ResolvedSpecs(specs=specs, resolution=resolve(wanted))
    except (SourceError, PlanError) as error:
        raise refuse_all(wanted, resolve, error) from error
