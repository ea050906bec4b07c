"""From spec files to a plan, with its inputs and with everything that carrying it out needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import Seen, SpecSet, load, validate
from geobatch.declare.checks.lint import mixed_types, warning
from geobatch.declare.collections.optional import absent_warnings
from geobatch.declare.files.missing import Going, doubt_of_spec, doubts
from geobatch.declare.loading.digests import spec_digests
from geobatch.declare.loading.garbage import without_collecting
from geobatch.declare.loading.spec_cache import SpecCache
from geobatch.errors import PlanError, Problem, SourceError
from geobatch.model.assets.asset import Resolution
from geobatch.model.digest import Digest
from geobatch.model.plans.inputs import Inputs, inputs_of
from geobatch.model.plans.plan import AssetChange, Failure, Options, Plan
from geobatch.model.published import AssetRecord, BandTiles, Head
from geobatch.model.sources.blocks import changed_blocks
from geobatch.plan import (
    block_pairs,
    choose,
    complete,
    deletions,
    fingerprints_of,
    is_selected,
    is_under,
    may_be_selected,
    moves,
    needed_records,
    plan,
    refuse_alike,
    renamed_head,
    renamed_record,
    wanted_bands,
)
from geobatch.resolve.partial import refuse_all, salvage
from geobatch.sources.tfrecord.block_tables import table_reader
from geobatch.store.caches.band_cache import damage_of, find_bands
from geobatch.store.caches.cache import SourceCache
from geobatch.store.maintenance.check import check, whole_record
from geobatch.store.origins import keep_locations, located, path_of, real_path, unreachable
from geobatch.store.tilestore import TileStore
from geobatch.versions import VERSION

NO_COMMIT = Head(number=0, digest=None)
_NO_PLAN = Plan(store_id="", base_commit=None, plan_id="", changes=())


class Preview(Struct, frozen=True, kw_only=True):
    """A plan with its inputs."""

    plan: Plan
    """What an apply would do."""
    specs: SpecSet
    """Every declared asset."""
    resolution: Resolution
    """Every declared asset that could be resolved."""
    remarks: tuple[Problem, ...] = ()
    """Warnings about the store."""
    failures: tuple[Failure, ...] = ()
    """Declared assets that could not, where the others were to be planned all the same."""

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed but is probably a mistake, in specs and in headers."""
        specs = self.specs.specs
        found = [
            *mixed_types(specs),
            *absent_warnings(specs),
            *self.resolution.warnings,
            *self.remarks,
        ]
        return tuple(sorted(dict.fromkeys(found), key=str))

    def inputs(self) -> Inputs:
        """Return the digests of all inputs, to tell later which of them differs."""
        return inputs_of(self.plan, self.resolution, specs=spec_digests(self.specs), tool=VERSION)


class Ready(Struct, frozen=True, kw_only=True):
    """A plan with everything that carrying it out needs."""

    preview: Preview
    """The plan with what it was made of."""
    records: Mapping[str, AssetRecord]
    """Published records that the work builds upon, by asset id."""
    known: Mapping[Digest, BandTiles]
    """Tiles of bands that were made before, by pyramid fingerprint."""


@without_collecting()
def look(
    paths: Sequence[Path],
    resolve: Callable[[SpecSet], Resolution],
    *,
    keep_going: bool,
    keep_project_prefix: bool = False,
    select: Collection[str] = (),
    cache: SpecCache | None = None,
) -> Preview:
    """Return what the specs declare, resolved and not planned yet.

    Args:
        paths: Spec files, or folders of them.
        resolve: Resolves specs.
        keep_going: Whether assets whose sources fail are left out.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        select: Patterns of the assets to resolve; sources of others are not read.
        cache: What spec files came to in earlier runs.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read; unless it keeps going.
        PlanError: The sources do not fit together; unless it keeps going.
    """
    failures: tuple[Failure, ...] = ()
    read = load if keep_going else validate
    specs = read(paths, keep_project_prefix=keep_project_prefix, cache=cache)
    wanted = specs
    if select:
        chosen = tuple(spec for spec in specs.specs if may_be_selected(spec.id, select))
        wanted = SpecSet(specs=chosen)
    if keep_going:
        resolution, failures = salvage(wanted, resolve)
    else:
        try:
            resolution = resolve(wanted)
        except (SourceError, PlanError) as error:
            raise refuse_all(wanted, resolve, error) from error
    return Preview(plan=_NO_PLAN, specs=specs, resolution=resolution, failures=failures)


@without_collecting()
def plan_upon(
    found: Preview,
    store: TileStore | None,
    *,
    cache: SourceCache,
    place: Path,
    base: Head,
    paths: Sequence[Path],
    options: Options,
    is_applied: bool = False,
) -> Ready:
    """Return the plan of resolved assets against a published state.

    Args:
        found: The assets.
        store: The open store; None where there is none yet.
        cache: What is known of sources and of bands that were made before.
        place: Folder of the store.
        base: The published state.
        paths: Spec files and folders that were given.
        options: What to cover.
        is_applied: Whether it is to be carried out: then reused tiles are read and verified.

    Raises:
        PlanError: A pattern matches no asset, or a name differs from a published one by case alone.
        CorruptObjectError: Something is damaged that the published state needs, and is neither
            deleted nor computed again.
    """
    published = base
    found = replace(found, resolution=located(found.resolution, store=place))
    declared = frozenset(spec.id for spec in found.specs.specs)
    moved = moves(found.specs.claims, base=base)
    origins: dict[str, str] = {}
    if store is not None and (moved or options.is_pruning):
        origins = {name: path_of(o, store=place) for name, o in store.origins(base).items()}
    seen = found.specs.seen
    places = [*(real_path(path) for path in paths), *seen.linked]
    base = renamed_head(base, moved)
    if store is not None:
        found = replace(found, resolution=_as_published(found, base, store, options, place=place))
    choice = choose(found.resolution, base=base, options=options, declared=declared)
    fingerprints = fingerprints_of(choice.resolution)
    deleted: tuple[AssetChange, ...] = ()
    records: dict[str, AssetRecord] = {}
    known: dict[Digest, BandTiles] = {}
    if store is not None:
        deleted = deletions(
            base=base, declared=declared, origins=origins, places=places, options=options
        )
        # What is damaged can be replaced or deleted none the less; to rename it, it is read.
        spared = {*choice.replaced, *(change.id for change in deleted)}
        unread = spared - moved.keys()
        check(store, published, spared=unread, is_noted=is_applied, folder=place)
        deleted = tuple(_since(change, store) for change in deleted)
        needed = needed_records(fingerprints, base=choice.base)
        records = {entry.id: store.record(entry) for entry in needed if entry.id not in spared}
        for entry in base.tree.entries:
            if entry.id in spared and (record := whole_record(store, entry)) is not None:
                records[entry.id] = record
        for name in moved.keys() & records.keys():
            records[name] = renamed_record(records[name], name)
        names = frozenset(entry.id for entry in published.tree.entries)
        refuse_alike(choice.resolution.assets, published=names, records=records)
        wanted = wanted_bands(choice.resolution, fingerprints, base=choice.base)
        known = dict(find_bands(cache, wanted - choice.replaced_bands, objects=store.objects))
    tables = table_reader(choice.resolution, cache)
    blocks = changed_blocks(block_pairs(choice.resolution, records=records), tables)
    remarks: list[Problem] = []

    def plan_with(known: Mapping[Digest, BandTiles]) -> Plan:
        return plan(
            choice.resolution,
            base=choice.base,
            records=records,
            store_id="" if store is None else store.id,
            blocks=blocks,
            known=known,
            fingerprints=fingerprints,
        )

    planned = plan_with(known)
    while store is not None and (lost := _damaged(planned, known, store, is_read=is_applied)):
        remarks += _remarks(planned, lost, found.specs)
        known = {name: tiles for name, tiles in known.items() if name not in lost}
        planned = plan_with(known)
    made = complete(
        planned,
        choice,
        base=base,
        records=records,
        declared=declared,
        blocks=blocks,
        deleted=deleted,
        moved=moved,
        foreign=_elsewhere(moved.values(), origins, places, seen),
        max_delete=options.max_delete,
        unseen=doubts(
            [_going(change.id, records, origins) for change in deleted],
            seen,
            declared=declared,
            is_meant=options.max_delete is not None,
        ),
    )
    preview = replace(found, plan=made, remarks=tuple(remarks))
    return Ready(preview=preview, records=records, known=known)


def _taken_over(change: AssetChange) -> dict[str, Digest]:
    """Return the fingerprints of the reused bands that an earlier run made, by band."""
    bases = [*change.carried, *((work.band, work.base) for work in change.work if work.base)]
    return {band: name for band, (asset_id, name) in bases if not asset_id}


def _damaged(
    planned: Plan, known: Mapping[Digest, BandTiles], store: TileStore, *, is_read: bool
) -> dict[Digest, str]:
    """Return what is wrong with bands that a plan takes over, by fingerprint."""
    used = {name for change in planned.changes for name in _taken_over(change).values()}
    found = {name: damage_of(store, known[name], is_read=is_read) for name in sorted(used)}
    return {name: damage for name, damage in found.items() if damage}


def _remarks(planned: Plan, lost: Mapping[Digest, str], specs: SpecSet) -> Iterable[Problem]:
    """Yield a warning for each band that an earlier run made and that cannot be reused."""
    by_id = {spec.id: spec for spec in specs.specs}
    for change in planned.changes:
        for band, name in _taken_over(change).items():
            if name in lost:
                message = (
                    f"tiles of band `{band}` that an earlier run made are damaged: {lost[name]}"
                )
                hint = "nothing needs to be done: the band is computed again from its sources"
                yield from warning(by_id[change.id], ("id",), "damaged-tiles", message, hint)


def _as_published(
    found: Preview, base: Head, store: TileStore, options: Options, *, place: Path
) -> Resolution:
    """Return external images under their published locations, with a warning where none is there.

    Only what would differ is looked up: where nothing does, no record is read.
    """
    resolution = found.resolution
    external = replace(resolution, assets=tuple(a for a in resolution.assets if a.is_external))
    differing = needed_records(fingerprints_of(external), base=base) if external.assets else ()
    if not differing:
        return resolution
    whole = {entry.id: whole_record(store, entry) for entry in differing}
    records = {name: record for name, record in whole.items() if record is not None}
    warnings = []
    for spec in found.specs.specs:
        record = records.get(spec.id)
        gone = () if record is None else unreachable(record, store=place)
        if gone:
            path, line, column = spec.where()
            warnings.append(
                Problem(
                    path=path,
                    line=line,
                    column=column,
                    rule="unreachable-location",
                    message=f"`{spec.id}` is published with the location `{gone[0]}`, but this "
                    "store finds no file there: its pixels cannot be read",
                    hint=f"`--replace {spec.id}` records the location that this store finds",
                )
            )
    kept = keep_locations(
        resolution,
        {
            name: record
            for name, record in records.items()
            if not options.replace or not is_selected(name, options.replace)
        },
    )
    return replace(kept, warnings=(*resolution.warnings, *warnings))


def _elsewhere(
    old_ids: Iterable[str], origins: Mapping[str, str], places: Collection[str], seen: Seen
) -> dict[str, str]:
    """Return the spec files that were not read and may declare former ids, by those ids."""
    found: dict[str, str] = {}
    for old in old_ids:
        doubt = doubt_of_spec(origins[old], seen) if old in origins else None
        if doubt and not (doubt.may_be_meant and is_under(origins[old], places)):
            found[old] = origins[old]
    return found


def _going(asset_id: str, records: Mapping[str, AssetRecord], origins: Mapping[str, str]) -> Going:
    asset = records[asset_id].asset if asset_id in records else None
    uris = () if asset is None else tuple(s.uri for t in asset.tilesets for s in t.sources)
    return Going(id=asset_id, origin=origins[asset_id], uris=uris)


def _since(change: AssetChange, store: TileStore) -> AssetChange:
    since = store.protected_since(change.id) if change.blocked else None
    return replace(change, blocked=f"protected since {since[:12]}") if since else change
