"""Known images: those that are published as they are, and those that must be resolved after all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.image import Raster
from geobatch.model.published import Head
from geobatch.planner import Fingerprints, Kept, grid_results, keep
from geobatch.resolve import resolve
from geobatch.resolve.known import keep_images
from geobatch.store.caches.cache import SourceCache
from geobatch.workflow.planning.locations import set_locations
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_late

_AT_A_TIME = 1000


class KeptImages(Struct, frozen=True, kw_only=True):
    """Images that were not resolved, since they are published as they are."""

    kept: Kept = Kept()
    """Their ids and fingerprints."""
    specs: SpecSet = SpecSet(specs=())
    """All specs."""
    request: Request | None = None
    """What was asked for."""

    def assets(self) -> Iterator[Asset]:
        """Resolve them, some at a time, as their sources are now."""
        if self.request is None:
            return
        with SourceCache(self.request.store) as cache:
            for start in range(0, len(self.kept.ids), _AT_A_TIME):
                some = self.specs.named(self.kept.ids[start : start + _AT_A_TIME])
                yield from resolve(some, workers=self.request.workers, cache=cache).assets


def kept_images(
    resolved: ResolvedSpecs,
    base: Base,
    head: Head,
    others: Collection[str],
    *,
    request: Request,
    cache: SourceCache,
) -> tuple[ResolvedSpecs, KeptImages, Head]:
    """Return all assets resolved and located, but for known images that are published as they are.

    Args:
        resolved: What the specs declare.
        base: The published state.
        head: Its commit, in which renamed assets have their new ids.
        others: Ids of those that are resolved in any case: renamed, or damaged.
        request: What to cover.
        cache: Facts about sources.

    Returns:
        The resolved assets; the others; and the state without these.
    """
    kept, late = Kept(), list[str]()
    if resolved.known is not None and resolved.known.files:
        kept, late, head = keep(resolved.known.items(), base=head, others=others)
    resolve_all = partial(resolve, workers=request.workers, cache=cache)
    found = resolve_late(resolved, late, request, resolve_all)
    located = set_locations(found, base, head=head, request=request)
    images = KeptImages(kept=kept, specs=resolved.specs, request=request)
    return replace(found, resolution=located), images, head


def keep_resolved(
    resolved: ResolvedSpecs, fingerprints: Fingerprints, *, cache: SourceCache
) -> Fingerprints:
    """Keep the fingerprints of resolved images for the runs to come, if any are; and return them.

    Images whose grids fail a check are judged in every run.
    """
    if resolved.known is not None and resolved.resolution.assets:
        failing = {
            asset.id
            for asset in resolved.resolution.assets
            if isinstance(asset, Raster) and any(one.is_failed for one in grid_results(asset))
        }
        keep_images(
            resolved.specs.specs,
            resolved.resolution,
            fingerprints,
            known=resolved.known,
            unsure=failing,
            cache=cache,
        )
    return fingerprints
