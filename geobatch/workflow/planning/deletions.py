"""Published assets that no spec declares: which are deleted, and which may still be declared."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.files.missing import Going, doubt_of_spec, doubts
from geobatch.declare.specs import Seen
from geobatch.model.assets.asset import Raster
from geobatch.model.plans.plan import AssetChange
from geobatch.model.published import AssetRecord, Head
from geobatch.planner import deletions, is_under
from geobatch.store.origins import path_of, real_path
from geobatch.store.tilestore import TileStore
from geobatch.workflow.checkouts import Checkouts
from geobatch.workflow.request import Base, Request


class Origins(Struct, frozen=True, kw_only=True):
    """Which spec files published the assets, and which files this run was given."""

    published: Mapping[str, str]
    """Absolute path of the spec file that published an asset, by id; empty if not needed."""
    given: tuple[str, ...]
    """Real paths of the spec files and folders that were given."""
    seen: Seen
    """What was read of them."""


def find_origins(base: Base, *, request: Request, seen: Seen, is_renaming: bool) -> Origins:
    """Return the origins of published assets, read only if assets are deleted or renamed."""
    published: dict[str, str] = {}
    if base.store is not None and (is_renaming or request.options.is_pruning):
        origins = base.store.origins(base.head)
        here = _paths_here(base.store, base.head, request)
        paths = {
            one: here.get(one) or path_of(one, store=request.store.base) for one in origins.values()
        }
        published = {name: paths[origin] for name, origin in origins.items()}
    given = (*(real_path(path) for path in request.paths), *seen.linked)
    return Origins(published=published, given=given, seen=seen)


def _paths_here(store: TileStore, head: Head, request: Request) -> dict[str, str]:
    """Return the paths that spec files of another clone have in the one that was given, by origin.

    A spec that another clone published is the one at the same path of this clone.
    """
    checkouts = store.checkouts(head)
    tops = Checkouts().tops(request.paths) if checkouts else {}
    return {
        origin: os.path.normpath(f"{tops[one.repository]}/{one.path}")
        for origin, one in checkouts.items()
        if one.repository in tops
    }


def find_deletions(
    head: Head, *, declared: Collection[str], origins: Origins, request: Request
) -> tuple[AssetChange, ...]:
    """Return the deletions of published assets that the given specs no longer declare.

    Args:
        head: The published state, in which renamed assets have their new ids.
        declared: Ids of all declared assets.
        origins: Where they are declared.
        request: What is to be deleted.
    """
    return deletions(
        base=head,
        declared=declared,
        origins=origins.published,
        places=origins.given,
        options=request.options,
    )


def with_protection(change: AssetChange, base: Base) -> AssetChange:
    """Return a deletion that says since when its asset is protected, if it is."""
    if base.store is None or not change.blocked:
        return change
    since = base.store.commits.protected_since(change.id)
    return replace(change, blocked=f"protected since {since[:12]}") if since else change


def unread_specs(old_ids: Iterable[str], origins: Origins) -> dict[str, str]:
    """Return the spec files that were not read and may declare former ids, by those ids."""
    found: dict[str, str] = {}
    for old in old_ids:
        origin = origins.published.get(old)
        doubt = None if origin is None else doubt_of_spec(origin, origins.seen)
        if origin and doubt and not (doubt.may_be_meant and is_under(origin, origins.given)):
            found[old] = origin
    return found


def deletion_doubts(
    deleted: Iterable[AssetChange],
    records: Mapping[str, AssetRecord],
    origins: Origins,
    *,
    declared: Collection[str],
    request: Request,
) -> tuple[str, ...]:
    """Return why assets may not be deleted, though no spec that was read declares them."""
    return doubts(
        [_going(change.id, records, origins) for change in deleted],
        origins.seen,
        declared=declared,
        is_meant=request.options.max_delete is not None,
    )


def _going(asset_id: str, records: Mapping[str, AssetRecord], origins: Origins) -> Going:
    asset = records[asset_id].asset if asset_id in records else None
    tilesets = asset.tilesets if isinstance(asset, Raster) else ()
    uris = tuple(source.uri for tileset in tilesets for source in tileset.sources)
    return Going(id=asset_id, origin=origins.published[asset_id], uris=uris)
