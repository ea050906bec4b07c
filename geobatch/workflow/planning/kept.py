"""Known images: those that are published as they are, and those that must be resolved after all."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import closing
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.declare.loading.digests import spec_digest
from geobatch.format.documents import decode_sources
from geobatch.model.assets.image import Raster
from geobatch.model.digest import DIGEST_BYTES
from geobatch.model.plans.inputs import AssetInput, SourceInput
from geobatch.model.published import Head
from geobatch.planner import Fingerprints, Kept, grid_results, keep
from geobatch.resolve import resolve
from geobatch.resolve.known import Known, keep_images
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.workflow.planning.locations import set_locations
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_late


class KeptImages(Struct, frozen=True, kw_only=True):
    """Images that were not resolved, since they are published as they are."""

    kept: Kept = Kept()
    """Their ids and fingerprints."""
    known: Known = Known()
    """All known images."""
    specs: SpecSet = SpecSet(specs=())
    """All specs."""
    request: Request | None = None
    """What was asked for."""

    def inputs(self) -> Iterator[AssetInput]:
        """Yield what they are made from, sorted by id; their documents say which sources.

        Raises:
            StoreError: A document cannot be read.
        """
        if self.request is None or not self.kept.ids:
            return
        step, documents, sizes = DIGEST_BYTES, self.kept.documents, self.known.sizes()
        with closing(TileStore.open(self.request.store)) as store:
            for number, (name, fingerprint) in enumerate(self.kept.items()):
                stored = documents[step * number : step * number + step].hex()
                found = decode_sources(store.objects.get(stored), name=f"document `{stored}`")
                own = next(some for one, some in sizes if one == name)
                each = [own[0]] * len(found) if len(own) == 1 else own
                path, spec = spec_digest(self.specs.spec(name))
                sources = tuple(
                    SourceInput(uri=uri, digest=digest, size=size)
                    for (uri, digest), size in zip(found, each, strict=True)
                )
                yield AssetInput(
                    id=name, path=path, spec=spec, fingerprint=fingerprint, sources=sources
                )


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
    known = resolved.known or Known()
    images = KeptImages(kept=kept, known=known, specs=resolved.specs, request=request)
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
