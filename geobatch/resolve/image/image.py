"""An image from what was resolved of it: its tilesets, array bands and checks are put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from geobatch.declare import CheckSpec, ExternalImageSpec, ImageSpec, RasterSpec
from geobatch.model.assets.asset import Band, Footprint, Grid, Number, Source, Tileset
from geobatch.model.assets.image import ExternalImage, Image
from geobatch.model.checks.check import Check, CheckKind, Severity
from geobatch.model.geobox import Crs
from geobatch.resolve.canvas.canvas import Canvas
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.notes import RefusalError


def image_of(
    spec: ImageSpec | ExternalImageSpec,
    mosaics: Mapping[str, Mosaic],
    canvases: Mapping[str, Canvas],
    bands: tuple[Band, ...],
    read_crs: Callable[[str], Crs],
) -> Image | ExternalImage:
    """Return an image; an external one without what its sources define.

    Args:
        spec: What declares it.
        mosaics: Its tilesets.
        canvases: Their canvases; those of bands first.
        bands: Its bands.
        read_crs: Returns the CRS that a text names.

    Raises:
        RefusalError: An array band is not possible, or the CRS of a check is not known.
    """
    _check_array_bands(spec, bands)
    grids = {canvases[band.tileset].grid: canvases[band.tileset].geobox for band in bands}
    made = (Image if isinstance(spec, ImageSpec) else ExternalImage)(
        id=spec.id,
        grids=tuple(Grid(name=name, geobox=geobox) for name, geobox in grids.items()),
        bands=bands,
        tilesets=tuple(_tileset(mosaics[id_], canvas) for id_, canvas in canvases.items()),
        array_bands=spec.array_bands,
        properties=spec.properties,
        start_time=spec.start_time,
        end_time=spec.end_time if spec.end_time is not None else spec.start_time,
        footprint=_footprint(spec, bands),
        checks=tuple(_checks(spec, bands, read_crs)),
        memo=spec.memo,
        is_protected=spec.is_protected,
        origin=spec.origin,
    )
    if isinstance(spec, ImageSpec):
        return replace(made, tile=spec.tile, codec=spec.codec)
    return made


def _tileset(mosaic: Mosaic, canvas: Canvas) -> Tileset:
    sources = tuple(
        Source(
            uri=source.file.uri,
            digest=source.probe.digest,
            row=spot.row,
            col=spot.col,
            height=spot.header.height,
            width=spot.header.width,
            variable=spot.header.variable,
            mask=spot.header.mask,
            block=spot.header.block,
            is_pixel_interleaved=spot.header.is_pixel_interleaved,
            is_placed=source.declared.affine_transform is not None
            or source.probe.header.transform is None,
            path=spot.header.path,
            stat=source.probe.stat,
            is_proven=source.probe.is_proven,
            driver=source.probe.driver,
            records=source.probe.records,
            remote=source.probe.remote,
            servers=source.probe.servers,
        )
        for source, spot in zip(mosaic.sources, canvas.sources, strict=True)
    )
    return Tileset(
        id=mosaic.id,
        grid=canvas.grid,
        dtypes=mosaic.headers[0].dtypes,
        sources=sources,
        has_own_crs=mosaic.has_own_crs,
        features=mosaic.sources[0].probe.features,
    )


def _footprint(spec: RasterSpec, bands: Sequence[Band]) -> Footprint | None:
    declared = spec.footprint
    if declared is None:
        return None
    band = next(band for band in bands if declared.band_id in {"", band.id})
    return Footprint(grid=band.grid, points=declared.points)


def _check_array_bands(spec: RasterSpec, bands: Sequence[Band]) -> None:
    """Check that the names of array bands are free, and that their bands are on one grid."""
    grids = {band.id: band.grid for band in bands}
    for name, members in spec.array_bands:
        if name in grids:
            message = f"`{name}` is already a band"
            raise RefusalError(("array_bands", name), "duplicate-band", message)
        for position, member in enumerate(members):
            if grids[member] != grids[members[0]]:
                raise RefusalError(
                    ("array_bands", name, position),
                    "array-grid",
                    f"band `{member}` lies on grid `{grids[member]}`, and `{members[0]}` on"
                    f" `{grids[members[0]]}`",
                    "all bands of an array band must be on one grid",
                )


def _checks(
    spec: RasterSpec, bands: Sequence[Band], read_crs: Callable[[str], Crs]
) -> Iterator[Check]:
    """Yield the checks of a spec, in their order."""
    names = [band.id for band in bands]
    for index, check in enumerate(spec.checks):
        kind = next(kind for kind in CheckKind if getattr(check, kind.value) is not None)
        limit = check.max_masked or check.max_changed or ""
        if check.crs is not None:
            try:
                limit = read_crs(check.crs).identity
            except ValueError as error:
                raise RefusalError(("checks", index, "crs"), "crs", str(error)) from None
        yield Check(
            kind=kind,
            bands=tuple(name for name in names if name in check.bands or not check.bands),
            values=_values(check),
            limit=limit,
            severity=Severity(check.severity),
        )


def _values(check: CheckSpec) -> tuple[Number, ...]:
    if check.classes is not None:
        return tuple(sorted({_short(value): None for value in check.classes}))
    return tuple(_short(value) for value in check.range or check.resolution or ())


def _short(value: Number) -> Number:
    """Return a number in one spelling: `1.0` and `1` are one value."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
