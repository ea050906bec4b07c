"""Specs and headers to resolutions: every default decided, every source identified and placed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from geobatch.errors import PlanError, Problem, SourceError, SpecError
from geobatch.model.asset import (
    Asset,
    Band,
    Footprint,
    Grid,
    Kind,
    Number,
    Policy,
    Resolution,
    Source,
    Tileset,
)
from geobatch.model.geobox import Crs, GeoBox, Transform
from geobatch.model.header import Header
from geobatch.resolve.bands import decide_band, decide_dtype, in_dtype
from geobatch.resolve.canvas import Canvas, Placed, check_structure, place, place_upon
from geobatch.resolve.external import band_name, pinned
from geobatch.resolve.inspect import Inspected, LookCache, crs_reader, inspect
from geobatch.resolve.pins import inspect_cogs
from geobatch.spec import BandSpec, ImageSpec, Loc, SourceFile, SpecSet, expand, problem


def resolve(
    specs: SpecSet, *, workers: int = 1, cache: LookCache | None = None, rehash: bool = False
) -> Resolution:
    """Decide everything that specs leave open, by looking at their sources' headers and bytes.

    Args:
        specs: Validated specs.
        workers: Threads that open and digest source files.
        cache: What is known of sources from earlier runs, and is told of this one.
        rehash: Whether to read every source, whatever the cache says.

    Raises:
        SpecError: A spec names a file, a band index or a CRS that does not exist.
        SourceError: A source cannot be opened, or does not say where it lies.
        PlanError: Sources of one tileset, or a band and its mask, do not fit together.
    """
    files = {spec.id: expand(spec).tilesets for spec in specs.specs}
    # A file may be ingested by one asset and stay where it is for another: two looks at it.
    external = {spec.id for spec in specs.specs if spec.kind is Kind.EXTERNAL_IMAGE}
    paths = {
        file.path: file.uri
        for spec_id, tilesets in files.items()
        for found in tilesets
        for file in found
        if spec_id not in external
    }
    cogs = [file for name in files if name in external for found in files[name] for file in found]
    inspection = inspect(paths, cache=cache, workers=workers, rehash=rehash)
    seen = inspect_cogs(cogs, cache=cache, workers=workers, rehash=rehash)
    read_crs = crs_reader(cache)
    assets = []
    warnings: list[Problem] = []
    for spec in specs.specs:
        known = (seen if spec.id in external else inspection).sources
        try:
            resolver = _ImageResolver(spec, files[spec.id], known, read_crs)
            assets.append(resolver.asset())
            if spec.id in external:
                assets[-1], found = pinned(assets[-1], spec, files[spec.id], known)
                warnings += found
        except (PlanError, SourceError) as error:
            where = ":".join(str(part) for part in spec.where()[:2])
            raise type(error)(f"{where}: `{spec.id}`: {error.message}", hint=error.hint) from None
    return Resolution(
        assets=tuple(assets),
        sources_hashed=inspection.hashed + seen.hashed,
        sources_by_stat=inspection.by_stat + seen.by_stat,
        warnings=tuple(dict.fromkeys(warnings)),
    )


class _ImageResolver:
    """Resolves one image, step by step: canvases, bands, grids, tilesets."""

    def __init__(
        self,
        spec: ImageSpec,
        files: Sequence[Sequence[SourceFile]],
        inspected: Mapping[Path, Inspected],
        read_crs: Callable[[str], Crs],
    ) -> None:
        self.spec = spec
        self.numbers = {tileset.id: number for number, tileset in enumerate(spec.tilesets)}
        self.files = files
        self.inspected = inspected
        self.read_crs = read_crs
        self.crs = {tileset.id: self._declared_crs(tileset.id) for tileset in spec.tilesets}
        self.mask_of = self._masks()

    def asset(self) -> Asset:
        """Return the resolved image."""
        spec = self.spec
        band_specs = self._band_specs()
        canvases = self._canvases(band_specs)
        names = _grid_names({id_: canvas.geobox for id_, canvas in canvases.items()})
        footprint = self._footprint(band_specs, names)
        bands = tuple(
            self._band(number, band, canvases[band.tileset_id], names[band.tileset_id], footprint)
            for number, band in enumerate(band_specs)
        )
        grids = {names[band.tileset_id]: canvases[band.tileset_id].geobox for band in band_specs}
        path, line, _ = spec.where()
        return Asset(
            id=spec.id,
            kind=spec.kind,
            grids=tuple(Grid(name=name, geobox=geobox) for name, geobox in grids.items()),
            bands=bands,
            tilesets=self._tilesets(band_specs, canvases, names),
            tile=spec.tile,
            codec=spec.codec,
            properties=spec.properties,
            start_time=spec.start_time,
            end_time=spec.end_time if spec.end_time is not None else spec.start_time,
            footprint=footprint,
            memo=spec.memo,
            is_protected=spec.is_protected,
            origin=f"{path}:{line}",
        )

    def _headers(self, tileset: str) -> list[Header]:
        return [self.inspected[file.path].header for file in self.files[self.numbers[tileset]]]

    def _declared_crs(self, tileset: str) -> Crs | None:
        number = self.numbers[tileset]
        text = self.spec.tilesets[number].crs
        if text is None:
            return None
        try:
            return self.read_crs(text)
        except ValueError as error:
            raise self._spec_error(("tilesets", number, "crs"), "crs", str(error)) from None

    def _spec_error(self, loc: Loc, rule: str, message: str, hint: str | None = None) -> SpecError:
        return SpecError((problem(self.spec, loc, rule, message, hint),))

    def _masks(self) -> dict[str, str]:
        """Return the mask tileset per band id; the empty id stands for every band."""
        masks: dict[str, str] = {}
        for mask in self.spec.mask_bands:
            for band_id in mask.band_ids or ("",):
                masks[band_id] = mask.tileset_id
        return masks

    def _mask_tileset(self, band_id: str) -> str | None:
        return self.mask_of.get(band_id, self.mask_of.get(""))

    def _band_specs(self) -> tuple[BandSpec, ...]:
        """Return the declared bands; else all bands that are no mask, named b1, b2, ..."""
        if self.spec.bands is not None:
            for number, band in enumerate(self.spec.bands):
                self._check_index(number, band)
            return self.spec.bands
        found: list[BandSpec] = []
        for tileset in self.spec.tilesets:
            header = self._headers(tileset.id)[0]
            is_mask = tileset.id in self.mask_of.values()
            for index in range(header.count):
                is_last = index == header.count - 1
                if not (is_mask and is_last) and not self._is_own_mask(header, index):
                    name = band_name(self.spec, header, index, number=len(found) + 1)
                    found.append(BandSpec(id=name, tileset_id=tileset.id, tileset_band_index=index))
        if not found:
            raise self._spec_error(
                ("tilesets",), "no-bands", "the tilesets hold no band that is not a mask"
            )
        for number, mask in enumerate(self.spec.mask_bands):
            for place_, band_id in enumerate(mask.band_ids):
                if band_id not in {band.id for band in found}:
                    loc = ("mask_bands", number, "band_ids", place_)
                    raise self._unknown_band(loc, band_id, len(found))
        return tuple(found)

    def _unknown_band(self, loc: Loc, band_id: str, count: int) -> SpecError:
        message = f"there is no band `{band_id}`; without `bands`, they are named b1 to b{count}"
        return self._spec_error(loc, "unknown-band", message)

    def _is_own_mask(self, header: Header, index: int) -> bool:
        """Return whether a band is the file's alpha band and serves as its mask."""
        missing = self.spec.missing_data
        is_set_aside = bool(missing) or (missing is None and header.nodata[0] is not None)
        return index == header.alpha_index and header.mask == "alpha" and not is_set_aside

    def _check_index(self, number: int, band: BandSpec) -> None:
        count = self._headers(band.tileset_id)[0].count
        if band.tileset_band_index >= count:
            raise self._spec_error(
                ("bands", number, "tileset_band_index"),
                "band-index",
                f"`{band.tileset_band_index}`: the sources of tileset `{band.tileset_id}` have"
                f" {count} bands",
                f"indexes are zero-based: 0 to {count - 1}",
            )

    def _canvases(self, bands: Sequence[BandSpec]) -> dict[str, Canvas]:
        canvases = {}
        for tileset in dict.fromkeys(band.tileset_id for band in bands):
            headers = self._headers(tileset)
            check_structure(headers)
            self._check_dimensions(tileset, headers)
            canvases[tileset] = place(
                headers,
                transforms=self._transforms(tileset),
                crs=self.crs[tileset],
                bounds=self.spec.bounds,
            )
        return canvases

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
                raise self._spec_error(
                    ("tilesets", number, "sources", file.source, "dimensions"),
                    "dimensions",
                    f"`{declared[0]} x {declared[1]}`: `{file.uri}` has"
                    f" {header.width} x {header.height} pixels",
                    "leave `dimensions` out: the file says it itself",
                )

    def _footprint(self, bands: Sequence[BandSpec], names: Mapping[str, str]) -> Footprint | None:
        footprint = self.spec.footprint
        if footprint is None:
            return None
        band = bands[0]
        if footprint.band_id:
            found = [band for band in bands if band.id == footprint.band_id]
            if not found:
                raise self._unknown_band(("footprint", "band_id"), footprint.band_id, len(bands))
            band = found[0]
        return Footprint(grid=names[band.tileset_id], points=footprint.points)

    def _band(
        self, number: int, band: BandSpec, canvas: Canvas, grid: str, footprint: Footprint | None
    ) -> Band:
        spec = self.spec
        header = canvas.placed[0].header
        declared = spec.tilesets[self.numbers[band.tileset_id]].dtype
        dtype = decide_dtype(header.dtypes[band.tileset_band_index], declared, uri=header.uri)
        mask = self._mask_tileset(band.id)
        cut = footprint is not None and footprint.grid == grid
        return decide_band(
            band_id=band.id,
            grid=grid,
            tileset=band.tileset_id,
            index=band.tileset_band_index,
            headers=[placed.header for placed in canvas.placed],
            dtype=dtype,
            policy=band.pyramiding_policy or spec.pyramiding_policy or Policy.MEAN,
            missing=self._missing(number, band, dtype),
            mask_tileset=mask,
            has_gaps=canvas.has_gaps or cut,
        )

    def _missing(self, number: int, band: BandSpec, dtype: str) -> tuple[Number, ...] | None:
        """Return the declared missing values in the band's dtype."""
        own = band.missing_data
        declared = own if own is not None else self.spec.missing_data
        if declared is None:
            return None
        base: Loc = () if own is None else ("bands", number)
        found = []
        for place_, value in enumerate(declared):
            fitting = in_dtype(value, dtype)
            if fitting is None:
                raise self._spec_error(
                    (*base, "missing_data", "values", place_),
                    "missing-data",
                    f"`{value}` is not a value of band `{band.id}`, which is {dtype.upper()}",
                    "no pixel can equal it; leave it out, or declare a wider `data_type`",
                )
            found.append(fitting)
        return tuple(found)

    def _tilesets(
        self,
        bands: Sequence[BandSpec],
        canvases: Mapping[str, Canvas],
        names: Mapping[str, str],
    ) -> tuple[Tileset, ...]:
        tilesets = [
            self._tileset(id_, names[id_], canvas.placed) for id_, canvas in canvases.items()
        ]
        masked: dict[str, Canvas] = {}
        for band in bands:
            mask = self._mask_tileset(band.id)
            if mask is None:
                continue
            self._check_mask(mask)
            canvas = canvases[band.tileset_id]
            if masked.setdefault(mask, canvas).geobox != canvas.geobox:
                raise PlanError(
                    f"mask tileset `{mask}` masks bands on two grids:"
                    f" `{names[band.tileset_id]}` and another",
                    hint="give the bands of each grid a mask tileset of their own",
                )
            if mask not in canvases and mask not in {tileset.id for tileset in tilesets}:
                headers = self._headers(mask)
                check_structure(headers)
                self._check_dimensions(mask, headers)
                placed = place_upon(
                    headers,
                    transforms=self._transforms(mask),
                    crs=self.crs[mask],
                    canvas=canvas,
                )
                tilesets.append(self._tileset(mask, names[band.tileset_id], placed))
            elif mask in canvases and canvases[mask].geobox != canvas.geobox:
                raise PlanError(
                    f"mask tileset `{mask}` lies on another grid than band `{band.id}`",
                    hint="resample it onto the band's grid first",
                )
        return tuple(tilesets)

    def _check_mask(self, tileset: str) -> None:
        header = self._headers(tileset)[0]
        if header.dtypes[-1] != "uint8":
            raise PlanError(
                f"the last band of mask tileset `{tileset}` (`{header.uri}`) is"
                f" {header.dtypes[-1].upper()}, expected UINT8 from 0 (masked) to 255 (valid)",
                hint="rewrite the mask as bytes",
            )

    def _tileset(self, tileset: str, grid: str, placed: Sequence[Placed]) -> Tileset:
        number = self.numbers[tileset]
        sources = []
        for file, spot in zip(self.files[number], placed, strict=True):
            known = self.inspected[file.path]
            header = known.header
            sources.append(
                Source(
                    uri=file.uri,
                    digest=known.digest,
                    row=spot.row,
                    col=spot.col,
                    height=header.height,
                    width=header.width,
                    mask=header.mask,
                    block=header.block,
                    is_pixel_interleaved=header.is_pixel_interleaved,
                    path=header.path,
                    stat=known.stat,
                )
            )
        return Tileset(
            id=tileset, grid=grid, dtypes=self._headers(tileset)[0].dtypes, sources=tuple(sources)
        )


def _grid_names(planes: Mapping[str, GeoBox]) -> dict[str, str]:
    """Return a grid name per tileset: the pixel size with its unit, such as `r10m`."""
    names: dict[GeoBox, str] = {}
    for plane in planes.values():
        if plane in names:
            continue
        unit = json.loads(plane.crs.cf).get("x", {}).get("units", "")
        suffix = {"metre": "m", "m": "m", "degrees_east": "deg", "degree_east": "deg"}.get(unit, "")
        name = base = f"r{abs(plane.transform[0]):.9g}{suffix}"
        number = 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[plane] = name
    return {tileset: names[plane] for tileset, plane in planes.items()}
