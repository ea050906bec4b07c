"""GeoTIFF sources: identity, changes and pixels. Owns rasterio, pyproj."""

from typing import TYPE_CHECKING

from geobatch.late import late
from geobatch.model.sources.header import Header
from geobatch.sources.files import stat
from geobatch.sources.geotiff.identity.identity import identify

if TYPE_CHECKING:
    from geobatch.sources.geotiff.headers.header import read_header
    from geobatch.sources.geotiff.headers.stored import stored_pixels
    from geobatch.sources.geotiff.objects.probes import probe_objects, stored_pixels_of_object
    from geobatch.sources.geotiff.probe_processes import probe_by_processes
    from geobatch.sources.geotiff.reader import Reader
else:
    # Files can be identified while rasterio is being loaded.
    __getattr__ = late(
        __name__,
        {
            "Reader": "reader",
            "probe_by_processes": "probe_processes",
            "probe_objects": "objects.probes",
            "read_header": "headers.header",
            "stored_pixels": "headers.stored",
            "stored_pixels_of_object": "objects.probes",
        },
    )

__all__ = [
    "Header",
    "Reader",
    "identify",
    "probe_by_processes",
    "probe_objects",
    "read_header",
    "stat",
    "stored_pixels",
    "stored_pixels_of_object",
]
