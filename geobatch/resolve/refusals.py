"""Errors about a spec that only its sources show."""

from __future__ import annotations

from collections.abc import Sequence

from geobatch.declare import Loc, RasterSpec, problem
from geobatch.errors import SpecError


def spec_error(
    spec: RasterSpec, loc: Loc, rule: str, message: str, hint: str | None = None
) -> SpecError:
    """Return the error of one problem with a spec."""
    return SpecError((problem(spec, loc, rule, message, hint),))


def unknown_band(spec: RasterSpec, loc: Loc, band_id: str, names: Sequence[str]) -> SpecError:
    """Return the error for a missing band, in a spec without `bands`."""
    listed = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
    message = f"there is no band `{band_id}`; without `bands`, they are named {listed}"
    return spec_error(spec, loc, "unknown-band", message)
