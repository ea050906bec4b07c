"""geobatch: Terraform for raster assets.

The Python door: `open_store(path).open(asset_id)` gives a read-only zarr group.
"""

from geobatch.reading import Store, open_store

__all__ = ["Store", "open_store"]
