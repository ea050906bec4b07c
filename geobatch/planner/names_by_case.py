"""Refuses new names that differ from published ones only by case."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Asset, Raster
from geobatch.model.assets.names_by_case import first_alike
from geobatch.model.published import AssetRecord


def refuse_alike(
    assets: Collection[Asset],
    *,
    new: Iterable[str],
    published: Iterable[str],
    records: Mapping[str, AssetRecord],
) -> None:
    """Refuse assets and bands whose names differ from published ones only by case.

    A name that is already published exactly so may stay next to the other, so that a store that
    holds both can be repaired.

    Args:
        assets: The resolved assets.
        new: Ids of those that are not published under them.
        published: Ids of the published assets, renamed ones under their former ids; taken only if
            there are new ones.
        records: Published assets that change.

    Raises:
        PlanError: Such a name exists.
    """
    if (found := first_alike(new, published)) is not None:
        name, folder, other = found
        raise PlanError(
            f"`{name}` and the published `{other}` differ only by case, in `{folder}`: on many"
            " disks they are one folder",
            hint=f"choose another id; or first delete `{other}` with `--prune`, or rename it with"
            f" `moved_from: {other}` to a third id, in a separate apply",
        )
    for asset in assets:
        before = records[asset.id].asset if asset.id in records else None
        if isinstance(asset, Raster) and isinstance(before, Raster):
            _refuse_bands(asset, before)


def _refuse_bands(asset: Raster, before: Raster) -> None:
    old = {band.id for band in before.bands}
    known = {name.casefold(): name for name in old}
    for band in asset.bands:
        other = known.get(band.id.casefold())
        if other is not None and band.id not in old:
            raise PlanError(
                f"the band `{band.id}` of `{asset.id}` and the published band `{other}` differ"
                " only by case: on many disks they are one folder",
                hint=f"name it `{other}`; or first give it a third name, in a separate apply",
            )
