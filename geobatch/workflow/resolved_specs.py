"""Spec files to assets with nothing left open."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import SpecSet, load, validate
from geobatch.declare.loading.garbage import without_collecting
from geobatch.declare.loading.spec_cache import SpecEntries
from geobatch.errors import PlanError, SourceError
from geobatch.model.assets.asset import Resolution
from geobatch.model.plans.plan import Failure
from geobatch.planner import may_be_selected
from geobatch.resolve.known import Known, KnownImages, known_images, without_known
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
    known: Known | None = None
    """Images that are not resolved, since they are known; None if none was searched for."""


@without_collecting()
def resolve_specs(
    request: Request,
    resolve: Resolve,
    *,
    cache: SpecEntries | None = None,
    images: KnownImages | None = None,
) -> ResolvedSpecs:
    """Return what the specs of a request declare, resolved.

    Args:
        request: The specs, and which of their assets to resolve; sources of others are not read.
        resolve: Resolves specs.
        cache: Spec files that were loaded in earlier runs.
        images: Images that were resolved in earlier runs, if those need not be resolved.

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
    if options.select:
        chosen = [name for name in specs.ids if may_be_selected(name, options.select)]
        return _resolved(specs, specs.named(chosen), request, resolve)
    if images is None or options.replace or request.rehash:
        return _resolved(specs, specs, request, resolve)
    known = known_images(specs.specs, images)
    found = _resolved(specs, without_known(specs, known), request, resolve)
    resolution = replace(
        found.resolution,
        sources_by_stat=found.resolution.sources_by_stat + known.more_sources(found.resolution),
        warnings=tuple(dict.fromkeys((*found.resolution.warnings, *known.warnings()))),
    )
    return replace(found, resolution=resolution, known=known)


def resolve_late(
    resolved: ResolvedSpecs, late: Sequence[str], request: Request, resolve: Resolve
) -> ResolvedSpecs:
    """Return resolved specs with some known images, by id, resolved, too; for errors see above."""
    if not late:
        return resolved
    more = _resolved(resolved.specs, resolved.specs.named(late), request, resolve)
    first, second = resolved.resolution, more.resolution
    joined = replace(
        first,
        assets=tuple(sorted((*first.assets, *second.assets), key=lambda asset: asset.id)),
        # Their sources are among those that did not change.
        sources_hashed=first.sources_hashed + second.sources_hashed,
        sources_by_stat=first.sources_by_stat - second.sources_hashed,
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        by_image={**first.by_image, **second.by_image},
        beside=first.beside | second.beside,
    )
    failures = (*resolved.failures, *more.failures)
    return replace(resolved, resolution=joined, failures=failures)


def _resolved(specs: SpecSet, wanted: SpecSet, request: Request, resolve: Resolve) -> ResolvedSpecs:
    if request.keep_going:
        resolution, failures = salvage(wanted, resolve)
        resolution, refused = without_refused(wanted, resolution)
        return ResolvedSpecs(specs=specs, resolution=resolution, failures=(*failures, *refused))
    try:
        return ResolvedSpecs(specs=specs, resolution=resolve(wanted))
    except (SourceError, PlanError) as error:
        raise refuse_all(wanted, resolve, error) from error
