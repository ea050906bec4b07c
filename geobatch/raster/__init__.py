"""GeoTIFF sources: what they are, whether they changed, and their pixels. Owns rasterio, pyproj."""

from geobatch.files import stat
from geobatch.model.header import Header
from geobatch.raster.crs import parse_crs, projjson
from geobatch.raster.environment import gdal_environment
from geobatch.raster.file import identify
from geobatch.raster.footprint import footprint_mask
from geobatch.raster.header import probe
from geobatch.raster.reader import Reader

__all__ = [
    "Header",
    "Reader",
    "footprint_mask",
    "gdal_environment",
    "identify",
    "parse_crs",
    "probe",
    "projjson",
    "stat",
]
