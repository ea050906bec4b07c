"""GeoTIFF sources: identity, changes and pixels. Owns rasterio, pyproj."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geobatch.model.sources.header import Header
from geobatch.sources.files import stat
from geobatch.sources.geotiff.identity.identity import identify

if TYPE_CHECKING:
    from geobatch.sources.geotiff.footprint import footprint_mask
    from geobatch.sources.geotiff.gdal import gdal_environment, stay_in_environment
    from geobatch.sources.geotiff.headers.header import read_header
    from geobatch.sources.geotiff.masking import is_near, weights
    from geobatch.sources.geotiff.reader import Reader

_HOMES = {
    "Reader": "reader",
    "footprint_mask": "footprint",
    "gdal_environment": "gdal",
    "is_near": "masking",
    "read_header": "headers.header",
    "stay_in_environment": "gdal",
    "weights": "masking",
}
"""Names that need rasterio, by module: files can be identified while it is being loaded."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "Header",
    "Reader",
    "footprint_mask",
    "gdal_environment",
    "identify",
    "is_near",
    "read_header",
    "stat",
    "stay_in_environment",
    "weights",
]
