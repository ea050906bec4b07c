"""Source files: what identifies each, what it holds, and its pixels."""

from typing import TYPE_CHECKING

from geobatch.late import defer, late

# rasterio imports it for buckets, which it does not read here: 0.2 s of each process with GDAL.
defer("boto3")

if TYPE_CHECKING:
    from geobatch.sources.png import encode_png
else:
    # This loads GDAL.
    __getattr__ = late(
        __name__,
        {
            "encode_png": "png",
        },
    )

__all__ = ["encode_png"]
