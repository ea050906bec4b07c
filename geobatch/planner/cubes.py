"""Which cubes a plan makes, changes and removes, and whether their images fit together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import islice

from msgspec.structs import replace

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Kind, Raster
from geobatch.model.assets.cubes import cube_folders, cube_problems, folder_of
from geobatch.model.digest import digest_json
from geobatch.model.plans.cube_change import CubeChange
from geobatch.model.plans.plan import AssetChange, Op, Plan
from geobatch.model.published import Head

_SHOWN = 5
"""Problems that are named."""


def with_cubes(
    plan: Plan, *, base: Head, settings: Mapping[str, bool], image: Callable[[str], Raster]
) -> Plan:
    """Return a plan with what it does to cubes.

    Args:
        plan: The plan.
        base: The published state.
        settings: Ids of collections, and whether they have cubes from now on; others keep it.
        image: Returns a published image that the plan does not cover.

    Raises:
        PlanError: Images of a folder are not one array; it names two of them.
    """
    before = set() if base.commit is None else set(base.commit.cubes)
    after = {one for one in before if settings.get(one, True)}
    after |= {one for one, has_cubes in settings.items() if has_cubes}
    if not before and not after:
        return plan
    old_ids = {entry.id for entry in base.tree.entries if entry.kind == Kind.IMAGE}
    changes = {change.id: change for change in plan.changes}
    new_ids = _images_after(old_ids, changes)
    old, new = _by_folder(old_ids, before), _by_folder(new_ids, after)
    found: list[CubeChange] = []
    problems: list[tuple[str, str]] = []
    for folder in sorted(old.keys() | new.keys()):
        change = _change(folder, old.get(folder), new.get(folder), changes)
        if change is None:
            continue
        found.append(change)
        if folder in new:
            images = [_image(one, changes, image) for one in sorted(new[folder])]
            problems += islice(cube_problems(images), _SHOWN)
    if problems:
        raise PlanError(
            "; ".join(f"no cube can be made: {message}" for message, _ in problems[:_SHOWN]),
            hint=f"{problems[0][1]}; or remove `cube: true`",
        )
    if not found:
        return plan
    parts = ["cubes", [[one.id, one.action] for one in found]]
    return replace(plan, cubes=tuple(found), plan_id=digest_json([plan.plan_id, parts]))


def _images_after(ids: Collection[str], changes: Mapping[str, AssetChange]) -> set[str]:
    gone = {one.id for one in changes.values() if one.op is Op.DELETE}
    gone |= {one.previous_id for one in changes.values() if one.previous_id}
    assets = [one.asset for one in changes.values() if one.asset is not None]
    made = {asset.id for asset in assets if asset.kind is Kind.IMAGE}
    others = {asset.id for asset in assets if asset.kind is not Kind.IMAGE}
    return (set(ids) - gone - others) | made


def _by_folder(ids: Collection[str], collections: Collection[str]) -> dict[str, set[str]]:
    folders = cube_folders(ids, collections)
    found: defaultdict[str, set[str]] = defaultdict(set)
    for one in ids:
        if (folder := folder_of(one)) in folders:
            found[folder].add(one)
    return dict(found)


def _change(
    folder: str,
    old: set[str] | None,
    new: set[str] | None,
    changes: Mapping[str, AssetChange],
) -> CubeChange | None:
    if new is None:
        return CubeChange(id=folder, action="delete", images=0, removed=len(old or ()))
    if old is None:
        return CubeChange(id=folder, action="create", images=len(new), added=len(new))
    kept = new & old
    changed = sum(1 for one in kept if one in changes and changes[one].op is not Op.KEEP)
    added, removed = len(new - old), len(old - new)
    if not (changed or added or removed):
        return None
    return CubeChange(
        id=folder,
        action="update",
        images=len(new),
        added=added,
        changed=changed,
        removed=removed,
    )


def _image(
    asset_id: str, changes: Mapping[str, AssetChange], published: Callable[[str], Raster]
) -> Raster:
    change = changes.get(asset_id)
    if change is not None and isinstance(change.asset, Raster):
        return change.asset
    return published(asset_id)
