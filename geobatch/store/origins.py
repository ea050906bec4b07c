"""Where assets were declared, recorded relative to the store: no name of a machine or user."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from geobatch.model.asset import Asset, Resolution, Source


def origin_of(spec: str | Path, *, store: Path) -> str:
    """Return the place of a spec file relative to the folder of a store, with `/` between parts."""
    path = Path(real_place(spec))
    return Path(os.path.relpath(path, os.path.realpath(store))).as_posix()


def place_of(origin: str, *, store: Path) -> str:
    """Return the absolute path of a spec file from its origin; it need not exist any more."""
    return os.path.normpath(Path(os.path.realpath(store), origin))


def real_place(path: str | Path) -> str:
    """Return the absolute path of a file or folder, links on the way to a file followed.

    A file that is a link itself keeps its own name: that is the one under which it is declared.
    """
    given = os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows the last link too
    if os.path.isdir(given):  # noqa: PTH112 - no exceptions for odd names
        return os.path.realpath(given)
    folder, name = os.path.split(given)
    return str(Path(os.path.realpath(folder), name))


def located(resolution: Resolution, *, store: Path) -> Resolution:
    """Return the assets with the places of the COGs that stay where they are.

    A uri that is relative gives a place that is relative to the store, so that store and COGs can
    be moved together.
    """
    return replace(
        resolution,
        assets=tuple(
            _located(asset, store) if asset.is_external else asset for asset in resolution.assets
        ),
    )


def _located(asset: Asset, store: Path) -> Asset:
    def place(source: Source) -> Source:
        if source.pin is None or source.pin.remote is not None:
            return source
        is_absolute = os.path.isabs(source.uri)  # noqa: PTH117 - by the thousand
        location = source.uri if is_absolute else origin_of(source.path, store=store)
        return replace(source, pin=replace(source.pin, location=location))

    return replace(
        asset,
        tilesets=tuple(
            replace(tileset, sources=tuple(place(source) for source in tileset.sources))
            for tileset in asset.tilesets
        ),
    )
