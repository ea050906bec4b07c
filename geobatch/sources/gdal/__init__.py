"""GDAL as geobatch uses it: its settings and errors, what it can do, and commands for hints."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.gdal.environment import gdal_environment, stay_in_environment
else:
    # Files can be identified while rasterio is being loaded.
    __getattr__ = late(
        __name__, {"gdal_environment": "environment", "stay_in_environment": "environment"}
    )

__all__ = ["gdal_environment", "stay_in_environment"]
