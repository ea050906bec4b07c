"""NetCDF files, of which GDAL reads the variables with two dimensions of space."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.netcdf.coordinates import greatest_move, last_latitude
else:
    # These load GDAL.
    __getattr__ = late(
        __name__,
        {
            "greatest_move": "coordinates",
            "last_latitude": "coordinates",
        },
    )

__all__ = ["greatest_move", "last_latitude"]
