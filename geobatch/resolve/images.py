"""Images from specs and sources: the sources are read, and each image is resolved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice

from geobatch.declare import ExternalImageSpec, ImageSpec, expand, prepare
from geobatch.declare.checks.lint import order_warnings
from geobatch.errors import PlanError, Problem, SourceError
from geobatch.model.assets.asset import ExternalImage, Image, Resolution
from geobatch.resolve.image import ImageResolver
from geobatch.resolve.pinned import pinned
from geobatch.resolve.selection import select
from geobatch.resolve.unread_files import Beside
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.probe_cache import ProbeCache, crs_reader
from geobatch.sources.registry import probe_sources
from geobatch.sources.threads import Meanwhile, nothing


def resolve_images(
    specs: Sequence[ImageSpec | ExternalImageSpec],
    *,
    workers: int = 1,
    cache: ProbeCache | None = None,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> Resolution:
    """Resolve everything that specs leave open, from the headers and bytes of their sources.

    Args:
        specs: Validated specs of images.
        workers: Threads that open and digest source files.
        cache: State of sources from earlier runs; receives that of this run.
        rehash: Whether to read every source, without the cache.
        meanwhile: May be called while rasters are read, if there are any.

    Raises:
        SpecError: A spec names a file, a band index or a CRS that does not exist.
        SourceError: A source cannot be opened, or has no placement.
        PlanError: Sources of one tileset, or a band and its mask, do not fit together.
    """
    prepare(specs)
    expansions = {spec.id: expand(spec) for spec in specs}
    files = {spec_id: expansion.tilesets for spec_id, expansion in expansions.items()}
    found = probe_sources(
        [file for tilesets in files.values() for named in tilesets for file in named],
        ProbeOptions(cache=cache, workers=workers, rehash=rehash, meanwhile=meanwhile),
    )
    states = iter(found.probes)
    probes = {
        spec_id: [list(islice(states, len(named))) for named in tilesets]
        for spec_id, tilesets in files.items()
    }
    read_crs = crs_reader(cache)
    assets: list[Image | ExternalImage] = []
    warnings: list[Problem] = []
    by_image: dict[str, tuple[Problem, ...]] = {}
    beside = Beside()
    for spec in specs:
        try:
            known = select(spec, files[spec.id], probes[spec.id], read_crs)
            resolver = ImageResolver(spec, files[spec.id], known, read_crs)
            image = resolver.asset()
            own = [*order_warnings(spec, expansions[spec.id]), *resolver.warnings]
            beside.note(spec, files[spec.id], known)
            if isinstance(image, ExternalImage):
                image, more = pinned(image, spec, files[spec.id], known)
                own += more
            if own:
                by_image[spec.id] = tuple(own)
                warnings += own
            assets.append(image)
        except (PlanError, SourceError) as error:
            where = ":".join(str(part) for part in spec.where()[:2])
            raise type(error)(f"{where}: `{spec.id}`: {error.message}", hint=error.hint) from None
    warnings += beside.warnings()
    return Resolution(
        assets=tuple(assets),
        sources_hashed=found.hashed,
        sources_by_stat=found.by_stat,
        warnings=tuple(dict.fromkeys(warnings)),
        files=frozenset(
            hash(os.fspath(file.path))
            for tilesets in files.values()
            for named in tilesets
            for file in named
            if not file.url
        ),
        by_image=by_image,
        beside=frozenset(beside.ids),
    )
