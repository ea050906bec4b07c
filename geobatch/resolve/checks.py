"""Checks of an image: the bands that each covers, and the identity of a CRS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from geobatch.declare import CheckSpec, RasterSpec
from geobatch.model.assets.asset import Band, Number
from geobatch.model.checks.check import Check, CheckKind, Severity
from geobatch.model.geobox import Crs
from geobatch.resolve.refusals import spec_error, unknown_band


def resolve_checks(
    spec: RasterSpec, bands: Sequence[Band], read_crs: Callable[[str], Crs]
) -> Iterator[Check]:
    """Yield the checks of a spec, in their order.

    Args:
        spec: The spec.
        bands: Its resolved bands.
        read_crs: Returns the CRS of a text.

    Raises:
        SpecError: There is no such band, or a CRS is not known.
    """
    names = [band.id for band in bands]
    for index, check in enumerate(spec.checks):
        for position, name in enumerate(check.bands):
            if name not in names:
                raise unknown_band(spec, ("checks", index, "bands", position), name, names)
        kind = next(kind for kind in CheckKind if getattr(check, kind.value) is not None)
        limit = check.max_masked or check.max_changed or ""
        if check.crs is not None:
            try:
                limit = read_crs(check.crs).identity
            except ValueError as error:
                raise spec_error(spec, ("checks", index, "crs"), "crs", str(error)) from None
        yield Check(
            kind=kind,
            bands=tuple(name for name in names if name in check.bands or not check.bands),
            values=_values(check),
            limit=limit,
            severity=Severity(check.severity),
        )


def _values(check: CheckSpec) -> tuple[Number, ...]:
    if check.classes is not None:
        return tuple(sorted({_short(value): None for value in check.classes}))
    return tuple(_short(value) for value in check.range or check.resolution or ())


def _short(value: Number) -> Number:
    """Return a number in one spelling: `1.0` and `1` are one value."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
