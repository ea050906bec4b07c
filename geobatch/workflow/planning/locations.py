"""External images under the locations of their COGs: as declared, or as published before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.declare.spec_list import held
from geobatch.errors import Problem
from geobatch.model.assets.asset import Resolution
from geobatch.model.published import AssetRecord, Head
from geobatch.planner import fingerprints_of, is_selected, needed_records
from geobatch.store.maintenance.check import whole_record
from geobatch.store.origins import keep_locations, located, unreachable
from geobatch.store.tilestore import TileStore
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs


def set_locations(
    resolved: ResolvedSpecs, base: Base, *, head: Head, request: Request
) -> Resolution:
    """Return the assets with the locations of the COGs that stay where they are.

    Args:
        resolved: What the specs declare.
        base: The published state.
        head: Its commit, in which renamed assets have their new ids.
        request: Which published locations are replaced, and where the store is.
    """
    resolution = located(resolved.resolution, store=request.store.base)
    if base.store is None:
        return resolution
    records = _differing_records(resolution, base.store, head)
    if not records:
        return resolution
    replaced = request.options.replace
    kept = {
        name: record
        for name, record in records.items()
        if not replaced or not is_selected(name, replaced)
    }
    warnings = _unreachable_warnings(resolved.specs, records, store=request.store.base)
    return replace(keep_locations(resolution, kept), warnings=(*resolution.warnings, *warnings))


def _differing_records(
    resolution: Resolution, store: TileStore, head: Head
) -> dict[str, AssetRecord]:
    """Return the published external images that differ: if nothing does, no record is read."""
    external = replace(resolution, assets=tuple(a for a in resolution.assets if a.is_external))
    differing = needed_records(fingerprints_of(external), base=head) if external.assets else ()
    whole = {entry.id: whole_record(store, entry) for entry in differing}
    return {name: record for name, record in whole.items() if record is not None}


def _unreachable_warnings(
    specs: SpecSet, records: Mapping[str, AssetRecord], *, store: Path
) -> Iterator[Problem]:
    """Yield a warning for each published location where there is no file."""
    for spec in held(specs.specs):  # of an external image
        record = records.get(spec.id)
        gone = () if record is None else unreachable(record, store=store)
        if gone:
            path, line, column = spec.where()
            yield Problem(
                path=path,
                line=line,
                column=column,
                rule="unreachable-location",
                message=f"`{spec.id}` is published with the location `{gone[0]}`, but this "
                "store finds no file there: its pixels cannot be read",
                hint=f"`--replace {spec.id}` records the location that this store finds",
            )
