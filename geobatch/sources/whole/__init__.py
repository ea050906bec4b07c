"""Files that all of their bytes identify: their states, their bytes in order, rasters in them."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.whole.dataset import describe_file
    from geobatch.sources.whole.raster_reader import RasterReader
else:
    # These load GDAL.
    __getattr__ = late(
        __name__,
        {
            "RasterReader": "raster_reader",
            "describe_file": "dataset",
        },
    )

__all__ = ["RasterReader", "describe_file"]
