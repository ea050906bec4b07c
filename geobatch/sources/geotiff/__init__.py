"""GeoTIFF sources: identity, changes and pixels. Owns rasterio, pyproj."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geobatch.model.sources.header import Header
from geobatch.sources.files import stat
from geobatch.sources.geotiff.identity.identity import identify

if TYPE_CHECKING:
    from geobatch.sources.geotiff.gdal import gdal_environment, stay_in_environment
    from geobatch.sources.geotiff.headers.header import read_header
    from geobatch.sources.geotiff.reader import Reader

_HOMES = {
    "Reader": "reader",
    "gdal_environment": "gdal",
    "read_header": "headers.header",
    "stay_in_environment": "gdal",
}
"""Names that need rasterio, by module: files can be identified while it is being loaded."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "Header",
    "Reader",
    "gdal_environment",
    "identify",
    "read_header",
    "stat",
    "stay_in_environment",
]
