"""Images from specs and sources: the sources are read, and each image is resolved."""

from __future__ import annotations

from geobatch.declare import SpecSet, expand
from geobatch.declare.checks.lint import order_warnings
from geobatch.errors import PlanError, Problem, SourceError
from geobatch.model.assets.asset import Kind, Resolution
from geobatch.resolve.external.image import pinned
from geobatch.resolve.external.pins import probe_cogs
from geobatch.resolve.image import ImageResolver
from geobatch.resolve.tfrecord.exports import probes_of
from geobatch.resolve.tfrecord.shards import probe_exports
from geobatch.resolve.unread_files import Beside
from geobatch.sources.geotiff.probes import probe_rasters
from geobatch.sources.probe_cache import ProbeCache, crs_reader
from geobatch.sources.threads import Meanwhile, nothing


def resolve_images(
    specs: SpecSet,
    *,
    workers: int = 1,
    cache: ProbeCache | None = None,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> Resolution:
    """Resolve everything that specs leave open, from the headers and bytes of their sources.

    Args:
        specs: Validated specs.
        workers: Threads that open and digest source files.
        cache: State of sources from earlier runs; receives that of this run.
        rehash: Whether to read every source, without the cache.
        meanwhile: May be called while rasters are read, if there are any.

    Raises:
        SpecError: A spec names a file, a band index or a CRS that does not exist.
        SourceError: A source cannot be opened, or has no placement.
        PlanError: Sources of one tileset, or a band and its mask, do not fit together.
    """
    expansions = {spec.id: expand(spec) for spec in specs.specs}
    files = {spec_id: expansion.tilesets for spec_id, expansion in expansions.items()}
    # A file may be ingested by one asset and be external for another: two cached states.
    external = {spec.id for spec in specs.specs if spec.kind is Kind.EXTERNAL_IMAGE}
    named = [
        (spec_id in external, file)
        for spec_id, tilesets in files.items()
        for found in tilesets
        for file in found
    ]
    rasters = {file.path: file.uri for stays, file in named if not stays and not file.shards}
    inspection = probe_rasters(
        rasters, cache=cache, workers=workers, rehash=rehash, meanwhile=meanwhile
    )
    mixers = [file for _, file in named if file.shards]
    exports = probe_exports(mixers, cache=cache, workers=workers, rehash=rehash)
    cogs = [file for stays, file in named if stays]
    pins = probe_cogs(cogs, cache=cache, workers=workers, rehash=rehash)
    read_crs = crs_reader(cache)
    assets = []
    warnings: list[Problem] = []
    beside = Beside()
    for spec in specs.specs:
        known = (pins if spec.id in external else inspection).sources
        try:
            found = probes_of(spec, files[spec.id], known, exports.exports, read_crs)
            resolver = ImageResolver(spec, files[spec.id], found, read_crs)
            assets.append(resolver.asset())
            warnings += order_warnings(spec, expansions[spec.id])
            warnings += resolver.warnings
            beside.note(spec, files[spec.id], found)
            if spec.id in external:
                assets[-1], more = pinned(assets[-1], spec, files[spec.id], known)
                warnings += more
        except (PlanError, SourceError) as error:
            where = ":".join(str(part) for part in spec.where()[:2])
            raise type(error)(f"{where}: `{spec.id}`: {error.message}", hint=error.hint) from None
    warnings += beside.warnings()
    return Resolution(
        assets=tuple(assets),
        sources_hashed=inspection.hashed + exports.hashed + pins.hashed,
        sources_by_stat=inspection.by_stat + exports.by_stat + pins.by_stat,
        warnings=tuple(dict.fromkeys(warnings)),
    )
