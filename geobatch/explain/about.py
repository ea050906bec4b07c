"""Which reasons can have to do with the pixels of a tile, or of a band."""

from __future__ import annotations

from collections.abc import Iterable

from geobatch.explain.origin import footprint, sources_under
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.image import Raster
from geobatch.model.plans.plan import Because, Reason
from geobatch.model.tile import TilePosition

_SOURCE_REASONS = frozenset(
    (
        Reason.SOURCE_CHANGED, Reason.SOURCE_ADDED, Reason.SOURCE_REMOVED, Reason.SOURCE_MOVED,
    )
)  # fmt: skip
_NOT_ABOUT_PIXELS = frozenset(
    (
        Reason.PROPERTIES_CHANGED, Reason.TIME_CHANGED, Reason.METADATA_CHANGED,
        Reason.LIFECYCLE_CHANGED, Reason.BANDS_REORDERED, Reason.CODEC_CHANGED, Reason.RENAMED,
        Reason.CHECKS_CHANGED,
    )
)  # fmt: skip


def reasons_about(
    reasons: Iterable[Because],
    asset: Asset,
    before: Asset,
    band_id: str,
    place: TilePosition | None,
) -> tuple[Because, ...]:
    """Return the reasons that can have to do with the pixels of a tile, or of a band."""
    uris: set[str] = set()
    grids: set[str] = set()
    for side in (asset, before):
        if not isinstance(side, Raster):
            continue
        band = next((band for band in side.bands if band.id == band_id), None)
        if band is None:
            continue
        grids.add(f"grid {band.grid}")
        window = footprint(side, band, place)
        uris |= {source.uri for source in sources_under(side, band, window)}
        uris |= {f"tilesets.{name}" for name in (band.tileset, band.masking.tileset)}

    def is_about(because: Because) -> bool:
        path, reason = because.path, because.reason
        if reason in _NOT_ABOUT_PIXELS:
            return False
        if reason is Reason.POLICY_CHANGED and place is not None and place.level == 0:
            return False
        if path.startswith("bands."):
            return path == f"bands.{band_id}" or path.startswith(f"bands.{band_id}.")
        if path.startswith("grid "):
            return path.partition(".")[0] in grids
        return reason not in _SOURCE_REASONS or path in uris

    return tuple(filter(is_about, reasons))
