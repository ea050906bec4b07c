"""Source files: what identifies each, what it holds, and its pixels."""

from typing import TYPE_CHECKING

from geobatch.late import late

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
