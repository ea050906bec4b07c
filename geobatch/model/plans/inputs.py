"""The inputs of a plan, by their digests: if two plans differ, one of these differs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from msgspec import Struct

from geobatch.model.assets.asset import Asset, Table
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.digest import Digest, digest_json
from geobatch.model.plans.plan import Op, Plan


class SourceInput(Struct, frozen=True, kw_only=True):
    """One source of one asset."""

    uri: str
    """As the spec gives it."""
    digest: Digest
    """Its identity."""
    size: int | None
    """Length of the file in bytes."""


class AssetInput(Struct, frozen=True, kw_only=True):
    """One declared asset."""

    id: str
    """Asset id."""
    path: str
    """Spec file, as the user named it."""
    spec: Digest
    """Digest of the spec's content: comments, order and formatting do not count."""
    fingerprint: Digest
    """Fingerprint of the resolved asset."""
    sources: tuple[SourceInput, ...]
    """In the order of the spec."""


class Inputs(Struct, frozen=True, kw_only=True):
    """Everything that a plan was made from."""

    store_id: str
    """Uuid of the store; empty where there was none."""
    base_commit: Digest | None
    """Commit that the plan was made against."""
    tool: str
    """Version of geobatch."""
    assets: tuple[AssetInput, ...]
    """Sorted by id."""
    deleted: tuple[str, ...]
    """Ids of deleted assets, sorted."""

    @property
    def spec_digest(self) -> Digest:
        """Digest of all specs: the same on every machine."""
        return digest_json([[asset.id, asset.spec] for asset in self.assets])


def inputs_of(
    plan: Plan,
    assets: Iterable[Asset],
    kept: Iterable[AssetInput],
    *,
    specs: Callable[[str], tuple[str, Digest]],
    tool: str,
) -> Inputs:
    """Return the inputs of a plan.

    Args:
        plan: The plan.
        assets: The resolved assets that the plan covers, or more.
        kept: The inputs of those that it keeps, and that were not resolved.
        specs: Returns the spec file, and the digest of the spec, of an asset id.
        tool: Version of geobatch.
    """
    covered = {change.id for change in plan.changes}
    found = [_asset_input(one, specs(one.id)) for one in assets if one.id in covered]
    return Inputs(
        store_id=plan.store_id,
        base_commit=plan.base_commit,
        tool=tool,
        assets=tuple(sorted([*found, *kept], key=attrgetter("id"))),
        deleted=tuple(change.id for change in plan.changed if change.op is Op.DELETE),
    )


def _asset_input(asset: Asset, spec: tuple[str, Digest]) -> AssetInput:
    return AssetInput(
        id=asset.id,
        path=spec[0],
        spec=spec[1],
        fingerprint=asset_fingerprint(asset),
        sources=tuple(_source_inputs(asset)),
    )


def _source_inputs(asset: Asset) -> Iterator[SourceInput]:
    if isinstance(asset, Table):
        for shard in asset.sources:
            size = None if shard.stat is None else shard.stat.size
            yield SourceInput(uri=shard.uri, digest=shard.digest, size=size)
        return
    for tileset in asset.tilesets:
        for source in tileset.sources:
            yield SourceInput(uri=source.uri, digest=source.digest, size=source.size)


def differences(before: Inputs, now: Inputs) -> Iterator[str]:
    """Yield what differs between the inputs of two plans, in words.

    Of inputs that determine others, the first is named: an asset whose spec and sources are the
    same is named only if something else changed it.
    """
    if before.store_id != now.store_id:
        yield f"the store differs: `{before.store_id or 'none'}` -> `{now.store_id or 'none'}`"
    elif before.base_commit != now.base_commit:
        yield f"the head moved from {_short(before.base_commit)} to {_short(now.base_commit)}"
    old = {asset.id: asset for asset in before.assets}
    new = {asset.id: asset for asset in now.assets}
    for asset_id in sorted(old.keys() | new.keys()):
        if asset_id not in new:
            yield f"`{asset_id}` (`{old[asset_id].path}`) is no longer planned"
        elif asset_id not in old:
            yield f"`{asset_id}` (`{new[asset_id].path}`) is now planned"
        else:
            yield from _asset_differences(old[asset_id], new[asset_id], before, now)
    for asset_id in sorted({*before.deleted, *now.deleted}):
        if asset_id not in now.deleted:
            yield f"`{asset_id}` is no longer deleted"
        elif asset_id not in before.deleted:
            yield f"`{asset_id}` is now deleted"


def _asset_differences(
    old: AssetInput, new: AssetInput, before: Inputs, now: Inputs
) -> Iterator[str]:
    is_told = False
    if old.spec != new.spec and before.tool == now.tool:
        yield f"spec file `{new.path}` changed: `{new.id}`"
        is_told = True
    was, are = _by_uri(old), _by_uri(new)
    for uri in dict.fromkeys((*was, *are)):
        if was.get(uri) != are.get(uri):
            word = "added" if uri not in was else "removed" if uri not in are else "changed"
            yield f"source `{uri}` of `{new.id}` {word}"
            is_told = True
    if not is_told and [source.uri for source in old.sources] != [s.uri for s in new.sources]:
        yield f"the sources of `{new.id}` are in another order"
    elif not is_told and old.fingerprint != new.fingerprint:
        if before.tool == now.tool:
            yield f"the headers of the sources of `{new.id}` changed"
        else:
            yield f"`{new.id}` is resolved differently by geobatch {now.tool}than by {before.tool}"


def _by_uri(asset: AssetInput) -> dict[str, list[Digest]]:
    found: dict[str, list[Digest]] = {}
    for source in asset.sources:
        found.setdefault(source.uri, []).append(source.digest)
    return found


def _short(digest: Digest | None) -> str:
    return "no commit" if digest is None else f"`{digest[:12]}`"
