"""Masks of windows, whatever the kind of source: weights, and footprints."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.masks.footprint import footprint_mask
else:
    # This loads GDAL, which few images need for a footprint.
    __getattr__ = late(
        __name__,
        {
            "footprint_mask": "footprint",
        },
    )

__all__ = ["footprint_mask"]
