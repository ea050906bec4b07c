"""All specs that the given files declare, and what was read to know that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from geobatch.declare.spec_list import find_spec, held, ids_of
from geobatch.declare.specs import (
    AssetSpec,
    ExternalImageSpec,
    ImageSpec,
    RasterSpec,
    Seen,
    TableSpec,
)


class SpecSet(Struct, frozen=True, kw_only=True):
    """Every asset that the given files declare."""

    specs: Sequence[AssetSpec]
    """Sorted by id; those of large collections are made when they are asked for."""
    seen: Seen = Seen()
    """What was read to know that."""

    @property
    def images(self) -> tuple[ImageSpec | ExternalImageSpec, ...]:
        """Return the specs of images, ingested and external."""
        return tuple(spec for spec in self.specs if isinstance(spec, RasterSpec))

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """Return the specs of tables."""
        return tuple(spec for spec in self.specs if isinstance(spec, TableSpec))

    @property
    def claims(self) -> dict[str, str]:
        """Former id of each asset that declares one, by id."""
        return {spec.id: spec.moved_from for spec in held(self.specs) if spec.moved_from}

    @property
    def ids(self) -> Sequence[str]:
        """All ids, sorted."""
        return ids_of(self.specs)

    def spec(self, asset_id: str) -> AssetSpec:
        """Return the spec of an id; see `find_spec`."""
        return find_spec(self.specs, asset_id)

    def named(self, names: Iterable[str]) -> SpecSet:
        """Return the specs of some ids; see `find_spec`."""
        return SpecSet(specs=tuple(find_spec(self.specs, name) for name in names))
