"""What a reader opens of an asset: its Zarr groups, COGs or Parquet file, as assets of an item."""

from __future__ import annotations

import os
from typing import Any

from geobatch.format.object_names import object_name
from geobatch.format.zarr_layout.paths import join
from geobatch.format.zarr_layout.pyramids import Pyramid, pyramids
from geobatch.model.assets.asset import Asset, ExternalImage
from geobatch.model.assets.image import Raster
from geobatch.model.assets.table import ColumnType, StoredTable
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.stac.bands import bands_json, file_bands_json
from geobatch.stac.links import Links

TREE = "zarr"
"""Folder of the Zarr tree in a store."""
ZARR = "application/vnd.zarr; version=3"
GROUP = f"{ZARR}; profile=multiscales"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PARQUET = "application/vnd.apache.parquet"
JSON = "application/json"

_BLAKE3 = "1e20"
"""Multihash of BLAKE3 with 32 bytes; source: the table of multicodec."""
_TYPES = {
    ColumnType.FLOAT32: "float",
    ColumnType.FLOAT64: "double",
    ColumnType.INT64: "int64",
    ColumnType.STRING: "string",
}


def assets_json(
    asset: Asset, stored: StoredTable | None, links: Links, *, has_tree: bool
) -> dict[str, dict[str, Any]]:
    """Return the assets of an item.

    Args:
        asset: A published asset.
        stored: Of a table, what is stored.
        links: Hrefs from the item.
        has_tree: Whether the store shows its images in `zarr/` and its tables in `parquet/`; else
            there are documents that refer to its objects.
    """
    if isinstance(asset, ExternalImage):
        return dict(_cogs(asset, links))
    if isinstance(asset, Raster):
        return _zarr(asset, links) if has_tree else _references(asset, links)
    return {} if stored is None else {"parquet": _table(asset.id, stored, links, has_tree=has_tree)}


def projection_json(geobox: GeoBox) -> dict[str, Any]:
    """Return the fields of the projection extension, version 2."""
    code = geobox.crs.code
    return {
        "proj:code": code,
        **({} if code else {"proj:wkt2": geobox.crs.wkt}),
        "proj:shape": list(geobox.shape),
        "proj:transform": [float(number) for number in geobox.transform],
        "proj:bbox": list(geobox.bounds),
    }


def _zarr(asset: Raster, links: Links) -> dict[str, dict[str, Any]]:
    """Return each group of resolutions: a band's array is `href/<level>/<name>`."""
    return {
        pyramid.path or "zarr": {
            "href": links.file(join(TREE, asset.id, pyramid.path)),
            "type": GROUP,
            "roles": ["data"],
            **_title(asset, pyramid),
            **_plane(asset, pyramid.steps[0].geobox),
            "bands": bands_json(
                asset, (band for band in asset.bands if band.grid in pyramid.grids)
            ),
        }
        for pyramid in pyramids(asset)
    }


def _title(asset: Raster, pyramid: Pyramid) -> dict[str, str]:
    if len(pyramids(asset)) == 1:
        return {}
    names = sorted(pyramid.grids)
    return {"title": f"bands on the {'grid' if len(names) == 1 else 'grids'} {', '.join(names)}"}


def _plane(asset: Raster, geobox: GeoBox) -> dict[str, Any]:
    """Return a projection; nothing if the asset has one grid, whose projection is the item's."""
    return {} if len(asset.grids) == 1 else projection_json(geobox)


def _references(asset: Raster, links: Links) -> dict[str, dict[str, Any]]:
    return {
        "references": {
            "href": links.file(f"references/{asset.id}.json"),
            "type": JSON,
            "title": "virtual Zarr store: a kerchunk document",
            "roles": ["data", "references", "virtual"],
            "bands": bands_json(asset, asset.bands),
        }
    }


def _cogs(asset: ExternalImage, links: Links) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, tileset in enumerate(asset.tilesets):
        grid = asset.grid(tileset.grid)
        for source in tileset.sources:
            pin = source.pin
            if pin is None:
                continue
            is_url = "://" in pin.location
            is_apart = is_url or os.path.isabs(pin.location)  # noqa: PTH117 - it is text
            is_digest = pin.remote is None
            key = tileset.id or ("cog" if number == 0 else f"cog_{number}")
            found.append(
                (
                    key,
                    {
                        "href": pin.location if is_apart else links.file(pin.location),
                        "type": COG,
                        "roles": ["data"],
                        **_plane(asset, grid.geobox),
                        **({"file:checksum": checksum(source.digest)} if is_digest else {}),
                        **({} if pin.remote is None else {"file:size": pin.remote.size}),
                        "bands": file_bands_json(asset, tileset),
                    },
                )
            )
    return found


def _table(asset_id: str, stored: StoredTable, links: Links, *, has_tree: bool) -> dict[str, Any]:
    name = f"parquet/{asset_id}.parquet"
    if not has_tree:
        name = object_name(stored.stored)
    return {
        "href": links.file(name),
        "type": PARQUET,
        "roles": ["data"],
        "file:size": stored.size,
        "file:checksum": checksum(stored.stored),
    }


def table_json(stored: StoredTable) -> dict[str, Any]:
    """Return the fields of the table extension, which are properties of an item."""
    columns = [
        {
            "name": one.name,
            "type": f"list<{_TYPES[one.type]}>" if one.is_array else _TYPES[one.type],
        }
        for one in stored.columns
    ]
    if stored.geometry is None:
        return {"table:columns": columns, "table:row_count": stored.rows}
    return {
        "table:columns": [*columns, {"name": stored.geometry, "type": "byte_array"}],
        "table:row_count": stored.rows,
        "table:primary_geometry": stored.geometry,
    }


def checksum(digest: Digest) -> str:
    """Return a digest as a multihash, which says by which function it was made."""
    return _BLAKE3 + digest
