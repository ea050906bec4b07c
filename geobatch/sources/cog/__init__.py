"""Cloud Optimized GeoTIFFs: their layout, pinned reads, and how they are written."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.cog.layout import ask_server, probe_file, probe_url
    from geobatch.sources.cog.reader import PinnedReader
else:
    # These load rasterio.
    __getattr__ = late(
        __name__,
        {
            "PinnedReader": "reader",
            "ask_server": "layout",
            "probe_file": "layout",
            "probe_url": "layout",
        },
    )

__all__ = ["PinnedReader", "ask_server", "probe_file", "probe_url"]
