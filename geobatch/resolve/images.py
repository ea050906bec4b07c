"""Images from specs and sources: the sources are read, and each image passes the stages."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice

from geobatch.declare import ExternalImageSpec, ImageSpec, expand, prepare, problem
from geobatch.declare.checks.lint import order_warnings
from geobatch.errors import PlanError, Problem, SourceError, SpecError
from geobatch.model.assets.asset import ExternalImage, Image, Resolution
from geobatch.model.geobox import Crs
from geobatch.model.sources.declared import DeclaredSource
from geobatch.resolve.canvas.antimeridian import find_wraps
from geobatch.resolve.canvas.canvas import canvases_of
from geobatch.resolve.canvas.fullness import check_canvases
from geobatch.resolve.headers import read_mosaics
from geobatch.resolve.image.image import image_of
from geobatch.resolve.image.masks import resolve_bands
from geobatch.resolve.image.pinned import pin_image
from geobatch.resolve.lint import image_notes
from geobatch.resolve.notes import Note, RefusalError
from geobatch.resolve.selection import select_sources
from geobatch.resolve.typed_bands import type_bands, type_headers
from geobatch.resolve.unread_files import Beside
from geobatch.sources.driver import AnyProbe, ProbeOptions
from geobatch.sources.probe_cache import ProbeCache, crs_reader
from geobatch.sources.registry import driver_named, probe_sources
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
            image, notes = _resolve(spec, files[spec.id], probes[spec.id], read_crs, beside)
        except RefusalError as error:
            raise SpecError((problem(spec, *error.note),)) from None
        except (PlanError, SourceError) as error:
            where = ":".join(str(part) for part in spec.where()[:2])
            raise type(error)(f"{where}: `{spec.id}`: {error.message}", hint=error.hint) from None
        assets.append(image)
        silenced = spec.project.silenced
        own = [
            *order_warnings(spec, expansions[spec.id]),
            *(problem(spec, *note) for note in notes if note.rule not in silenced),
        ]
        if own:
            by_image[spec.id] = tuple(own)
            warnings += own
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


def _resolve(
    spec: ImageSpec | ExternalImageSpec,
    files: Sequence[Sequence[DeclaredSource]],
    probes: Sequence[Sequence[AnyProbe]],
    read_crs: Callable[[str], Crs],
    beside: Beside,
) -> tuple[Image | ExternalImage, list[Note]]:
    """Return an image and the warnings about it: the stages, each of which is one module.

    Args:
        spec: The image.
        files: Its files, per tileset.
        probes: Their states, likewise.
        read_crs: Returns the CRS that a text names.
        beside: Notes the files beside them.
    """
    drivers = [[driver_named(probe.driver) for probe in named] for named in probes]
    sources = select_sources(spec, files, probes, drivers, read_crs)
    mosaics = read_mosaics(spec, sources, read_crs)
    mosaics = type_headers(spec, mosaics)
    typed = type_bands(spec, mosaics)
    canvases = canvases_of(spec, mosaics, typed)
    wraps = find_wraps(mosaics, canvases, spec.uri_prefix)
    check_canvases(spec, mosaics, canvases, wraps)
    bands = resolve_bands(typed, mosaics, canvases, spec.footprint)
    image = image_of(spec, mosaics, canvases, bands, read_crs)
    notes = list(image_notes(spec, mosaics, canvases, wraps, typed))
    beside.note(spec, mosaics)
    if isinstance(image, ExternalImage):
        image, weaknesses = pin_image(image, mosaics)
        notes += weaknesses
    return image, notes
