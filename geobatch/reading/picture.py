"""A picture of a published image, as reviews have them."""

from __future__ import annotations

from geobatch.model.published import AssetRecord
from geobatch.review.pictures.pictures import asset_pictures
from geobatch.sources.png import encode_png
from geobatch.store.tilestore import TileStore


def picture_of(store: TileStore, record: AssetRecord) -> bytes | None:
    """Return the first picture of an image as PNG; None if it has no band.

    Raises:
        CorruptObjectError: A tile is damaged.
    """
    names = [band.id for band in record.image.bands]
    found = asset_pictures(store, [("now", record)], bands=names, box=None, lowest=0, most=1)
    first = next(found, None)
    return None if first is None else encode_png(first.pictures[0].pixels)
