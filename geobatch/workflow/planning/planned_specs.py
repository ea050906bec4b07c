"""Resolved specs to a plan, with everything that executing the plan needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare import RasterSpec, SpecSet
from geobatch.declare.checks.lint import ignored_allow, lost_claims, mixed_types
from geobatch.declare.collections.optional import absent_warnings
from geobatch.declare.loading.digests import spec_digest
from geobatch.declare.loading.garbage import without_collecting
from geobatch.declare.spec_list import held, samples
from geobatch.errors import Problem
from geobatch.model.plans.estimate import Estimate
from geobatch.model.plans.inputs import Inputs, inputs_of
from geobatch.model.plans.plan import Plan
from geobatch.model.published import AssetRecord, Head
from geobatch.model.sources.blocks import changed_blocks
from geobatch.planner import (
    Blocks,
    Choice,
    Fingerprints,
    Kept,
    block_pairs,
    choose,
    complete,
    fingerprints_of,
    moves,
    needed_records,
    plan,
    refuse_alike,
    renamed_head,
    renamed_record,
    wanted_bands,
)
from geobatch.sources.registry import table_reader
from geobatch.store.caches.band_cache import find_bands
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.run_times import estimate_of
from geobatch.store.maintenance.check import check, whole_record
from geobatch.versions import VERSION
from geobatch.workflow.checks import (
    grid_warnings,
    refused_checks,
    with_checks,
)
from geobatch.workflow.planning.bands import Bands, damage_warnings, damaged_bands
from geobatch.workflow.planning.cubes import cube_settings, with_declared_cubes
from geobatch.workflow.planning.deletions import (
    deletion_doubts,
    find_deletions,
    find_origins,
    unread_specs,
    with_protection,
)
from geobatch.workflow.planning.kept import KeptImages, keep_resolved, kept_images
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs


class PlannedSpecs(Struct, frozen=True, kw_only=True):
    """A plan with its inputs."""

    plan: Plan
    """What an apply would do."""
    resolved: ResolvedSpecs
    """What the specs declare."""
    warnings: tuple[Problem, ...] = ()
    """What is allowed but is a likely mistake, in specs, in headers and in the store; sorted."""
    records: Mapping[str, AssetRecord] = MappingProxyType({})
    """Published records that the work builds upon, by asset id."""
    bands: Bands = MappingProxyType({})
    """Tiles of bands that an earlier run computed, by pyramid fingerprint."""
    kept: KeptImages = KeptImages()
    """Images that were not resolved."""
    estimate: Estimate | None = None
    """How long an apply may take; None if there is no run to go by, or apply would refuse it."""

    def estimated(self, base: Base) -> PlannedSpecs:
        """Return it with an estimate, if the cache of the store knows earlier runs."""
        if base.store is None or self.plan.refusals:
            return self
        return replace(self, estimate=estimate_of(base.store.caches, self.plan))

    @property
    def cubes(self) -> Mapping[str, bool]:
        """Ids of collections, and whether they have cubes from now on; others keep it."""
        return cube_settings(self.resolved.specs, self.plan)

    @property
    def refused(self) -> tuple[Problem, ...]:
        """Checks of severity `error` that fail already; they are among the plan's refusals."""
        return refused_checks(self.plan, self.resolved.specs)

    def inputs(self) -> Inputs:
        """Return the digests of all inputs; they say later which input differs."""
        specs = self.resolved.specs
        return inputs_of(
            self.plan,
            self.resolved.resolution.assets,
            self.kept.inputs(),
            specs=lambda name: spec_digest(specs.spec(name)),
            tool=VERSION,
        )


@without_collecting()
def plan_resolved(
    resolved: ResolvedSpecs,
    base: Base,
    *,
    request: Request,
    cache: SourceCache,
    is_applied: bool = False,
    damaged: Collection[str] = (),
    checks_bands: bool = True,
) -> PlannedSpecs:
    """Return the plan of resolved specs against a published state.

    Args:
        resolved: What the specs declare.
        base: The published state.
        request: What to cover.
        cache: Facts about sources, and about bands that an earlier run computed.
        is_applied: Whether the plan will be executed: then reused tiles are read and verified.
        damaged: Ids of published assets that are known to be damaged: not checked again.
        checks_bands: Whether to check bands that an earlier run computed.

    Raises:
        PlanError: A pattern matches no asset, or a name differs only by case from a published one.
        CorruptObjectError: Something is damaged that is neither deleted nor computed again.
    """
    declared, moved = _ids_of(resolved.specs), moves(resolved.specs.claims, base=base.head)
    origins = find_origins(base, request=request, seen=resolved.specs.seen, is_renaming=bool(moved))
    head, others = renamed_head(base.head, moved), {*moved, *damaged}
    located, kept, head = kept_images(resolved, base, head, others, request=request, cache=cache)
    choice = choose(located.resolution, base=head, options=request.options, declared=declared)
    deleted = find_deletions(head, declared=declared, origins=origins, request=request)
    spared = {*choice.replaced, *(change.id for change in deleted), *damaged}
    _check_published(base, spared - moved.keys(), request=request, is_noted=is_applied)
    prints = keep_resolved(located, fingerprints_of(choice.resolution), cache=cache)
    records = _read_records(base, choice, prints, head=head, spared=spared, moved=moved)
    blocks = _compare_blocks(choice, records, cache=cache, reads_objects=request.rehash)
    work = _Work(choice, base, prints, kept.kept, records, blocks, is_applied, checks_bands)
    made, bands, warnings = _plan_undamaged(work, resolved, cache=cache)
    completed = complete(
        made,
        choice,
        base=head,
        records=records,
        declared=declared,
        blocks=blocks,
        deleted=tuple(with_protection(change, base) for change in deleted),
        moved=moved,
        foreign=unread_specs(moved.values(), origins),
        max_delete=request.options.max_delete,
        unseen=deletion_doubts(deleted, records, origins, declared=declared, request=request),
    )
    return PlannedSpecs(
        plan=_finished(completed, resolved.specs, base, records=records, bands=bands),
        resolved=located,
        warnings=_sorted_warnings(located, warnings, base=base.head),
        records=records,
        bands=bands,
        kept=kept,
    )


def _finished(
    plan: Plan, specs: SpecSet, base: Base, *, records: Mapping[str, AssetRecord], bands: Bands
) -> Plan:
    """Return a plan with what it does to cubes, and with its checks."""
    whole = with_declared_cubes(plan, specs, base)
    return with_checks(whole, specs, records=records, known=bands)


def _ids_of(specs: SpecSet) -> frozenset[str]:
    return frozenset(specs.ids)


def _ids(head: Head) -> Iterator[str]:
    return (entry.id for entry in head.tree.each())


def _check_published(
    base: Base, spared: Collection[str], *, request: Request, is_noted: bool
) -> None:
    """Check what is published; what will be replaced or deleted may be damaged, unless renamed."""
    if base.store is not None:
        check(base.store, base.head, spared=spared, is_noted=is_noted, location=request.store)


def _read_records(
    base: Base,
    choice: Choice,
    fingerprints: Fingerprints,
    *,
    head: Head,
    spared: Collection[str],
    moved: Mapping[str, str],
) -> dict[str, AssetRecord]:
    """Return the published records that planning needs.

    Raises:
        PlanError: A new name differs from a published one only by case.
        CorruptObjectError: A record is damaged that is neither replaced nor deleted.
    """
    store = base.store
    if store is None:
        return {}
    needed = needed_records(fingerprints, base=choice.base)
    records = {entry.id: store.record(entry) for entry in needed if entry.id not in spared}
    for entry in head.tree.entries:
        if entry.id in spared and (record := whole_record(store, entry)) is not None:
            records[entry.id] = record
    for name in moved.keys() & records.keys():
        records[name] = renamed_record(records[name], name)
    there = {entry.id for entry in head.tree.entries} - moved.keys()
    assets = choice.resolution.assets
    new = [asset.id for asset in assets if asset.id not in there]
    refuse_alike(assets, new=new, published=_ids(base.head), records=records)
    return records


def _compare_blocks(
    choice: Choice,
    records: Mapping[str, AssetRecord],
    *,
    cache: SourceCache,
    reads_objects: bool,
) -> Blocks:
    """Return the changed blocks of sources whose earlier state is known."""
    tables = table_reader(choice.resolution, cache, reads_objects=reads_objects)
    return changed_blocks(block_pairs(choice.resolution, records=records), tables)


def _find_bands(
    base: Base, choice: Choice, fingerprints: Fingerprints, *, cache: SourceCache
) -> Bands:
    """Return the bands of the choice that an earlier run computed."""
    if base.store is None:
        return {}
    wanted = wanted_bands(choice.resolution, fingerprints, base=choice.base)
    return dict(find_bands(cache, wanted - choice.replaced_bands, objects=base.store.objects))


class _Work(Struct, frozen=True):
    """What the work of a plan is derived from, except the bands that it may take over."""

    choice: Choice
    base: Base
    fingerprints: Fingerprints
    kept: Kept
    records: Mapping[str, AssetRecord]
    blocks: Blocks
    is_applied: bool
    checks_bands: bool

    def plan(self, bands: Bands) -> Plan:
        """Return the plan that takes over some bands."""
        return plan(
            self.choice.resolution,
            base=self.choice.base,
            records=self.records,
            store_id=self.base.store_id,
            blocks=self.blocks,
            known=bands,
            fingerprints=self.fingerprints,
            kept=self.kept,
        )


def _plan_undamaged(
    work: _Work, resolved: ResolvedSpecs, *, cache: SourceCache
) -> tuple[Plan, Bands, tuple[Problem, ...]]:
    """Return a plan that takes over no damaged band, the bands it may, and warnings of others."""
    warnings: list[Problem] = []
    store = work.base.store
    bands = _find_bands(work.base, work.choice, work.fingerprints, cache=cache)
    made = work.plan(bands)
    while (store is not None and work.checks_bands) and (
        damaged := damaged_bands(made, bands, store, is_read=work.is_applied)
    ):
        warnings += damage_warnings(made, damaged, resolved.specs)
        bands = {name: tiles for name, tiles in bands.items() if name not in damaged}
        made = work.plan(bands)
    return made, bands, tuple(warnings)


def _sorted_warnings(
    resolved: ResolvedSpecs, of_store: Iterable[Problem], *, base: Head
) -> tuple[Problem, ...]:
    specs, resolution = resolved.specs, resolved.resolution
    mine = held(specs.specs)
    found = [
        *mixed_types(samples(specs.specs)),
        *absent_warnings([one for one in mine if isinstance(one, RasterSpec)]),
        *ignored_allow(samples(specs.specs)),
        *(lost_claims(mine, frozenset(_ids(base))) if specs.claims else ()),
        *grid_warnings(specs, resolution),
        *resolution.warnings,
        *of_store,
    ]
    return tuple(sorted(dict.fromkeys(found), key=str))
