"""Headers with what sidecars and specs declare in addition, or instead."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

from msgspec.structs import replace

from geobatch.declare import TilesetSpec
from geobatch.errors import SourceError
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.sources.naming import Named
from geobatch.sources.small_files import read_small

MAX_SIDECAR_BYTES = 1 << 20
"""Most bytes of a sidecar, which has a few lines."""


def complete(
    header: Header,
    file: DeclaredSource,
    read_crs: Callable[[str], Crs],
    tileset: TilesetSpec,
) -> Header:
    """Return a header completed by sidecars, where neither spec nor file declares a value.

    As with GDAL, the file itself overrides its world file.

    Args:
        header: The file's own.
        file: The file, with its sidecars.
        read_crs: Returns the CRS that a text names.
        tileset: What the spec states; no sidecar is read for what it does.

    Raises:
        SourceError: A sidecar cannot be read, or does not hold what its name promises.
    """
    transform, crs = header.transform, header.crs
    has_transform = tileset.sources[file.source].affine_transform is not None
    if transform is None and file.world is not None and not has_transform:
        name = f"{_name(file.world)}` of `{file.uri}"
        transform = parse_world_file(_text(file, file.world), name=name)
    if crs is None and file.projection is not None and tileset.crs is None:
        try:
            crs = read_crs(_text(file, file.projection).strip())
        except ValueError:
            # The text is not quoted: the file may be something else.
            message = (
                f"`{_name(file.projection)}` of `{file.uri}`: it holds no coordinate reference"
                " system, expected WKT"
            )
            hint = "give `crs` to the tileset in the spec"
            raise SourceError(message, hint=hint) from None
    return replace(header, transform=transform, crs=crs)


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


def parse_world_file(text: str, *, name: str) -> Transform:
    """Return the transform of a world file.

    Six numbers, one a line: width of a pixel, two shears (y per column, x per row), height of a
    pixel, then x and y of the centre of the upper left pixel.
    Source: https://gdal.org/en/stable/drivers/raster/wld.html

    Raises:
        SourceError: The text is not a world file.
    """
    words = text.split()
    try:
        a, d, b, e, x, y = (float(word.replace(",", ".")) for word in words)
    except ValueError:
        raise SourceError(
            f"`{name}`: a world file must hold six numbers, got {len(words)}",
            hint="give `affine_transform` in the spec instead",
        ) from None
    transform = (a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)
    if not all(map(math.isfinite, transform)) or a * e - b * d == 0:
        raise SourceError(f"`{name}`: the six numbers are not a valid transform")
    return transform


def _text(file: DeclaredSource, sidecar: DeclaredSource) -> str:
    name = f"{_name(sidecar)}` of `{file.uri}"
    with Named(name):
        return read_small(sidecar, most=MAX_SIDECAR_BYTES).decode("utf-8", "replace")


def _name(sidecar: DeclaredSource) -> str:
    return os.path.basename(sidecar.uri)  # noqa: PTH119 - of a uri
