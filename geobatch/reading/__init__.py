"""Reading a store from Python: images as read-only zarr groups, tables as Arrow tables."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.reading.catalog import Catalog
    from geobatch.reading.datasets.opening import Opening
    from geobatch.reading.external import ExternalChunks
    from geobatch.reading.picture import picture_of
    from geobatch.reading.search import find_assets, parse_query
else:
    # These load GDAL, xarray, and what compares values.
    __getattr__ = late(
        __name__,
        {
            "Catalog": "catalog",
            "ExternalChunks": "external",
            "Opening": "datasets.opening",
            "find_assets": "search",
            "parse_query": "search",
            "picture_of": "picture",
        },
    )

__all__ = [
    "Catalog", "ExternalChunks", "Opening", "find_assets", "parse_query", "picture_of",
]  # fmt: skip
