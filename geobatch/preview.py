"""From spec files to a plan, with all that it was made of and that carrying it out needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from geobatch.errors import Problem
from geobatch.model.asset import Resolution
from geobatch.model.blocks import changed_blocks
from geobatch.model.digest import Digest
from geobatch.model.inputs import Inputs, inputs_of
from geobatch.model.plan import AssetChange, Failure, Options, Plan
from geobatch.model.record import AssetRecord, BandTiles, Head
from geobatch.plan import (
    block_pairs,
    choose,
    complete,
    deletions,
    fingerprints_of,
    needed_records,
    plan,
    wanted_bands,
)
from geobatch.resolve.salvage import salvage
from geobatch.spec import SpecSet, load, validate
from geobatch.spec.digests import spec_digests
from geobatch.store.band_cache import known_bands
from geobatch.store.cache import SourceCache
from geobatch.store.origins import located, place_of, real_place
from geobatch.store.tilestore import TileStore

NO_COMMIT = Head(number=0, digest=None)
_NO_PLAN = Plan(store_id="", base_commit=None, plan_id="", changes=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan with what it was made of."""

    plan: Plan
    """What an apply would do."""
    specs: SpecSet
    """Every declared asset."""
    resolution: Resolution
    """Every declared asset that could be resolved."""

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is allowed and seldom meant."""
        return tuple(sorted(dict.fromkeys(self.resolution.warnings), key=str))

    def inputs(self) -> Inputs:
        """Return the digests of all inputs, to tell later which of them differs."""
        return inputs_of(
            self.plan, self.resolution, specs=spec_digests(self.specs), tool=version("geobatch")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A plan with all that carrying it out needs."""

    preview: Preview
    """The plan with what it was made of."""
    records: Mapping[str, AssetRecord]
    """Published records that the work builds upon, by asset id."""
    known: Mapping[Digest, BandTiles]
    """Tiles of bands that were made before, by pyramid fingerprint."""


def look(
    paths: Sequence[Path], resolve: Callable[[SpecSet], Resolution], *, keep_going: bool
) -> tuple[Preview, tuple[Failure, ...]]:
    """Return what the specs declare, resolved and not planned yet, and what could not be resolved.

    Args:
        paths: Spec files, or folders of them.
        resolve: Resolves specs.
        keep_going: Whether assets whose sources fail are left out.

    Raises:
        SpecError: The specs are wrong.
        SourceError: A source cannot be read; unless it keeps going.
        PlanError: The sources do not fit together; unless it keeps going.
    """
    failures: tuple[Failure, ...] = ()
    specs = load(paths) if keep_going else validate(paths)
    if keep_going:
        resolution, failures = salvage(specs, resolve)
    else:
        resolution = resolve(specs)
    return Preview(plan=_NO_PLAN, specs=specs, resolution=resolution), failures


def plan_upon(
    found: Preview,
    store: TileStore | None,
    *,
    cache: SourceCache,
    place: Path,
    base: Head,
    paths: Sequence[Path],
    options: Options,
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

    Raises:
        PlanError: A pattern matches no asset.
        CorruptObjectError: A published document is damaged.
    """
    found = replace(found, resolution=located(found.resolution, store=place))
    declared = frozenset(spec.id for spec in found.specs.specs)
    choice = choose(found.resolution, base=base, options=options, declared=declared)
    fingerprints = fingerprints_of(choice.resolution)
    deleted: tuple[AssetChange, ...] = ()
    records: dict[str, AssetRecord] = {}
    known: Mapping[Digest, BandTiles] = {}
    if store is not None:
        needed = needed_records(fingerprints, base=choice.base)
        again = [entry for entry in base.tree.entries if entry.id in choice.replaced]
        records = {entry.id: store.record(entry) for entry in (*needed, *again)}
        wanted = wanted_bands(choice.resolution, fingerprints, base=choice.base)
        wanted -= choice.replaced_bands
        known = known_bands(cache, wanted, objects=store.objects)
        if options.is_pruning:
            origins = store.origins(base)
            deleted = deletions(
                base=base,
                declared=declared,
                origins={name: place_of(o, store=place) for name, o in origins.items()},
                places=[real_place(path) for path in paths],
                options=options,
            )
            deleted = tuple(_since(change, store) for change in deleted)
    blocks = changed_blocks(block_pairs(choice.resolution, records=records), cache.get_table)
    made = complete(
        plan(
            choice.resolution,
            base=choice.base,
            records=records,
            store_id="" if store is None else store.id,
            blocks=blocks,
            known=known,
            fingerprints=fingerprints,
        ),
        choice,
        base=base,
        records=records,
        blocks=blocks,
        deleted=deleted,
        max_delete=options.max_delete,
    )
    return Ready(preview=replace(found, plan=made), records=records, known=known)


def _since(change: AssetChange, store: TileStore) -> AssetChange:
    since = store.protected_since(change.id) if change.blocked else None
    return replace(change, blocked=f"protected since {since[:12]}") if since else change
