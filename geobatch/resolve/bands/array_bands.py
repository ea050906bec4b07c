"""Array bands: names for several bands that an export joins into one tensor."""

from __future__ import annotations

from collections.abc import Sequence

from geobatch.declare import Loc, RasterSpec
from geobatch.model.assets.asset import Band
from geobatch.resolve.refusals import spec_error, unknown_band


def array_bands(spec: RasterSpec, bands: Sequence[Band]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the declared array bands: their bands must exist and be on one grid.

    Raises:
        SpecError: A name is already used, or a band is missing or on another grid.
    """
    grids = {band.id: band.grid for band in bands}
    for name, members in spec.array_bands:
        here: Loc = ("array_bands", name)
        if name in grids:
            raise spec_error(spec, here, "duplicate-band", f"`{name}` is already a band")
        for position, member in enumerate(members):
            if member not in grids:
                raise unknown_band(spec, (*here, position), member, list(grids))
            if grids[member] != grids[members[0]]:
                raise spec_error(
                    spec,
                    (*here, position),
                    "array-grid",
                    f"band `{member}` lies on grid `{grids[member]}`, and `{members[0]}` on"
                    f" `{grids[members[0]]}`",
                    "all bands of an array band must be on one grid",
                )
    return spec.array_bands
