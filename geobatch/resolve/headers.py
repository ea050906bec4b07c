"""Headers as an image uses them: what sidecars and the spec declare is added, or replaces them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import RasterSpec, TilesetSpec
from geobatch.declare.hints import show
from geobatch.errors import PlanError, SourceError
from geobatch.model.geobox import Crs
from geobatch.model.limits import BLOCK_BYTES
from geobatch.model.sources.header import Header
from geobatch.model.sources.probe import Probe
from geobatch.resolve.notes import RefusalError
from geobatch.resolve.selection import ProbedSource
from geobatch.sources.naming import Named
from geobatch.sources.small_files import read_projection, read_world_file


class Mosaic(Struct, frozen=True, kw_only=True):
    """The sources of a tileset, with their headers as the image uses them."""

    number: int
    """Position of the tileset in the spec."""
    declared: TilesetSpec
    """The tileset."""
    sources: tuple[ProbedSource, ...]
    """Its sources, in mosaicking order."""
    headers: tuple[Header, ...]
    """Of each source. The transform and the CRS are the declared ones, where there are some.
    `type_headers` makes nodata and alpha those of the bands."""
    has_own_crs: bool
    """Whether the CRS is not that of the first file: it is declared, or the file has none."""
    has_missing: bool
    """Whether the spec declares the missing values of each of its bands."""
    is_used: bool
    """Whether a band or a mask is in it. If none is, the headers are those of the files."""

    @property
    def id(self) -> str:
        """Id of the tileset."""
        return self.declared.id

    @property
    def spelled(self) -> str:
        """Its id, as a spec spells it."""
        return show(self.id).strip("`")


def read_mosaics(
    spec: RasterSpec,
    sources: Sequence[tuple[ProbedSource, ...]],
    read_crs: Callable[[str], Crs],
) -> dict[str, Mosaic]:
    """Return the tilesets of an image by id, with the headers of their sources.

    A tileset that neither a band nor a mask names keeps the headers of its files.

    Args:
        spec: The image.
        sources: Its sources, per tileset.
        read_crs: Returns the CRS that a text names.

    Raises:
        RefusalError: A declared CRS is not known, or a declared size is not that of the file.
        SourceError: A sidecar cannot be read, or a block is too large.
        PlanError: Sources of one tileset differ in their structure.
    """
    systems = [_declared_crs(number, one, read_crs) for number, one in enumerate(spec.tilesets)]
    named = {band.tileset_id for band in spec.bands or ()}
    named |= {mask.tileset_id for mask in spec.mask_bands}
    mosaics = {}
    for number, (tileset, crs) in enumerate(zip(spec.tilesets, systems, strict=True)):
        bands = [band for band in spec.bands or () if band.tileset_id == tileset.id]
        is_used = spec.bands is None or tileset.id in named
        headers = [one.probe.header for one in sources[number]]
        for position, one in enumerate(sources[number] if is_used else ()):
            is_bare = spec.skip_metadata_read and one.driver.has_metadata
            header = bare(one.probe.header) if is_bare else one.probe.header
            _check_dimensions(number, one, header)
            _check_block(header, one.probe)
            headers[position] = header
        if is_used:
            check_structure(headers)
            for position, one in enumerate(sources[number]):
                headers[position] = complete(headers[position], one, crs, read_crs)
        is_by_band = bool(bands) and all(band.missing_data is not None for band in bands)
        mosaics[tileset.id] = Mosaic(
            number=number,
            declared=tileset,
            sources=sources[number],
            headers=tuple(headers),
            has_own_crs=crs is not None or sources[number][0].probe.header.crs is None,
            has_missing=is_by_band or spec.missing_data is not None,
            is_used=is_used,
        )
    return mosaics


def _declared_crs(number: int, tileset: TilesetSpec, read_crs: Callable[[str], Crs]) -> Crs | None:
    if tileset.crs is None:
        return None
    try:
        return read_crs(tileset.crs)
    except ValueError as error:
        raise RefusalError(("tilesets", number, "crs"), "crs", str(error)) from None


def complete(
    header: Header,
    source: ProbedSource,
    crs: Crs | None,
    read_crs: Callable[[str], Crs],
) -> Header:
    """Return a header with the placement that the spec declares, else the file, else its sidecars.

    As with GDAL, the file itself overrides its world file.

    Args:
        header: The file's own.
        source: The file, with its sidecars and the declared transform.
        crs: The declared CRS.
        read_crs: Returns the CRS that a text names.

    Raises:
        SourceError: A sidecar cannot be read, or does not hold what its name promises.
    """
    file = source.file
    transform, system = source.declared.affine_transform or header.transform, crs or header.crs
    world = file.world if transform is None else None
    projection = file.projection if system is None else None
    for sidecar in (world, projection):
        if sidecar is None:
            continue
        name = os.path.basename(sidecar.uri)  # noqa: PTH119 - of a uri
        with Named(f"{name}` of `{file.uri}"):
            if sidecar is world:
                transform = read_world_file(sidecar)
            else:
                system = read_projection(sidecar, read_crs)
    if transform is header.transform and system is header.crs:
        return header
    return replace(header, transform=transform, crs=system)


def bare(header: Header) -> Header:
    """Return a header with what is needed to read pixels, and no metadata.

    Placement, nodata, alpha, names, units, scales and colours are gone, as `skip_metadata_read`
    asks. An internal mask is pixels, and stays.
    """
    nothing = (None,) * header.count
    return replace(
        header,
        transform=None,
        transform_fault=None,
        crs=None,
        crs_fault=None,
        nodata=nothing,
        mask=None if header.mask == "alpha" else header.mask,
        alpha_index=None,
        descriptions=nothing,
        units=nothing,
        scales=nothing,
        offsets=nothing,
        palettes=nothing,
        colours=(),
        is_premultiplied=False,
    )


def _check_dimensions(number: int, source: ProbedSource, header: Header) -> None:
    """Check the size of a source that the spec declares."""
    declared = source.declared.dimensions
    if declared is not None and declared != (header.width, header.height):
        raise RefusalError(
            ("tilesets", number, "sources", source.file.source, "dimensions"),
            "dimensions",
            f"`{declared[0]} x {declared[1]}`: `{source.file.uri}` has"
            f" {header.width} x {header.height} pixels",
            "remove `dimensions`: the file declares its size",
        )


def _check_block(header: Header, probe: Probe) -> None:
    """Check that a block does not take more memory than is allowed: all of it is decoded."""
    rows, cols = header.block
    count = len(header.dtypes) if header.is_pixel_interleaved else 1
    size = rows * cols * count * np.dtype(header.dtypes[0]).itemsize
    shards = probe.records.shards if probe.records else ()
    limit = BLOCK_BYTES.of_file(sum((one.stat.size for one in shards), probe.stat.size))
    if size > limit:
        raise SourceError(
            f"`{header.uri}`: a block of {rows} x {cols} pixels of {count}"
            f" band{'' if count == 1 else 's'} takes {size} bytes of memory in each worker,"
            f" expected at most {limit}",
            hint="rewrite it in smaller blocks: `gdal_translate -co TILED=YES`; or,"
            f" {BLOCK_BYTES.hint(size)}",
        )


def check_structure(headers: Sequence[Header]) -> None:
    """Check that the sources of a tileset agree in what makes their pixels comparable.

    Raises:
        PlanError: Two differ; names both files and both values.
    """
    first = headers[0]
    for other in headers[1:]:
        uris = first.uri, other.uri
        _agree("band count", *uris, first.count, other.count)
        _agree("data type", *uris, first.dtypes, other.dtypes)
        _agree("scale", *uris, first.scales, other.scales)
        _agree("offset", *uris, first.offsets, other.offsets)


def _agree(what: str, first: str, other: str, expected: Any, got: Any) -> None:
    # Compared as text: NaN, as a missing value, equals itself here.
    if repr(expected) != repr(got):
        raise PlanError(
            f"sources of one tileset differ in {what}: `{first}` has `{_shown(expected)}`,"
            f" `{other}` has `{_shown(got)}`",
            hint="put them into separate tilesets, or rewrite one of them",
        )


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if len(set(map(repr, value))) == 1 else ", ".join(map(str, value))
    return str(value)
