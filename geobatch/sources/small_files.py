"""Small files that are read whole: sidecars and mixers, on a disk, in a bucket or on a server."""

from __future__ import annotations

import math
from collections.abc import Callable

from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources import remote
from geobatch.sources.files import explain
from geobatch.sources.naming import UnnamedError

MAX_SIDECAR_BYTES = 1 << 20
"""Most bytes of a sidecar, which has a few lines."""


def read_small(source: DeclaredSource, *, most: int) -> bytes:
    """Return the bytes of a file or object; those of an object in the state that is known.

    Args:
        source: The file.
        most: How many bytes it may have.

    Raises:
        UnnamedError: It is missing, unreadable, larger, or in another state.
    """
    if source.url:
        pinned = remote.pin(source)
        if pinned.state.size > most:
            raise _too_large(most)
        return remote.read_whole(pinned)
    try:
        with source.path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if len(data) > most:
        raise _too_large(most)
    return data


def _too_large(most: int) -> UnnamedError:
    return UnnamedError(f"more than {most} bytes")


def read_world_file(source: DeclaredSource) -> Transform:
    """Return the transform that a world file gives a raster.

    Raises:
        UnnamedError: It cannot be read, or is not a world file.
    """
    return parse_world_file(_text(source))


def read_projection(source: DeclaredSource, read_crs: Callable[[str], Crs]) -> Crs:
    """Return the CRS that a file of WKT gives a raster.

    Args:
        source: The file.
        read_crs: Returns the CRS that a text names.

    Raises:
        UnnamedError: It cannot be read, or holds no CRS.
    """
    try:
        return read_crs(_text(source).strip())
    except ValueError:
        # The text is not quoted: the file may be something else.
        message = "it holds no coordinate reference system, expected WKT"
        hint = "give `crs` to the tileset in the spec"
        raise UnnamedError(message, hint=hint) from None


def _text(source: DeclaredSource) -> str:
    return read_small(source, most=MAX_SIDECAR_BYTES).decode("utf-8", "replace")


def parse_world_file(text: str) -> Transform:
    """Return the transform of a world file.

    Six numbers, one a line: width of a pixel, two shears (y per column, x per row), height of a
    pixel, then x and y of the centre of the upper left pixel.
    Source: https://gdal.org/en/stable/drivers/raster/wld.html

    Raises:
        UnnamedError: The text is not a world file.
    """
    words = text.split()
    try:
        a, d, b, e, x, y = (float(word.replace(",", ".")) for word in words)
    except ValueError:
        raise UnnamedError(
            f"a world file must hold six numbers, got {len(words)}",
            hint="give `affine_transform` in the spec instead",
        ) from None
    transform = (a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)
    if not all(map(math.isfinite, transform)) or a * e - b * d == 0:
        raise UnnamedError("the six numbers are not a valid transform")
    return transform
