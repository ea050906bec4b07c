"""The catalog of a store, `stac/`: documents that other programs search."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.views.stac.catalog_folder import CatalogFolder
    from geobatch.views.stac.catalog_objects import CatalogObjects
else:
    # Stores without a catalog need neither.
    __getattr__ = late(
        __name__,
        {
            "CatalogFolder": "catalog_folder",
            "CatalogObjects": "catalog_objects",
        },
    )

__all__ = ["CatalogFolder", "CatalogObjects"]
