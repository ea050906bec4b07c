"""Where assets were declared, recorded relative to the store: no name of a machine or user."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from geobatch.model.assets.asset import Asset, ExternalImage, Resolution, Source
from geobatch.model.published import AssetRecord


def origin_of(spec: str | Path, *, store: Path) -> str:
    """Return the path of a spec file relative to the folder of a store, with `/` between parts."""
    path = Path(real_path(spec))
    return Path(os.path.relpath(path, os.path.realpath(store))).as_posix()


def path_of(origin: str, *, store: Path) -> str:
    """Return the absolute path of a spec file from its origin; it need not exist any more."""
    return os.path.normpath(Path(os.path.realpath(store), origin))


def real_path(path: str | Path) -> str:
    """Return the absolute path of a file or folder, links on the way to a file followed.

    A file that is a link itself keeps its own name: that is the one under which it is declared.
    """
    given = os.path.abspath(path)  # noqa: PTH100 - Path.resolve follows the last link too
    if os.path.isdir(given):  # noqa: PTH112 - no exceptions for odd names
        return os.path.realpath(given)
    folder, name = os.path.split(given)
    return str(Path(os.path.realpath(folder), name))


def located(resolution: Resolution, *, store: Path) -> Resolution:
    """Return the assets with the locations of the COGs that stay where they are.

    A uri that is relative gives a location that is relative to the store, so that store and COGs
    can be moved together.
    """

    def locate(_: Asset, source: Source) -> str:
        is_absolute = os.path.isabs(source.uri)  # noqa: PTH117 - by the thousand
        return source.uri if is_absolute else origin_of(source.path, store=store)

    return _with_locations(resolution, locate)


def keep_locations(resolution: Resolution, records: Mapping[str, AssetRecord]) -> Resolution:
    """Return the assets with COGs in the locations under which they are published.

    The same COG may have another path from here: the store, or a disk, is mounted elsewhere. What
    an asset is does not depend on a path.
    """
    published = {
        (asset_id, source.uri, source.digest): source.pin.location
        for asset_id, record in records.items()
        if isinstance(record.asset, ExternalImage)
        for tileset in record.asset.tilesets
        for source in tileset.sources
        if source.pin is not None and source.pin.remote is None
    }

    def locate(asset: Asset, source: Source) -> str:
        now = "" if source.pin is None else source.pin.location
        return published.get((asset.id, source.uri, source.digest), now)

    return _with_locations(resolution, locate)


def unreachable(record: AssetRecord, *, store: Path) -> tuple[str, ...]:
    """Return the published locations of an asset's COGs that no file is at, as seen from here."""
    if not isinstance(record.asset, ExternalImage):
        return ()
    return tuple(
        source.pin.location
        for tileset in record.asset.tilesets
        for source in tileset.sources
        if source.pin is not None and source.pin.remote is None
        if not os.path.exists(path_of(source.pin.location, store=store))  # noqa: PTH110 - likewise
    )


def _with_locations(resolution: Resolution, locate: Callable[[Asset, Source], str]) -> Resolution:
    def with_location(asset: Asset, source: Source) -> Source:
        if source.pin is None or source.pin.remote is not None:
            return source
        return replace(source, pin=replace(source.pin, location=locate(asset, source)))

    def with_locations(asset: ExternalImage) -> ExternalImage:
        return replace(
            asset,
            tilesets=tuple(
                replace(t, sources=tuple(with_location(asset, source) for source in t.sources))
                for t in asset.tilesets
            ),
        )

    assets = (
        with_locations(asset) if isinstance(asset, ExternalImage) else asset
        for asset in resolution.assets
    )
    return replace(resolution, assets=tuple(assets))
