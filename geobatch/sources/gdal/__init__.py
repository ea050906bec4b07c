"""GDAL as geobatch uses it: its settings and errors, what it can do, and commands for hints."""

from typing import TYPE_CHECKING

from geobatch.late import late
from geobatch.sources.gdal.session import gdal_session, stay_in_environment

if TYPE_CHECKING:
    from geobatch.sources.gdal.environment import (
        FAILURES,
        gdal_environment,
        open_dataset,
        reason,
    )
else:
    # Most blocks are decoded without GDAL, and files are identified while rasterio is being loaded.
    __getattr__ = late(
        __name__,
        {
            "FAILURES": "environment",
            "gdal_environment": "environment",
            "open_dataset": "environment",
            "reason": "environment",
        },
    )

__all__ = [
    "FAILURES",
    "gdal_environment",
    "gdal_session",
    "open_dataset",
    "reason",
    "stay_in_environment",
]
