"""Assets that are published under a former id: `moved_from`, and when it holds."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from geobatch.model.assets.asset import Asset
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.plans.plan import AssetChange, Because, Op, Reason
from geobatch.model.published import AssetRecord, Head, Tree


def moves(claims: Mapping[str, str], *, base: Head) -> dict[str, str]:
    """Return the former id of each asset that is published under that, and not under its own.

    So a claim that stays in a spec has no effect after its rename, whoever publishes an asset
    under the former id later.

    Args:
        claims: Former id by asset id, as declared.
        base: The published state.
    """
    published = {entry.id for entry in base.tree.entries} if claims else frozenset()
    return {new: old for new, old in claims.items() if old in published and new not in published}


def renamed_head(base: Head, moved: Mapping[str, str]) -> Head:
    """Return a published state in which assets have their new ids."""
    if not moved:
        return base
    names = {old: new for new, old in moved.items()}
    entries = (replace(entry, id=names.get(entry.id, entry.id)) for entry in base.tree.entries)
    ordered = tuple(sorted(entries, key=lambda entry: entry.id))
    return replace(base, tree=Tree(entries=ordered))


def renamed_record(record: AssetRecord, asset_id: str) -> AssetRecord:
    """Return a published asset under another id; nothing else of it depends on that."""
    return replace(record, asset=replace(record.asset, id=asset_id))


def rename(
    change: AssetChange,
    *,
    previous_id: str,
    before: Asset,
    foreign: Mapping[str, str],
) -> AssetChange:
    """Return the update of a renamed asset as a rename.

    Args:
        change: What the planner says of the asset, compared under its new id.
        previous_id: Id under which it is published.
        before: As it is published, under its new id.
        foreign: Spec files that were not given and may declare a former id still, by that id.
    """
    asset = change.asset
    told = Because(reason=Reason.RENAMED, path=change.id, detail=f"from {previous_id}")
    is_same = asset is not None and asset_fingerprint(before) == change.fingerprint
    blocked = ""
    if previous_id in foreign:
        blocked = f"its spec `{foreign[previous_id]}` was not given to this command"
    elif before.is_protected and asset is not None and not asset.is_protected:
        blocked = "it is protected: the new spec must keep `protect: true`"
    return replace(
        change,
        op=Op.RENAME,
        previous_id=previous_id,
        because=(told,) if is_same and not change.is_replaced else (told, *change.because),
        blocked=blocked,
    )
