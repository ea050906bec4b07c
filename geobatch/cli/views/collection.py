"""A folder of assets, such as a collection, for people and for machines."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from geobatch.cli.views.store import found_assets
from geobatch.cli.words import count_text
from geobatch.model.assets.asset import Raster
from geobatch.reading.filters import Filter

if TYPE_CHECKING:
    from geobatch.model.assets.documents.listed import Row
    from geobatch.model.published import Head
    from geobatch.store.tilestore import TileStore


def collection_json(store: TileStore, head: Head, folder: str) -> dict[str, Any] | None:
    """Return what the assets below a folder have in common; None if there are none.

    Args:
        store: The store.
        head: The commit.
        folder: How the ids begin, without the last slash.
    """
    found = list(found_assets(store, head, f"{folder}/", Filter())) if folder else []
    if not found:
        return None
    rows = [row for _, row in found]
    starts = [row.start_time for row in rows if row.start_time]
    ends = [row.end_time or row.start_time for row in rows if row.start_time]
    bands: Counter[str] = Counter()
    for entry, _ in found:
        asset = store.record(entry).asset
        if isinstance(asset, Raster):
            bands.update({band.id: 1 for band in asset.bands})
    return {
        "id": folder,
        "assets": len(found),
        "kinds": dict(Counter(str(entry.kind) for entry, _ in found)),
        "tiles": sum(entry.tiles for entry, _ in found),
        "start_time": min(starts, default=None),
        "end_time": max((end for end in ends if end), default=None),
        "bands": [name for name, count in bands.items() if count == len(found)],
        "other_bands": [name for name, count in bands.items() if count < len(found)],
        "bounds_4326": _bounds(rows),
    }


def collection_lines(fields: dict[str, Any]) -> Iterator[str]:
    """Yield the description of a folder of assets from its machine form."""
    yield f"{fields['id']}  (a folder of assets)"
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in fields["kinds"].items())
    yield f"  assets      {fields['assets']:,} ({kinds})"
    yield f"  tiles       {count_text(fields['tiles'], 'tile')}"
    if fields["start_time"]:
        yield f"  time        {fields['start_time']} to {fields['end_time']}"
    if fields["bounds_4326"]:
        edges = ", ".join(f"{edge:.6f}" for edge in fields["bounds_4326"])
        yield f"  bounds      {edges} (degrees)"
    yield f"  bands       {', '.join(fields['bands']) or 'none in common'}"
    if fields["other_bands"]:
        yield f"  not in all  {', '.join(fields['other_bands'])}"


def _bounds(rows: Sequence[Row]) -> list[float] | None:
    """Return the box around all assets in degrees; None if that of some is unknown.

    A box over the antimeridian, whose left edge is above its right one, is a turn further there.
    """
    boxes = [spot.lonlat for row in rows for spot in row.spots]
    known = [box for box in boxes if box is not None and all(map(math.isfinite, box))]
    if not known or len(known) < len(boxes):
        return None
    right = max(box[2] if box[2] >= box[0] else box[2] + 360 for box in known)
    left, bottom = (min(box[side] for box in known) for side in (0, 1))
    return [left, bottom, right, max(box[3] for box in known)]
