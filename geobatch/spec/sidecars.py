"""Files beside a raster in one source: those that place it are read, the others refused."""

from __future__ import annotations

import os

from geobatch.spec.hints import show

WORLD = (".tfw", ".tifw", ".tiffw", ".wld")
PROJECTION = (".prj",)
_OTHERS = {
    ".msk": (
        "a mask beside its raster is not supported here, because GDAL would read it unasked",
        "make it a tileset of its own and name that in `mask_bands`",
    ),
    ".ovr": (
        "overviews are not supported here, because every level is built from level 0",
        "leave it away",
    ),
    ".xml": (
        "GDAL's metadata is not supported here, because it would change pixels unseen",
        "leave it away, and declare what it says: `crs`, `missing_data`",
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
    """Return why a uri may not stand beside another in one source, and a hint.

    Args:
        uri: The uri.
        count: How many stand there.
        is_of_one: Whether the first is one file, and no glob.
    """
    known = _OTHERS.get(suffix_of(uri))
    if known is not None:
        return f"{show(uri)}: {known[0]}", known[1]
    message = f"{count} uris in one source, and {show(uri)} is no `.tfw` or `.prj` of the first"
    if not is_of_one:
        message = f"{show(uri)} belongs to one file, and stands beside a glob"
    return message, "one source per file"
