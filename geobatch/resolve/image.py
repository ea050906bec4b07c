"""One image from spec and headers: every default is set, every source has an offset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from geobatch.declare import BandSpec, ImageSpec, Loc, MaskBandSpec, RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.errors import PlanError, Problem
from geobatch.model.assets.asset import Band, Footprint, Grid, Number, Policy, Source, Tileset
from geobatch.model.assets.image import DEFAULT_TILE, ExternalImage, Image
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.tfrecord import Feature
from geobatch.resolve.bands.array_bands import array_bands
from geobatch.resolve.bands.decide import decide_band, decide_dtype, in_dtype, own_nodata
from geobatch.resolve.bands.masks import alpha_warnings, valid_value, with_declared_alpha
from geobatch.resolve.bands.mismatches import unlike_warnings
from geobatch.resolve.bands.names import band_name
from geobatch.resolve.canvas.antimeridian import find_wrap
from geobatch.resolve.canvas.block_size import check_block
from geobatch.resolve.canvas.canvas import (
    Canvas,
    SourceOffset,
    canvas_of,
    check_gap,
    check_size,
    check_structure,
    offsets_on,
)
from geobatch.resolve.canvas.fullness import check_fullness
from geobatch.resolve.canvas.grid_names import grid_names
from geobatch.resolve.checks import resolve_checks
from geobatch.resolve.lint import band_warnings, missing_warning, source_warnings
from geobatch.resolve.refusals import spec_error, unknown_band
from geobatch.resolve.selection import feature_index
from geobatch.resolve.sidecars import bare, complete
from geobatch.sources.registry import driver_named


class ImageResolver:
    """Resolves one image, step by step: canvases, bands, grids, tilesets."""

    def __init__(
        self,
        spec: RasterSpec,
        files: Sequence[Sequence[DeclaredSource]],
        found: Sequence[Sequence[Probe]],
        read_crs: Callable[[str], Crs],
    ) -> None:
        self.spec = spec
        # An external image has the tiles and the canvas of its COGs.
        self.ingested = spec if isinstance(spec, ImageSpec) else None
        self.numbers = {tileset.id: number for number, tileset in enumerate(spec.tilesets)}
        self.files = files
        self.found = found
        self.read_crs = read_crs
        self.headers: dict[int, list[Header]] = {}
        self.warnings: list[Problem] = []
        self.crs = {tileset.id: self._declared_crs(tileset.id) for tileset in spec.tilesets}
        self.mask_of = self._masks()

    def asset(self) -> Image | ExternalImage:
        """Return the resolved image."""
        spec = self.spec
        band_specs = self._band_specs()
        canvases = self._canvases(band_specs)
        names = grid_names({id_: canvas.geobox for id_, canvas in canvases.items()})
        footprint = self._footprint(band_specs, names)
        bands = tuple(
            self._band(number, band, canvases[band.tileset_id], names[band.tileset_id], footprint)
            for number, band in enumerate(band_specs)
        )
        grids = {names[band.tileset_id]: canvases[band.tileset_id].geobox for band in band_specs}
        made = (Image if self.ingested else ExternalImage)(
            id=spec.id,
            grids=tuple(Grid(name=name, geobox=geobox) for name, geobox in grids.items()),
            bands=bands,
            tilesets=self._tilesets(band_specs, canvases, names),
            array_bands=array_bands(spec, bands),
            properties=spec.properties,
            start_time=spec.start_time,
            end_time=spec.end_time if spec.end_time is not None else spec.start_time,
            footprint=footprint,
            checks=tuple(resolve_checks(spec, bands, self.read_crs)),
            memo=spec.memo,
            is_protected=spec.is_protected,
            origin=spec.origin,
        )
        if isinstance(spec, ImageSpec):
            return replace(made, tile=spec.tile, codec=spec.codec)
        return made

    def _headers(self, tileset: str) -> list[Header]:
        number = self.numbers[tileset]
        if number not in self.headers:
            found = zip(self.files[number], self.found[number], strict=True)
            headers = [self._header(number, file, probe) for file, probe in found]
            if "alpha" in headers[0].colours:
                self.warnings += alpha_warnings(
                    self.spec, number, self.files[number], headers, self.mask_of
                )
            self.headers[number] = with_declared_alpha(headers, self.spec, tileset)
        return self.headers[number]

    def _header(self, number: int, file: DeclaredSource, probe: Probe) -> Header:
        if self.spec.skip_metadata_read and driver_named(probe.driver).has_metadata:
            return bare(probe.header)
        return complete(probe.header, file, self.read_crs, self.spec.tilesets[number])

    def _features(self, tileset: str) -> tuple[Feature, ...]:
        return self.found[self.numbers[tileset]][0].features

    def _declared_crs(self, tileset: str) -> Crs | None:
        number = self.numbers[tileset]
        text = self.spec.tilesets[number].crs
        if text is None:
            return None
        try:
            return self.read_crs(text)
        except ValueError as error:
            raise spec_error(self.spec, ("tilesets", number, "crs"), "crs", str(error)) from None

    def _masks(self) -> dict[str, MaskBandSpec]:
        """Return the declared mask per band id; the empty id means every band."""
        masks: dict[str, MaskBandSpec] = {}
        for mask in self.spec.mask_bands:
            for band_id in mask.band_ids or ("",):
                masks[band_id] = mask
        return masks

    def _mask(self, band_id: str) -> MaskBandSpec | None:
        return self.mask_of.get(band_id, self.mask_of.get(""))

    def _band_specs(self) -> tuple[BandSpec, ...]:
        """Return the declared bands; by default all bands that are not masks, named b1, b2, ..."""
        if self.spec.bands is not None:
            return tuple(self._indexed(number, band) for number, band in enumerate(self.spec.bands))
        found: dict[str, BandSpec] = {}
        for tileset in self.spec.tilesets:
            header = self._headers(tileset.id)[0]
            probe = replace(self.found[self.numbers[tileset.id]][0], header=header)
            is_mask = any(mask.tileset_id == tileset.id for mask in self.mask_of.values())
            for index in range(header.count):
                is_last = index == header.count - 1
                if not (is_mask and is_last) and not self._is_own_mask(tileset.id, header, index):
                    name = band_name(self.spec, probe, index, taken=found)
                    band = BandSpec(id=name, tileset_id=tileset.id, tileset_band_index=index)
                    found[name] = band
        if not found:
            raise spec_error(
                self.spec, ("tilesets",), "no-bands", "the tilesets have no band except masks"
            )
        for number, mask in enumerate(self.spec.mask_bands):
            for position, band_id in enumerate(mask.band_ids):
                if band_id not in found:
                    loc = ("mask_bands", number, "band_ids", position)
                    raise unknown_band(self.spec, loc, band_id, list(found))
        return tuple(found.values())

    def _indexed(self, number: int, band: BandSpec) -> BandSpec:
        """Return a band with the index of its feature, if it names one."""
        if band.feature is None:
            self._check_index(number, band)
            return band
        index = feature_index(self.spec, number, self._features(band.tileset_id))
        return replace(band, tileset_band_index=index)

    def _is_own_mask(self, tileset: str, header: Header, index: int) -> bool:
        """Return whether a band is the file's alpha band and serves as its mask."""
        missing = self.spec.missing_data
        if missing is None:
            dtype = self.spec.tilesets[self.numbers[tileset]].dtype or header.dtypes[0]
            is_set_aside = own_nodata(header, 0, dtype) is not None
        else:
            is_set_aside = any(in_dtype(value, header.dtypes[0]) is not None for value in missing)
        return index == header.alpha_index and header.mask == "alpha" and not is_set_aside

    def _check_index(self, number: int, band: BandSpec) -> None:
        count = self._headers(band.tileset_id)[0].count
        if band.tileset_band_index >= count:
            raise spec_error(
                self.spec,
                ("bands", number, "tileset_band_index"),
                "band-index",
                f"no band with index `{band.tileset_band_index}`: each source has {count}"
                f" band{'' if count == 1 else 's'}",
                f"indexes start at zero: 0 to {count - 1}",
            )

    def _canvases(self, bands: Sequence[BandSpec]) -> dict[str, Canvas]:
        canvases = {}
        bounds = self.ingested.bounds if self.ingested else None
        for tileset in dict.fromkeys(band.tileset_id for band in bands):
            headers = self._headers(tileset)
            check_structure(headers)
            self._check_dimensions(tileset, headers)
            canvas = canvases[tileset] = canvas_of(
                headers,
                transforms=self._transforms(tileset),
                crs=self.crs[tileset],
                bounds=bounds,
            )
            is_declared = bounds is not None
            remedy = self._check_wrap(tileset, canvas, is_union=not is_declared)
            check_gap(canvas, is_declared=is_declared, remedy=remedy)
            tile = self.ingested.tile if self.ingested else DEFAULT_TILE
            check_size(canvas, tile=tile)
            if self.ingested:  # of an external image, no tile is computed
                check_fullness(
                    canvas,
                    self.found[self.numbers[tileset]],
                    tile=tile,
                    limit=self.ingested.max_tiles,
                    bounds=bounds,
                )
        return canvases

    def _check_wrap(self, tileset: str, canvas: Canvas, *, is_union: bool) -> str | None:
        """Warn of sources on both sides of the antimeridian, and return what to write then."""
        number = self.numbers[tileset]
        wrap = find_wrap(self.spec, number, self.files[number], canvas, is_union=is_union)
        if wrap is None:
            return None
        loc = ("tilesets", number, "sources")
        self.warnings += warning(self.spec, loc, "antimeridian", wrap.message, wrap.hint)
        return wrap.hint

    def _transforms(self, tileset: str) -> list[Transform | None]:
        number = self.numbers[tileset]
        sources = self.spec.tilesets[number].sources
        return [sources[file.source].affine_transform for file in self.files[number]]

    def _check_dimensions(self, tileset: str, headers: Sequence[Header]) -> None:
        number = self.numbers[tileset]
        sources = self.spec.tilesets[number].sources
        for file, header in zip(self.files[number], headers, strict=True):
            declared = sources[file.source].dimensions
            if declared is not None and declared != (header.width, header.height):
                raise spec_error(
                    self.spec,
                    ("tilesets", number, "sources", file.source, "dimensions"),
                    "dimensions",
                    f"`{declared[0]} x {declared[1]}`: `{file.uri}` has"
                    f" {header.width} x {header.height} pixels",
                    "remove `dimensions`: the file declares its size",
                )

    def _footprint(self, bands: Sequence[BandSpec], names: Mapping[str, str]) -> Footprint | None:
        footprint = self.spec.footprint
        if footprint is None:
            return None
        band = bands[0]
        if footprint.band_id:
            found = [band for band in bands if band.id == footprint.band_id]
            if not found:
                known = [band.id for band in bands]
                raise unknown_band(self.spec, ("footprint", "band_id"), footprint.band_id, known)
            band = found[0]
        return Footprint(grid=names[band.tileset_id], points=footprint.points)

    def _band(
        self, number: int, band: BandSpec, canvas: Canvas, grid: str, footprint: Footprint | None
    ) -> Band:
        spec = self.spec
        header = canvas.sources[0].header
        declared = spec.tilesets[self.numbers[band.tileset_id]].dtype
        dtype = decide_dtype(header, band.tileset_band_index, declared)
        mask = self._mask(band.id)
        cut = footprint is not None and footprint.grid == grid
        decided = decide_band(
            band_id=band.id,
            grid=grid,
            tileset=band.tileset_id,
            index=band.tileset_band_index,
            headers=[source.header for source in canvas.sources],
            dtype=dtype,
            policy=band.pyramiding_policy or spec.pyramiding_policy or Policy.MEAN,
            missing=self._missing(
                number, band, dtype, file_dtype=header.dtypes[band.tileset_band_index]
            ),
            mask_tileset=None if mask is None else mask.tileset_id,
            valid_value=255 if mask is None else valid_value(mask, self._headers(mask.tileset_id)),
            has_gaps=canvas.has_gaps or cut,
        )
        self.warnings += band_warnings(spec, number, band, decided)
        return decided

    def _missing(
        self, number: int, band: BandSpec, dtype: str, *, file_dtype: str
    ) -> tuple[Number, ...] | None:
        """Return the declared missing values in the band's dtype.

        Of floats they are rounded as the file's pixels are: 0.1 is found in a file of 32 bits.
        """
        own = band.missing_data
        declared = own if own is not None else self.spec.missing_data
        if declared is None:
            return None
        base: Loc = () if own is None else ("bands", number)
        found = []
        for position, value in enumerate(declared):
            is_rounded = file_dtype == "float32" and dtype == "float64"
            rounded = in_dtype(value, file_dtype) if is_rounded else None
            fitting = in_dtype(value, dtype) if rounded is None else rounded
            if fitting is not None:
                found.append(fitting)
            else:
                loc = (*base, "missing_data", "values", position)
                self.warnings += missing_warning(self.spec, loc, value, band=band.id, dtype=dtype)
        return tuple(found)

    def _tilesets(
        self,
        bands: Sequence[BandSpec],
        canvases: Mapping[str, Canvas],
        names: Mapping[str, str],
    ) -> tuple[Tileset, ...]:
        tilesets = [
            self._tileset(id_, names[id_], canvas.sources) for id_, canvas in canvases.items()
        ]
        masked: dict[str, Canvas] = {}
        for band in bands:
            declared = self._mask(band.id)
            if declared is None:
                continue
            mask = declared.tileset_id
            canvas = canvases[band.tileset_id]
            if masked.setdefault(mask, canvas).geobox != canvas.geobox:
                raise PlanError(
                    f"mask tileset `{mask}` masks bands on two grids:"
                    f" `{names[band.tileset_id]}` and another",
                    hint="declare a separate mask tileset for the bands of each grid",
                )
            if mask not in canvases and mask not in {tileset.id for tileset in tilesets}:
                headers = self._headers(mask)
                check_structure(headers)
                self._check_dimensions(mask, headers)
                offsets = offsets_on(
                    headers,
                    transforms=self._transforms(mask),
                    crs=self.crs[mask],
                    canvas=canvas,
                )
                on_canvas = Canvas(geobox=canvas.geobox, sources=offsets)
                self._check_wrap(mask, on_canvas, is_union=False)
                tilesets.append(self._tileset(mask, names[band.tileset_id], offsets))
            elif mask in canvases and canvases[mask].geobox != canvas.geobox:
                raise PlanError(
                    f"mask tileset `{mask}` is not on the grid of band `{band.id}`",
                    hint="resample it onto the band's grid first",
                )
        return tuple(tilesets)

    def _tileset(self, tileset: str, grid: str, offsets: Sequence[SourceOffset]) -> Tileset:
        number = self.numbers[tileset]
        headers = [spot.header for spot in offsets]
        self.warnings += source_warnings(self.spec, number, self.files[number], headers)
        self.warnings += unlike_warnings(self.spec, number, self.files[number], headers)
        probes, declared = self.found[number], self._transforms(tileset)
        sources = []
        rows = zip(self.files[number], offsets, probes, declared, strict=True)
        for file, spot, probe, transform in rows:
            header = spot.header
            check_block(header, probe)
            sources.append(
                Source(
                    uri=file.uri,
                    digest=probe.digest,
                    row=spot.row,
                    col=spot.col,
                    height=header.height,
                    width=header.width,
                    variable=header.variable,
                    mask=header.mask,
                    block=header.block,
                    is_pixel_interleaved=header.is_pixel_interleaved,
                    is_placed=transform is not None or probe.header.transform is None,
                    path=header.path,
                    stat=probe.stat,
                    is_proven=probe.is_proven,
                    driver=probe.driver,
                    records=probe.records,
                    remote=probe.remote,
                    servers=probe.servers,
                )
            )
        return Tileset(
            id=tileset,
            grid=grid,
            dtypes=headers[0].dtypes,
            sources=tuple(sources),
            has_own_crs=self.crs[tileset] is not None or probes[0].header.crs is None,
            features=self._features(tileset),
        )
