"""Files next to a raster in one source: world and projection files are read, others refused."""

from __future__ import annotations

import os

from geobatch.declare.hints import show

WORLD = (".tfw", ".tifw", ".tiffw", ".wld")
PROJECTION = (".prj",)
_OTHERS = {
    ".msk": (
        "a mask file next to its raster cannot be a uri of the same source",
        "make a separate tileset of it and name that tileset in `mask_bands`",
    ),
    ".ovr": (
        "overviews are not read, because geobatch builds every level from level 0",
        "remove it",
    ),
    ".xml": (
        "GDAL's metadata file is not read, because it could change pixels unnoticed",
        "remove it, and declare what it says, such as `crs` or `missing_data`",
    ),
}
"""Why some sidecars are refused, and what to do instead, by suffix."""


def suffix_of(uri: str) -> str:
    """Return the suffix of a uri, in small letters."""
    return os.path.splitext(uri)[1].lower()  # noqa: PTH122 - by the thousand


def is_placing(uri: str) -> bool:
    """Return whether a uri names a sidecar that is read: a world file or a projection."""
    return suffix_of(uri) in (*WORLD, *PROJECTION)


def refusal(uri: str, count: int, *, is_of_one: bool) -> tuple[str, str]:
    """Return why a uri may not be listed with another in one source, and a hint.

    Args:
        uri: The uri.
        count: How many uris the source has.
        is_of_one: Whether the first is one file, not a glob.
    """
    words = _OTHERS.get(suffix_of(uri))
    if words is not None:
        return f"{show(uri)}: {words[0]}", words[1]
    message = f"{count} uris in one source, and {show(uri)} is not a `.tfw` or `.prj` of the first"
    if not is_of_one:
        message = f"{show(uri)} belongs to one file, but is listed with a glob"
    return message, "write one source per file"
