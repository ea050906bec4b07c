"""TIFFs on servers and in buckets: their headers and blocks are read by ranges."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.geotiff.objects.header import read_object, state_of
    from geobatch.sources.geotiff.objects.header_bytes import with_header
else:
    # These load GDAL.
    __getattr__ = late(
        __name__,
        {
            "read_object": "header",
            "state_of": "header",
            "with_header": "header_bytes",
        },
    )

__all__ = ["read_object", "state_of", "with_header"]
