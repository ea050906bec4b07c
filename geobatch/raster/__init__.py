"""GeoTIFF sources: identity, changes and pixels. Owns rasterio, pyproj."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geobatch.files import stat
from geobatch.model.header import Header
from geobatch.raster.file import identify

if TYPE_CHECKING:
    from geobatch.raster.environment import gdal_environment, stay_in_environment
    from geobatch.raster.footprint import footprint_mask
    from geobatch.raster.header import probe
    from geobatch.raster.masking import is_near, weights
    from geobatch.raster.reader import Reader

_HOMES = {
    "Reader": "reader",
    "footprint_mask": "footprint",
    "gdal_environment": "environment",
    "is_near": "masking",
    "probe": "header",
    "stay_in_environment": "environment",
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
    "probe",
    "stat",
    "stay_in_environment",
    "weights",
]
