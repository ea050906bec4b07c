"""What a reviewer of a plan should check carefully."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.model.assets.asset import Asset, Band, Raster
from geobatch.model.assets.class_names import is_class_like
from geobatch.model.plans.plan import AssetChange, Op, Reason, Risk
from geobatch.pyramid.reducers import REDUCERS

_BREAKING = {
    Reason.BAND_REMOVED: Risk.BAND_REMOVED,
    Reason.DTYPE_CHANGED: Risk.DTYPE_CHANGED,
    Reason.GRID_CHANGED: Risk.GRID_CHANGED,
    Reason.TILING_CHANGED: Risk.TILING_CHANGED,
}
"""Reasons that may break readers of the asset."""
_OF_SOURCES = (
    Reason.SOURCE_CHANGED, Reason.SOURCE_ADDED, Reason.SOURCE_REMOVED, Reason.SOURCE_MOVED,
)  # fmt: skip


def risks(change: AssetChange, before: Asset | None) -> Iterator[tuple[Risk, str]]:
    """Yield the risks of a change, each with what it concerns.

    Args:
        change: What happens to the asset.
        before: The asset as it is published, if it is.
    """
    asset = change.asset
    if change.op is Op.DELETE:
        yield Risk.ASSET_DELETED, change.id
    if change.op is Op.RENAME:
        yield Risk.ASSET_RENAMED, change.previous_id
    if asset is None:
        return
    if before is not None and before.is_protected and not asset.is_protected:
        yield Risk.PROTECTION_LIFTED, "lifecycle.protect"
    for because in change.because:
        if because.reason in _BREAKING:
            yield _BREAKING[because.reason], because.path
    is_by_spec = any(because.reason not in _OF_SOURCES for because in change.because)
    if before is not None and is_by_spec and change.tiles.compute and not change.tiles.unchanged:
        yield Risk.ALL_RECOMPUTED, change.id
    old = {band.id: band for band in before.bands} if isinstance(before, Raster) else {}
    for band in asset.bands if isinstance(asset, Raster) else ():
        if _mixes_classes(band) and not (band.id in old and _mixes_classes(old[band.id])):
            yield Risk.CLASSES_AVERAGED, f"bands.{band.id}"


def _mixes_classes(band: Band) -> bool:
    has_classes = band.palette is not None or is_class_like(band.id)
    return REDUCERS[band.policy].mixes_classes and not band.is_float and has_classes
